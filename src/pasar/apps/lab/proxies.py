"""Bad networks as servers of our own, for any TCP peer; no root needed."""

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""
CHUNK = 65_536


async def connect(to: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(to, str):
        return await asyncio.open_unix_connection(to)
    return await asyncio.open_connection(*to)


class Proxy:
    """Listens on a free port and hands each connection to `serve`; `close` ends all of them. `upstream` may change."""

    def __init__(self, upstream: Address) -> None:
        self.upstream = upstream
        self.port = 0
        self.connections = 0
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self.cut_all()

    async def cut_all(self) -> None:
        """End every connection that is open now."""
        open, self._open = self._open, set()
        for task in open:
            task.cancel()
        await asyncio.gather(*open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        server: asyncio.StreamWriter | None = None
        try:
            back, server = await connect(self.upstream)
            await self.serve(reader, writer, back, server)
        except (OSError, asyncio.IncompleteReadError, Cut):
            pass  # Either side is gone: so will the other be.
        except asyncio.CancelledError:
            pass  # The streams of asyncio want no cancelled tasks.
        finally:
            self._open.discard(task)
            for one in (writer, server):
                if one is not None:
                    one.transport.abort()

    async def serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        """Carry both directions until one of them ends."""
        await both(carry(reader, server), carry(back, writer))


class Cut(Exception):
    """This connection ends here."""


async def both(*ways: Any) -> None:
    """Until the first way ends; then the other ends, too."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK):
        target.write(data)
        await target.drain()


class Toxics(NamedTuple):
    """What is wrong with a network. Shares are between 0 and 1; each chunk or connection draws anew."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    slice: int = 0
    """At most so many bytes at a time."""
    bytes_s: int = 0
    """At most so many bytes a second."""
    reset: float = 0.0
    """Share of connections that end with a reset after their first bytes."""
    black_hole: float = 0.0
    """Share of connections on which nothing ever comes back."""
    half_close: float = 0.0
    """Share of connections whose way back is closed after its first bytes."""
    flip: float = 0.0
    """Share of chunks in which one bit is turned."""


class ToxicProxy(Proxy):
    """A network with faults. `toxics` may be changed while it runs; `met` counts what was done."""

    def __init__(self, upstream: Address, seed: int, toxics: Toxics = Toxics()) -> None:
        super().__init__(upstream)
        self.toxics, self._chance = toxics, random.Random(seed)
        self.met: dict[str, int] = {}

    def _count(self, what: str) -> None:
        self.met[what] = self.met.get(what, 0) + 1

    def _happens(self, what: str) -> bool:
        share = getattr(self.toxics, what)
        if share and self._chance.random() < share:
            self._count(what)
            return True
        return False

    async def serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        if self._happens("black_hole"):
            while await reader.read(CHUNK):
                pass  # Swallowed: whoever sent it waits for an answer in vain.
            return
        ends = self._ending(writer)
        await both(self._carry(reader, server, None), self._carry(back, writer, ends))

    def _ending(self, writer: asyncio.StreamWriter) -> Callable[[], None] | None:
        if self._happens("reset"):
            return lambda: reset(writer)
        if self._happens("half_close"):
            return lambda: writer.write_eof() if writer.can_write_eof() else None
        return None

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, ends: Callable[[], None] | None
    ) -> None:
        while data := await source.read(CHUNK):
            await self._wait(len(data))
            if self._happens("flip"):
                changed = bytearray(data)
                changed[self._chance.randrange(len(data))] ^= 1 << self._chance.randrange(8)
                data = bytes(changed)
            if ends is not None:
                target.write(data[: max(1, len(data) // 2)])
                ends()
                raise Cut
            for start in range(0, len(data), self.toxics.slice or len(data)):
                target.write(data[start : start + (self.toxics.slice or len(data))])
                await target.drain()

    async def _wait(self, size: int) -> None:
        toxics = self.toxics
        seconds = toxics.latency_s + toxics.jitter_s * self._chance.random()
        if toxics.bytes_s:
            seconds += size / toxics.bytes_s
        if seconds:
            self._count("delay")
            await asyncio.sleep(seconds)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a machine that lost its memory does."""
    made = writer.get_extra_info("socket")
    with suppress(OSError):
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
