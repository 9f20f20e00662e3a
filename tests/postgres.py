"""The PostgreSQL that tests run on: one server for all workers of a run, a migrated template, and copies of it."""

import asyncio
import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from pathlib import Path

import asyncpg
import msgspec

from pasar.kernel.embedded import EmbeddedServer
from pasar.kernel.migrate import fingerprint, migrate, prepare_roles, read_migrations
from pasar.kernel.module import Module
from pasar.kernel.roles import APP, OWNER, READER, with_database, with_login, with_role
from pasar.kernel.view_tables import prepare_views

EXTERNAL = "PASAR_TEST_DATABASE_URL"
FOLDER = "PASAR_TEST_FOLDER"
FOLDER_PREFIX = "pasar-test-"
SETTINGS = {"shared_buffers": "128MB", "max_connections": "300", "max_wal_size": "512MB", "wal_compression": "off"}
MEMORY, ROOM = Path("/dev/shm"), 4 << 30
"""A file system in memory, and the bytes that a run needs there. Databases are made and dropped by the hundred."""

_counter = itertools.count()


class TestDatabase(msgspec.Struct, frozen=True):
    """One database: `dsn` is a superuser's, `app_dsn` what API and workers use, `reader_dsn` may only read."""

    __test__ = False

    name: str
    dsn: str
    app_dsn: str
    reader_dsn: str
    migrations: int = 0
    """How many migrations it has."""


class TestServer:
    """A server that answers, and the way to databases on it."""

    __test__ = False

    def __init__(self, dsn: str, *, logins: bool, durable: bool) -> None:
        self.dsn = dsn  # A superuser's, of the maintenance database.
        self._logins = logins
        # Copying files needs a checkpoint: a third of the time of the other way without fsync, and much more with it.
        self._strategy = "wal_log" if durable else "file_copy"

    def _database(self, name: str, migrations: int) -> TestDatabase:
        dsn = with_database(self.dsn, name)
        act = with_login if self._logins else with_role
        return TestDatabase(name, dsn, act(dsn, APP), act(dsn, READER), migrations)

    async def template(self, modules: Sequence[Module] = ()) -> TestDatabase:
        """A database with all migrations, and the tables of the modules' views; made once per server."""
        migrations = read_migrations()
        views = "".join(view.definition for module in modules for view in module.views)
        name = f"pasar_template_{fingerprint(migrations)}_{sha256(views.encode()).hexdigest()[:12]}"
        database = self._database(name, len(migrations))
        async with _connected(self.dsn) as connection:
            await connection.execute("select pg_advisory_lock(hashtext($1))", database.name)
            ready = "select datistemplate from pg_database where datname = $1"
            if not await connection.fetchval(ready, database.name):
                await connection.execute(f"drop database if exists {database.name}")
                await connection.execute(f"create database {database.name}")
                await migrate(database.dsn)
                async with _connected(database.dsn) as inside:
                    await prepare_views(inside, modules)
                await connection.execute(f"alter database {database.name} owner to {OWNER}")
                await connection.execute(f"alter database {database.name} is_template true")
        return database

    async def create(self, template: TestDatabase) -> TestDatabase:
        database = self._database(f"pasar_test_{os.getpid()}_{next(_counter)}", template.migrations)
        async with _connected(self.dsn) as connection:
            await connection.execute(
                f"create database {database.name} owner {OWNER} template {template.name} strategy {self._strategy}"
            )
        return database

    async def drop(self, database: TestDatabase) -> None:
        async with _connected(self.dsn) as connection:
            await connection.execute(f"drop database if exists {database.name} with (force)")


@contextlib.asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


def start_server() -> TestServer:
    """The server named by PASAR_TEST_DATABASE_URL, else the embedded one of this run."""
    if external := os.environ.get(EXTERNAL):
        return TestServer(external, logins=asyncio.run(_lets_in(external, APP)), durable=True)
    server = EmbeddedServer(Path(os.environ[FOLDER]) / _server_name(), durable=False, settings=SETTINGS)
    return TestServer(server.start().dsn("postgres"), logins=True, durable=False)


async def _lets_in(dsn: str, role: str) -> bool:
    """Whether the server trusts whoever says to be `role`; else tests act as it by an option of the connection."""
    async with _connected(dsn) as connection:
        await connection.execute("select pg_advisory_lock(hashtext('roles of tests'))")  # All workers begin at once.
        await prepare_roles(connection)
    try:
        connection = await asyncpg.connect(with_login(dsn, role))
    except asyncpg.InvalidAuthorizationSpecificationError:
        return False
    await connection.close()
    return True


def _server_name() -> str:
    """Each worker of a run has a server of its own: a long transaction anywhere in a cluster holds back whoever follows
    a log in it, so that tests of one worker would make those of another wait."""
    return "postgres-" + os.environ.get("PYTEST_XDIST_WORKER", "alone")


def make_folder() -> Path:
    """A folder for this run; those of runs that were killed are removed with their servers."""
    base = _base()
    for folder in {place for where in {base, Path(tempfile.gettempdir())} for place in where.glob(FOLDER_PREFIX + "*")}:
        owner = folder / "pid"
        with contextlib.suppress(OSError, ValueError):
            if folder.stat().st_uid == os.geteuid() and not Path(f"/proc/{int(owner.read_text())}").exists():
                remove_folder(folder)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=base))
    folder.chmod(0o711)
    (folder / "pid").write_text(str(os.getpid()))
    return folder


def _base() -> Path:
    """Memory where there is enough of it, else the folder for temporary files."""
    with contextlib.suppress(OSError):
        if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
            return MEMORY
    return Path(tempfile.gettempdir())


def remove_folder(folder: Path) -> None:
    for server in folder.glob("postgres-*"):
        EmbeddedServer(server).remove()
    shutil.rmtree(folder, ignore_errors=True)
