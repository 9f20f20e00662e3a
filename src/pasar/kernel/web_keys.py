"""Idempotency keys of requests: where they may stand, what they look like, and twins that are still in flight."""

import re
from hashlib import blake2b
from typing import NamedTuple

from .messages import FieldError
from .web_input import canonical
from .web_refusals import InProgress, InvalidIdempotencyKey
from .web_request import Request

_FORM = re.compile(rb"[\x20-\x7e]{1,255}")
HEADERS = (b"x-idempotency-key", b"idempotency-key")
STORED = frozenset({404, 409, 410, 422})
"""Statuses of refusals that answer a repeat again. Others (400, 401, 403, 429, 5xx) leave the key unused."""


def key_of(request: Request, in_body: str | None) -> str | None:
    """The key, from header or body; refuses (3001) malformed and unequal ones."""
    headers = request.headers
    if in_body is None and HEADERS[0] not in headers and HEADERS[1] not in headers:
        return None
    given = [headers[name] for name in HEADERS if name in headers]
    if in_body is not None:
        given.append(in_body.encode("utf-8", "replace"))
    for key in given:
        if not _FORM.fullmatch(key):
            raise InvalidIdempotencyKey("an idempotency key is 1 to 255 printable ASCII characters")
    if len(set(given)) > 1:
        raise InvalidIdempotencyKey("header and body name different idempotency keys", status=422)
    return given[0].decode("ascii")


def missing_key() -> InvalidIdempotencyKey:
    """The refusal where a key is needed and none was sent."""
    detail = "send a fresh X-Idempotency-Key with every new intent, and the same one with its repeats"
    return InvalidIdempotencyKey(detail, errors=(FieldError(field="X-Idempotency-Key", detail="missing"),))


def request_hash(request: Request) -> bytes:
    """What tells a repeat from another request under the same key."""
    digest = blake2b(request.method.encode(), digest_size=16)
    digest.update(b"\0" + (request.scope.get("raw_path") or request.path.encode()) + b"\0")
    digest.update(request.query_string + b"\0" + canonical(request.body))
    return digest.digest()


class Twin(NamedTuple):
    """Whose key of which route is in flight."""

    tenant: int
    principal: str
    route: str
    key: str


class InFlight:
    """Requests with a key that this process is working on. Twins in two processes meet in the commit."""

    def __init__(self) -> None:
        self._twins: set[Twin] = set()

    def enter(self, twin: Twin) -> None:
        if twin in self._twins:
            raise InProgress()
        self._twins.add(twin)

    def leave(self, twin: Twin) -> None:
        self._twins.discard(twin)
