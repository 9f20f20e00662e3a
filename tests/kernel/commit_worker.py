"""One of the processes that test_commit.py starts: random changes, and a list of what was sent and what was heard."""

import asyncio
import json
import sys
from typing import TextIO

import asyncpg
import uvloop

from kernel.actor import Actor
from pasar.kernel.commit import SETTINGS, Change, Committer, Verdict

CHANGES = 9_000
TASKS = 64


def note(log: TextIO, what: str, change: Change, rest: object) -> None:
    log.write(json.dumps([what, str(change.id), rest]) + "\n")  # One write per line survives kill -9.


async def main(dsn: str, no: int, path: str) -> None:
    with open(path, "w", buffering=1) as log:  # noqa: ASYNC230
        committer = Committer(lambda: asyncpg.connect(dsn, server_settings=SETTINGS))
        committer.start()
        actor, left = Actor(no, no), iter(range(CHANGES))
        reader = await asyncpg.connect(dsn, server_settings={"pasar.tenant": "*"})
        reading = asyncio.Lock()

        async def refresh(change: Change) -> None:
            nonlocal reader
            async with reading:
                try:
                    for append in change.appends:
                        actor.versions[append.id] = (
                            await reader.fetchval(
                                "select max(version) from kernel.event where tenant = 1 and kind = $1 and stream = $2",
                                *(append.kind, append.id),
                            )
                            or 0
                        )
                except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    reader = await asyncpg.connect(dsn, server_settings={"pasar.tenant": "*"})

        async def task() -> None:
            for _ in left:
                change = actor.change()
                events = [
                    [append.kind, append.id, append.expected + i + 1]
                    for append in change.appends
                    for i in range(len(append.events))
                ]
                note(log, "sent", change, {"key": change.key and change.key.key, "events": events})
                waiting = asyncio.ensure_future(committer.commit(change))
                if actor.random.random() < 0.01:  # An impatient caller.
                    await asyncio.sleep(0)
                    waiting.cancel()
                try:
                    result = await waiting
                except asyncio.CancelledError:
                    continue
                note(log, "heard", change, int(result.verdict))
                actor.learn(change, result.verdict)
                if result.verdict is Verdict.VERSION_CONFLICT and actor.random.random() < 0.7:
                    await refresh(change)

        await asyncio.gather(*(task() for _ in range(TASKS)))
        await committer.close()
        await reader.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
