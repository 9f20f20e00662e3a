"""Hostile texts, tokens and requests against the whole deployment: nothing is effected; and the judge finds effects."""

import os
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from journeys.town import Town
from pasar.apps.lab.corpora import (
    Effect,
    NoCorpora,
    check_costly,
    check_payloads,
    check_tokens,
    families,
)
from pasar.apps.lab.evidence import Evidence, scale
from pasar.apps.lab.target import NotAsExpected, Reply, Target

pytestmark = pytest.mark.slow

OWN = Path(__file__).parents[1] / "data" / "corpora"
MORE = "LAB_CORPORA"
"""Names a folder with larger corpora."""


def database_of(town: Town) -> Any:
    """Tables, roles, settings, and how many streams there are but of those whose texts are stored."""

    async def look() -> tuple[Any, ...]:
        connection = await asyncpg.connect(town.addresses.owner)
        tables = (
            "select string_agg(schemaname || '.' || tablename, ',' order by schemaname, tablename) from pg_tables"
            " where schemaname !~ '^pg_'"
        )
        found = [
            await connection.fetchval(sql)
            for sql in (
                tables,
                "select string_agg(rolname, ',' order by rolname) from pg_roles",
                "select count(*) from kernel.stream where kind not in ('identity.account')",
                "select count(*) from kernel.transfer",
            )
        ]
        await connection.close()
        return tuple(found)

    return look


def texts_here(proof: Evidence) -> list[str]:
    """Our own; and, where a folder is named, as much of it as the scale says."""
    found = [text for texts in families(OWN).values() for text in texts]
    more = os.environ.get(MORE)
    proof.figure("corpora", "our own and those of LAB_CORPORA" if more else "our own only: LAB_CORPORA names no folder")
    if more:
        for texts in families(Path(more)).values():
            step = max(1, round(1 / float(scale()) / 10))
            found += texts[::step]
    return found


@pytest.mark.requirement("S2-095")
@pytest.mark.timeout(900)
@pytest.mark.promise("D3")
async def test_payloads_have_no_effect(town: Town, target: Target, proof: Evidence) -> None:
    await check_payloads(target, proof, texts_here(proof), database_of(town))


@pytest.mark.promise("D7")
async def test_attacked_tokens_are_refused(target: Target, proof: Evidence) -> None:
    await check_tokens(target, proof)


@pytest.mark.promise("D12")
async def test_costly_requests_are_refused_at_once(town: Town, target: Target, proof: Evidence) -> None:
    api = town.children["api"].process
    assert api is not None
    process = psutil.Process(api.pid)

    def spent_s() -> float:
        times = process.cpu_times()
        return times.user + times.system

    await check_costly(target, proof, spent_s)


class Careless:
    """A deployment that answers `reply` where a text is in what it is asked."""

    def __init__(self, target: Target, text: str, reply: Reply) -> None:
        self._target, self._text, self._reply = target, text, reply

    async def member(self) -> Any:
        return await self._target.member()

    async def guest(self) -> Any:
        return await self._target.guest()

    async def ask(self, method: str, path: str, body: Any = None, *more: Any, **headers: Any) -> Reply:
        if self._text in f"{path} {body} {headers}":
            return self._reply
        return await self._target.ask(method, path, body, *more, **headers)


@pytest.mark.parametrize(
    ("where", "reply", "told"),
    [
        ("cursor=boom", Reply(500, {}, b"syntax error at or near"), "500"),
        ("cursor=boom", Reply(400, {"x-injected": "1"}, b""), "made headers"),
        ("media/boom", Reply(200, {}, b"root:x:0:0"), "200"),
        ("media/boom", Reply(302, {"location": "/\\\\evil.example"}, b""), "leads to"),
        (
            "'recipient': 'boom'",
            Reply(201, {}, b'{"addresses":[{"address":{"recipient":"49"},"address_id":"1"}]}'),
            "came back",
        ),
    ],
    ids=["error", "header", "file", "redirect", "evaluated"],
)
async def test_an_effect_is_found(town: Town, target: Target, where: str, reply: Reply, told: str) -> None:
    careless: Any = Careless(target, where, reply)
    with pytest.raises(Effect, match=told):
        await check_payloads(careless, Evidence("twin", ()), ["boom"], database_of(town))


async def test_a_changed_database_is_found(target: Target) -> None:
    looks = iter([1, 2])

    async def look() -> int:
        return next(looks)

    with pytest.raises(Effect, match="changed"):
        await check_payloads(target, Evidence("twin", ()), [], look)


async def test_who_takes_a_forged_token_or_works_for_nothing_is_found(target: Target) -> None:
    believing: Any = Careless(target, "/me", Reply(200, {}, b"{}"))
    with pytest.raises(NotAsExpected, match="a token with"):
        await check_tokens(believing, Evidence("twin", ()))
    spent = iter(range(100))
    with pytest.raises(NotAsExpected, match="costs 1000 ms"):
        await check_costly(target, Evidence("twin", ()), lambda: float(next(spent)))


def test_a_folder_without_corpora_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoCorpora, match="holds no corpora"):
        families(tmp_path)
