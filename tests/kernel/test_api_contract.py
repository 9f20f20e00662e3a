"""The OpenAPI document is true: generated requests, good and bad, get documented answers and never a 5xx."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some

from kernel.test_api_server import START
from pasar.kernel.access import Principal
from pasar.kernel.clock import SystemClock
from pasar.kernel.ids import SystemIds
from pasar.kernel.tokens import KeyRing, Tokens
from ports import free_port
from postgres import TestDatabase

FAULTY = ("/broken", "/slow", "/stream")
"""Routes that have a fault, end late or never, on purpose."""


@pytest.fixture(scope="module")
def server(module_database: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder, port = tmp_path_factory.mktemp("toy"), free_port()
    environment = {
        **os.environ,
        "PASAR_TEST_TOY_DSN": module_database.app_dsn,
        "PASAR_TEST_TOY_FOLDER": str(folder),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = subprocess.Popen([sys.executable, "-c", START, str(port), "1"], env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(900):
            try:
                urllib.request.urlopen(f"{url}/healthz", timeout=1).read()
                break
            except OSError:
                time.sleep(0.1)
        yield url, folder
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.slow
def test_generated_requests_get_documented_answers(server: tuple[str, Path]) -> None:
    import schemathesis  # Takes seconds, which only this test has.
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    all_checks = [
        not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
        checks.response_schema_conformance, checks.unsupported_method,
    ]  # fmt: skip
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    url, folder = server
    clock = SystemClock()
    tokens = Tokens(KeyRing(folder / "tokens", clock), clock, SystemIds())
    token = tokens.issue(Principal(id="root", kind="admin"))
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in FAULTY:
            continue
        tried.add(operation.label)

        @settings(
            max_examples=15, derandomize=True, phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(some.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes)))
        def one(case: schemathesis.Case) -> None:
            case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=all_checks)

        one()
    assert len(tried) > 15
