"""Commits that are cut at every moment have one effect; a store that simply tries again has two. And what bad networks
do to a payment provider harms nobody else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from pasar.apps.lab import domain
from pasar.apps.lab.commit_proxy import CommitProxy
from pasar.apps.lab.evidence import Evidence
from pasar.apps.lab.proxies import Address, Proxy, ToxicProxy, Toxics
from pasar.kernel.bus import Contended, Context, Core
from pasar.kernel.pool import LOST, PoolExhausted
from postgres import TestDatabase

pytestmark = pytest.mark.slow

KEYS = 60
CLIENTS = 20


def upstream_of(dsn: str) -> Address:
    """Where a DSN leads to."""
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    host, port = query.get("host", [parts.hostname or "127.0.0.1"])[0], int(query.get("port", [parts.port or 5432])[0])
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)


def through(dsn: str, proxy: Proxy) -> str:
    """The same database by way of a proxy."""
    parts = urlsplit(dsn)
    user = f"{parts.username}:{parts.password}" if parts.password else parts.username
    return f"postgresql://{user}@127.0.0.1:{proxy.port}{parts.path}"


@asynccontextmanager
async def cutting(dsn: str, seed: int, share: float, **more: object) -> AsyncIterator[tuple[CommitProxy, str]]:
    proxy = CommitProxy(upstream_of(dsn), seed, share=share, **more)  # type: ignore[arg-type]
    await proxy.start()
    try:
        yield proxy, through(dsn, proxy)
    finally:
        await proxy.close()


async def insist(core: Core, number: int) -> bytes:
    """One intent, asked for until there is an answer; its key stays the same."""
    while True:
        bus = core.bus(Context(principal="lab", route="lab", key=f"k{number}", request_hash=b"%d" % number))
        try:
            await bus.send(domain.AppendValue(list=f"cut-{number // 1000}-{number % 7}", value=number))
        except (Contended, PoolExhausted, TimeoutError, *LOST):
            continue
        assert bus.reply is not None
        return bus.reply.body


@pytest.mark.promise("A6")
async def test_cut_commits_have_one_effect(database: TestDatabase, tmp_path: Path, proof: Evidence) -> None:
    async with cutting(database.app_dsn, proof.seed(21), 0.3) as (proxy, dsn):
        async with domain.opened(dsn, tmp_path, cores=2) as cores:
            for core in cores:
                core.database.committer.group = 4  # Many commits, so many cuts.
            intents = proof.number(34_000, 300)
            numbers = iter(range(intents))

            async def client() -> None:
                for number in numbers:
                    answers = await asyncio.gather(*(insist(core, number) for core in (*cores, cores[0])))
                    assert len(set(answers)) == 1, "twins heard different answers"
                    proof.attempt(len(answers))

            await asyncio.gather(*(client() for _ in range(CLIENTS)))
        for moment, number in proxy.cuts.items():
            proof.fault(f"commits cut {moment}" if moment != "late" else "commits answered late", number)
        assert set(proxy.cuts) == {"before", "halfway", "after", "late"}
    connection = await asyncpg.connect(database.dsn)
    sql = "select (data ->> 'value')::int as value, count(*) as n from kernel.event where kind = 'lab.list' group by 1"
    effects = {row["value"]: row["n"] for row in await connection.fetch(sql)}
    await connection.close()
    assert effects == dict.fromkeys(range(intents), 1), "an intent had no effect, or two"


async def test_a_store_that_tries_again_is_found(database: TestDatabase) -> None:
    """The usual way: when the connection is lost, do it once more."""
    owner = await asyncpg.connect(database.dsn)
    await owner.execute("create table naive_order (key text)")
    async with cutting(database.dsn, 3, 0.5, marker=b"insert into naive_order", moments=("before", "after")) as (
        _,
        dsn,
    ):
        for number in range(40):
            while True:
                try:
                    connection = await asyncpg.connect(dsn)
                    await connection.execute("insert into naive_order values ($1)", str(number))
                    await connection.close()
                    break
                except (*LOST, asyncpg.PostgresError):
                    continue
    doubled = await owner.fetchval("select count(*) from (select from naive_order group by key having count(*) > 1) x")
    await owner.close()
    assert doubled > 0, "the proxy cuts too early or too late: nothing was doubled"


@pytest.mark.parametrize(("moment", "written"), [("before", 0), ("halfway", 0), ("after", 1)])
async def test_a_commit_is_cut_where_it_is_said(database: TestDatabase, moment: str, written: int) -> None:
    owner = await asyncpg.connect(database.dsn)
    await owner.execute("create table cut (n int)")
    async with cutting(database.dsn, 1, 1.0, marker=b"insert into cut", moments=(moment,)) as (proxy, dsn):
        connection = await asyncpg.connect(dsn)
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.ConnectionDoesNotExistError, OSError)):
            await connection.execute("insert into cut values ($1)", 1)
        assert proxy.cuts == {moment: 1}
    assert await owner.fetchval("select count(*) from cut") == written
    await owner.close()


async def test_a_transaction_block_is_cut_at_its_commit(database: TestDatabase) -> None:
    owner = await asyncpg.connect(database.dsn)
    await owner.execute("create table cut (n int)")
    async with cutting(database.dsn, 1, 1.0, moments=("before",)) as (proxy, dsn):
        connection = await asyncpg.connect(dsn)
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)):
            async with connection.transaction():
                await connection.execute("insert into cut values (1)")
        assert proxy.cuts == {"before": 1}
    assert await owner.fetchval("select count(*) from cut") == 0
    await owner.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
        await writer.drain()
    writer.close()


Met = Callable[[bytes, float], bool]
SENT = b"0123456789" * 20


@pytest.mark.parametrize(
    ("toxics", "met"),
    [
        (Toxics(), lambda got, took: got == SENT),
        (Toxics(latency_s=0.05, jitter_s=0.02), lambda got, took: got == SENT and took >= 0.1),
        (Toxics(slice=7), lambda got, took: got == SENT),
        (Toxics(bytes_s=2000), lambda got, took: got == SENT and took >= 0.2),
        (Toxics(flip=1.0), lambda got, took: len(got) == len(SENT) and got != SENT),
        (Toxics(black_hole=1.0), lambda got, took: got == b""),
        (Toxics(reset=1.0), lambda got, took: len(got) < len(SENT)),
        (Toxics(half_close=1.0), lambda got, took: 0 < len(got) < len(SENT)),
    ],
    ids=["none", "latency", "slices", "rate", "flipped", "black hole", "reset", "half closed"],
)
async def test_each_toxic_does_what_it_says(toxics: Toxics, met: Met) -> None:
    listening = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = ToxicProxy(listening.sockets[0].getsockname(), 1, toxics)
    reader, writer = await asyncio.open_connection("127.0.0.1", await proxy.start())
    clock = asyncio.get_running_loop().time
    began, got = clock(), b""
    writer.write(SENT)
    try:
        async with asyncio.timeout(1.0 if toxics.black_hole else 30):
            while len(got) < len(SENT) and (data := await reader.read(1000)):
                got += data
    except (TimeoutError, ConnectionError):
        pass
    assert met(got, clock() - began), (got, clock() - began)
    writer.close()
    await proxy.close()
    listening.close()
