"""A small pool of PostgreSQL connections.

asyncpg's own costs more than the query that it serves, since it resets a connection each time. Here nothing needs a
reset: no statement changes a session (`set local` only), listens, or takes a session lock. A connection whose use was
cancelled or broke off is closed, not passed on.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    OSError,
)
"""What tells that a connection, not a statement, failed. The outcome of what ran on it is unknown."""

STOP_S = 2.0
"""How long a statement may take to stop that nobody waits for."""
Connection = asyncpg.Connection
Record = asyncpg.Record


class PoolExhausted(Exception):
    """No connection came free in time."""


class Pool:
    """At most `size` connections, opened when first needed; waiters are served in the order in which they came."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], size: int, *, timeout_s: float = 5.0) -> None:
        self._connect, self._size, self._timeout_s = connect, size, timeout_s
        self._idle: list[Any] = []
        self._waiters: deque[asyncio.Future[Any]] = deque()
        self._open = 0
        self._closed = False
        self._stopping: set[asyncio.Task[None]] = set()

    async def _take(self) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._open -= 1
        if self._open < self._size:
            self._open += 1
            try:
                return await self._connect()
            except BaseException:
                self._open -= 1
                self._wake()
                raise
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled() and waiter.result() is not None:
                self._give(waiter.result())  # Handed over just as the waiter was cancelled.
            waiter.cancel()
            if isinstance(error, TimeoutError):
                raise PoolExhausted(f"all {self._size} connections were busy for {self._timeout_s} s") from None
            raise
        return connection if connection is not None else await self._take()

    def _wake(self, connection: Any = None) -> bool:
        """Serve the next waiter; without a connection it is told to try again."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _give(self, connection: Any) -> None:
        if self._closed or connection.is_closed():
            self._open -= 1
            connection.terminate()
            self._wake()
        elif not self._wake(connection):
            self._idle.append(connection)

    def _drop(self, connection: Any) -> None:
        self._open -= 1
        connection.terminate()
        self._wake()

    def _abandon(self, connection: Any) -> None:
        """Nobody waits for its statement any more: the server is told to stop it. Just hanging up would let it run."""
        if connection.is_closed() or self._closed:
            self._drop(connection)
            return
        task = asyncio.create_task(self._stop(connection))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def _stop(self, connection: Any) -> None:
        try:
            await connection.close(timeout=STOP_S)  # Sends the cancel request that is due, and waits for it.
        except (*LOST, TimeoutError):
            connection.terminate()
        finally:
            self._open -= 1
            self._wake()

    async def _run(self, method: str, sql: str, arguments: Sequence[Any]) -> Any:
        connection = await self._take()
        try:
            result = await getattr(connection, method)(sql, *arguments)
        except asyncpg.PostgresError as error:
            if isinstance(error, LOST):
                self._drop(connection)
            else:
                self._give(connection)
            raise
        except BaseException:
            self._abandon(connection)
            raise
        self._give(connection)
        return result

    async def fetch(self, sql: str, *arguments: Any) -> list[Record]:
        return await self._run("fetch", sql, arguments)

    async def fetchrow(self, sql: str, *arguments: Any) -> Record | None:
        return await self._run("fetchrow", sql, arguments)

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        return await self._run("fetchval", sql, arguments)

    async def execute(self, sql: str, *arguments: Any) -> str:
        return await self._run("execute", sql, arguments)

    async def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        await self._run("executemany", sql, (rows,))

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        """A connection for several statements; closed instead of returned when the block fails or leaves one open."""
        connection = await self._take()
        try:
            yield connection
        except asyncpg.PostgresError as error:
            if isinstance(error, LOST) or connection.is_in_transaction():
                self._drop(connection)
            else:
                self._give(connection)
            raise
        except BaseException:
            self._abandon(connection)
            raise
        if connection.is_in_transaction():
            self._drop(connection)
            raise RuntimeError("a transaction was left open")
        self._give(connection)

    @asynccontextmanager
    async def repeatable(self, tenant: int | None = None) -> AsyncIterator[Any]:
        """A connection in a transaction for work that is done again when it is lost: its commit waits for no flush.
        `tenant`: whose rows it may touch. Transaction and settings begin in one message."""
        scope = "" if tenant is None else f"; set local pasar.tenant = '{tenant:d}'"
        async with self.acquire() as connection:
            try:
                await connection.execute(f"begin; set local synchronous_commit = off{scope}")
                yield connection
            except asyncpg.PostgresError as error:
                if not isinstance(error, LOST) and connection.is_in_transaction():
                    await connection.execute("rollback")
                raise
            await connection.execute("commit")

    async def close(self) -> None:
        self._closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.close(timeout=2) for connection in idle), return_exceptions=True)
        await asyncio.gather(*self._stopping, return_exceptions=True)
