"""A proxy that speaks enough of PostgreSQL's protocol (version 3) to cut a connection exactly at a commit: before it
reaches the server, half-way through, or after the server has committed and before anybody hears of it.

Our commit is one call of one function by a prepared statement: Bind, Execute and Sync of it are that commit. A COMMIT
of a transaction block is one too.
"""

import asyncio
import random
from collections import Counter
from typing import Literal

from .proxies import Address, Cut, Proxy, both, carry

Moment = Literal["before", "halfway", "after", "late"]
MOMENTS: tuple[Moment, ...] = ("before", "halfway", "after", "late")
LATE_S = 0.05


class CommitProxy(Proxy):
    """`share` of all commits are cut, or answered late, at a moment drawn by chance. `cuts` counts them."""

    def __init__(
        self,
        upstream: Address,
        seed: int,
        *,
        share: float,
        marker: bytes = b"commit_changes",
        moments: tuple[Moment, ...] = MOMENTS,
    ) -> None:
        super().__init__(upstream)
        self.share, self._marker, self._moments = share, marker, moments
        self._chance = random.Random(seed)
        self.cuts: Counter[str] = Counter()
        self.commits = 0

    async def serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        session = _Session(self, reader, writer, back, server)
        if await session.greet():
            await both(session.from_client(), session.from_server())
        else:
            await both(carry(reader, server), carry(back, writer))

    def draw(self) -> Moment | None:
        """What happens to this commit."""
        self.commits += 1
        if self._chance.random() >= self.share:
            return None
        moment = self._chance.choice(self._moments)
        self.cuts[moment] += 1
        return moment

    def is_commit(self, sql: bytes) -> bool:
        text = sql.strip().rstrip(b";\0").strip().lower()
        return self._marker in sql or text in (b"commit", b"end")


class _Session:
    """One connection: which prepared statements are commits, and what is to happen to the answer that comes next."""

    SSL, GSS, CANCEL = 80877103, 80877104, 80877102

    def __init__(
        self,
        proxy: CommitProxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        self._proxy, self._reader, self._writer, self._back, self._server = proxy, reader, writer, back, server
        self._statements: set[bytes] = set()
        self._answer: Moment | None = None

    async def greet(self) -> bool:
        """Pass the start on; False when encryption or a cancel request makes the rest unreadable."""
        while True:
            head = await self._reader.readexactly(8)
            length, code = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
            body = await self._reader.readexactly(length - 8)
            self._server.write(head + body)
            if code == self.CANCEL:
                return False
            if code not in (self.SSL, self.GSS):
                return True
            said = await self._back.readexactly(1)
            self._writer.write(said)
            if said != b"N":
                return False

    async def from_client(self) -> None:
        while True:
            kind, body = await _message(self._reader)
            if self._begins_commit(kind, body):
                moment = self._proxy.draw()
                if moment == "before":
                    raise Cut
                if moment == "halfway":
                    self._server.write(_packed(kind, body)[: 5 + len(body) // 2])
                    await self._server.drain()
                    raise Cut
                self._answer = moment
            self._server.write(_packed(kind, body))
            await self._server.drain()

    def _begins_commit(self, kind: bytes, body: bytes) -> bool:
        if kind == b"P":
            name, _, rest = body.partition(b"\0")
            if self._proxy.is_commit(rest.partition(b"\0")[0]):
                self._statements.add(name)
            else:
                self._statements.discard(name)
        elif kind == b"B":
            _, _, rest = body.partition(b"\0")
            return rest.partition(b"\0")[0] in self._statements
        return kind == b"Q" and self._proxy.is_commit(body)

    async def from_server(self) -> None:
        while True:
            kind, body = await _message(self._back)
            # With "ready for query" the transaction is over: all that was answered before it is held back.
            if self._answer == "after":
                while kind != b"Z":
                    kind, body = await _message(self._back)
                raise Cut
            if self._answer == "late" and kind == b"Z":
                self._answer = None
                await asyncio.sleep(LATE_S)
            self._writer.write(_packed(kind, body))
            await self._writer.drain()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], await reader.readexactly(int.from_bytes(head[1:], "big") - 4)


def _packed(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body
