"""Refusals that cost next to nothing: while a lane takes nobody, its requests are answered when their head is read,
with bytes made beforehand. Under a storm the process has better things to do than to make a task for each."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from urllib.parse import unquote

from .messages import Refusal
from .web_answers import Headers, refusal_reply
from .web_lanes import TOO_MUCH, Lanes
from .web_refusals import Unavailable
from .web_router import Router

_PLACE = "the request id"
Observe = Callable[[str, int, float], None]


class EarlyRefusals:
    """`answer` gives the bytes that turn a request away, or None where it is to be served. `common`: the headers of
    every answer; `new_id` makes a request id."""

    def __init__(
        self, lanes: Lanes, router: Router, common: Headers, new_id: Callable[[], bytes], observe: Observe | None
    ) -> None:
        self._lanes, self._router, self._new_id, self._observe = lanes, router, new_id, observe
        reply = refusal_reply(Refusal.of(Unavailable(TOO_MUCH)), _PLACE)
        assert isinstance(reply.body, bytes)
        self._status = reply.status
        self._body = reply.body.split(_PLACE.encode())
        headers = (*common, *reply.headers, (b"content-type", reply.content_type))
        lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}".encode()]
        self._head = b"\r\n".join([*lines, *(name + b": " + value for name, value in headers)])

    def answer(self, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
        """`target` and `headers` as they came."""
        if not self._lanes.any_closed:
            return None
        path, _, _ = target.partition(b"?")
        found = self._router.find(unquote(path.decode("latin-1")), path)
        route = None if found is None else found.methods.get("GET" if method == "HEAD" else method)
        if route is None or not self._lanes.closed(gate := self._lanes.gates[route.lane]):
            return None
        if any(name == b"transfer-encoding" or (name == b"x-request-id" and value) for name, value in headers):
            return None  # A body without an end, or an id that has to be looked at: the long way.
        gate.refused += 1
        if self._observe is not None:
            self._observe(route.name, self._status, 0.0)
        return self._bytes(head_only=method == "HEAD")

    def _bytes(self, *, head_only: bool) -> bytes:
        id_ = self._new_id()
        body = id_.join(self._body)
        ids = b"\r\nx-request-id: %b\r\nx-correlation-id: %b" % (id_, id_)
        head = b"%b%b\r\ncontent-length: %d\r\n\r\n" % (self._head, ids, len(body))
        return head if head_only else head + body
