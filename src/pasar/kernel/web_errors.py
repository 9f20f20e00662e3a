"""What is wrong with a value that was refused: every field, where it is and what to change. Runs on refusal only."""

import re
from typing import Any, Literal, get_args, get_origin

import msgspec

from .messages import FieldError, convert
from .web_signature import is_struct, without_none

MOST = 20
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError, ArithmeticError)
"""All that decoding raises for what clients send; ArithmeticError: 1e99999999999999999999 as a Decimal."""
_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.S)
_NAMED = re.compile(r"^Object (?P<what>missing required|contains unknown) field `(?P<name>[^`]*)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[([^\]]*)\]")


def first_error(error: Exception) -> FieldError:
    """msgspec's own sentence and path as one field error."""
    found = _AT.match(str(error))
    assert found is not None  # The pattern matches every text.
    what, path = found["what"], found["path"] or "$"
    pointer = "".join(f"/{name or number}" for name, number in _STEP.findall(path.removeprefix("$")))
    named = _NAMED.match(what)
    if named is None:
        return FieldError(field=pointer, detail=_plain(what))
    detail = "missing" if named["what"].startswith("missing") else "unknown field; leave it out"
    return FieldError(field=f"{pointer}/{named['name']}"[:200], detail=detail)


def _plain(sentence: str) -> str:
    text = sentence.replace("`", "")[:200]
    return text[:1].lower() + text[1:]


def collect(raw: Any, kind: Any, *, strict: bool) -> tuple[FieldError, ...]:
    """Everything that is wrong with `raw` as a `kind`, at most twenty; empty when nothing is."""
    errors: list[FieldError] = []
    _walk(raw, kind, "", strict, errors)
    return tuple(errors[:MOST])


def _walk(raw: Any, kind: Any, at: str, strict: bool, errors: list[FieldError]) -> None:
    if len(errors) >= MOST:
        return
    inner, optional = without_none(kind)
    if raw is None and optional:
        return
    if is_struct(inner) and isinstance(raw, dict) and inner.__struct_config__.tag is None:
        _walk_struct(raw, inner, at, strict, errors)
        return
    if get_origin(inner) is list and isinstance(raw, list) and get_args(inner):
        for number, member in enumerate(raw):
            _walk(member, get_args(inner)[0], f"{at}/{number}", strict, errors)
        if len(errors) == 0:
            _try(raw, kind, at, strict, errors)
        return
    _try(raw, kind, at, strict, errors)


def _walk_struct(raw: dict[str, Any], kind: Any, at: str, strict: bool, errors: list[FieldError]) -> None:
    before = len(errors)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, field in fields.items():
        if name in raw:
            _walk(raw[name], field.type, f"{at}/{name}", strict, errors)
        elif field.required:
            errors.append(FieldError(field=f"{at}/{name}", detail="missing"))
    if kind.__struct_config__.forbid_unknown_fields:
        for name in raw:
            if name not in fields and len(errors) < MOST:
                shown = name.encode("ascii", "backslashreplace").decode()[:80].replace("~", "~0").replace("/", "~1")
                errors.append(FieldError(field=f"{at}/{shown}", detail="unknown field; leave it out"))
    if len(errors) == before:  # The fields are right each for itself; the struct may still refuse them together.
        _try(raw, kind, at, strict, errors)


def _try(raw: Any, kind: Any, at: str, strict: bool, errors: list[FieldError]) -> None:
    choices = _choices(kind)
    try:
        convert(raw, kind, strict=strict)
    except (*UNREADABLE, TypeError) as error:
        found = first_error(error)
        if choices:
            found = FieldError(field="", detail=f"must be one of {', '.join(map(str, choices))}")
        errors.append(FieldError(field=at + found.field, detail=found.detail))


def _choices(kind: Any) -> tuple[Any, ...]:
    inner, _ = without_none(kind)
    return get_args(inner) if get_origin(inner) is Literal else ()
