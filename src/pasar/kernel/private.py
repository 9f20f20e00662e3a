"""Personal data in a log that is never rewritten: `Private[purpose]`, readable only while its person's key exists.

A value is *plain* where it comes in (a client's text, `Private("Kim")`), *sealed* from the moment its event is stored:
then it is an envelope that names its key, event and field, and deciders pass it on unread. Only a key store turns one
into the other. No representation but `messages.encode_for_client` shows the text, and a plain value cannot be encoded
for storage at all, so that it cannot reach the log by mistake.
"""

import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Generic, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from .messages import Event

MAX_TEXT = 2_000
"""The longest private text, in characters, that is taken from a client."""

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


class Purpose:
    """What a person's data may be used for. Each purpose of each person has a key of its own."""

    name: ClassVar[str]
    all: ClassVar[dict[str, type["Purpose"]]] = {}

    def __init_subclass__(cls, *, name: str) -> None:
        super().__init_subclass__()
        known = Purpose.all.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"two purposes are called {name}")
        cls.name = name
        Purpose.all[name] = cls


P = TypeVar("P", bound=Purpose)


class StillSealed(TypeError):
    """The text of a sealed value was asked for; open it with the key store first."""


class PlainText(TypeError):
    """A plain value was about to be stored; it must be sealed first."""


class Private(Generic[P]):
    """A text that tells of a person: plain, sealed, or erased (its key was destroyed, its text is empty)."""

    __slots__ = ("_envelope", "_text")
    _text: str | None
    _envelope: tuple[str, str, str, str] | None

    def __init__(self, text: str) -> None:
        _put_text(self, text)
        _put_envelope(self, None)

    @classmethod
    def sealed(cls, key: str, event: str, field: str, box: str) -> "Private[Any]":
        """The envelope: which key, for which event and field, and base64url of nonce, ciphertext and tag."""
        self: Private[Any] = object.__new__(cls)
        _put_text(self, None)
        _put_envelope(self, (key, event, field, box))
        return self

    @classmethod
    def gone(cls) -> "Private[Any]":
        """What opening gives when the key was destroyed."""
        self: Private[Any] = object.__new__(cls)
        _put_text(self, "")
        _put_envelope(self, _GONE)
        return self

    @property
    def envelope(self) -> tuple[str, str, str, str]:
        """Key, event, field and box of a sealed value."""
        if self._text is not None or self._envelope is None:
            raise TypeError("this value is not sealed")
        return self._envelope

    @property
    def erased(self) -> bool:
        return self._envelope is _GONE

    @property
    def is_sealed(self) -> bool:
        return self._text is None

    @property
    def plain_text(self) -> str:
        if self._text is None:
            raise StillSealed("{2} of event {1} is sealed".format(*self.envelope))
        return self._text

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("private values do not change")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("private values do not change")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Private) and (self._text, self._envelope) == (other._text, other._envelope)

    def __hash__(self) -> int:
        return hash((self._text, self._envelope))

    def __repr__(self) -> str:
        return "Private(erased)" if self.erased else f"Private({'sealed' if self.is_sealed else 'plain'})"

    def __reduce__(self) -> Any:
        raise TypeError("private values are not pickled")

    def __copy__(self) -> "Private[P]":
        return self

    def __deepcopy__(self, memo: object) -> "Private[P]":
        return self

    def __json__(self) -> dict[str, str]:
        if self._text is not None:
            raise PlainText("a plain private value cannot be stored; the key store seals it first")
        return dict(zip(_PARTS, self.envelope, strict=True))

    @classmethod
    def __from_json__(cls, value: object) -> "Private[Any]":
        if isinstance(value, str):
            return cls(value)
        # Every person's every event passes here: a pattern would take twenty times as long.
        if isinstance(value, dict) and value.keys() == _NAMES and all(type(part) is str for part in value.values()):
            return cls.sealed(value["key"], value["event"], value["field"], value["box"])
        raise ValueError("Expected a text or an envelope")

    def __client_json__(self) -> str:
        return self.plain_text

    @classmethod
    def __from_client_json__(cls, value: object) -> "Private[Any]":
        """Texts only: an envelope from outside could be somebody else's."""
        if not isinstance(value, str):
            raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
        if len(value) > MAX_TEXT:
            raise ValueError(f"Expected `str` of length <= {MAX_TEXT}")
        return cls(value)

    @classmethod
    def __json_schema__(cls) -> dict[str, Any]:
        return {"type": "string", "maxLength": MAX_TEXT}


_GONE = ("", "", "", "")
_PARTS = ("key", "event", "field", "box")
_NAMES = frozenset(_PARTS)
_put_text = Private.__dict__["_text"].__set__
_put_envelope = Private.__dict__["_envelope"].__set__


class KeyStore(Protocol):
    """Where the keys of persons live, outside the database that is backed up."""

    def has_private(self, kind: type) -> bool:
        """Whether values of this class can have private parts."""
        ...

    async def seal(self, tenant: int, event: S, event_id: UUID) -> S:
        """An event, or another value that has a person, with every plain value sealed. New keys are durable when this
        returns."""
        ...

    async def open(self, value: Private[Any]) -> str:
        """The text; empty when its key was destroyed."""
        ...

    async def open_all(self, value: T) -> T:
        """The value with every sealed part opened, however deep."""
        ...

    def digest(self, kind: str, text: str, *, tenant: int = 1) -> str:
        """A keyed hash of a normalised mail address, telephone number or other text, to look it up by."""
        ...

    async def erase(self, tenant: int, person: UUID) -> int:
        """Destroy all keys of a person, now and for ever; how many there were."""
        ...

    async def keep(self, tenant: int, person: UUID, class_: str, until: datetime, values: Mapping[str, str]) -> str:
        """Copy into the vault, under a key of its own, what law keeps until a day; the record's id."""
        ...


Visit = Callable[[Private[Any], str, str], Private[Any]]
"""(value, purpose, path) → what stands there instead."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The fields of a class below which there may be private values, and a walk for each."""

    fields: tuple[tuple[str, "_Walk"], ...]
    purposes: frozenset[str]


_Walk = Callable[[Any, str, Visit], Any]
_SEQUENCES = (list, tuple, set, frozenset, Sequence, Iterable)
_MAPPINGS = (dict, Mapping)


def _bare(hint: Any) -> Any:
    while hasattr(hint, "__metadata__"):
        hint = hint.__origin__
    return hint


def _purposes(hint: Any, seen: set[Any]) -> Iterator[str]:
    """The purposes of all private values that a value of this type can have."""
    hint = _bare(hint)
    if get_origin(hint) is Private:
        (purpose,) = get_args(hint)
        if not (isinstance(purpose, type) and issubclass(purpose, Purpose)):
            raise TypeError(f"{hint}: a private value needs a purpose")
        yield purpose.name
    elif hint is Private:
        raise TypeError("a private value needs a purpose: Private[Delivery]")
    elif isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        if hint not in seen:
            seen.add(hint)
            for part in get_type_hints(hint, include_extras=True).values():
                yield from _purposes(part, seen)
    else:
        for part in get_args(hint):
            yield from _purposes(part, seen)


def _visit_struct(value: Any, path: str, visit: Visit) -> Any:
    plan = plan_of(type(value))
    if plan is None:
        return value
    changed: dict[str, Any] = {}
    for name, walk in plan.fields:
        old = getattr(value, name)
        if old is not None:
            new = walk(old, f"{path}.{name}" if path else name, visit)
            if new is not old:
                changed[name] = new
    return msgspec.structs.replace(value, **changed) if changed else value


def _walk_of(hint: Any) -> _Walk | None:
    """How to reach the private values of a field of this type; None when it cannot have any."""
    hint = _bare(hint)
    if not any(True for _ in _purposes(hint, set())):
        return None
    origin = get_origin(hint)
    if origin is Private:
        purpose = get_args(hint)[0].name
        return lambda value, path, visit: visit(value, purpose, path)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _visit_struct
    if origin in (Union, types.UnionType):
        return _walk_union([part for part in get_args(hint) if part is not type(None)])
    if origin in _MAPPINGS or origin in _SEQUENCES or (isinstance(origin, type) and issubclass(origin, Sequence)):
        return _walk_container(hint)
    raise TypeError(f"private values inside {hint} cannot be found")


def _walk_union(parts: list[Any]) -> _Walk | None:
    walks = [(get_origin(_bare(part)) or _bare(part), _walk_of(part)) for part in parts]
    if len(walks) == 1:
        return walks[0][1]

    def walk(value: Any, path: str, visit: Visit) -> Any:
        for kind, inner in walks:
            if isinstance(value, kind):
                return inner(value, path, visit) if inner else value
        return value

    return walk


def _walk_container(hint: Any) -> _Walk:
    arguments = [part for part in get_args(hint) if part is not Ellipsis]
    inner = _walk_of(arguments[-1])
    if inner is None or len(arguments) > 2 or (len(arguments) == 2 and get_origin(hint) not in _MAPPINGS):
        raise TypeError(f"private values inside {hint} cannot be found: use a list of one type, or a mapping's values")

    def walk(value: Any, path: str, visit: Visit) -> Any:
        if isinstance(value, Mapping):
            return {name: inner(part, f"{path}.{name}", visit) for name, part in value.items()}
        return type(value)(inner(part, f"{path}.{number}", visit) for number, part in enumerate(value))

    return walk


@cache
def plan_of(kind: type) -> Plan | None:
    """Where a class keeps private values; None when it has none, so that it costs nothing."""
    if not issubclass(kind, msgspec.Struct):
        return None
    hints = get_type_hints(kind, include_extras=True)
    fields = [(name, _walk_of(hints[name])) for name in kind.__struct_fields__]
    found = tuple((name, walk) for name, walk in fields if walk is not None)
    if not found:
        return None
    if issubclass(kind, Event) and "person" not in kind.__struct_fields__ and not hasattr(kind, "person"):
        raise TypeError(f"{kind.__name__} has private fields, so it needs a field or property `person`")
    return Plan(found, frozenset(_purposes(kind, set())))


def replace_plain(value: T, visit: Visit) -> T:
    """The event with `visit(value, purpose, path)` for each plain private value; sealed ones stay."""
    return _visit_struct(value, "", lambda old, purpose, path: old if old.is_sealed else visit(old, purpose, path))


def replace_sealed(value: Any, visit: Callable[[Private[Any]], Private[Any]]) -> Any:
    """Any value, however deep, with `visit(envelope)` for each sealed one. What has none comes back as it is."""
    if isinstance(value, Private):
        return visit(value) if value.is_sealed else value
    if isinstance(value, msgspec.Struct):
        changed: dict[str, Any] = {}
        for name in type(value).__struct_fields__:
            old = getattr(value, name)
            new = replace_sealed(old, visit)
            if new is not old:
                changed[name] = new
        return msgspec.structs.replace(value, **changed) if changed else value
    if isinstance(value, dict):
        parts = {name: replace_sealed(part, visit) for name, part in value.items()}
        return parts if any(parts[name] is not value[name] for name in value) else value
    if isinstance(value, list | tuple):
        items = [replace_sealed(part, visit) for part in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def sealed_in(value: Any) -> list[Private[Any]]:
    """All envelopes within a value."""
    found: list[Private[Any]] = []

    def note(envelope: Private[Any]) -> Private[Any]:
        found.append(envelope)
        return envelope

    replace_sealed(value, note)
    return found


def envelopes_in(value: Any) -> Iterator[Private[Any]]:
    """The sealed values in what was decoded from JSON."""
    if isinstance(value, dict):
        if value.keys() == {"key", "event", "field", "box"}:
            yield Private.__from_json__(value)
        else:
            for part in value.values():
                yield from envelopes_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from envelopes_in(part)
