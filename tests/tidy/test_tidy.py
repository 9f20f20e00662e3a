"""The rules of STYLE.md, kept by the whole tree; and each rule tried on a planted fault, so that it can fail."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tidy import rules

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src"

Rule = Callable[[str, str], list[str]]

# Path → why. A reason, not a wish: who shortens or cleans the file takes its line away.
EXCEPTIONS: dict[Rule, dict[str, str]] = {
    rules.faults_of_size: {
        "src/pasar/migrations/0002_commit.sql": "one function judges and writes a whole group of changes",
        "src/pasar/refusals.py": "the catalogue of errors is one page",
        "src/pasar/kernel/web.py": "the declaration of a route names each of its parts once",
        "src/pasar/processes/fulfill_order.py": "four short handlers that know this deployment's periods",
    },
    rules.faults_of_chance_and_time: {
        "pasar/kernel/clock.py": "the one place that asks for the time",
        "pasar/kernel/ids.py": "the one place that draws ids",
        "pasar/kernel/embedded.py": "passwords of the embedded server, made once",
        "pasar/kernel/commit.py": "jitter between tries, which decides nothing",
        "pasar/simulators/chance.py": "a provider's keys and numbers are its own invention",
        "pasar/kernel/bus.py": "jitter between tries, which decides nothing",
        "pasar/kernel/master.py": "keys and nonces: chance that can be passed in can be guessed",
        "pasar/kernel/tokens.py": "keys and ids of tokens come from the system only",
    },
    rules.faults_of_floats: {},
    rules.faults_of_unfinished_work: {
        "src/pasar/kernel/delivery.py": "what each kind of follower overrides",
    },
    rules.faults_of_imports: {},
}


def python_files(*places: str) -> Iterable[tuple[str, str]]:
    for place in places or ("pasar",):
        found = SOURCES / place
        for file in sorted(found.rglob("*.py") if found.is_dir() else [found] if found.exists() else []):
            yield file.relative_to(SOURCES).as_posix(), file.read_text(encoding="utf-8")


def all_texts() -> Iterable[tuple[str, str]]:
    """Every text of the repository that people write."""
    written = {".py", ".sql", ".md", ".toml", ".sh", ".html", ".css", ".js", ""}
    for name in ("src", "tests", "docs", "benchmarks", ".ci"):
        for file in sorted((ROOT / name).rglob("*")):
            if file.suffix in written and "__pycache__" not in file.parts and file.is_file():
                yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8", errors="replace")
    for file in sorted(ROOT.iterdir()):
        if file.suffix in (".md", ".toml", ".lock", "") and file.is_file() and file.name != ".git":
            yield file.name, file.read_text(encoding="utf-8", errors="replace")


def faults(rule: Rule, files: Iterable[tuple[str, str]]) -> list[str]:
    excepted = EXCEPTIONS.get(rule, {})
    return [fault for path, text in files if path not in excepted for fault in rule(path, text)]


@pytest.mark.requirement("S2-112")
def test_each_file_imports_only_what_it_may_see() -> None:
    assert faults(rules.faults_of_imports, python_files()) == []


@pytest.mark.promise("A9")
def test_there_is_no_float_near_money() -> None:
    near = ("pasar/contexts", "pasar/processes", "pasar/accounts.py", "pasar/vocabulary.py")
    kernel = ("pasar/kernel/money.py", "pasar/kernel/ledger.py")
    assert faults(rules.faults_of_floats, python_files(*near, *kernel)) == []


def test_time_and_chance_are_passed_in() -> None:
    outside = ("pasar/simulators/", "pasar/apps/lab/")
    product = [(path, text) for path, text in python_files() if not path.startswith(outside)]
    assert faults(rules.faults_of_chance_and_time, product) == [], (
        "the outside world and who attacks from there have a clock and chance of their own, we have not"
    )


def test_files_and_functions_are_small() -> None:
    written = [(path, text) for path, text in all_texts() if path.endswith((".py", ".sql"))]
    assert faults(rules.faults_of_size, written) == []


def test_what_a_view_keeps_has_an_order() -> None:
    assert faults(rules.faults_of_order, python_files("pasar/contexts")) == []


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    assert faults(rules.faults_of_machine_paths, all_texts()) == []


def test_nothing_is_left_half_done() -> None:
    assert faults(rules.faults_of_unfinished_work, all_texts()) == []


@pytest.mark.parametrize("rule", list(EXCEPTIONS))
def test_an_exception_that_is_no_longer_needed_is_taken_away(rule: Rule) -> None:
    for path in EXCEPTIONS[rule]:
        file = ROOT / path if path.startswith("src/") else SOURCES / path
        assert rule(path, file.read_text(encoding="utf-8")), f"{path} keeps the rule now"


def test_the_lock_file_names_hashes_and_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert "://" not in lock
    assert "--index" not in lock


PLANTED = [
    (rules.faults_of_imports, "pasar/kernel/bus.py", "from pasar.contexts.ordering import contract"),
    (rules.faults_of_imports, "pasar/kernel/bus.py", "import pasar.vocabulary"),
    (rules.faults_of_imports, "pasar/vocabulary.py", "from pasar.apps.cli import main"),
    (rules.faults_of_imports, "pasar/contexts/pricing/coupon.py", "from pasar.contexts.ordering.order import Order"),
    (rules.faults_of_imports, "pasar/contexts/pricing/coupon.py", "from ..ordering.contract import OrderPlaced"),
    (rules.faults_of_imports, "pasar/contexts/pricing/coupon.py", "from pasar.contexts.ordering.contract import X"),
    (rules.faults_of_imports, "pasar/contexts/pricing/views.py", "from pasar.contexts.ordering import facade"),
    (rules.faults_of_imports, "pasar/contexts/pricing/http.py", "from pasar.contexts.ordering import facade"),
    (rules.faults_of_imports, "pasar/contexts/pricing/coupon.py", "from pasar.kernel.store import Database"),
    (rules.faults_of_imports, "pasar/contexts/pricing/contract.py", "from pasar.kernel import clock"),
    (rules.faults_of_imports, "pasar/contexts/pricing/contract.py", "from pasar.contexts.ordering.order import Order"),
    (rules.faults_of_imports, "pasar/contexts/pricing/settings.py", "from pasar.contexts.ordering import contract"),
    (rules.faults_of_imports, "pasar/contexts/pricing/facade.py", "def f():\n    from pasar.apps import wiring"),
    (rules.faults_of_imports, "pasar/processes/fulfill.py", "from pasar.contexts.ordering.facade import place"),
    (rules.faults_of_imports, "pasar/apps/api.py", "from pasar.contexts.ordering.module import ordering"),
    (rules.faults_of_imports, "pasar/simulators/toss.py", "from pasar.contexts.payment.contract import X"),
    (rules.faults_of_imports, "pasar/contexts/payment/facade.py", "from pasar.simulators import toss"),
    (rules.faults_of_floats, "pasar/accounts.py", "share = 0.05"),
    (rules.faults_of_floats, "pasar/accounts.py", "def f(amount: float) -> None: ..."),
    (rules.faults_of_floats, "pasar/accounts.py", "x = float('1')"),
    (rules.faults_of_floats, "pasar/accounts.py", "x: dict[str, list[float | None]] = {}"),
    (rules.faults_of_chance_and_time, "pasar/kernel/bus.py", "import datetime\nx = datetime.datetime.now()"),
    (
        rules.faults_of_chance_and_time,
        "pasar/kernel/bus.py",
        "from datetime import datetime as d, date\nx = date.today()",
    ),
    (rules.faults_of_chance_and_time, "pasar/kernel/bus.py", "from uuid import uuid4"),
    (rules.faults_of_chance_and_time, "pasar/kernel/bus.py", "import uuid\nx = uuid.uuid4()"),
    (rules.faults_of_chance_and_time, "pasar/kernel/bus.py", "from time import time"),
    (rules.faults_of_chance_and_time, "pasar/kernel/bus.py", "import random\nrandom.choice([1])"),
    (rules.faults_of_chance_and_time, "pasar/kernel/bus.py", "import os\nos.urandom(3)"),
    (rules.faults_of_chance_and_time, "pasar/kernel/bus.py", "import secrets\nf = secrets.token_hex"),
    (rules.faults_of_size, "src/a.sql", "\n" * 401),
    (rules.faults_of_size, "src/a.py", "async def f():\n" + "    x = 1\n" * 60),
    (rules.faults_of_machine_paths, "README.md", "see /ho" + "me/kim/pasar"),
    (rules.faults_of_machine_paths, "a.py", "x = '/ro" + "ot/pasar'"),
    (rules.faults_of_order, "pasar/contexts/a/views.py", "'(select array_agg(distinct x) from f(y) x order by 1)'"),
    (rules.faults_of_unfinished_work, "src/a.py", "# TO" + "DO later"),
    (rules.faults_of_unfinished_work, "src/a.py", "def f():\n    raise NotImplementedError"),
    (
        rules.faults_of_unfinished_work,
        "src/a.py",
        'async def f():\n    """Soon."""\n    raise NotImplementedError(\'x\')',
    ),
]

GOOD = [
    (rules.faults_of_imports, "pasar/contexts/pricing/coupon.py", "from pasar.kernel.messages import Event"),
    (
        rules.faults_of_imports,
        "pasar/contexts/pricing/coupon.py",
        "from .contract import X\nfrom pasar.accounts import a",
    ),
    (rules.faults_of_imports, "pasar/contexts/pricing/views.py", "from pasar.contexts.ordering.contract import X"),
    (rules.faults_of_imports, "pasar/contexts/ordering/contract.py", "from pasar.contexts.pricing.contract import X"),
    (rules.faults_of_imports, "pasar/contexts/pricing/settings.py", "from pasar.kernel.settings import Section"),
    (rules.faults_of_imports, "pasar/contexts/pricing/facade.py", "from pasar.contexts.ordering import facade"),
    (rules.faults_of_imports, "pasar/contexts/pricing/facade.py", "from pasar.kernel.store import Reader"),
    (rules.faults_of_imports, "pasar/processes/fulfill.py", "from pasar.contexts.ordering import contract"),
    (rules.faults_of_imports, "pasar/apps/wiring.py", "from pasar.contexts.ordering.module import ordering"),
    (rules.faults_of_imports, "pasar/apps/cli.py", "from pasar.simulators import toss"),
    (rules.faults_of_floats, "pasar/accounts.py", "share = Decimal('0.05') * 3"),
    (rules.faults_of_floats, "pasar/accounts.py", "timeout_s: float = 2.5"),
    (rules.faults_of_chance_and_time, "pasar/kernel/bus.py", "import time\nx = time.monotonic()\ny = clock.now()"),
    (rules.faults_of_chance_and_time, "pasar/kernel/bus.py", "from uuid import UUID\nfrom datetime import datetime"),
    (rules.faults_of_size, "src/a.py", "def f():\n" + "    x = 1\n" * 59),
    (rules.faults_of_order, "pasar/contexts/a/views.py", "'array(select x from f(y) x order by x)'"),
    (rules.faults_of_order, "pasar/contexts/a/facade.py", "'array(select x from f(y) x)'"),
    (rules.faults_of_order, "pasar/contexts/a/views.py", "'where z = any (array(select x from y))'"),
    (rules.faults_of_machine_paths, "README.md", "see ~/pasar and https://example.org/work and /usr/bin"),
    (rules.faults_of_unfinished_work, "src/a.py", "# Todo lists are a feature; TO" + "DO(#12) has a number"),
    (rules.faults_of_unfinished_work, "src/a.py", "def hook(k):\n    if k: return k\n    raise NotImplementedError(k)"),
]


@pytest.mark.parametrize(("rule", "path", "text"), PLANTED)
def test_a_planted_fault_is_found(rule: Rule, path: str, text: str) -> None:
    assert len(rule(path, text)) == 1


@pytest.mark.parametrize(("rule", "path", "text"), GOOD)
def test_what_is_allowed_is_not_found(rule: Rule, path: str, text: str) -> None:
    assert rule(path, text) == []
