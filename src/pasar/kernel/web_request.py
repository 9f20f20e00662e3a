"""A request as it came: headers, body, client. What it says about who it is and where it is from is never believed."""

from collections.abc import AsyncGenerator
from typing import Any

from .messages import FieldError
from .web_refusals import InvalidRequest, PayloadTooLarge, UnsupportedMediaType

Receive = Any
SINGLE = frozenset(
    {
        b"authorization", b"x-idempotency-key", b"idempotency-key", b"content-type", b"content-length", b"host",
        b"accept-version", b"x-request-id", b"x-correlation-id", b"if-none-match", b"x-pasar-after",
    }
)  # fmt: skip
"""Headers that may come once: of two, some part in front of us may have judged by the other."""


class ClientGone(Exception):
    """The client hung up before its request was complete."""


class Request:
    """One HTTP request. `headers` has lower-case names; of repeated ones the last."""

    __slots__ = (
        "_raw_headers", "body", "correlation_id", "headers", "label", "method", "path", "query_string", "request_id",
        "scope",
    )  # fmt: skip

    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query_string: bytes = scope["query_string"]
        self._raw_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.headers: dict[bytes, bytes] = dict(self._raw_headers)
        self.body: bytes = b""
        self.request_id = self.correlation_id = b""
        self.label = "unknown"

    def check_headers(self) -> None:
        """Refuse a header twice of which there is one at most."""
        if len(self.headers) == len(self._raw_headers):
            return
        seen: set[bytes] = set()
        for name, _ in self._raw_headers:
            if name in seen and name in SINGLE:
                text = name.decode("latin-1")
                raise InvalidRequest(errors=(FieldError(field=text, detail="send this header once"),))
            seen.add(name)

    def header(self, name: str) -> str | None:
        """A header's text, or None."""
        value = self.headers.get(name.lower().encode("latin-1", "replace"))
        return None if value is None else value.decode("latin-1")

    @property
    def client(self) -> str:
        """The address of the peer; X-Forwarded-For is not looked at."""
        peer = self.scope.get("client")
        return peer[0] if peer else ""

    @property
    def media_type(self) -> str:
        return (self.header("content-type") or "").split(";", 1)[0].strip().lower()

    async def read(self, receive: Receive, limit: int) -> None:
        """Read the body; more than `limit` bytes are refused before they are read."""
        announced = self.headers.get(b"content-length")
        if announced is not None and (not announced.isdigit() or len(announced) > 18 or int(announced) > limit):
            raise PayloadTooLarge(f"the body may have {limit} bytes at most", limit=limit)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if len(body) > limit:
                raise PayloadTooLarge(f"the body may have {limit} bytes at most", limit=limit)
            self.body = body
            return
        chunks, size = [body], len(body)
        while message.get("more_body", False):
            if size > limit:
                raise PayloadTooLarge(f"the body may have {limit} bytes at most", limit=limit)
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        if size > limit:
            raise PayloadTooLarge(f"the body may have {limit} bytes at most", limit=limit)
        self.body = b"".join(chunks)

    async def form(self, *, files: int = 10, fields: int = 100, part_bytes: int = 1 << 20) -> Any:
        """The fields and files of an HTML form (Starlette's `FormData`); the body must have been read."""
        from starlette.datastructures import Headers
        from starlette.formparsers import FormParser, MultiPartException, MultiPartParser

        async def stream() -> AsyncGenerator[bytes, None]:
            yield self.body
            yield b""

        headers = Headers(raw=self._raw_headers)
        try:
            if self.media_type == "multipart/form-data":
                parser: Any = MultiPartParser(
                    headers, stream(), max_files=files, max_fields=fields, max_part_size=part_bytes
                )
            elif self.media_type == "application/x-www-form-urlencoded":
                parser = FormParser(headers, stream())
            else:
                raise UnsupportedMediaType("send multipart/form-data or application/x-www-form-urlencoded")
            return await parser.parse()
        except (MultiPartException, KeyError, UnicodeError, ValueError) as error:
            raise InvalidRequest(f"the form cannot be read: {getattr(error, 'message', error)}") from None
