"""What a client is told when something goes wrong: the refusal, "later", or the request id and nothing else."""

import logging

import asyncpg

from .bus import Contended, KeyReused
from .commit import Busy
from .messages import Refusal, Refused
from .pool import LOST, PoolExhausted
from .web_answers import Reply, refusal_reply
from .web_refusals import (
    InternalError,
    InvalidIdempotencyKey,
    MethodNotAllowed,
    PayloadTooLarge,
    Unauthenticated,
    Unavailable,
)
from .web_request import Request

log = logging.getLogger("pasar.web")
TROUBLE: tuple[type[Exception], ...] = (
    Busy,
    Contended,
    PoolExhausted,
    TimeoutError,
    *LOST,
    asyncpg.InsufficientResourcesError,
    asyncpg.QueryCanceledError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What passes by itself: the request may be repeated with the same key."""


def refused_reply(error: Refused, request: Request) -> Reply:
    """A refusal, with the headers that HTTP wants for its status."""
    reply = refusal_reply(Refusal.of(error), request.request_id.decode())
    extra: tuple[tuple[bytes, bytes], ...] = ()
    match error:
        case Unauthenticated():
            # RFC 6750 §3.1: say what is wrong with a token, and nothing where there was none.
            given = b"authorization" in request.headers
            extra = ((b"www-authenticate", b'Bearer realm="pasar"' + (b', error="invalid_token"' if given else b"")),)
        case MethodNotAllowed():
            extra = ((b"allow", ", ".join(error.facts["allow"]).encode()),)
        case PayloadTooLarge():
            extra = ((b"connection", b"close"),)  # The rest of the body will not be read.
    return reply._replace(headers=reply.headers + extra) if extra else reply


def failed_reply(error: Exception, request: Request) -> Reply:
    """What is no refusal: trouble that passes, or a fault of ours. The cause goes to the log, never to the client."""
    if isinstance(error, KeyReused):
        detail = "this idempotency key was used before, for another request; take a fresh one"
        return refused_reply(InvalidIdempotencyKey(detail, status=422), request)
    if isinstance(error, TROUBLE):
        log.warning("unavailable: %s", type(error).__name__, extra={"request_id": request.request_id.decode()})
        return refused_reply(Unavailable(), request)
    log.error(
        "unexpected %s in %s", type(error).__name__, request.label, exc_info=error,
        extra={"request_id": request.request_id.decode()},
    )  # fmt: skip
    return refused_reply(InternalError(), request)
