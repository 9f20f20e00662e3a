"""From what a handler returned, or what was stored for a repeat, to the reply that is sent."""

from typing import Any, get_args

import msgspec

from .bus import Bus
from .messages import decode, encode_for_client
from .private import plan_of
from .web import Route
from .web_answers import JSON, PROBLEM, Cached, Headers, Page, Raw, Reply, etag_of, matches
from .web_request import Request
from .web_send import header
from .web_signature import is_struct, without_none


async def answered(route: Route, answer: Any, request: Request, keys: Any, extra: Headers) -> Reply:
    """What a handler returned, as a reply."""
    if answer is None:
        return Reply(204, b"", JSON, extra)
    if type(answer) is Cached:
        return await _cached(route, answer, request, keys, extra)
    if type(answer) is Raw:
        return _raw(answer, request, extra)
    return Reply(route.status, encode_for_client(await _opened(answer, keys)), JSON, extra)


async def stored_reply(bus: Bus, route: Route) -> Reply:
    """The stored answer of the request's key. What is private in it is stored sealed and opened here."""
    stored = bus.reply
    assert stored is not None  # Callers have seen or stored it.
    extra = position_header(bus)
    if bus.replayed:
        extra = ((b"idempotency-replayed", b"true"), *extra)
    if stored.status >= 400:
        return Reply(stored.status, stored.body, PROBLEM, extra)
    if not stored.body:
        return Reply(204, b"", JSON, extra)
    body = stored.body
    kind, _ = without_none(route.plan.answer)
    if is_struct(kind) and not get_args(kind) and plan_of(kind) is not None:
        body = encode_for_client(await _opened(decode(body, kind), bus.keys))
    return Reply(stored.status, body, JSON, extra)


def position_header(bus: Bus) -> Headers:
    """Where the write is in the log: a read that gives it back as `after` waits until the views have got there."""
    return () if bus.position is None else ((b"x-pasar-position", str(bus.position).encode()),)


async def _opened(answer: Any, keys: Any) -> Any:
    """The answer with its private values readable; costs a look-up where it has none."""
    kind = type(answer)
    if kind is Page:
        items = [await _opened(item, keys) for item in answer.items]
        return Page(items=items, next=answer.next)
    if kind is list:
        return [await _opened(item, keys) for item in answer]
    if issubclass(kind, msgspec.Struct) and plan_of(kind) is not None:
        return await keys.open_all(answer)
    return answer


async def _cached(route: Route, cached: Cached, request: Request, keys: Any, extra: Headers) -> Reply:
    etag, body = cached.etag, None
    if etag is None:
        body = encode_for_client(await _opened(cached.answer, keys))
        etag = etag_of(body)
    scope = "public" if cached.public else "private"
    control = f"{scope}, max-age={cached.max_age_s}" if cached.max_age_s else f"{scope}, no-cache"
    extra += (header("etag", f'"{etag}"'), (b"cache-control", control.encode()), (b"vary", b"authorization"))
    if _is_known(request, etag):
        return Reply(304, b"", JSON, extra)
    if body is None:
        body = encode_for_client(await _opened(cached.answer, keys))
    return Reply(route.status, body, JSON, extra)


def _raw(raw: Raw, request: Request, extra: Headers) -> Reply:
    extra += tuple(header(name, value) for name, value in raw.headers.items())
    content_type = header("content-type", raw.content_type)[1]
    if raw.etag is not None:
        extra += (header("etag", f'"{raw.etag}"'),)
        if _is_known(request, raw.etag):
            return Reply(304, b"", content_type, extra)
    return Reply(raw.status, raw.body, content_type, extra)


def _is_known(request: Request, etag: str) -> bool:
    wanted = request.headers.get(b"if-none-match")
    return wanted is not None and matches(wanted, etag)
