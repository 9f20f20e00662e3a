"""Fires deadlines: sends the command that a stream has left for its time, by the clock of the deployment."""

import asyncio
from datetime import timedelta
from typing import Any

from .bus import Context, Core
from .delivery import Patience

LIMIT = 200
IN_FLIGHT = 64
TRIES = 12
_PATIENCE = Patience(timedelta(seconds=1), timedelta(minutes=10))

_DUE = """
    select tenant, kind, stream, name, due_at, command_type, command::text as command, attempts
      from kernel.timer where not parked and due_at <= $1 order by due_at limit $2"""
_STILL = "select due_at = $5 from kernel.timer where (tenant, kind, stream, name) = ($1, $2, $3, $4)"


class Timers:
    """Of all workers, the one that has the lease fires; the key of each firing stops a late second one."""

    lease = "timers"

    def __init__(self, core: Core) -> None:
        self._core, self._pool = core, core.database.kernel
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def fire(self) -> int:
        """What is due now, the most overdue first; how many were tried."""
        rows = await self._pool.fetch(_DUE, self._core.clock.now(), LIMIT)
        if rows:
            async with asyncio.TaskGroup() as group:
                for row in rows:
                    group.create_task(self._one(row))
        return len(rows)

    async def _one(self, row: Any) -> None:
        async with self._slots:
            try:
                await self._fire(row)
            except Exception as error:  # Whatever it is, other timers must fire, and people must see this one.
                await self._failed(row, error)

    async def _fire(self, row: Any) -> None:
        tenant, kind, stream, name = row["tenant"], row["kind"], row["stream"], row["name"]
        command = self._core.command(row["command_type"], row["command"])
        key = f"{kind}-{stream}/{name}/{row['due_at'].isoformat()}"
        context = Context(tenant=tenant, principal="timer", route="timer", key=key, correlation_id=f"timer:{key}")
        bus = self._core.bus(context)
        await bus.fire(command, kind, stream, name)
        if bus.replayed and await self._pool.fetchval(_STILL, tenant, kind, stream, name, row["due_at"]):
            # Firing clears the timer; one that is there again was set anew, for the same instant.
            again = Context(tenant=tenant, principal="timer", route="timer", correlation_id=f"timer:{key}")
            await self._core.bus(again).fire(command, kind, stream, name)

    async def _failed(self, row: Any, error: Exception) -> None:
        attempts = row["attempts"] + 1
        delay = _PATIENCE.delay(f"{row['kind']}-{row['stream']}/{row['name']}", attempts)
        retry_at = None if attempts >= TRIES else self._core.clock.now() + delay
        await self._pool.execute(
            "select kernel.timer_failed($1, $2, $3, $4, $5, $6, $7)",
            *(row["tenant"], row["kind"], row["stream"], row["name"], row["due_at"]),
            *(f"{error.__class__.__name__}: {error}"[:2000], retry_at),
        )
