"""Migrations: each once, in order, whole or not at all, however many processes start at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from pasar.kernel.migrate import MigrationError, migrate, read_migrations
from pasar.kernel.roles import with_database, with_login, with_role
from postgres import TestDatabase, TestServer

Write = Callable[..., Path]


@pytest.fixture
async def empty(postgres_server: TestServer, template_database: TestDatabase) -> AsyncIterator[str]:
    """The address of a database without any schema of ours."""
    name = f"pasar_empty_{id(object())}"
    connection = await asyncpg.connect(postgres_server.dsn)
    await connection.execute(f"create database {name} template template0")
    yield with_database(postgres_server.dsn, name)
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_files(**files: str) -> Path:
        for name, sql in files.items():
            (tmp_path / f"{name.removeprefix('m')}.sql").write_text(sql)
        return tmp_path

    return write_files


async def value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_files_are_applied_once_and_in_order(empty: str, write: Write) -> None:
    folder = write(m0001_first="create table public.a (n int)", m0002_second="insert into public.a values (1)")
    await value(empty, "grant create on schema public to pasar_owner")
    assert await migrate(empty, folder) == ["0001_first", "0002_second"]
    assert await migrate(empty, folder) == []
    write(m0003_third="insert into public.a values (2)")
    assert await migrate(empty, folder) == ["0003_third"]
    assert await value(empty, "select array_agg(n order by n) from public.a") == [1, 2]


async def test_what_they_make_belongs_to_the_owner_role(empty: str, write: Write) -> None:
    await migrate(empty, write(m0001_first="create schema shop; create table shop.a (n int)"))
    assert await value(empty, "select relowner::regrole::text from pg_class where relname = 'a'") == "pasar_owner"
    assert await value(empty, "select current_user") != "pasar_owner"


async def test_an_open_connection_serves_as_well_and_keeps_its_own_role(empty: str, write: Write) -> None:
    connection = await asyncpg.connect(empty)
    before = await connection.fetchval("select current_user")
    assert await migrate(connection, write(m0001_first="create schema shop")) == ["0001_first"]
    assert await connection.fetchval("select current_user") == before
    await connection.close()


async def test_many_at_once_apply_each_file_once(empty: str, write: Write) -> None:
    folder = write(m0001_first="create schema shop", m0002_second="create table shop.a (n int); select pg_sleep(0.2)")
    applied = await asyncio.gather(*(migrate(empty, folder) for _ in range(4)))
    assert sorted(applied) == [[], [], [], ["0001_first", "0002_second"]]


async def test_a_file_that_fails_leaves_nothing_and_those_before_it_stay(empty: str, write: Write) -> None:
    folder = write(m0001_good="create schema shop", m0002_bad="create table shop.a (n int); select 1 / 0")
    with pytest.raises(MigrationError, match=r"0002_bad\.sql failed and was not applied: division by zero"):
        await migrate(empty, folder)
    assert await value(empty, "select to_regclass('shop.a')") is None
    write(m0002_bad="create table shop.a (n int)")
    assert await migrate(empty, folder) == ["0002_bad"]


async def test_a_file_may_opt_out_of_the_transaction(empty: str, write: Write) -> None:
    index = "-- no-transaction\ncreate index concurrently if not exists a_n on shop.a (n)"
    folder = write(m0001_first="create schema shop; create table shop.a (n int)", m0002_index=index)
    applied = await asyncio.gather(*(migrate(empty, folder) for _ in range(3)))
    assert sorted(applied) == [[], [], ["0001_first", "0002_index"]]
    assert await value(empty, "select indisvalid from pg_index where indexrelid = 'shop.a_n'::regclass") is True
    assert await value(empty, "select relowner::regrole::text from pg_class where relname = 'a_n'") == "pasar_owner"


async def test_an_edited_a_missing_and_a_late_file_are_refused(empty: str, write: Write) -> None:
    folder = write(m0002_second="create schema shop")
    await migrate(empty, folder)
    write(m0002_second="create schema shop2")
    with pytest.raises(MigrationError, match=r"0002_second\.sql was edited after it was applied"):
        await migrate(empty, folder)
    write(m0002_second="create schema shop", m0001_first="create schema late")
    with pytest.raises(MigrationError, match=r"0001_first\.sql comes before 0002_second"):
        await migrate(empty, folder)
    (folder / "0001_first.sql").unlink()
    (folder / "0002_second.sql").rename(folder / "0003_third.sql")
    with pytest.raises(MigrationError, match="used with a newer version"):
        await migrate(empty, folder)


def test_misnamed_files_and_equal_numbers_are_refused(write: Write) -> None:
    with pytest.raises(MigrationError, match=r"0001_a\.sql and 0001_b\.sql have one number"):
        read_migrations(write(m0001_a="", m0001_b=""))
    with pytest.raises(MigrationError, match="misnamed"):
        read_migrations(write(m1_a=""))


def test_the_packages_own_files_are_in_order() -> None:
    assert [migration.id[:4] for migration in read_migrations()][:1] in ([], ["0001"])


async def test_a_user_without_the_rights_is_told_what_an_administrator_runs(empty: str, write: Write) -> None:
    """Applied as printed, the statements are all that is needed."""
    user = "plain_" + urlsplit(empty).path.removeprefix("/")
    admin = await asyncpg.connect(empty)
    await admin.execute(f"create role {user} login")
    try:
        plain = with_role(empty, user)
        with pytest.raises(MigrationError, match="Let an administrator") as caught:
            await migrate(plain, write(m0001_first="create schema shop"))
        await admin.execute("".join(str(caught.value).splitlines()[1:]))
        assert await migrate(plain, write()) == ["0001_first"]
    finally:
        await admin.execute(f"drop owned by {user}; drop role {user}")
        await admin.close()


def test_addresses_become_those_of_other_roles() -> None:
    dsn = "postgresql://me:pw@host:5/db?host=/a&port=6"
    assert with_login(dsn, "pasar_app") == "postgresql://pasar_app@host:5/db?host=/a&port=6"
    assert with_login("postgresql://me@h/db", "r", "p/w") == "postgresql://r:p%2Fw@h/db"
    assert with_login("postgresql:///db?user=me&host=/a", "r") == "postgresql://r@/db?host=/a"
    assert with_database(dsn, "other") == "postgresql://me:pw@host:5/other?host=/a&port=6"
    assert with_role("postgresql://me@h/db", "pasar_app") == "postgresql://me@h/db?options=-crole%3Dpasar_app"
