"""State machines of Hypothesis as checkers: each history that was tried counts as one attempt."""

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from pasar.apps.lab.evidence import Evidence


def explore(machine: type[RuleBasedStateMachine], proof: Evidence, *, night: int, least: int, steps: int = 30) -> None:
    """So many histories by night, of so many steps each; the profile of conftest.py says which."""

    class Counted(machine):
        def teardown(self) -> None:
            super().teardown()
            proof.attempt()

    run_state_machine_as_test(
        Counted, settings=settings(max_examples=proof.number(night, least), stateful_step_count=steps)
    )
