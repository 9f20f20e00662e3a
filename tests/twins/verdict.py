"""A plugin of pytest for `run.py`: writes into the file that TWIN_VERDICT names how each test ended, and whether it
failed because something was not as it must be, or because it could not run at all."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FILE = "TWIN_VERDICT"
_ended: list[dict[str, str]] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if call.excinfo is not None and report.failed:
        # An exception that several tasks raised comes in a group.
        kinds = _leaves(call.excinfo.value)
        judged = call.when == "call" and all(isinstance(one, AssertionError | pytest.fail.Exception) for one in kinds)
        how = "judged" if judged else "broken"
        told = f"{type(kinds[0]).__name__}: {kinds[0]}".strip().splitlines()[0]
        _ended.append({"test": item.nodeid, "how": how, "told": told[:200]})
    elif call.when == "call" and report.passed:
        _ended.append({"test": item.nodeid, "how": "passed", "told": ""})
    return report  # type: ignore[return-value]


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


def pytest_sessionfinish() -> None:
    Path(os.environ[FILE]).write_text(json.dumps(_ended))
