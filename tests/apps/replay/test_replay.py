"""A whole replay: real processes, the public HTTP API, PostgreSQL; killed on the way, and taken up again."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import postgres
from apps.replay.histories import Cells, cells, write
from pasar.apps.replay.journal import NAME

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SKUS = [f"{number}{letter}" for number, letter in itertools.product(range(20000, 20010), ("", "A"))]


def history() -> list[Cells]:
    """Thirty invoices over six days, with every trap of the real file."""
    rows: list[Cells] = []
    for number in range(24):
        at = f"2009-12-0{1 + number // 5} {9 + number % 5:02}:30:00"
        who = {"customer": str(13000 + number % 4) if number % 8 else "", "at": at}
        for line in range(12):
            price = "1.055" if (number, line) == (3, 3) else f"{1 + line}.{number:02}"
            rows.append(cells(str(489400 + number), SKUS[(number + line) % 20], 1 + line % 5, price, **who))
        rows.append(rows[-1])  # An exact duplicate is a line of its own.
    last = {"at": "2009-12-06 12:00:00"}
    rows += [
        cells("489500", "85123A", 4, "2.55", **last), cells("489500", "85123a", 2, "2.95", **last),
        cells("489500", "POST", 1, "18.00", **last), cells("489501", "85123A", -9, "0", customer="", **last),
        cells("489502", "85123A", 9, "0", customer="", **last), cells("489503", "M", 1, "-3.10", **last),
        cells("489503", "gift_0001_30", 1, "30.00", **last), cells("489503", "85123A", 3, "0", **last),
        cells("A489504", "B", 1, "-11062.06", customer="", **last), cells("489500", "22041", 1, "0.85", **last),
    ]  # fmt: skip
    back = {"at": "2009-12-06 15:00:00"}
    rows += [
        cells("C489505", SKUS[1], -1, "1.01", customer="13001", **back),
        cells("C489505", SKUS[2], -2, "2.01", customer="13001", **back),
        cells("C489506", SKUS[1], -90, "1.01", customer="13001", **back),
        cells("C489507", "85123A", -1, "2.55", customer="", **back),
        cells("C489508", "85123A", -4, "2.55", at="2009-12-06 15:30:00"),
        cells("C489508", "D", -1, "4.00", at="2009-12-06 15:30:00"),
    ]
    return rows


@pytest.fixture
def folder() -> Iterator[Path]:
    made = postgres.make_folder()
    yield made
    postgres.remove_folder(made)


def start(folder: Path, *options: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PASAR_DATA_DIR": str(folder / "replay"), "COLUMNS": "160"}
    command = [sys.executable, "-m", "pasar.apps.cli", "replay", "orders", str(folder / "history.csv.gz"), *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def replayed(folder: Path, *options: str) -> str:
    process = start(folder, *options)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def lines_of(folder: Path) -> list[dict[str, str]]:
    file = folder / "replay" / NAME
    if not file.exists():
        return []
    text = file.read_text()  # While it grows: the last line may be there in part.
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def kill_after(folder: Path, what: str, count: int) -> None:
    """Start, and kill -9 as soon as so many steps of a kind are written."""
    process = start(folder)
    ends = time.monotonic() + 240
    while sum(one.get("what") == what for one in lines_of(folder)) < count:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < ends, "the replay does not get on"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_replay_that_is_killed_twice_ends_as_if_it_had_not_been(folder: Path) -> None:
    write(folder / "history.csv.gz", history())
    kill_after(folder, "ordered", 7)
    kill_after(folder, "delivered", 14)
    output = replayed(folder)
    assert "✓ The file, the log, the ledger and the views agree to the penny." in output
    steps = [(one.get("what"), one.get("name")) for one in lines_of(folder) if one.get("what") != "guest"]
    assert len([one for one in steps if one[0] == "ordered"]) == 26
    assert len([one for one in steps if one[0] == "refunded"]) == 2
    assert "✗" not in output

    again = replayed(folder)
    assert again[again.index("File = log") :] == output[output.index("File = log") :]

    process = start(folder, "--limit", "5")
    refused, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "another file or limit" in refused
