"""The words of every context: values, commands, events, answers and refusals, and how they are written as JSON.

Amounts of money are JSON numbers with their exact digits (12.00 stays 12.00), read into `Decimal` without a float
in between. Names under which events are stored come from the module that defines them: `inventory.StockHeld`.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple, TypeVar, dataclass_transform, get_args

import msgspec

T = TypeVar("T")


class Bounds(NamedTuple):
    """Limits of a decimal field, put into its `Annotated`; msgspec itself has none for decimals. Always finite."""

    ge: Decimal | None = None
    le: Decimal | None = None
    decimals: int = 6

    def wrong(self, value: Decimal) -> str | None:
        """What is wrong with a value, if anything."""
        if not value.is_finite():
            return "must be a number"
        if self.ge is not None and value < self.ge:
            return f"must be {self.ge} or more"
        if self.le is not None and value > self.le:
            return f"must be {self.le} or less"
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and exponent < -self.decimals:
            return f"must have {self.decimals} decimals or fewer"
        return None


def _bounds(hint: Any) -> Bounds | None:
    for part in (hint, *get_args(hint)):
        for mark in getattr(part, "__metadata__", ()):
            if isinstance(mark, Bounds):
                return mark
    return None


def _check_bounds(self: Any) -> None:
    for name, bounds in self.__bounds__:
        value = getattr(self, name)
        if value is not None and (wrong := bounds.wrong(value)):
            raise ValueError(f"`{name}` {wrong}")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _Meta(type(msgspec.Struct)):
    """Subclasses of `Value` are frozen and take keywords only, without saying so again."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> type:
        return super().__new__(mcls, name, bases, namespace, **{"kw_only": True, **options})


class Value(msgspec.Struct, metaclass=_Meta, frozen=True, kw_only=True, gc=False):
    """Something that is what it is made of. Fields that it does not know are ignored: newer writers may add some.

    Frozen values form no cycles, so the collector is spared them: it stopped a process for 0.2 s now and then.
    """

    __bounds__: ClassVar[tuple[tuple[str, Bounds], ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = tuple((name, found) for name, hint in cls.__annotations__.items() if (found := _bounds(hint)))
        if own:
            cls.__bounds__ = (*cls.__bounds__, *own)
            if "__post_init__" not in cls.__dict__:
                cls.__post_init__ = _check_bounds  # type: ignore[attr-defined]


class Body(Value, forbid_unknown_fields=True):
    """What a client sends. A field that we do not know is refused, never ignored."""


class Command(Value, forbid_unknown_fields=True):
    """A wish. `opens` says that its stream is new as a rule: the bus then decides without loading first."""

    opens: ClassVar[bool] = False


class Event(Value, omit_defaults=True):
    """A fact, kept for ever. `schema` counts its released shapes; older ones pass their upcaster when read."""

    schema: ClassVar[int] = 1

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _events[name_of(cls)] = cls


class Answer(Value):
    """What a caller gets back."""


class FieldError(Value):
    """One thing that is wrong in a request: where it is, as a JSON pointer or parameter name, and what to change."""

    field: str
    detail: str


class Refused(Exception):
    """A "no" with a number of the catalogue. Subclasses give number and HTTP status; both never change.

    `facts` are extra members of the problem document, such as the price difference of PRICE_CHANGED.
    """

    code: ClassVar[int] = 9000
    status: ClassVar[int] = 409
    name: ClassVar[str] = "REFUSED"

    def __init_subclass__(cls, *, code: int | None = None, status: int = 409, **options: Any) -> None:
        super().__init_subclass__(**options)
        if code is None:
            return
        other = _refusals.get(code)
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls.__name__} and {other.__name__} share the number {code}")
        cls.code, cls.status, cls.name = code, status, _upper(cls.__name__)
        _refusals[code] = cls

    def __init__(self, detail: str = "", *, errors: tuple[FieldError, ...] = (), **facts: Any) -> None:
        super().__init__(detail or _first_line(type(self)))
        self.detail = detail or _first_line(type(self))
        self.errors = errors
        self.facts = facts


class Refusal(Value):
    """A refusal as data: what a process hears, what is stored for a repeat, what a client reads (RFC 9457)."""

    code: int
    name: str
    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()
    facts: dict[str, Any] = {}

    @classmethod
    def of(cls, error: Refused) -> "Refusal":
        return cls(
            code=error.code,
            name=error.name,
            status=error.status,
            detail=error.detail,
            errors=error.errors,
            facts=error.facts,
        )

    def error(self) -> Refused:
        """The refusal as the exception it was; a number of a newer version becomes a plain `Refused`."""
        error = _refusals.get(self.code, Refused)(self.detail, errors=self.errors, **self.facts)
        return error


_events: dict[str, type[Event]] = {}
_refusals: dict[int, type[Refused]] = {}
_upcasters: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}


def _upper(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def _first_line(cls: type) -> str:
    return (cls.__doc__ or cls.__name__).strip().splitlines()[0]


def context_of(module: str) -> str:
    """The context that a module belongs to: `pasar.contexts.inventory.hold` → `inventory`."""
    parts = module.split(".")
    for folder in ("contexts", "processes"):
        if folder in parts[:-1]:
            return parts[parts.index(folder) + 1] if folder == "contexts" else "process"
    return "kernel" if "kernel" in parts[:-1] and parts[0] == "pasar" else parts[-1].removeprefix("test_")


def name_of(cls: type) -> str:
    """The name under which a command or event is stored; the event's schema follows when it is not the first."""
    name = f"{context_of(cls.__module__)}.{cls.__name__}"
    schema = getattr(cls, "schema", 1)
    return name if schema == 1 else f"{name}@{schema}"


def event_types() -> dict[str, type[Event]]:
    """All events that have been defined, by stored name."""
    return dict(_events)


def refusal_types() -> dict[int, type[Refused]]:
    """The catalogue: every refusal that has a number."""
    return dict(sorted(_refusals.items()))


def upcast(name: str, schema: int, function: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Say how data of `name` (without version) written as `schema` becomes data of the next schema."""
    if (name, schema) in _upcasters:
        raise TypeError(f"{name}@{schema} has an upcaster already")
    _upcasters[name, schema] = function


class UnknownEvent(Exception):
    """The log holds an event that this version does not know; a newer one wrote it."""


def _encode_other(value: Any) -> Any:
    encode = getattr(value, "__json__", None)
    if encode is None:
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return encode()


def _decode_other(kind: Any, value: Any) -> Any:
    origin = getattr(kind, "__origin__", kind)
    decode = getattr(origin, "__from_json__", None)
    if decode is None:
        raise TypeError(f"{kind} has no JSON form")
    return decode(value)


_encoder = msgspec.json.Encoder(enc_hook=_encode_other, decimal_format="number")
encode = _encoder.encode
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """The decoder of a type, made once."""
    found = _decoders.get(kind)
    if found is None:
        found = _decoders[kind] = msgspec.json.Decoder(kind, dec_hook=_decode_other)
    return found


def decode(data: bytes | str, kind: type[T]) -> T:
    """JSON to a value of `kind`; raises `msgspec.ValidationError` or `msgspec.DecodeError`."""
    return decoder(kind).decode(data)


def _encode_for_client(value: Any) -> Any:
    encode = getattr(value, "__client_json__", None)
    return encode() if encode is not None else _encode_other(value)


def _decode_untrusted(kind: Any, value: Any) -> Any:
    decode = getattr(getattr(kind, "__origin__", kind), "__from_client_json__", None)
    return decode(value) if decode is not None else _decode_other(kind, value)


encode_for_client = msgspec.json.Encoder(enc_hook=_encode_for_client, decimal_format="number").encode
"""JSON of an answer for the client that may read it: opened private values as texts, sealed ones are an error."""
_untrusted: dict[Any, msgspec.json.Decoder[Any]] = {}
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def decode_untrusted(data: bytes | str, kind: type[T]) -> T:
    """JSON from outside. Refuses what only we may write (envelopes of private values), and NUL, which the database
    cannot store; raises `msgspec.ValidationError` or `msgspec.DecodeError`."""
    found = _untrusted.get(kind)
    if found is None:
        found = _untrusted[kind] = msgspec.json.Decoder(kind, dec_hook=_decode_untrusted)
    raw = data if isinstance(data, bytes) else data.encode()
    if b"\\u0000" in raw and _NUL.search(raw):
        raise msgspec.ValidationError("Texts must not contain NUL")
    return found.decode(data)


def schema_hook(kind: Any) -> dict[str, Any]:
    """JSON Schema of our own types, for `msgspec.json.schema_components`."""
    schema = getattr(getattr(kind, "__origin__", kind), "__json_schema__", None)
    if schema is None:
        raise NotImplementedError(kind)
    return schema()


def convert(value: Any, kind: type[T], *, strict: bool = True) -> T:
    """Plain dictionaries, lists and texts to a value of `kind`."""
    return msgspec.convert(value, kind, strict=strict, dec_hook=_decode_other)


_exact = msgspec.json.Decoder(float_hook=Decimal)


def decode_event(name: str, data: bytes | str) -> Event:
    """A stored event, lifted to its newest schema."""
    kind = _events.get(name)
    if kind is not None:
        return decoder(kind).decode(data)
    base, _, number = name.partition("@")
    schema = int(number or 1)
    raw: dict[str, Any] = _exact.decode(data)
    while (base, schema) in _upcasters:
        raw = _upcasters[base, schema](raw)
        schema += 1
        kind = _events.get(f"{base}@{schema}")
        if kind is not None:
            return convert(raw, kind)
    raise UnknownEvent(name)
