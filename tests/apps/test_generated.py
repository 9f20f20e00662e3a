"""Pages and schemas that are made from the code: up to date, and true to what is really stored."""

import io
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import jsonschema_rs
import msgspec
import pytest

from golden import released_log
from pasar.apps.event_schemas import avro_schema, import_everything, json_schema, stored_events
from pasar.apps.generated import write_docs
from pasar.kernel.messages import decode_event, encode

DOCS = Path(__file__).resolve().parents[2] / "docs"
import_everything()
EVENTS = {line["type"]: decode_event(line["type"], encode(line["data"])) for line in released_log()}


def test_the_pages_in_docs_are_what_the_code_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert write_docs(DOCS, check=True) == 0, capsys.readouterr().err


def test_a_page_that_is_out_of_date_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write_docs(tmp_path) == 0
    (tmp_path / "errors.md").write_text("old")
    (tmp_path / "events" / "schemas" / "gone.Event.json").write_text("{}")
    assert write_docs(tmp_path, check=True) == 1
    said = capsys.readouterr().err
    assert "errors.md is not what the code says" in said
    assert "gone.Event.json" in said
    assert write_docs(tmp_path) == 0
    assert write_docs(tmp_path, check=True) == 0


@pytest.mark.requirement("S1-284")
@pytest.mark.parametrize("name", EVENTS)
def test_what_is_stored_fits_its_json_schema(name: str) -> None:
    check = jsonschema_rs.validator_for(json_schema(type(EVENTS[name])))
    stored = json.loads(encode(EVENTS[name]))
    check.validate(stored)
    assert not check.is_valid({**stored, next(iter(stored)): {"not": "that"}})


@pytest.mark.requirement("S1-284")
@pytest.mark.parametrize("name", EVENTS)
def test_an_event_survives_avro(name: str) -> None:
    schema = fastavro.parse_schema(avro_schema(type(EVENTS[name])))
    datum = _datum(EVENTS[name], avro_schema(type(EVENTS[name])), {})
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, datum, strict=True)
    buffer.seek(0)
    assert fastavro.schemaless_reader(buffer, schema, None) == datum


@pytest.mark.requirement("S1-284")
def test_every_event_has_a_schema_that_avro_takes() -> None:
    for kind in stored_events().values():
        fastavro.parse_schema(avro_schema(kind))


def _datum(value: Any, schema: Any, named: dict[str, Any]) -> Any:
    """An event as the Avro library wants it."""
    schema = named.get(schema, schema) if isinstance(schema, str) else schema
    if isinstance(schema, list):
        return None if value is None else _datum(value, schema[1], named)
    match schema:
        case {"type": "record", "fields": fields}:
            named[f"{schema['namespace']}.{schema['name']}"] = schema
            return {
                field["name"]: _datum(part, field["type"], named)
                for field, part in zip(fields, _parts(value, fields), strict=True)
            }
        case {"type": "array", "items": items}:
            return [_datum(part, items, named) for part in value]
        case {"type": "map", "values": values}:
            return {key: _datum(part, values, named) for key, part in value.items()}
        case {"type": "string", "doc": "JSON"}:
            return encode(value).decode()
    assert isinstance(value, str | int | bool | UUID | datetime | date | Decimal)
    return value


def _parts(value: Any, fields: list[Any]) -> list[Any]:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, msgspec.Struct):
        return [getattr(value, field["name"]) for field in fields]
    return list(value.envelope)
