"""A load generator that costs little: it shares two cores with what it measures.

Closed loop: each connection sends its next request when the answer to the last is complete. HTTP/1.1 with keep-alive on
plain asyncio protocols; answers are cut by their Content-Length.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.request import urlopen


@dataclass
class Outcome:
    """What one run did: how many answers of which status, how long each took (s), over how long (s)."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    first_bytes: dict[int, list[float]] = field(default_factory=dict)
    """How long the first byte of each took (s), by status."""
    samples: dict[int, bytes] = field(default_factory=dict)
    """One body of each status, to see what went wrong."""

    @property
    def per_second(self) -> float:
        return sum(count for status, count in self.statuses.items() if status < 400) / self.seconds

    def percentile(self, percent: float) -> float:
        """Milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000 if ordered else 0.0

    def row(self) -> dict[str, float | int | dict[int, int]]:
        return {
            "per_second": round(self.per_second, 1),
            "p50_ms": round(self.percentile(50), 2),
            "p95_ms": round(self.percentile(95), 2),
            "p99_ms": round(self.percentile(99), 2),
            "requests": len(self.latencies),
            "errors": {status: count for status, count in self.statuses.items() if status >= 400},
        }


def request(
    method: str,
    path: str,
    *,
    token: str | None = None,
    body: bytes = b"",
    key: str | None = None,
    extra: str = "",
    host: str = "bench",
) -> bytes:
    """The bytes of one request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{extra}"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    if key:
        head += f"X-Idempotency-Key: {key}\r\n"
    if method != "GET":
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


Script = Iterator[bytes]
"""A generator of requests; it is sent (status, body) of each answer: `status, body = yield request(...)`."""


class _Connection(asyncio.Protocol):
    def __init__(self, script: "Iterator[bytes]", outcome: Outcome, ends: float, done: asyncio.Future[None]) -> None:
        self._script, self._outcome, self._ends, self._done = script, outcome, ends, done
        self._buffer = bytearray()
        self._sent = self._first = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send(next(self._script, None))

    def _send(self, data: bytes | None) -> None:
        self._sent = time.perf_counter()
        if data is None or self._sent > self._ends:
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
            return
        self._transport.write(data)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        if not buffer:
            self._first = time.perf_counter() - self._sent
        buffer += data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(buffer[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 : head.find(b"\r\n", at) if head.find(b"\r\n", at) > 0 else None]) if at > 0 else 0
        if len(buffer) < end + 4 + length:
            return
        status, body = int(head[9:12]), bytes(buffer[end + 4 : end + 4 + length])
        del buffer[: end + 4 + length]
        outcome = self._outcome
        outcome.latencies.append(time.perf_counter() - self._sent)
        outcome.statuses[status] += 1
        outcome.first_bytes.setdefault(status, []).append(self._first)
        outcome.samples.setdefault(status, body)
        try:
            following = self._script.send((status, body))  # type: ignore[attr-defined]
        except StopIteration:
            following = None
        self._send(following)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._outcome.statuses[599] += 1
            self._done.set_result(None)


async def run(
    host: str, port: int, clients: int, seconds: float, script: Callable[[int], "Iterator[bytes]"]
) -> Outcome:
    """`clients` connections for `seconds`; `script(number)` makes the requests of each."""
    loop, outcome = asyncio.get_running_loop(), Outcome()
    started = time.perf_counter()
    waiting = []
    for number in range(clients):
        done: asyncio.Future[None] = loop.create_future()
        waiting.append(done)
        await loop.create_connection(
            lambda n=number, d=done: _Connection(script(n), outcome, started + seconds, d), host, port
        )
    await asyncio.gather(*waiting)
    outcome.seconds = time.perf_counter() - started
    return outcome


def wait_ready(port: int) -> None:
    """Until the process on that port says that it is ready."""
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"nothing on port {port} got ready")


async def ask(port: int, data: bytes) -> bytes:
    """One request on a connection of its own; the first bytes of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await reader.read(4096)
    writer.close()
    return answer
