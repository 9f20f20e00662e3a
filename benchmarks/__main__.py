"""`make bench`: every figure in one run, into docs/benchmarks/. `--quick` for a look, `--only a,b` for a part.

A figure counts only when the followers were at most a second behind at its end.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import http, kernel, pages, report

FOLDER = Path(__file__).parent.parent / "docs" / "benchmarks"


def _starts() -> dict[str, float]:
    """Seconds until `pasar run` says that it is ready: the first time with the demo mall, then again."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="pasar-start-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        for which in ("first start, with the demo mall", "start of what is there"):
            environment = {**os.environ, "PASAR_DATA_DIR": f"{folder}/data", "PYTHONUNBUFFERED": "1"}
            command = [sys.executable, "-m", "pasar.apps.cli", "run", "--port", "18660"]
            started = time.perf_counter()
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    if line.startswith("Ready"):
                        found[which] = round(time.perf_counter() - started, 1)
                        process.terminate()
    return found


def main() -> None:
    """Measure, then write results.json, README.md and the plots."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--seconds", type=float, default=60, help="length of each measurement")
    parser.add_argument("--quick", action="store_true", help="5 s each")
    parser.add_argument("--only", default="a,bcde,s,p", help="a: kernel; b, c, d, e: HTTP; s: starts; p: pages")
    chosen = parser.parse_args()
    seconds = 5.0 if chosen.quick else chosen.seconds
    results: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "seconds_each": seconds,
    }
    parts = chosen.only.split(",")

    def keep() -> None:  # What took half an hour is not lost with what comes after it.
        (FOLDER / "results.json").write_text(json.dumps(results, indent=1) + "\n")

    FOLDER.mkdir(parents=True, exist_ok=True)
    if "a" in parts:
        results["kernel"] = kernel.run(seconds)
        keep()
    letters = "".join(letter for part in parts for letter in part if letter in "bcde")
    if letters:
        results["http"] = http.run(seconds, letters)
        keep()
    if "s" in parts:
        results["starts"] = _starts()
    if "p" in parts:
        pages.write(pages.run(seconds), results["machine"], FOLDER)
        if parts == ["p"]:  # What was measured before, and is in the other files, stays.
            print(f"Written: {FOLDER / 'pages.md'}")
            return
    keep()
    report.write(results, FOLDER)
    print(f"Written: {FOLDER}")


if __name__ == "__main__":
    main()
