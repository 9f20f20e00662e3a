"""PostgreSQL servers for drills, made with PostgreSQL's own programs, as an operator would."""

import asyncio
import shutil
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from pasar.kernel.embedded_host import find_programs, make_private, processes_in, run, service_user

from .nemesis import signal_all
from .target import NotAsExpected, until

SETTINGS = {
    "listen_addresses": "127.0.0.1", "shared_buffers": "64MB", "wal_level": "replica", "max_wal_senders": "5",
    "hot_standby": "on", "timezone": "UTC", "max_wal_size": "512MB",
}  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """One server in a folder. It trusts whoever reaches it: it lives for a drill on one machine."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data, self.port = folder / "data", free_port()
        self._folder, self._settings = folder, {**SETTINGS, **(settings or {})}
        self._programs, self._user = find_programs(None, None), service_user()

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def _run(self, program: str, *arguments: object) -> None:
        done = run([self._programs / program, *map(str, arguments)], self._user)
        if done.returncode != 0:
            log = self._folder / "postgres.log"
            told = log.read_text()[-1000:] if log.exists() else ""
            raise NotAsExpected(f"{program}: {done.stdout}{done.stderr}\n{told}"[-2000:])

    def create(self) -> None:
        make_private(self._folder, self._user)
        self._run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--locale=C.UTF-8", "--data-checksums")

    def follow(self, primary: "Server") -> None:
        """Begin as a standby of another server, from a base backup of it."""
        make_private(self._folder, self._user)
        connection = f"host=127.0.0.1 port={primary.port} user=postgres application_name=standby"
        self._run("pg_basebackup", "-D", self.data, "-d", connection, "-R", "-X", "stream", "-c", "fast")

    def base_backup(self, target: Path) -> None:
        connection = f"host=127.0.0.1 port={self.port} user=postgres"
        self._run("pg_basebackup", "-D", target, "-d", connection, "-X", "none", "-c", "fast")
        self._run("pg_verifybackup", "-n", target)

    def configure(self, **settings: str) -> None:
        self._settings.update(settings)

    def start(self, *, wait: bool = True) -> None:
        written = {**self._settings, "port": str(self.port), "unix_socket_directories": ""}
        text = "\n".join(f"{name} = '{value}'" for name, value in written.items())
        file = self.data / "postgresql.conf"
        file.write_text(text + "\n")
        file.chmod(0o644)
        log = self._folder / "postgres.log"
        self._run("pg_ctl", "-D", self.data, "-l", log, "-t", "60", *(["-w"] if wait else ["-W"]), "start")

    def promote(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "promote")

    def kill(self) -> None:
        """As a power cut would."""
        signal_all(processes_in(self.data), signal.SIGKILL)

    async def killed(self) -> None:
        self.kill()

        async def gone() -> bool:
            return not processes_in(self.data)

        await until(gone, "the end of a killed server")
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def ask(self, sql: str, *arguments: object) -> object:
        connection = await asyncpg.connect(self.dsn, timeout=5)
        try:
            return await connection.fetchval(sql, *arguments)
        finally:
            await connection.close()

    async def tell(self, *statements: str) -> None:
        """Statements that may not stand in a transaction."""
        connection = await asyncpg.connect(self.dsn, timeout=5)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def is_ready(self) -> bool:
        try:
            return await self.ask("select not pg_is_in_recovery()") is True
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False


async def in_thread(act: object, *arguments: object) -> None:
    """The programs of PostgreSQL take seconds; clients go on meanwhile."""
    await asyncio.to_thread(act, *arguments)  # type: ignore[arg-type]
