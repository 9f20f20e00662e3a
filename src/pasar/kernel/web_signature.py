"""Reads a handler's signature once, when its module is imported, so that no request has to."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

PROVIDED = frozenset({"body", "query", "bus", "db", "who", "request"})
"""Parameters that a handler gets by name; all others are parts of the path."""
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
METHODS = WRITES | {"GET"}
_SEGMENT = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+|/\{[a-z][a-z0-9_]*\})+|/")


class PathParameter(NamedTuple):
    """A part of the path: its name and the type that its text is converted to."""

    name: str
    kind: Any


@dataclass(frozen=True)
class Plan:
    """What a handler takes and gives."""

    path: tuple[PathParameter, ...]
    body: Any
    body_optional: bool
    query: Any
    answer: Any
    wants: frozenset[str]
    fields: dict[str, msgspec.structs.FieldInfo]
    """The fields of the query struct, by the name that clients use."""

    numbers: bool = False
    """Whether the body has numbers that its type does not bound: they are looked at one by one."""

    @property
    def takes_key(self) -> bool:
        """Whether `idempotency_key` is a field of the body itself."""
        return is_struct(self.body) and "idempotency_key" in self.body.__struct_encode_fields__


def is_struct(kind: Any) -> bool:
    """Whether a type is a msgspec struct (plain or generic)."""
    base = get_origin(kind) or kind
    return isinstance(base, type) and issubclass(base, msgspec.Struct)


def without_none(kind: Any) -> tuple[Any, bool]:
    """`X | None` → (X, True); X → (X, False)."""
    if get_origin(kind) not in (Union, UnionType) or NoneType not in get_args(kind):
        return kind, False
    members = tuple(part for part in get_args(kind) if part is not NoneType)
    return Union[members], True  # noqa: UP007 - a union of parts that are known only now


def plan_of(method: str, path: str, handler: Callable[..., Any]) -> Plan:
    """The plan of a handler, or a TypeError that says what is wrong with its declaration."""
    where = f"{method} {path} ({handler.__module__}.{handler.__qualname__})"
    if method not in METHODS:
        raise TypeError(f"{where}: a method is one of {', '.join(sorted(METHODS))}")
    if not _PATH.fullmatch(path):
        raise TypeError(f"{where}: a path is made of /words and /{{parameters}}")
    if not inspect.iscoroutinefunction(handler):
        raise TypeError(f"{where}: a handler is an async function")
    hints = get_type_hints(handler, include_extras=True)
    answer = hints.pop("return", NoneType)
    named = _SEGMENT.findall(path)
    taken = list(inspect.signature(handler).parameters)
    missing = [name for name in taken if name not in hints]
    if missing:
        raise TypeError(f"{where}: {', '.join(missing)} has no type")
    if len(set(named)) != len(named) or set(named) != set(taken) - PROVIDED:
        raise TypeError(f"{where}: the path names {named}, the function takes {sorted(set(taken) - PROVIDED)}")
    body, optional = without_none(hints["body"]) if "body" in hints else (None, False)
    query, _ = without_none(hints["query"]) if "query" in hints else (None, False)
    _check_body(where, method, body)
    if query is not None and not is_struct(query):
        raise TypeError(f"{where}: `query` is a struct")
    fields = {} if query is None else {field.encode_name: field for field in msgspec.structs.fields(query)}
    return Plan(
        path=tuple(PathParameter(name, hints[name]) for name in named),
        body=body,
        body_optional=optional,
        query=query,
        answer=answer,
        wants=frozenset(taken) & PROVIDED,
        fields=fields,
        numbers=body is not None and _has_numbers(msgspec.inspect.type_info(body), set()),
    )


def _check_body(where: str, method: str, body: Any) -> None:
    if body is None:
        return
    if method not in WRITES:
        raise TypeError(f"{where}: {method} has no body")
    for kind in _structs_in(body):
        if not kind.__struct_config__.forbid_unknown_fields:
            raise TypeError(f"{where}: {kind.__name__} must refuse unknown fields (make it a Body)")


def _structs_in(kind: Any) -> list[Any]:
    """The structs at the top of a body: itself, members of a union, the items of a list."""
    if is_struct(kind):
        return [get_origin(kind) or kind]
    return [found for part in get_args(kind) for found in _structs_in(part)]


def _has_numbers(info: Any, seen: set[Any]) -> bool:
    """Whether a type has a Decimal, a float, an integer without both bounds, or anything at all, however deep."""
    match info:
        case msgspec.inspect.DecimalType() | msgspec.inspect.FloatType() | msgspec.inspect.AnyType():
            return True
        case msgspec.inspect.IntType():
            return (info.ge is None and info.gt is None) or (info.le is None and info.lt is None)
        case msgspec.inspect.Metadata():
            return _has_numbers(info.type, seen)
        case msgspec.inspect.StructType():
            if info.cls in seen:
                return False
            seen.add(info.cls)
            return any(_has_numbers(field.type, seen) for field in info.fields)
        case msgspec.inspect.UnionType():
            return any(_has_numbers(part, seen) for part in info.types)
        case msgspec.inspect.ListType() | msgspec.inspect.SetType() | msgspec.inspect.VarTupleType():
            return _has_numbers(info.item_type, seen)
        case msgspec.inspect.StrType() | msgspec.inspect.BoolType() | msgspec.inspect.UUIDType():
            return False
        case msgspec.inspect.LiteralType() | msgspec.inspect.NoneType() | msgspec.inspect.DateTimeType():
            return False
        case msgspec.inspect.CustomType():
            return False
    return True
