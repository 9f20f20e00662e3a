"""State machines of Hypothesis as checkers: each history that was tried counts as one attempt."""

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from pasar.apps.lab.evidence import Evidence, scale


def explore(machine: type[RuleBasedStateMachine], proof: Evidence, *, night: int, least: int, steps: int = 30) -> None:
    """So many histories by night, of so many steps each; the same ones for each commit, others every night."""

    class Counted(machine):
        def teardown(self) -> None:
            super().teardown()
            proof.attempt()

    number = proof.number(night, least)
    by_day = scale() < 1
    chosen = settings(max_examples=number, stateful_step_count=steps, deadline=None, derandomize=by_day, database=None)
    run_state_machine_as_test(Counted, settings=chosen)
