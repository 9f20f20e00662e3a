"""Rows of the database as values."""

from typing import Any, TypeVar

import msgspec

from .messages import convert, decode
from .pool import Record

T = TypeVar("T")
_json_fields: dict[type, tuple[str, ...]] = {}


def row_to(kind: type[T], row: Record) -> T:
    """A row as a value. Texts that stand for values, lists or dictionaries are jsonb."""
    values = dict(row)
    for name, value in values.items():
        if isinstance(value, str) and value[:1] in "{[" and name in _jsons(kind):
            values[name] = decode(value, Any)  # type: ignore[arg-type]
    return convert(values, kind)


def _jsons(kind: type) -> tuple[str, ...]:
    found = _json_fields.get(kind)
    if found is None:
        scalars = (msgspec.inspect.StrType,)
        found = _json_fields[kind] = tuple(
            field.name
            for field in msgspec.structs.fields(kind)
            if not isinstance(msgspec.inspect.type_info(field.type), scalars)
        )
    return found
