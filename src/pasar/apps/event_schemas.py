"""The schemas of stored events, made from the code: JSON Schema of what the log holds, and Avro for buses that want it.

In the log, private values are envelopes and amounts are JSON numbers with their exact digits. Avro writes decimals as
`decimal(38, 9)`, instants as microseconds, and what has no fixed shape as JSON text.
"""

import types
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib import import_module
from pkgutil import walk_packages
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from pasar.kernel.messages import Event, context_of, event_types
from pasar.kernel.private import Private

PRECISION, SCALE = 38, 9
_ENVELOPE = ("key", "event", "field", "box")
_PLAIN: dict[Any, Any] = {
    str: "string",
    int: "long",
    bool: "boolean",
    UUID: {"type": "string", "logicalType": "uuid"},
    datetime: {"type": "long", "logicalType": "timestamp-micros"},
    date: {"type": "int", "logicalType": "date"},
    Decimal: {"type": "bytes", "logicalType": "decimal", "precision": PRECISION, "scale": SCALE},
}


@cache
def import_everything() -> None:
    """Events exist once their module was imported."""
    for name in ("pasar.contexts", "pasar.processes", "pasar.kernel"):
        for module in walk_packages(import_module(name).__path__, f"{name}."):
            import_module(module.name)


def stored_events() -> dict[str, type[Event]]:
    """Every event of the product, by stored name. Those of the lab live in scratch databases only."""
    import_everything()
    return {name: kind for name, kind in sorted(event_types().items()) if is_of_product(kind)}


def is_of_product(kind: type) -> bool:
    return kind.__module__.startswith("pasar.") and not kind.__module__.startswith("pasar.apps.lab.")


def json_schema(kind: type[Event]) -> dict[str, Any]:
    """JSON Schema (2020-12) of an event as it is stored."""
    schema = msgspec.json.schema(_without_raw(kind), schema_hook=_stored_form)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_exact_numbers(schema)}


def _without_raw(kind: type[Event]) -> type:
    """msgspec cannot show the default of raw JSON: a twin of the class says that anything may stand there."""
    fields = msgspec.structs.fields(kind)
    if not any(each.type is msgspec.Raw for each in fields):
        return kind
    twin: list[Any] = []
    for each in fields:
        if each.type is msgspec.Raw:
            twin.append((each.name, Any, None))
        elif each.required:
            twin.append((each.name, each.type))
        else:
            twin.append((each.name, each.type, each.default))
    made = msgspec.defstruct(kind.__name__, twin, kw_only=True)
    made.__doc__ = kind.__doc__
    return made


def _stored_form(kind: Any) -> dict[str, Any]:
    if (get_origin(kind) or kind) is Private:
        return {
            "description": "a sealed text",
            "type": "object",
            "properties": {part: {"type": "string"} for part in _ENVELOPE},
            "required": list(_ENVELOPE),
            "additionalProperties": False,
        }
    raise NotImplementedError(kind)


def _exact_numbers(schema: Any) -> Any:
    """Decimals are written as numbers, not as msgspec's texts."""
    match schema:
        case {"type": "string", "format": "decimal", **rest}:
            return {"type": "number", "format": "decimal", **rest}
        case dict():
            return {name: _exact_numbers(part) for name, part in schema.items()}
        case list():
            return [_exact_numbers(part) for part in schema]
    return schema


def avro_schema(kind: type[Event]) -> dict[str, Any]:
    """Avro schema of an event; its name is the stored one below `pasar`."""
    return _record(kind, set())


def _record(kind: type[msgspec.Struct], named: set[str]) -> Any:
    place = context_of(kind.__module__) if ".contexts." in kind.__module__ else kind.__module__.rpartition(".")[2]
    name = f"pasar.{place}.{kind.__name__}"
    if name in named:
        return name
    named.add(name)
    hints = get_type_hints(kind, include_extras=True)
    record: dict[str, Any] = {"type": "record", "name": kind.__name__, "namespace": f"pasar.{place}"}
    if kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}("):
        record["doc"] = " ".join(kind.__doc__.split())
    fields = []
    for each in msgspec.structs.fields(kind):
        field: dict[str, Any] = {"name": each.name, "type": _avro(hints[each.name], named)}
        if each.default is None and isinstance(field["type"], list):
            field["default"] = None
        if not each.required:
            field["optional"] = True  # Ours, not Avro's: writers of older versions left it out.
        fields.append(field)
    return {**record, "fields": fields}


def _avro(hint: Any, named: set[str]) -> Any:
    while hasattr(hint, "__metadata__"):
        hint = hint.__origin__
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _record(hint, named)
    if hasattr(hint, "_fields"):
        return _named_tuple(hint, named)
    if origin is Literal:
        return {"type": "string", "doc": "one of: " + ", ".join(map(str, arguments))}
    if origin is Private:
        return _envelope(named)
    if origin in (Union, types.UnionType):
        parts = [_avro(part, named) for part in arguments if part is not type(None)]
        return ["null", *parts] if len(parts) < len(arguments) else parts
    if origin in (tuple, list, frozenset):
        return _sequence(arguments, named)
    if origin is dict and arguments[1] is not Any:
        return {"type": "map", "values": _avro(arguments[1], named)}
    return {"type": "string", "doc": "JSON"}


def _sequence(arguments: tuple[Any, ...], named: set[str]) -> Any:
    items = [part for part in arguments if part is not Ellipsis]
    if len(set(items)) == 1:
        return {"type": "array", "items": _avro(items[0], named)}
    parts = {f"item_{number}": _avro(part, named) for number, part in enumerate(items)}
    kinds = (part.capitalize() if isinstance(part, str) else "Value" for part in parts.values())
    return _own_record("Tuple" + "".join(kinds), parts, named)


def _named_tuple(kind: Any, named: set[str]) -> Any:
    return _own_record(kind.__name__, {name: _avro(of, named) for name, of in get_type_hints(kind).items()}, named)


def _envelope(named: set[str]) -> Any:
    return _own_record("Private", dict.fromkeys(_ENVELOPE, "string"), named)


def _own_record(name: str, parts: dict[str, Any], named: set[str]) -> Any:
    if f"pasar.{name}" in named:
        return f"pasar.{name}"
    named.add(f"pasar.{name}")
    fields = [{"name": part, "type": kind} for part, kind in parts.items()]
    return {"type": "record", "name": name, "namespace": "pasar", "fields": fields}
