"""A payment provider that costs next to nothing: it speaks Toss's confirm call and says yes to everything.

The simulators check what the real side checks and keep it in a database; here the shop is measured, not them.
"""

import asyncio
import sys

import msgspec
import uvloop

PORT = 18651
MERCHANT = "bench"


class _Provider(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end]).lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            del self._buffer[: end + 4 + length]
            self._answer(msgspec.json.decode(body) if body else {})

    def _answer(self, asked: dict[str, object]) -> None:
        payment = msgspec.json.encode(
            {
                "paymentKey": asked.get("paymentKey", ""),
                "orderId": asked.get("orderId", ""),
                "status": "DONE",
                "totalAmount": asked.get("amount", 0),
                "currency": "KRW",
                "mId": MERCHANT,
                "approvedAt": "2026-01-01T00:00:00+09:00",
            }
        )
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(payment)}\r\n\r\n"
        self._transport.write(head.encode() + payment)  # type: ignore[attr-defined]


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Provider, "127.0.0.1", PORT)
    await server.serve_forever()


SETTINGS = (
    ("PASAR_PAYMENT_TOSS_CLIENT_KEY", "test_ck_bench"),
    ("PASAR_PAYMENT_TOSS_SECRET_KEY", "test_sk_bench"),
    ("PASAR_PAYMENT_TOSS_MERCHANT_ID", MERCHANT),
    ("PASAR_OUTGOING_ALLOW", f"127.0.0.1:{PORT}"),
    ("PASAR_PAYMENT_TOSS_URL", f"http://127.0.0.1:{PORT}"),
)

if __name__ == "__main__":
    try:
        uvloop.run(serve())
    except KeyboardInterrupt:
        sys.exit(0)
