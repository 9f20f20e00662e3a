"""What was released of the events: their schemas and one stored example each, which later versions must still read.

`python tests/golden.py` adds new events and new optional fields, and refuses to forget or change what is there.
Until the first release, when nobody has stored any, both files may be deleted and made anew.
"""

import json
import sys
import types
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from pasar.apps import wiring
from pasar.apps.event_schemas import avro_schema, stored_events
from pasar.kernel.decider import Decider
from pasar.kernel.ledger import Transfer
from pasar.kernel.messages import Event, decode_event, encode
from pasar.kernel.private import Private
from pasar.kernel.process import memories

DATA = Path(__file__).parent / "data"
SCHEMAS, LOG = DATA / "event_schemas.json", DATA / "golden_log.jsonl"
ADVICE = "Events are for ever: add an optional field, or a new event with an upcaster (`schema = 2`, `upcast`)."

_FIXED: dict[Any, Any] = {
    int: 3,
    bool: True,
    UUID: UUID("0198f2c4-0000-7000-8000-000000000001"),
    datetime: datetime(2026, 11, 21, 9, 30, 0, 250000, tzinfo=UTC),
    date: date(2026, 11, 21),
    Decimal: Decimal("12.50"),
    msgspec.Raw: msgspec.Raw(b'{"step":1}'),
    Any: "anything",
}
_TEXTS = ("main-1", "KR", "KRW", "points:0198f2c4-0000-7000-8000-000000000001", "2026-W47-KRW", "202511210001")


def sample(hint: Any, name: str = "text") -> Any:
    """One fixed value of a type, all that is optional filled in; texts that may be anything are the field's name."""
    limits: list[msgspec.Meta] = []
    while hasattr(hint, "__metadata__"):
        limits += [mark for mark in hint.__metadata__ if isinstance(mark, msgspec.Meta)]
        hint = hint.__origin__
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is str:
        return _text(name, limits)
    if hint in _FIXED:
        return _FIXED[hint]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        hints = get_type_hints(hint, include_extras=True)
        return hint(**{name: sample(hints[name], name) for name in hint.__struct_fields__})
    if hasattr(hint, "_fields"):
        return hint(**{field: sample(part, field) for field, part in get_type_hints(hint).items()})
    if origin is Literal:
        return arguments[0]
    if origin is Private:
        return Private.sealed("key-1", "0198f2c4-0000-7000-8000-000000000002", "field", "bm9uY2U")
    if origin in (Union, types.UnionType):
        return sample(next(part for part in arguments if part is not type(None)), name)
    if origin is tuple:
        return tuple(sample(part, name) for part in arguments if part is not Ellipsis)
    if origin is frozenset:
        return frozenset((sample(arguments[0], name),))
    if origin is dict:
        return {sample(arguments[0], name): sample(arguments[1], name)}
    raise TypeError(f"no sample of {hint}")


def _text(name: str, limits: list[msgspec.Meta]) -> str:
    examples = [example for limit in limits for example in limit.examples or ()]
    for text in (*reversed(examples), name.replace("_", "-"), *_TEXTS):
        try:
            for limit in limits:
                msgspec.convert(text, Annotated[str, limit])
        except msgspec.ValidationError:
            continue
        return text
    raise TypeError(f"no sample text for {limits}")


def deciders() -> dict[type[Event], Decider[Any]]:
    """Which decider an event is of."""
    found = [decider for module in wiring.contexts() for decider in module.deciders]
    return {kind: decider for decider in (*found, memories) for kind in decider.events}


def booked(event: Event, decider: Decider[Any] | None) -> list[list[Any]] | None:
    """The transfers of an event; None when it books nothing."""
    if decider is None or decider.book is None:
        return None
    return [_plain(transfer) for transfer in decider.book(event)]


def _plain(transfer: Transfer) -> list[Any]:
    def side(account: Any) -> Any:
        return account and list(account)

    return [transfer.phase.name, transfer.name, side(transfer.debit), side(transfer.credit), transfer.amount]


def breaks(name: str, old: Mapping[str, Any], new: Mapping[str, Any] | None) -> list[str]:
    """What readers of the old schema's events could not read any more, as sentences."""
    if new is None:
        return [f"{name} is gone. {ADVICE}"]
    return [f"{fault}. {ADVICE}" for fault in _differences(name, old, new, _named(old), _named(new))]


def _differences(where: str, old: Any, new: Any, olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
    old, new = _resolved(old, olds), _resolved(new, news)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = zip(old, new, strict=True)
        return [fault for one, other in pairs for fault in _differences(where, one, other, olds, news)]
    if isinstance(new, list) and new[0] == "null" and not isinstance(old, list):
        return _differences(where, old, new[1], olds, news)  # May now also be absent: old data still reads.
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [] if old == new else [f"{where} was {_short(old)} and is now {_short(new)}"]
    if old.get("type") != "record" or new.get("type") != "record":
        return _of_plain_types(where, old, new, olds, news)
    before = {field["name"]: field for field in old["fields"]}
    after = {field["name"]: field for field in new["fields"]}
    faults = [f"{where}.{name} was removed or renamed" for name in before if name not in after]
    for name, field in after.items():
        if name in before:
            faults += _differences(f"{where}.{name}", before[name]["type"], field["type"], olds, news)
            if before[name].get("optional") and not field.get("optional"):
                faults.append(f"{where}.{name} was optional and is now required")
        elif not field.get("optional"):
            faults.append(f"{where}.{name} is new and required")
    return faults


def _of_plain_types(where: str, old: Any, new: Any, olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
    for inner in ("items", "values"):
        if inner in old and old["type"] == new["type"]:
            return _differences(f"{where}[]", old[inner], new[inner], olds, news)
    same = all(old.get(part) == new.get(part) for part in ("type", "logicalType", "precision", "scale"))
    faults = [] if same else [f"{where} was {_short(old)} and is now {_short(new)}"]
    return faults + [f"{where} may no longer be {word}" for word in _words(old) - _words(new) if _words(new)]


def _words(schema: Any) -> set[str]:
    doc = schema.get("doc", "")
    return set(doc.removeprefix("one of: ").split(", ")) if doc.startswith("one of: ") else set()


def _short(schema: Any) -> str:
    return str(schema.get("logicalType") or schema["type"]) if isinstance(schema, dict) else str(schema)


def _named(schema: Any) -> dict[str, Any]:
    """All records within a schema by their full names."""
    found: dict[str, Any] = {}
    match schema:
        case {"type": "record"}:
            found[f"{schema['namespace']}.{schema['name']}"] = schema
            for field in schema["fields"]:
                found |= _named(field["type"])
        case {"items": inner} | {"values": inner}:
            found |= _named(inner)
        case list():
            for part in schema:
                found |= _named(part)
    return found


def _resolved(schema: Any, named: dict[str, Any]) -> Any:
    return named.get(schema, schema) if isinstance(schema, str) else schema


def released_schemas() -> dict[str, Any]:
    return json.loads(SCHEMAS.read_text(encoding="utf-8")) if SCHEMAS.exists() else {}


def released_log() -> list[dict[str, Any]]:
    text = LOG.read_text(encoding="utf-8") if LOG.exists() else ""
    return [json.loads(line, parse_float=Decimal) for line in text.splitlines()]


def main() -> None:
    now = {name: avro_schema(kind) for name, kind in stored_events().items()}
    before = released_schemas()
    faults = [fault for name, old in before.items() for fault in breaks(name, old, now.get(name))]
    if faults:
        sys.exit("\n".join(faults))
    SCHEMAS.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    of = deciders()
    known = {line["type"]: line for line in released_log()}
    for name, kind in stored_events().items():
        line = known.setdefault(name, {"type": name, "data": msgspec.Raw(encode(sample(kind))), "books": None})
        if line["books"] is None:  # A context that was not wired yet booked nothing.
            line["books"] = booked(decode_event(name, encode(line["data"])), of.get(kind))
    LOG.write_text("".join(encode(known[name]).decode() + "\n" for name in sorted(known)), encoding="utf-8")
    sys.stdout.write(f"{len(now)} events; {len(now) - len(before)} of them new.\n")


if __name__ == "__main__":
    main()
