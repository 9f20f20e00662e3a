"""A view: a table that is folded from the log, one SQL statement per event, and may be thrown away at any time.

Statements name the fields of their event, `%(quantity)s`, of nested values too, `%(total.amount)s`, and what is known
of every event: `%(tenant)s %(stream)s %(version)s %(position)s %(at)s %(event_id)s %(by)s`. What the column or cast
wants decides the form: values, lists and dictionaries become jsonb, identifiers and decimals also text.

Rows belong to a tenant without the statements saying so: the column is filled from the transaction, and rows of other
tenants are neither seen nor changed. Only `on conflict (tenant, …)` names it, as the key begins with it.

Events of one stream come in their order. Those of different streams may come in another, in sets, unless the view is
`ordered`: so a statement changes only rows of its stream, or adds where the order of adding does not matter.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple, get_args, get_type_hints
from uuid import UUID

from .followers import stored_types
from .messages import Event, encode
from .store import Recorded, Unreadable

_PARAMETER = re.compile(r"%\((\w+(?:\.\w+)*)\)s")
_TABLE = re.compile(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*")
_KERNEL = {
    "tenant": "tenant",
    "stream": "stream",
    "version": "version",
    "position": "position",
    "at": "at",
    "event_id": "id",
}


class Statement(NamedTuple):
    """SQL with numbered parameters, and their names in that order."""

    sql: str
    parameters: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class View:
    """`key` and `columns` are as in `create table`, without the tenant; `indexes` are lists of columns in brackets,
    `(sku, until)`, with `using …` before or `where …` behind where need be."""

    table: str
    key: str
    columns: str
    on: Mapping[type[Event], str | tuple[str, ...]]
    indexes: tuple[str, ...] = ()
    ordered: bool = False
    types: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        if not _TABLE.fullmatch(self.table):
            raise TypeError(f"{self.table}: a view's table is <context>.<name>")
        for kind, statements in self.on.items():
            for sql in (statements,) if isinstance(statements, str) else statements:
                for name in _PARAMETER.findall(sql):
                    _check_parameter(self.table, kind, name)
        object.__setattr__(self, "types", stored_types(tuple(self.on)))

    @property
    def follower(self) -> str:
        return f"view:{self.table}"

    @property
    def schema(self) -> str:
        return self.table.partition(".")[0]

    @property
    def name(self) -> str:
        return self.table.partition(".")[2]

    @property
    def definition(self) -> str:
        """All that decides what the rows are: a table made by another one must be rebuilt."""
        parts = [self.columns, self.key, *self.indexes, "ordered" if self.ordered else ""]
        for kind, sql in sorted(self.on.items(), key=lambda item: item[0].__name__):
            parts += [f"{kind.__module__}.{kind.__name__}", *((sql,) if isinstance(sql, str) else sql)]
        return "\n".join(" ".join(part.split()) for part in parts)

    def statements(self, table: str | None = None) -> dict[type[Event], tuple[Statement, ...]]:
        """The statements by event, on the view's own table or on one beside it."""
        return {
            kind: tuple(self._statement(sql, table) for sql in ((on,) if isinstance(on, str) else on))
            for kind, on in self.on.items()
        }

    def _statement(self, sql: str, table: str | None) -> Statement:
        # Each occurrence has a number of its own: the server may want one field as text here and as a number there.
        parameters: list[str] = []

        def number(found: re.Match[str]) -> str:
            parameters.append(found[1])
            return f"${len(parameters)}"

        sql = _PARAMETER.sub(number, sql)
        if table is not None and table != self.table:
            sql = re.sub(rf"(?<![\w.]){re.escape(self.table)}(?!\w)", table, sql)
        return Statement(sql, tuple(parameters))


def _check_parameter(table: str, kind: type[Event], name: str) -> None:
    if name in _KERNEL or name == "by":
        return
    first, *rest = name.split(".")
    known: Any = kind
    for part in (first, *rest):
        classes = [c for c in (known, *get_args(known)) if isinstance(c, type)]
        if not any(hasattr(c, part) or part in getattr(c, "__struct_fields__", ()) for c in classes):
            raise TypeError(f"{table}: {kind.__name__} has no {name}")
        hints = next((get_type_hints(c) for c in classes if part in getattr(c, "__struct_fields__", ())), {})
        known = hints.get(part)
        if known is None:
            return


def getter(parameters: Sequence[str]) -> Callable[[Recorded], tuple[Any, ...]]:
    """Fetches the parameters of one event. Fields of an optional value that is absent are None."""
    if "by" in parameters or any("." in name for name in parameters):
        walks = [_walk(name) for name in parameters]
        return lambda recorded: tuple(walk(recorded) for walk in walks)
    paths = [_KERNEL.get(name, f"event.{name}") for name in parameters]
    if not paths:
        return lambda recorded: ()
    get = attrgetter(*paths)
    return get if len(paths) > 1 else lambda recorded: (get(recorded),)


def _walk(name: str) -> Callable[[Recorded], Any]:
    if name == "by":
        return lambda recorded: recorded.meta.get("by")
    if "." not in name:
        return attrgetter(_KERNEL.get(name, f"event.{name}"))
    parts = name.split(".")

    def walk(recorded: Recorded) -> Any:
        value: Any = recorded.event
        for part in parts:
            value = getattr(value, part)
            if value is None:
                return None
        return value

    return walk


def _as_text(value: Any) -> Any:
    if value is None or type(value) is str:
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, str | UUID | Decimal | int):
        return str(value)
    return encode(value).decode()


def _as_json(value: Any) -> Any:
    return None if value is None else encode(value).decode()


def _as_number(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value


def _as_texts(value: Any) -> Any:
    return None if value is None else [_as_text(each) for each in value]


def _as_list(value: Any) -> Any:
    return None if value is None else list(value)


CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("text", "varchar", "bpchar", "name"), _as_text),
    **dict.fromkeys(("jsonb", "json"), _as_json),
    **dict.fromkeys(("int2", "int4", "int8"), _as_number),
    **dict.fromkeys(("text[]", "varchar[]"), _as_texts),
    **dict.fromkeys(("uuid[]", "int4[]", "int8[]", "numeric[]"), _as_list),
}


def binder(parameters: Sequence[str], wanted: Sequence[str]) -> Callable[[Recorded], Sequence[Any]]:
    """Fetches the parameters in the forms that the server wants, by the names of its types."""
    get = getter(parameters)
    converters = [(i, CONVERTERS[kind]) for i, kind in enumerate(wanted) if kind in CONVERTERS]
    if not converters:
        return get

    def bind(recorded: Recorded) -> Sequence[Any]:
        values = list(get(recorded))
        for i, convert in converters:
            values[i] = convert(values[i])
        return values

    return bind


class Step(NamedTuple):
    """Events of one type whose statements are run as a set."""

    kind: type[Event]
    events: list[Recorded]


def steps(view: View, events: Sequence[Recorded]) -> list[Step]:
    """The fewest sets that keep the order of each stream (of all events, where the view is ordered).

    A run of one type stays together, for a set is worked through in order; several statements per event do not allow
    that, as each statement is run for the whole set before the next.
    """
    sets: dict[tuple[int, type[Event]], list[Recorded]] = {}
    at: dict[Any, tuple[int, type[Event]]] = {}
    for recorded in events:
        kind = type(recorded.event)
        if kind not in view.on:
            continue
        lane = None if view.ordered else (recorded.tenant, recorded.kind, recorded.stream)
        before = at.get(lane)
        number = 0 if before is None else before[0]
        if before is not None and (before[1] is not kind or not isinstance(view.on[kind], str)):
            number += 1
        at[lane] = number, kind
        sets.setdefault((number, kind), []).append(recorded)
    return [Step(kind, sets[number, kind]) for number, kind in sorted(sets, key=lambda key: key[0])]


def poisoned(recorded: Recorded) -> str | None:
    """Why an event cannot be applied at all."""
    return recorded.event.reason if isinstance(recorded.event, Unreadable) else None
