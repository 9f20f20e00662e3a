"""No dangerous construct in the product: by rules of our own, each tried on a planted fault, and by bandit."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pasar.apps.lab.evidence import Evidence
from tidy import dangers
from tidy.test_tidy import python_files

ROOT = Path(__file__).resolve().parents[2]
Rule = Callable[[str, str], list[str]]
RULES: tuple[Rule, ...] = (dangers.faults_of_execution, dangers.faults_of_trust, dangers.faults_of_sql)
# What is found, without its line → why it is safe.
EXCEPTIONS = {
    "pasar/contexts/catalog/facade.py formats a statement": "conditions of our own, values are parameters",
    **{
        f"pasar/contexts/catalog/views.py puts {part} into a statement": "conditions of our own, values are parameters"
        for part in ("asked.fits", "_ORDER[question.sort]", "wanted", "asked.after(place)", "int(limit) + 1", "narrow")
    },
    "pasar/contexts/platform/facade.py formats a statement": "conditions of our own, values are parameters",
    "pasar/contexts/finance/payout_file.py imports xml.etree": "writes XML, never reads it",
    "pasar/kernel/findings.py puts self.SQL.format(key) into a statement": "an expression of verify's own",
    "pasar/kernel/verify.py puts id into a statement": "an expression that verify itself makes",
    "pasar/kernel/verify.py puts Tally.SQL.format(key) into a statement": "an expression of verify's own",
    "pasar/kernel/view_tables.py puts view.columns into a statement": "what a view's definition says",
    "pasar/kernel/view_tables.py puts index into a statement": "what a view's definition says",
    "pasar/kernel/view_tables.py puts view.schema into a statement": "what a view's definition says",
}


def without_line(fault: str) -> str:
    return re.sub(r":\d+ ", " ", fault, count=1)


@pytest.mark.promise("D14")
def test_no_dangerous_construct(proof: Evidence) -> None:
    found = []
    for path, text in python_files():
        proof.attempt()
        found += [fault for rule in RULES for fault in rule(path, text)]
    assert [fault for fault in found if without_line(fault) not in EXCEPTIONS] == []
    assert {without_line(fault) for fault in found} == set(EXCEPTIONS), "an exception that is no longer needed"


@pytest.mark.slow
@pytest.mark.promise("D14")
def test_bandit_finds_nothing_that_is_severe(proof: Evidence) -> None:
    """An error of bandit's own is a failure: what was not read is unknown."""
    command = [sys.executable, "-m", "bandit", "-r", str(ROOT / "src"), "-f", "json", "-q", "--severity-level", "high"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["errors"] == []
    assert [f"{one['filename']}:{one['line_number']} {one['issue_text']}" for one in report["results"]] == []
    proof.attempt(len(report["metrics"]) - 1)


PLANTED: list[tuple[Rule, str]] = [
    (dangers.faults_of_execution, "eval(text)"),
    (dangers.faults_of_execution, "import pickle"),
    (dangers.faults_of_execution, "from xml.etree import ElementTree"),
    (dangers.faults_of_execution, "subprocess.run(x, shell=True)"),
    (dangers.faults_of_execution, "os.system(x)"),
    (dangers.faults_of_trust, "hashlib.md5(x)"),
    (dangers.faults_of_trust, "session.get(x, ssl=False)"),
    (dangers.faults_of_trust, "context.verify_mode = ssl.CERT_NONE"),
    (dangers.faults_of_trust, "if signature == expected: x"),
    (dangers.faults_of_sql, "pool.fetch(f'select * from x where id = {id}')"),
    (dangers.faults_of_sql, "pool.fetch('select * from x where id = ' + id)"),
    (dangers.faults_of_sql, "pool.execute('delete from x where id = %s' % id)"),
    (dangers.faults_of_sql, "pool.execute('delete from x where id = {}'.format(id))"),
]
GOOD: list[tuple[Rule, str]] = [
    (dangers.faults_of_execution, "re.compile(x)\nsubprocess.run([x], shell=False)"),
    (dangers.faults_of_trust, "hashlib.md5(x, usedforsecurity=False)\nhmac.compare_digest(signature, expected)"),
    (dangers.faults_of_sql, "pool.fetch(f'select {_COLUMNS} from {table} where id = $1', id)"),
]


@pytest.mark.parametrize(("rule", "text"), PLANTED)
def test_a_planted_danger_is_found(rule: Rule, text: str) -> None:
    assert len(rule("a.py", text)) == 1


@pytest.mark.parametrize(("rule", "text"), GOOD)
def test_what_is_safe_is_not_found(rule: Rule, text: str) -> None:
    assert rule("a.py", text) == []
