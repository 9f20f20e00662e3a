"""Which worker runs which tests: whole files, as their tests share what is costly to make; those that may take longest
first, so that no worker is left alone with one of them at the end."""

from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

APART = frozenset({
    "tests/attack/test_hot_orders.py", "tests/attack/test_kills.py", "tests/kernel/test_commit.py",
    "tests/lab/test_fuzz.py", "tests/lab/test_history.py", "tests/lab/test_memory.py", "tests/lab/test_simulation.py",
})  # fmt: skip
"""Files of long tests that share nothing: each test may go to another worker."""
USUAL_S = 120.0


class LongestFirst(LoadScopeScheduling):
    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file in APART else file


def in_order(items: list[pytest.Item]) -> None:
    """Sort by what the tests of a file are allowed to take; equal ones stay as they are."""
    longest: dict[str, float] = {}
    for item in items:
        file, mark = item.nodeid.partition("::")[0], item.get_closest_marker("timeout")
        allowed = float(mark.args[0]) if mark and mark.args else USUAL_S if item.get_closest_marker("slow") else 0.0
        longest[file] = max(allowed, longest.get(file, 0.0))
    items.sort(key=lambda item: -longest[item.nodeid.partition("::")[0]])
