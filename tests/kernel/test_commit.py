"""The commit judges each change of a group alone, exactly as one after the other; and keeps what it acknowledged."""

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from kernel.actor import INVARIANTS, Actor, Model
from pasar.apps.lab.evidence import Evidence
from pasar.kernel.commit import CALL, SETTINGS, Verdict, pack
from postgres import TestDatabase


async def broken_invariants(dsn: str) -> dict[str, list[Any]]:
    connection = await asyncpg.connect(dsn, server_settings={"pasar.tenant": "*"})
    try:
        found = {what: await connection.fetch(sql) for what, sql in INVARIANTS.items()}
    finally:
        await connection.close()
    return {what: rows[:3] for what, rows in found.items() if rows}


@pytest.mark.requirement("S1-026")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.promise("A4")
async def test_every_verdict_is_that_of_a_sequential_model(database: TestDatabase, proof: Evidence, seed: int):
    chance = random.Random(proof.seed(seed))
    actor, model = Actor(1, seed), Model()
    connection = await asyncpg.connect(database.app_dsn, server_settings=SETTINGS)
    commit = (await connection.prepare(CALL)).fetchrow
    met: Counter[Verdict] = Counter()
    for _ in range(proof.number(1_000, 60)):
        group = [actor.change() for _ in range(chance.choice((1, 7, 64)))]
        proof.attempt(len(group))
        verdicts, details, positions, _, bodies, _ = await commit(*pack(group))
        for change, verdict, detail, position, body in zip(group, verdicts, details, positions, bodies, strict=True):
            assert (verdict, detail, body) == model.judge(change), change
            assert (position is not None) == (verdict == Verdict.OK and bool(change.appends))
            actor.learn(change, Verdict(verdict))
            met[Verdict(verdict)] += 1
        actor.versions = dict(model.versions)
    await connection.close()
    assert set(met) == set(Verdict) - {Verdict.ALREADY}, "the actor no longer tries everything"
    assert await broken_invariants(database.dsn) == {}


async def test_a_change_that_was_committed_unheard_is_recognised(database: TestDatabase):
    connection = await asyncpg.connect(database.app_dsn, server_settings=SETTINGS)
    actor = Actor(1, 7)
    change = actor.change()
    while not change.appends or change.key or change.postings:
        change = actor.change()
    change.appends = [append._replace(expected=0, claims=()) for append in change.appends]
    first = await connection.fetchrow(CALL, *pack([change]))
    again = await connection.fetchrow(CALL, *pack([change]))
    await connection.close()
    assert first is not None
    assert again is not None
    assert (first["verdict"], again["verdict"]) == ([Verdict.OK], [Verdict.ALREADY])
    assert first["pos"] == again["pos"]


@pytest.mark.requirement("S1-026", "S2-049")
async def test_the_log_and_the_journal_cannot_be_rewritten(database: TestDatabase):
    owner = await asyncpg.connect(database.dsn)
    for statement in (
        "update kernel.event set type = 'x'",
        "delete from kernel.event",
        "truncate kernel.event",
        "update kernel.transfer set amount = 1",
        "delete from kernel.transfer",
        "delete from kernel.seal",
    ):
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await owner.execute(statement)
    await owner.close()
    app = await asyncpg.connect(database.app_dsn)
    for statement in (
        "insert into kernel.event (tenant, kind, stream, version, type, data, meta, change, at, epoch)"
        " values (1, 'k', 's', 1, 't', '{}', '{}', gen_random_uuid(), now(), 1)",
        "update kernel.account set balance = 10",
        "update kernel.stream set version = 1",
        "insert into kernel.claim values (1, 'k', 'x', 'o', 'o')",
        "delete from kernel.answer",
        "update kernel.timer set due_at = now()",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(statement)
    await app.close()


async def test_a_connection_sees_the_tenant_it_was_opened_for(database: TestDatabase):
    change = Actor(1, 3).change()
    while not change.appends or change.postings:
        change = Actor(1, random.Random(str(change.id)).randrange(10_000)).change()
    change.appends = [append._replace(expected=0, claims=()) for append in change.appends]
    writer = await asyncpg.connect(database.app_dsn, server_settings=SETTINGS)
    await writer.fetchrow(CALL, *pack([change]))
    await writer.close()
    seen = {}
    for tenant in ("1", "2", "", "*"):
        reader = await asyncpg.connect(database.app_dsn, server_settings={"pasar.tenant": tenant})
        seen[tenant] = await reader.fetchval("select count(*) > 0 from kernel.event")
        await reader.close()
    assert seen == {"1": True, "2": False, "": False, "*": True}


@pytest.mark.slow
@pytest.mark.promise("B2", "A6")
async def test_what_was_acknowledged_is_there_after_kills_and_cut_connections(database: TestDatabase):
    """Two processes of 64 tasks each; their connections are cut at random and one of them is killed."""
    with tempfile.TemporaryDirectory() as folder:
        logs = [Path(folder) / f"{no}.log" for no in (1, 2)]
        script = Path(__file__).with_name("commit_worker.py")
        workers = [
            subprocess.Popen(  # noqa: ASYNC220
                [sys.executable, script, database.app_dsn, str(no), log],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            for no, log in enumerate(logs, 1)
        ]
        superuser = await asyncpg.connect(database.dsn)
        cuts, rounds = 0, 0
        while any(worker.poll() is None for worker in workers):
            await asyncio.sleep(0.15)
            rounds += 1
            cuts += await superuser.fetchval(
                """select count(pg_terminate_backend(pid)) from (
                       select pid from pg_stat_activity where query like '%commit_changes%' and pid <> pg_backend_pid()
                          and datname = current_database() order by random() limit 1) x"""
            )
            if rounds >= 15 and workers[0].poll() is None and heard_much(logs[0]):
                workers[0].kill()
        assert workers[1].returncode == 0
        assert cuts > 3
        await _judge(superuser, logs)
        await superuser.close()
    assert await broken_invariants(database.dsn) == {}


def heard_much(log: Path) -> bool:
    """Whether a worker is well under way: on a busy machine its start takes long."""
    return log.exists() and log.stat().st_size > 50_000


async def _judge(connection: Any, logs: list[Path]) -> None:
    """What was accepted was written, whole; what was refused was not; what was never answered is whole or not there."""
    sent, heard = {}, {}
    for log in logs:
        for line in log.read_text().split("\n")[:-1]:  # A killed process leaves half a line.
            what, id, rest = json.loads(line)
            (sent if what == "sent" else heard)[UUID(id)] = rest
    await asyncio.sleep(0.5)
    events, answers = defaultdict(list), {}
    for row in await connection.fetch("select change, kind, stream, version from kernel.event order by version"):
        events[UUID(str(row["change"]))].append([row["kind"], row["stream"], row["version"]])
    for row in await connection.fetch("select change, key from kernel.answer"):
        answers[UUID(str(row["change"]))] = row["key"]
    unheard = 0
    for id, change in sent.items():
        wrote = id in events or id in answers
        verdict = heard.get(id)
        if verdict is None:
            unheard += 1
            accepted = wrote
        else:
            own_echo = verdict == Verdict.REPLAY and answers.get(id) == change["key"]
            accepted = verdict in (Verdict.OK, Verdict.ALREADY) or own_echo
        assert accepted == wrote, (id, change, verdict)
        if accepted:
            assert sorted(events[id]) == sorted(change["events"]), (id, change)
            assert change["key"] is None or answers[id] == change["key"], (id, change)
    assert set(events) | set(answers) <= set(sent)
    assert len(heard) > 1000
    assert unheard > 0
