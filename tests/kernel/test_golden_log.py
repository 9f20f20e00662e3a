"""What was stored once is read for ever: released events decode, mean the same, and book the same."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from golden import ADVICE, booked, breaks, deciders, released_log, released_schemas
from pasar.apps.event_schemas import avro_schema, import_everything, stored_events
from pasar.kernel.messages import Event, UnknownEvent, Value, decode_event, encode, upcast

import_everything()
GOLDEN = released_log()


@pytest.mark.parametrize("line", GOLDEN, ids=lambda line: line["type"])
@pytest.mark.promise("B11")
def test_a_released_event_still_says_what_it_said(line: dict[str, Any]) -> None:
    event = decode_event(line["type"], encode(line["data"]))
    assert _still_in(line["data"], json.loads(encode(_with_defaults(event)), parse_float=Decimal)) == []


def _with_defaults(value: Any) -> Any:
    """A value as plain dictionaries and lists, with the fields that are left out where they have their default."""
    if isinstance(value, msgspec.Struct):
        return {name: _with_defaults(getattr(value, name)) for name in value.__struct_fields__}
    return [_with_defaults(part) for part in value] if isinstance(value, tuple) else value


def _still_in(old: Any, new: Any, where: str = "") -> list[str]:
    """Where something that was stored is not read as it was."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [fault for name in old for fault in _still_in(old[name], new.get(name), f"{where}.{name}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [fault for one, other in zip(old, new, strict=True) for fault in _still_in(one, other, f"{where}[]")]
    return [] if old == new else [f"{where} was {old!r} and is read as {new!r}"]


@pytest.mark.promise("B11")
def test_a_released_event_books_what_it_booked() -> None:
    """Replaying the log must rebuild the ledger: what an event books never changes."""
    of = deciders()
    counted = 0
    for line in GOLDEN:
        if line["books"] is not None:
            event = decode_event(line["type"], encode(line["data"]))
            assert json.loads(encode(booked(event, of.get(type(event))))) == line["books"], line["type"]
            counted += 1
    assert counted > 20


@pytest.mark.requirement("S1-221")
@pytest.mark.promise("B11")
def test_every_event_has_its_place_in_the_golden_log() -> None:
    missing = set(stored_events()) - {line["type"] for line in GOLDEN}
    assert not missing, f"new events: {sorted(missing)}. Run `make docs`, look at the difference, and commit it."


def test_no_schema_breaks_what_is_stored() -> None:
    now = {name: avro_schema(kind) for name, kind in stored_events().items()}
    faults = [fault for name, old in released_schemas().items() for fault in breaks(name, old, now.get(name))]
    assert not faults, "\n".join(faults)


@pytest.mark.requirement("S1-221")
def test_the_snapshot_of_schemas_is_complete() -> None:
    """Else a field that was added and taken away again would never have been noticed."""
    now = {name: avro_schema(kind) for name, kind in stored_events().items()}
    assert released_schemas() == now, "Run `make docs`, look at the difference, and commit it."


class Coin(Value):
    amount: Decimal
    note: str | None = None


class Tossed(Event):
    side: str
    coins: tuple[Coin, ...]


OLD = avro_schema(Tossed)


def test_an_optional_field_may_come() -> None:
    class Tossed(Event):
        side: str
        coins: tuple[Coin, ...]
        by: str = "nobody"

    assert breaks("toy", OLD, avro_schema(Tossed)) == []


def test_a_text_may_become_one_that_can_be_absent() -> None:
    class Tossed(Event):
        side: str | None
        coins: tuple[Coin, ...]

    assert breaks("toy", OLD, avro_schema(Tossed)) == []


def test_what_breaks_stored_events_is_said_in_a_sentence() -> None:
    class Piece(Value):
        amount: str
        note: str | None = None

    class Removed(Event):
        coins: tuple[Coin, ...]

    class Retyped(Event):
        side: int
        coins: tuple[Coin, ...]

    class Required(Event):
        side: str
        coins: tuple[Coin, ...]
        by: str

    class Nested(Event):
        side: str
        coins: tuple[Piece, ...]

    assert breaks("toy", OLD, avro_schema(Removed)) == [f"toy.side was removed or renamed. {ADVICE}"]
    assert breaks("toy", OLD, avro_schema(Retyped)) == [f"toy.side was string and is now long. {ADVICE}"]
    assert breaks("toy", OLD, avro_schema(Required)) == [f"toy.by is new and required. {ADVICE}"]
    assert breaks("toy", OLD, avro_schema(Nested)) == [f"toy.coins[].amount was decimal and is now string. {ADVICE}"]
    assert breaks("toy", OLD, None) == [f"toy is gone. {ADVICE}"]


class Weighed(Event):
    """Its first shape had grams as a text; the second has them as a number, the third says who weighed."""

    schema = 3
    grams: int
    by: str


def _weighed_2(data: dict[str, Any]) -> dict[str, Any]:
    return {"grams": int(data["weight"])}


def _weighed_3(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "by": "unknown"}


upcast("golden_log.Weighed", 1, _weighed_2)
upcast("golden_log.Weighed", 2, _weighed_3)


def test_an_old_shape_is_lifted_step_by_step() -> None:
    assert decode_event("golden_log.Weighed", b'{"weight":"120"}') == Weighed(grams=120, by="unknown")
    assert decode_event("golden_log.Weighed@2", b'{"grams":120}') == Weighed(grams=120, by="unknown")
    assert decode_event("golden_log.Weighed@3", b'{"grams":120,"by":"kim"}') == Weighed(grams=120, by="kim")


def test_a_shape_of_a_newer_version_is_not_guessed_at() -> None:
    with pytest.raises(UnknownEvent):
        decode_event("golden_log.Weighed@4", b'{"grams":120,"by":"kim","place":"x"}')


def test_an_upcaster_cannot_be_replaced() -> None:
    with pytest.raises(TypeError, match="has an upcaster already"):
        upcast("golden_log.Weighed", 1, _weighed_2)
