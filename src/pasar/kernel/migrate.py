"""Brings a database to the newest schema: numbered SQL files, forward only, each applied once and never edited.

A file `NNNN_name.sql` runs in one transaction as `pasar_owner`. A file whose first line is `-- no-transaction` holds a
single statement that PostgreSQL refuses inside one (`create index concurrently`); it must bear being repeated, since a
crash may come between the statement and its record.
"""

import asyncio
import hashlib
import itertools
import re
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import msgspec

from .roles import APP, CREATE_ROLES, OWNER, READER

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
OLDEST_POSTGRES = 150000

_LOCK = 7_201_733_001
_FILE_NAME = re.compile(r"\d{4}_[a-z0-9_]+")
_NO_TRANSACTION = "-- no-transaction"


class MigrationError(Exception):
    """A sentence that says what is wrong with the database or the files, and what to do."""


class Migration(msgspec.Struct, frozen=True):
    id: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def in_transaction(self) -> bool:
        return not self.sql.startswith(_NO_TRANSACTION)


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The files of the folder in their order; two files of one number or a misnamed file are refused."""
    found = [Migration(file.stem, file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.sql"))]
    for migration in found:
        if not _FILE_NAME.fullmatch(migration.id):
            raise MigrationError(f"{migration.id}.sql is misnamed: call it NNNN_what_it_does.sql.")
    for earlier, later in itertools.pairwise(found):
        if earlier.id[:4] == later.id[:4]:
            raise MigrationError(f"{earlier.id}.sql and {later.id}.sql have one number: give the newer one the next.")
    return found


def fingerprint(migrations: Sequence[Migration]) -> str:
    """A short name of exactly these files."""
    whole = "\n".join(f"{migration.id} {migration.checksum}" for migration in migrations)
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


async def migrate(database: str | asyncpg.Connection, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing, as one of possibly many processes that start at once; the ids that were applied.

    `database` is an address or an open connection of somebody who may act as `pasar_owner`, or may make the roles.
    """
    migrations = read_migrations(folder)
    if not isinstance(database, str):
        return await _migrate(database, migrations)
    connection = await asyncpg.connect(database)
    try:
        return await _migrate(connection, migrations)
    finally:
        await connection.close()


async def _migrate(connection: asyncpg.Connection, migrations: Sequence[Migration]) -> list[str]:
    # Asked for again and again: who waits inside a statement holds a snapshot, and `create index concurrently` of the
    # process that has the lock would wait for that snapshot for ever.
    while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110 - nobody here wakes us
        await asyncio.sleep(0.05)
    try:
        await prepare_roles(connection)
        done = await _applied(connection)
        missing = _check(migrations, done)
        for migration in missing:
            await _apply(connection, migration)
        return [migration.id for migration in missing]
    finally:
        if not connection.is_closed():
            await connection.execute("select pg_advisory_unlock($1)", _LOCK)


async def prepare_roles(connection: asyncpg.Connection) -> None:
    """Make the roles that are missing, and let the owner's role create schemas in this database."""
    version = int(str(await connection.fetchval("show server_version_num")))
    if version < OLDEST_POSTGRES:
        raise MigrationError(f"This server is PostgreSQL {version // 10000}; Pasar needs 15 or newer.")
    present = set(await _column(connection, "select rolname from pg_roles where rolname = any($1)", list(CREATE_ROLES)))
    absent = [role for role in CREATE_ROLES if role not in present]
    try:
        for role in absent:
            await _create_role(connection, role)
        if not await connection.fetchval("select pg_has_role($1, 'member')", OWNER):
            await connection.execute(f"grant {OWNER} to current_user")
        if not await connection.fetchval("select has_database_privilege($1, current_database(), 'create')", OWNER):
            name = await connection.fetchval("select quote_ident(current_database())")
            await connection.execute(f"grant create on database {name} to {OWNER}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(await _what_the_administrator_runs(connection, absent)) from error


async def _create_role(connection: asyncpg.Connection, role: str) -> None:
    """Roles belong to the whole server: a process that migrates another of its databases may make them meanwhile."""
    for statement in CREATE_ROLES[role]:
        try:
            await connection.execute(statement)
        except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            continue
        except asyncpg.InternalServerError as error:  # "tuple concurrently updated": the other one sets the same.
            if "concurrently updated" not in str(error):
                raise


async def _what_the_administrator_runs(connection: asyncpg.Connection, absent: Sequence[str]) -> str:
    user = await connection.fetchval("select quote_ident(current_user)")
    name = await connection.fetchval("select quote_ident(current_database())")
    statements = [statement for role in absent for statement in CREATE_ROLES[role]]
    statements += [f"grant {OWNER} to {user}", f"grant create on database {name} to {OWNER}"]
    return (
        f"The database user {user} may not prepare the roles {OWNER}, {APP} and {READER}. Let an administrator of the"
        f" server run this in database {name}, then start again:\n" + "".join(f"  {line};\n" for line in statements)
    )


async def _applied(connection: asyncpg.Connection) -> dict[str, str]:
    """What was applied before: id → checksum. The record itself belongs to the owner's role."""
    if await connection.fetchval("select to_regclass('migration.applied')") is None:
        async with connection.transaction():
            await connection.execute(f"set local role {OWNER}")
            await connection.execute(
                """
                create schema if not exists migration;
                create table if not exists migration.applied (
                    id text primary key,
                    sha256 text not null,
                    took_ms int not null,
                    applied_at timestamptz not null default now()
                )
                """
            )
            await connection.execute(
                f"grant usage on schema migration to {APP}, {READER};"
                f"grant select on migration.applied to {APP}, {READER}"
            )
    return dict(await connection.fetch("select id, sha256 from migration.applied order by id"))


def _check(migrations: Sequence[Migration], done: dict[str, str]) -> list[Migration]:
    """The migrations to apply; refused when history and files disagree."""
    known = {migration.id: migration for migration in migrations}
    for id, checksum in done.items():
        if id not in known:
            raise MigrationError(
                f"The database has the migration {id}, which this version of Pasar does not know: it was used with a"
                " newer version. Install that version, or restore a backup made before it."
            )
        if known[id].checksum != checksum:
            raise MigrationError(
                f"{id}.sql was edited after it was applied. Restore the file as it was, and write what is new into a"
                " new file."
            )
    newest = max(done, default="")
    missing = [migration for migration in migrations if migration.id not in done]
    for migration in missing:
        if migration.id < newest:
            raise MigrationError(
                f"{migration.id}.sql comes before {newest}, which is applied: give it the next number."
            )
    return missing


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    started = time.perf_counter()

    async def run_and_record() -> None:
        await connection.execute(migration.sql)
        took_ms = round((time.perf_counter() - started) * 1000)
        await connection.execute(
            "insert into migration.applied (id, sha256, took_ms) values ($1, $2, $3)",
            *(migration.id, migration.checksum, took_ms),
        )

    try:
        if migration.in_transaction:
            async with connection.transaction():
                await connection.execute(f"set local role {OWNER}")
                await run_and_record()
        else:
            await connection.execute(f"set role {OWNER}")
            try:
                await run_and_record()
            finally:
                await connection.execute("reset role")
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{migration.id}.sql failed and was not applied: {error}") from error


async def _column(connection: asyncpg.Connection, query: str, *arguments: object) -> list[str]:
    return [row[0] for row in await connection.fetch(query, *arguments)]
