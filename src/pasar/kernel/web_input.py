"""From what clients send to typed values: path, query and JSON body; nothing that the database would choke on passes.

The usual body takes one pass of the decoder. Only one that could hold something to be put right or refused
(decomposed letters, escapes, very long numbers, NaN) is looked at member by member, and only one that was refused is
read again to collect all that is wrong with it.
"""

import re
import unicodedata
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from .messages import FieldError, convert, decode_untrusted
from .web_errors import UNREADABLE, collect, first_error
from .web_refusals import InvalidRequest, UnsupportedMediaType
from .web_request import Request
from .web_signature import Plan

KEY_FIELD = "idempotency_key"
_KEY_BYTES = b'"idempotency_key"'
_NUMBERS = re.compile(rb"\d{16}|[:,\[\"]\s*[+-]?[0-9.]+[eE]|\"\s*[+-]?[sS]?(?:[nN][aA][nN]|[iI][nN][fF])")
"""What a number looks like that the database may not be able to keep; texts that look like it do no harm."""
_INTEGERS = range(-(1 << 63), 1 << 63)
_exact = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")
_sorted = msgspec.json.Encoder(order="sorted", decimal_format="number")
MAX_QUERY_FIELDS = 100


def path_values(plan: Plan, texts: list[str]) -> dict[str, Any]:
    """The parameters of the path, converted; refuses (3003) the ones that do not have their form."""
    values = {}
    for (name, kind), text in zip(plan.path, texts, strict=True):
        try:
            value = clean(text) if kind is str else convert(clean(text), kind, strict=False)
        except UNREADABLE as error:
            raise InvalidRequest(errors=(FieldError(field=name, detail=_sentence(error)),)) from None
        if type(value) is int and value not in _INTEGERS:
            raise InvalidRequest(errors=(FieldError(field=name, detail="out of range"),))
        values[name] = value
    return values


def query_value(plan: Plan, query_string: bytes, reserved: str | None = None) -> tuple[Any, str | None]:
    """The query struct (None without one) and the reserved parameter's text. Unknown parameters are refused."""
    given, own = _query_members(plan, query_string, reserved)
    if plan.query is None:
        return None, own
    try:
        value = convert(given, plan.query, strict=False)
    except UNREADABLE as error:
        errors = collect(given, plan.query, strict=False) or (first_error(error),)
        raise InvalidRequest(errors=tuple(_unrooted(one) for one in errors)) from None
    problem = _out_of_range(value)
    if problem is not None:
        raise InvalidRequest(errors=(_unrooted(problem),))
    return value, own


def _query_members(plan: Plan, query_string: bytes, reserved: str | None) -> tuple[dict[str, Any], str | None]:
    given: dict[str, Any] = {}
    own: str | None = None
    if not query_string:
        return given, own
    errors: list[FieldError] = []
    for name, raw in _query_pairs(query_string):
        field = plan.fields.get(name)
        try:
            text = clean(raw)
        except ValueError as error:
            errors.append(FieldError(field=_shown(name), detail=str(error)))
            continue
        if field is None and name == reserved and own is None:
            own = text
        elif field is None:
            errors.append(FieldError(field=_shown(name), detail="unknown parameter; leave it out"))
        elif _is_list(field.type):
            given.setdefault(name, []).append(text)
        elif name in given:
            errors.append(FieldError(field=name, detail="given twice; give it once"))
        else:
            given[name] = text
    if errors:
        raise InvalidRequest(errors=tuple(errors[:20]))
    return given, own


def _query_pairs(query_string: bytes) -> list[tuple[str, str]]:
    try:
        text = query_string.decode("ascii")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:  # Also what is not UTF-8 and too many fields.
        raise InvalidRequest("the query string cannot be read") from None


@cache
def _is_list(kind: Any) -> bool:
    """Whether a parameter may be given several times. Asked for each request, worked out once for each type."""
    while hasattr(kind, "__metadata__"):
        kind = kind.__origin__
    if get_origin(kind) in (Union, UnionType):
        return any(_is_list(part) for part in get_args(kind))
    return get_origin(kind) in (list, tuple, set, frozenset)


def _shown(name: str) -> str:
    """A client's own text, short enough to be repeated to it."""
    return name.encode("ascii", "backslashreplace").decode()[:80]


def _unrooted(error: FieldError) -> FieldError:
    return FieldError(field=error.field.lstrip("/"), detail=error.detail)


def json_body(plan: Plan, request: Request, takes_key: bool) -> tuple[Any, str | None]:
    """The typed body and the `idempotency_key` in it, if any."""
    data = request.body
    if not data:
        if plan.body_optional:
            return None, None
        raise InvalidRequest("this operation takes a JSON body", errors=(FieldError(field="", detail="missing"),))
    content_type = request.headers.get(b"content-type")
    if content_type != b"application/json" and not _is_json(request.media_type):
        raise UnsupportedMediaType("send the body as application/json")
    key_inside = takes_key and _KEY_BYTES in data
    try:
        if not key_inside and _is_harmless(plan, data):
            return decode_untrusted(data, plan.body), None
        return _careful(plan, data, key_inside)
    except UNREADABLE as error:
        raise refused_body(data, plan.body, error) from None


def _is_harmless(plan: Plan, data: bytes) -> bool:
    return data.isascii() and b"\\u" not in data and not (plan.numbers and _NUMBERS.search(data))


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def _careful(plan: Plan, data: bytes, key_inside: bool) -> tuple[Any, str | None]:
    raw = _exact.decode(data)
    key: str | None = None
    if key_inside and isinstance(raw, dict):
        found = raw.get(KEY_FIELD)
        if found is not None and not isinstance(found, str):
            raise InvalidRequest(errors=(FieldError(field=f"/{KEY_FIELD}", detail="must be a text"),))
        key = found
        if not plan.takes_key:
            raw.pop(KEY_FIELD, None)
    errors: list[FieldError] = []
    raw = _cleaned(raw, "", errors)
    if errors:
        raise InvalidRequest(errors=tuple(errors[:20]))
    value = decode_untrusted(_encoder.encode(raw), plan.body)
    problem = _out_of_range(value)
    if problem is not None:
        raise InvalidRequest(errors=(problem,))
    return value, key


def refused_body(data: bytes, kind: Any, error: Exception) -> InvalidRequest:
    """All that is wrong with a body, where it can be read at all."""
    if isinstance(error, RecursionError):
        return InvalidRequest(errors=(FieldError(field="", detail="nested too deeply"),))
    try:
        raw = _exact.decode(data)
    except UNREADABLE as broken:
        return InvalidRequest("the body is not JSON", errors=(FieldError(field="", detail=_sentence(broken)),))
    errors = collect(raw, kind, strict=True) or (first_error(error),)
    return InvalidRequest(errors=errors)


def canonical(data: bytes) -> bytes:
    """The same bytes for bodies that say the same: sorted members, no spaces, without the key."""
    if not data:
        return b""
    try:
        raw = _exact.decode(data)
        if isinstance(raw, dict):
            raw.pop(KEY_FIELD, None)
        return _sorted.encode(raw)
    except UNREADABLE:
        return data


def clean(text: str) -> str:
    """NFC; refuses NUL and lone surrogates, which PostgreSQL cannot keep."""
    if text.isascii():
        if "\x00" in text:
            raise ValueError("must not contain the character NUL")
        return text
    if "\x00" in text:
        raise ValueError("must not contain the character NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain half of a surrogate pair") from None
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def _cleaned(value: Any, at: str, errors: list[FieldError]) -> Any:
    """The same JSON value with clean texts; what cannot be kept is put into `errors`."""
    match value:
        case str():
            try:
                return clean(value)
            except ValueError as error:
                errors.append(FieldError(field=at, detail=str(error)))
        case dict():
            return {
                _cleaned(name, at, errors): _cleaned(member, f"{at}/{_escaped(name)}", errors)
                for name, member in value.items()
            }
        case list():
            return [_cleaned(member, f"{at}/{number}", errors) for number, member in enumerate(value)]
        case int() if value not in _INTEGERS:
            errors.append(FieldError(field=at, detail="out of range"))
        case Decimal():
            if not _is_reasonable(value):
                errors.append(FieldError(field=at, detail="out of range"))
    return value


def _escaped(name: str) -> str:
    return _shown(name).replace("~", "~0").replace("/", "~1")


def _is_reasonable(value: Decimal) -> bool:
    """What PostgreSQL keeps exactly and what can be written out: finite, at most 40 digits on either side."""
    return value.is_finite() and (not value or -40 <= value.adjusted() <= 40) and abs(_exponent(value)) <= 40


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 99


def _out_of_range(value: Any, at: str = "") -> FieldError | None:
    """A number in a typed value that came as text ("NaN", "1e999") or query parameter and cannot be kept."""
    if isinstance(value, Decimal):
        return None if _is_reasonable(value) else FieldError(field=at, detail="out of range")
    if isinstance(value, int):
        return None if value in _INTEGERS else FieldError(field=at, detail="out of range")
    if isinstance(value, msgspec.Struct):
        members = [(f"{at}/{name}", getattr(value, name)) for name in value.__struct_fields__]
    elif isinstance(value, dict):
        members = [(f"{at}/{_escaped(str(name))}", member) for name, member in value.items()]
    elif isinstance(value, list | tuple | set | frozenset):
        members = [(f"{at}/{number}", member) for number, member in enumerate(value)]
    else:
        return None
    return next((found for where, member in members if (found := _out_of_range(member, where))), None)


def _sentence(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "the bytes are not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, ArithmeticError):
        return "a number is out of range"
    return str(error)[:200]
