"""Notices on their way to the merchant: stored first, then delivered and repeated by the provider's schedule."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .chaos import Chaos, NoticeFault
from .storage import Storage

SCHEMA = """
create table if not exists outbox (
    id integer primary key autoincrement, url text not null, payload text not null,
    attempts integer not null default 0, due real not null,
    state text not null default 'waiting' check (state in ('waiting', 'delivered', 'given_up')), answer integer
);
create index if not exists outbox_due on outbox (due) where state = 'waiting';
"""
AT_ONCE = 32
TIMEOUT_S = 5.0  # How long a provider waits for the merchant's answer.

# Makes the headers and the body of one delivery, signed now.
Seal = Callable[[str, NoticeFault], tuple[dict[str, str], bytes]]


class Outbox:
    def __init__(
        self,
        storage: Storage,
        chaos: Chaos,
        now: Callable[[], datetime],
        seal: Seal,
        *,
        schedule_s: tuple[float, ...],
        accepted: frozenset[int],
        callback_host: str | None,
    ) -> None:
        self.storage, self.chaos, self.now, self.seal = storage, chaos, now, seal
        self.schedule_s, self.accepted, self.callback_host = schedule_s, accepted, callback_host
        self._more = asyncio.Event()

    def put(self, url: str, payload: object) -> None:
        """Within the change that the notice tells of."""
        plan = self.chaos.plan.notices
        now = self.now().timestamp()
        due = now + (plan.delay_ms / 1000 if plan else 0)
        if plan and plan.reorder:  # Leaves together with the one that waits already.
            row = self.storage.one("select min(due) from outbox where state = 'waiting' and due > ?", now)
            due = row[0] if row and row[0] else due
        text = msgspec.json.encode(payload).decode()
        self.storage.run("insert into outbox (url, payload, due) values (?, ?, ?)", url, text, due)
        self._more.set()

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
            task = asyncio.create_task(self._deliver_all(session))
            try:
                yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def endpoint(self, request: Request) -> Response:
        """What was sent and how it was answered, the newest first."""
        rows = self.storage.all("select id, url, attempts, state, answer from outbox order by id desc limit 200")
        return JSONResponse([dict(row) for row in rows])

    async def _deliver_all(self, session: aiohttp.ClientSession) -> None:
        while True:
            self._more.clear()
            plan = self.chaos.plan.notices
            newest_first = plan is not None and plan.reorder and plan.times != 0
            rows = self.storage.all(
                "select id, url, payload, attempts from outbox where state = 'waiting' and due <= ?"
                " order by id limit ?",
                self.now().timestamp(),
                AT_ONCE,
            )
            if newest_first:
                for row in reversed(rows):
                    await self._deliver(session, *row)
            else:
                await asyncio.gather(*(self._deliver(session, *row) for row in rows))
            if len(rows) < AT_ONCE:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._more.wait(), self._pause_s())

    def _pause_s(self) -> float:
        row = self.storage.one("select min(due) from outbox where state = 'waiting'")
        due = row[0] if row else None
        return 1.0 if due is None else min(1.0, max(0.01, due - self.now().timestamp()))

    async def _deliver(self, session: aiohttp.ClientSession, number: int, url: str, text: str, attempts: int) -> None:
        fault = self.chaos.for_notice()
        answer = None
        if not fault.drop:
            for _ in range(max(1, fault.copies)):
                headers, body = self.seal(text, fault)
                answer = await self._post(session, self._address(url), headers, body)
        if answer in self.accepted:
            state, due = "delivered", 0.0
        elif attempts < len(self.schedule_s):
            state = "waiting"
            due = self.now().timestamp() + self.schedule_s[attempts] * self.chaos.plan.retry_scale
        else:
            state, due = "given_up", 0.0
        self.storage.run(
            "update outbox set state = ?, due = ?, answer = ?, attempts = ? where id = ?",
            *(state, due, answer, attempts + 1, number),
        )

    async def _post(self, session: aiohttp.ClientSession, url: str, headers: dict[str, str], body: bytes) -> int | None:
        try:
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    def _address(self, url: str) -> str:
        if self.callback_host is None:
            return url
        return urlunsplit(urlsplit(url)._replace(netloc=self.callback_host))
