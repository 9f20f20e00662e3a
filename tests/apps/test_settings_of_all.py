"""One environment for all processes of a deployment: each knows every setting, also those that it does not use."""

import re
import subprocess
import sys
from pathlib import Path

import pasar

SOURCE = Path(pasar.__file__).parent
SCRIPT = """
from pasar.apps import wiring
from pasar.kernel import settings
wiring.contexts()
print(*settings._registered)
"""


def test_a_process_knows_every_setting_whatever_it_serves() -> None:
    """Those of the worker and of commands load nothing of HTTP, and refuse what they do not know."""
    named = {
        name for file in SOURCE.rglob("*.py") for name in re.findall(r'^register\(\s*"(\w+)"', file.read_text(), re.M)
    }
    assert {"limits", "cache", "ordering"} <= named
    known = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout.split()
    assert named <= set(known), named - set(known)
