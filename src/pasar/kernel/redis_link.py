"""An optional Redis: shared counters, queues and caches. Nothing is decided there, so whatever is wrong with it is
`RedisAway`, and who asked goes on without.

What is asked in one turn of the event loop goes out together. After a failure Redis is left alone for a second: one
that hangs costs one time-out a second, not one a request.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from hashlib import sha1
from typing import Any, NamedTuple

log = logging.getLogger("pasar.redis")
TIMEOUT_S = 2.0
"""For one batch. A burst keeps a process so busy that an answer waits until it is read."""
REST_S = 1.0
BATCH = 128
IN_FLIGHT = 4
"""Batches that are under way at once, each on a connection of its own."""


class RedisAway(Exception):
    """Redis does not answer, or answers nonsense."""


class Script:
    """A Lua script: it runs as one step, so several processes may share what it counts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], *arguments: Any) -> tuple[Any, ...]:
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


class _Asked(NamedTuple):
    command: tuple[Any, ...]
    script: Script | None
    answer: "asyncio.Future[Any]"


class RedisLink:
    """One process's way to Redis; connections are made when they are first needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Any = None
        self._rest_until = 0.0
        self._asked: deque[_Asked] = deque()
        self._sending = 0
        self._senders: set[asyncio.Task[None]] = set()
        self._away_since: float | None = None
        self.failures = 0

    @property
    def away_s(self) -> float:
        """For how long it has not answered; 0 when it did when last asked."""
        return 0.0 if self._away_since is None else time.monotonic() - self._away_since

    async def do(self, *command: Any) -> Any:
        """The answer to one command. Raises `RedisAway`."""
        return await self.ask(command)

    async def run(self, script: Script, keys: Sequence[str], *arguments: Any) -> Any:
        """What a script returns. Raises `RedisAway`."""
        return await self.ask(script.call(keys, *arguments), script)

    def ask(self, command: tuple[Any, ...], script: Script | None = None) -> "asyncio.Future[Any]":
        """The same, to be waited for later; several that are asked for at once are sent together."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if time.monotonic() < self._rest_until:
            answer.set_exception(RedisAway("it failed a moment ago"))
            return answer
        self._asked.append(_Asked(command, script, answer))
        if self._sending < IN_FLIGHT and len(self._asked) > BATCH * self._sending:
            self._sending += 1
            sender = asyncio.create_task(self._send())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return answer

    async def _send(self) -> None:
        try:
            await self._send_all()
        finally:
            self._sending -= 1

    async def _send_all(self) -> None:
        """Batch after batch, until nothing is asked any more."""
        while self._asked:
            batch = [self._asked.popleft() for _ in range(min(BATCH, len(self._asked)))]
            batch = [asked for asked in batch if not asked.answer.done()]
            if not batch:
                continue
            try:
                answers = await self._answers(batch)
            except Exception as error:
                self._failed(batch, error)
                continue
            self._away_since = None
            for asked, answer in zip(batch, answers, strict=True):
                if asked.answer.done():
                    continue
                if isinstance(answer, Exception):
                    asked.answer.set_exception(RedisAway(str(answer)))
                else:
                    asked.answer.set_result(answer)

    async def _answers(self, batch: Sequence[_Asked]) -> list[Any]:
        from redis.exceptions import NoScriptError

        answers = await self._pipeline([asked.command for asked in batch])
        unknown = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:  # First use, or a Redis that has forgotten everything.
            texts = {asked.script.text for asked in (batch[n] for n in unknown) if asked.script is not None}
            await self._pipeline([("SCRIPT", "LOAD", text) for text in texts])
            for n, answer in zip(unknown, await self._pipeline([batch[n].command for n in unknown]), strict=True):
                answers[n] = answer
        return answers

    async def _pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        async with asyncio.timeout(2 * TIMEOUT_S):
            pipeline = self._connected().pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            return await pipeline.execute(raise_on_error=False)

    def _connected(self) -> Any:
        if self._client is None:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff

            self._client = Redis.from_url(
                self._url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
            )
        return self._client

    def _failed(self, batch: Sequence[_Asked], error: Exception) -> None:
        self.failures += 1
        self._away_since = time.monotonic() if self._away_since is None else self._away_since
        self._rest_until = time.monotonic() + REST_S
        log.warning("Redis is away: %s", type(error).__name__)
        waiting, self._asked = [*batch, *self._asked], deque()
        for asked in waiting:
            if not asked.answer.done():
                asked.answer.set_exception(RedisAway(str(error)))

    async def close(self) -> None:
        await asyncio.gather(*self._senders, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose(close_connection_pool=True)
            self._client = None
