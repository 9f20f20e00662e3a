"""Structured logs: one line of JSON an entry (or coloured text), with the ids of the request it belongs to.

Logs carry ids, never what tells of a person. So entries hold plain values only; anything else (a struct, a `Private`
value, an exception's arguments) is written as the name of its type, and keys that speak of secrets or persons lose
their values whatever they are.
"""

import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import PurePath
from types import TracebackType
from typing import Any, TextIO
from uuid import UUID

import msgspec
import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars

HIDDEN = "…"
LEVELS = ("debug", "info", "warning", "error", "critical")

_SECRET_KEYS = re.compile(
    r"password|passwd|secret|token|authorization|cookie|credential|signature|api_?key|private|session_id"
    r"|mail|phone|mobile|address|recipient|birth|passport|card_?number|account_?number|iban|ip$|_ip_"
    r"|^(first|last|full|given|family|person|customer|receiver)_?name$",
    re.IGNORECASE,
)
_NOT_SECRET = re.compile(r"_(id|count|s|ms|min|days)$")
_MAIL = re.compile(r"[^\s@'\"<>()]+@[^\s@'\"<>()]+\.[^\s@'\"<>()]+")
# What an error quotes is somebody's input, and long runs of digits are phones, cards and accounts.
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|=\([^)\n]*\)|\+?\d[\d -]{6,}\d")
_SCALARS = (bool, int, float, Decimal, UUID, datetime, date, timedelta, PurePath)
_DEPTH = 4
_LONGEST = 2000
_MOST = 100


def configure(level: str = "info", format: str = "json", stream: TextIO | None = None) -> None:
    """Set up this process's logs, those of libraries included. `format` is `json` or `console`."""
    output = stream or sys.stderr
    last = _as_json if format == "json" else structlog.dev.ConsoleRenderer(colors=output.isatty())
    structlog.configure(
        processors=[
            merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _describe_exception,
            hide_personal,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(output),
        cache_logger_on_first_use=False,
    )
    handler = _Forward()
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


def logger(name: str) -> Any:
    """A logger whose entries name the module that wrote them."""
    return structlog.get_logger(module=name)


def context(**ids: object) -> AbstractContextManager[None]:
    """All entries inside carry these ids: `with context(request_id=…, correlation_id=…, tenant=…):`."""
    return bound_contextvars(**ids)


def hide_personal(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The processor that lets only plain values of harmless keys through."""
    return {key: _safe(key, value, 0) for key, value in entry.items()}


def _safe(key: str, value: object, depth: int) -> object:
    if value is None or (_SECRET_KEYS.search(key) and not _NOT_SECRET.search(key)):
        return None if value is None else HIDDEN
    if type(value) is str:
        return _MAIL.sub(HIDDEN, value[:_LONGEST])
    # The exact type: a subclass, such as a private string, may hold what its base never does.
    if type(value) in _SCALARS or isinstance(value, PurePath):
        return value if type(value) in (bool, int, float) else str(value)
    if depth < _DEPTH and isinstance(value, Mapping):
        return {str(name): _safe(str(name), part, depth + 1) for name, part in _first(value.items())}
    if depth < _DEPTH and type(value) in (list, tuple, set, frozenset):
        return [_safe(key, part, depth + 1) for part in _first(value)]  # pyright: ignore[reportArgumentType]
    return f"<{type(value).__name__}>"


def _first(values: Any) -> Iterator[Any]:
    return (value for value, _ in zip(values, range(_MOST), strict=False))


def _describe_exception(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say what failed and where, without local variables and without the values that its message quotes."""
    given = entry.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        entry["error"] = [_one_exception(part) for part in _chain(error)]
    return entry


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen and len(seen) < _DEPTH:
        seen.add(id(following))
        yield following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)


def _one_exception(error: BaseException) -> dict[str, object]:
    message = str(error.args[0]) if error.args else ""  # Not `str(error)`: a database adds the row to it.
    described: dict[str, object] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": _QUOTED.sub(HIDDEN, _MAIL.sub(HIDDEN, message[:_LONGEST])),
        "where": _frames(error.__traceback__),
    }
    if isinstance(state := getattr(error, "sqlstate", None), str):
        described["sqlstate"] = state
    return described


def _frames(trace: TracebackType | None) -> list[str]:
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)[-15:]]


_encode: Callable[[object], bytes] = msgspec.json.Encoder(enc_hook=lambda value: f"<{type(value).__name__}>").encode


def _as_json(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> str:
    return _encode(entry).decode()


class _Forward(logging.Handler):
    """Entries of libraries that use the standard logging, through the same processors."""

    def emit(self, record: logging.LogRecord) -> None:
        message = _QUOTED.sub(HIDDEN, record.getMessage())
        method = {"WARNING": "warning", "ERROR": "error", "CRITICAL": "critical"}.get(record.levelname, "info")
        if record.levelno < logging.INFO:
            method = "debug"
        getattr(logger(record.name), method)(message, exc_info=record.exc_info)
