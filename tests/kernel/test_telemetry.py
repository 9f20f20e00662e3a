"""Logs without personal values, metrics by name, traces only when wanted."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
import structlog
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pasar.kernel import logs, metrics, tracing
from pasar.kernel.private import Private

ID = UUID("01a1fc51-36f8-7fe7-b516-714da1898471")


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    logs.configure("info", "json", stream)
    yield stream
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def entries(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class Person(msgspec.Struct):
    nickname: str


class PrivateText(str):
    """A private value that looks like plain text."""

    __slots__ = ()


@pytest.mark.requirement("S1-209")
def test_an_entry_carries_the_ids_of_its_request(written: io.StringIO) -> None:
    with logs.context(request_id=ID, correlation_id="c-1", tenant=1):
        logs.logger("ordering").info("order placed", order_id=ID, lines=2)
    logs.logger("ordering").info("later")
    first, second = entries(written)
    assert first["event"] == "order placed"
    assert (first["request_id"], first["correlation_id"], first["tenant"]) == (str(ID), "c-1", 1)
    assert (first["order_id"], first["lines"], first["level"], first["module"]) == (str(ID), 2, "info", "ordering")
    assert first["at"].endswith("Z")
    assert "request_id" not in second


@pytest.mark.promise("D13")
def test_no_personal_value_and_no_secret_is_ever_written(written: io.StringIO) -> None:
    canary = "Kim-Canary"
    logs.logger("identity").warning(
        f"mail to {canary}@example.com",
        text=Private(canary),
        person=Person(canary),
        subclass=PrivateText(canary),
        note=f"from {canary}@example.com",
        nested={"list": [Private(canary), Person(canary)], "password": canary, "deep": {"mobile": canary}},
        data=canary.encode(),
        **dict.fromkeys(
            ("password", "access_token", "Authorization", "cookie", "api_key", "email", "phone", "ip", "remote_ip",
             "shipping_address", "card_number", "first_name", "recipient", "birth_date"),
            canary,
        ),
    )  # fmt: skip
    assert canary not in written.getvalue()
    assert entries(written)[0]["text"] == "<Private>"


def test_ids_and_counts_of_secret_things_are_no_secrets(written: io.StringIO) -> None:
    logs.logger("identity").info("x", token_id="t-1", address_id=ID, token_count=3)
    assert [entries(written)[0][key] for key in ("token_id", "address_id", "token_count")] == ["t-1", str(ID), 3]


@pytest.mark.promise("D13")
def test_an_exception_says_what_and_where_but_not_the_values_it_quotes(written: io.StringIO) -> None:
    secret = "Kim-Canary"
    try:
        try:
            raise KeyError(f"no '{secret}' with 010-1234-5678 and a@b.kr (mail)=({secret})")
        except KeyError as error:
            raise RuntimeError("could not do it") from error
    except RuntimeError:
        logs.logger("x").exception("failed", local=secret[:3])
    entry = entries(written)[0]
    assert [part["type"] for part in entry["error"]] == ["builtins.RuntimeError", "builtins.KeyError"]
    assert entry["error"][0]["message"] == "could not do it"
    assert Path(__file__).name in entry["error"][0]["where"][-1]
    for canary in (secret, "1234-5678", "a@b.kr"):
        assert canary not in written.getvalue()


def test_a_libraries_log_goes_the_same_way(written: io.StringIO) -> None:
    logging.getLogger("library").warning("user %r failed", "Kim-Canary")
    logging.getLogger("library").debug("too small")
    assert [(e["module"], e["level"], e["event"]) for e in entries(written)] == [
        ("library", "warning", "user … failed")
    ]


def test_below_its_level_nothing_is_written_and_text_is_for_people(written: io.StringIO) -> None:
    logs.logger("x").debug("small")
    assert written.getvalue() == ""
    stream = io.StringIO()
    logs.configure("debug", "console", stream)
    logs.logger("x").debug("small", password="no")
    assert "small" in stream.getvalue()
    assert "=no" not in stream.getvalue()


def test_a_metric_is_asked_for_by_name_and_there_is_one_of_each() -> None:
    orders = metrics.counter("toy_orders_total", "Orders", ["outcome"])
    assert metrics.counter("toy_orders_total", "Orders", ["outcome"]) is orders
    orders.labels("placed").inc(2)
    with metrics.duration("toy_commit_seconds", "Commit").time():
        pass
    metrics.gauge("toy_queue", "Waiting").set(5)
    page = metrics.expose().decode()
    assert 'toy_orders_total{outcome="placed"} 2.0' in page
    assert 'toy_commit_seconds_bucket{le="0.0005"}' in page
    assert "toy_queue 5.0" in page


def test_a_metric_of_another_kind_or_without_its_unit_is_refused() -> None:
    metrics.gauge("toy_other", "")
    with pytest.raises(ValueError, match="must end in _total"):
        metrics.counter("toy_things", "")
    with pytest.raises(ValueError, match="must end in _seconds"):
        metrics.duration("toy_took_ms", "")
    with pytest.raises(ValueError, match="another kind"):
        metrics.gauge("toy_other", "", ["label"])


def test_processes_of_one_machine_are_added_up(tmp_path: Path) -> None:
    count = "from pasar.kernel import metrics; c = metrics.counter('toy_shared_total', 'x'); c.inc(3)"
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", count], env=environment, check=True)
    show = "from pasar.kernel import metrics; print(metrics.expose().decode())"
    page = subprocess.run([sys.executable, "-c", show], env=environment, check=True, capture_output=True, text=True)
    assert "toy_shared_total 6.0" in page.stdout


def test_switched_off_tracing_imports_nothing_and_changes_nothing() -> None:
    use = "from pasar.kernel import tracing\nwith tracing.span('x', a=1): assert tracing.traceparent() is None"
    check = "\nimport sys\nassert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    subprocess.run([sys.executable, "-c", use + check], env={"PYTHONPATH": ":".join(sys.path)}, check=True)
    assert tracing.span("a") is tracing.span("b", attribute=1)


def test_switched_on_spans_have_parents_across_messages() -> None:
    exporter = InMemorySpanExporter()
    tracing.enable("pasar-test", exporter=exporter)
    try:
        with tracing.span("request", route="/x"):
            header = tracing.traceparent()
        assert header is not None
        with tracing.continued("follower", {"traceparent": header}):
            pass
        with tracing.continued("alone", {"traceparent": "nonsense"}):
            pass
    finally:
        provider = tracing._provider
        assert provider is not None
        provider.force_flush()
        spans = {span.name: span for span in exporter.get_finished_spans()}
        tracing.disable()
    assert tracing.traceparent() is None
    assert spans["follower"].parent is not None
    assert spans["request"].context is not None
    assert spans["follower"].parent.span_id == spans["request"].context.span_id
    assert spans["alone"].parent is None
    assert dict(spans["request"].attributes or {}) == {"route": "/x"}
