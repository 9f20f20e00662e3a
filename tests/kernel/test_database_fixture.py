"""The fixtures themselves: right roles, separate databases."""

import asyncpg
import pytest

from pasar.kernel.migrate import MIGRATIONS
from postgres import TestDatabase


async def test_each_login_is_the_role_it_says(database: TestDatabase) -> None:
    for dsn, role in ((database.app_dsn, "pasar_app"), (database.reader_dsn, "pasar_reader")):
        connection = await asyncpg.connect(dsn)
        try:
            row = await connection.fetchrow(
                "select current_user, rolsuper, rolbypassrls, current_database()"
                " from pg_roles where rolname = current_user"
            )
            assert tuple(row or ()) == (role, False, False, database.name)
        finally:
            await connection.close()


async def test_a_database_is_migrated_and_belongs_to_the_owner_role(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.dsn)
    try:
        assert await connection.fetchval("select count(*) from migration.applied") == len(
            list(MIGRATIONS.glob("*.sql"))
        )
        owner = "select pg_get_userbyid(datdba) from pg_database where datname = current_database()"
        assert await connection.fetchval(owner) == "pasar_owner"
    finally:
        await connection.close()


@pytest.mark.parametrize("turn", [1, 2])
async def test_no_test_sees_what_another_wrote(fresh_database: TestDatabase, turn: int) -> None:
    connection = await asyncpg.connect(fresh_database.dsn)
    try:
        await connection.execute("create table only_mine (id int)")
    finally:
        await connection.close()
