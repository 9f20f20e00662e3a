"""What handlers may return besides an `Answer`, a list or None; cursors of lists; problem documents (RFC 9457)."""

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from .messages import Refusal, Value, decode, encode, refusal_types
from .web_refusals import InvalidCursor

T = TypeVar("T")
Headers = tuple[tuple[bytes, bytes], ...]
JSON = b"application/json"
PROBLEM = b"application/problem+json"
_STANDARD = frozenset({"type", "title", "status", "detail", "code", "name", "errors"})


class Page(Value, Generic[T]):
    """One page of a list. `next` is the cursor of the page after it; null at the end."""

    items: list[T]
    next: str | None = None


class Paging(Value):
    """What every list takes; a route's query struct inherits it."""

    limit: Annotated[int, Meta(ge=1, le=100, description="entries a page")] = 20
    cursor: Annotated[str, Meta(max_length=1024, description="`next` of the page before")] | None = None


class Cursor:
    """The place where a page ends, as opaque text: base64url of JSON, checked by type when it comes back."""

    @staticmethod
    def write(place: Any) -> str:
        return base64.urlsafe_b64encode(encode(place)).rstrip(b"=").decode()

    @staticmethod
    def read(text: str | None, kind: type[T]) -> T | None:
        """The place, or None without a cursor; refuses (3004) what `write` did not make for this kind of list."""
        if text is None:
            return None
        try:
            raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
            if b"\\u0000" in raw:
                raise InvalidCursor
            return decode(raw, kind)
        except (ValueError, ArithmeticError, RecursionError, msgspec.MsgspecError):
            raise InvalidCursor from None


@dataclass(frozen=True)
class Raw:
    """An answer that is no JSON value of ours: a file, a text, an event stream (`body` an async iterator)."""

    body: bytes | AsyncIterator[bytes] = b""
    status: int = 200
    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None


@dataclass(frozen=True)
class Cached(Generic[T]):
    """An answer (`-> Cached[Product]`) that clients may keep, for `max_age_s` without asking again.

    `etag` names its version. Without `etag` it is the hash of the JSON: the answer is still made, but not sent again.
    """

    answer: T
    etag: str | None = None
    max_age_s: int = 0
    public: bool = False


class Reply(NamedTuple):
    """An answer ready to be sent."""

    status: int
    body: bytes | AsyncIterator[bytes]
    content_type: bytes = JSON
    headers: Headers = ()


def etag_of(body: bytes) -> str:
    """A strong entity tag of a body."""
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def matches(header: bytes, etag: str) -> bool:
    """Whether If-None-Match names the tag (weak comparison, RFC 9110 §13.1.2)."""
    wanted = f'"{etag}"'.encode("latin-1", "replace")
    return any(part.strip().removeprefix(b"W/") in (wanted, b"*") for part in header.split(b","))


def title_of(name: str) -> str:
    """INSUFFICIENT_STOCK → Insufficient stock."""
    return name.replace("_", " ").capitalize()


def problem(refusal: Refusal, request_id: str | None = None) -> bytes:
    """The problem document of a refusal. Facts are extra members; they never replace a standard one."""
    document: dict[str, Any] = {
        "type": f"/errors/{refusal.code}",
        "title": title_of(refusal.name),
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        "name": refusal.name,
        "errors": refusal.errors,
    }
    document.update((name, value) for name, value in refusal.facts.items() if name not in _STANDARD)
    if request_id is not None:
        document.setdefault("request_id", request_id)
    return encode(document)


def refusal_reply(refusal: Refusal, request_id: str, *headers: tuple[bytes, bytes]) -> Reply:
    """A refusal as an answer."""
    return Reply(refusal.status, problem(refusal, request_id), PROBLEM, headers + _retry_after(refusal))


def _retry_after(refusal: Refusal) -> Headers:
    seconds = refusal.facts.get("retry_after_s", _wait_of(refusal.code))
    if seconds is None and refusal.status in (429, 503):
        seconds = 1
    return () if seconds is None else ((b"retry-after", str(int(seconds)).encode()),)


@cache
def _wait_of(code: int) -> int | None:
    """`retry_after_s` of a refusal's class."""
    return getattr(refusal_types().get(code), "retry_after_s", None)
