"""The embedded PostgreSQL: a real server in a folder of ours, started when needed, shared by processes that attach.

    server = EmbeddedServer(Path(".pasar/postgres"))
    address = server.start()          # seconds the first time, a few ms when it runs already
    connection = await asyncpg.connect(address.dsn())

The server is made whole or not at all: roles and the database `pasar` exist before its data folder gets its name. The
Unix socket, in a folder closed to other users, trusts who can reach it; TCP on 127.0.0.1 asks for a password.
"""

import contextlib
import os
import secrets
import shlex
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from .embedded_host import (
    EmbeddedError,
    Programs,
    ServiceUser,
    advice,
    end_processes,
    find_programs,
    make_private,
    processes_in,
    reachable_folder,
    reachable_programs,
    run,
    service_user,
    socket_folder,
)
from .embedded_record import DATABASE, SUPERUSER, Address, Record, asks, of_os_error
from .roles import APP, CREATE_ROLES, OWNER, READER

__all__ = ["DATABASE", "Address", "EmbeddedError", "EmbeddedServer"]

START_WITHIN_S = 300  # Recovery of a large write-ahead log after a crash takes its time.
STOP_WITHIN_S = 60
ENDS_WITHIN_S = 10
"""How long what is left of a server that was stopped may take before it is killed."""
_LOG_LIMIT_BYTES = 10_000_000

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "2GB",
    "wal_level": "replica",
    "wal_compression": "pglz",
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "jit": "off",
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_vacuum_cost_delay": "8ms",  # Not all of a core, while buyers wait for it.
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": "%m [%p] ",
    "log_min_duration_statement": "500ms",
    "log_parameter_max_length": "0",  # Parameters may tell of persons.
    "log_parameter_max_length_on_error": "0",
}
_REMEDIES = {
    "No space left on device": "The disk is full. Free some space, then start again; what was committed is safe.",
    "Disk quota exceeded": "The disk quota is used up. Free some space, then start again; what was committed is safe.",
    "Address already in use": "The port is taken by another program.",
    "Permission denied": "A file or folder may not be read or written by the server's user. Check owner and modes.",
    "Read-only file system": "The file system is read-only. Choose another folder with PASAR_DATA_DIR.",
    "Cannot allocate memory": "There is not enough memory for the server. Free some, or set DATABASE_URL to a server.",
    "could not map anonymous shared memory": "There is not enough memory for the server. Free some.",
    "invalid checkpoint record": "The data folder is damaged. Restore a backup with `pasar restore`.",
    "could not locate a valid checkpoint record": "The data folder is damaged. Restore a backup with `pasar restore`.",
}


class EmbeddedServer:
    """One server and its folder. Any number of processes may start it at once: the first does, the others attach.

    `port` 0 picks a free one and keeps it. `durable=False` is for tests that do not crash the machine. `settings` are
    PostgreSQL's own and win over those of this module.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        programs: Path | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(os.path.abspath(folder))
        self._record = Record(self.folder)
        self.notices: list[str] = []
        self.started_here = False
        self._port = port
        self._chosen_programs = programs
        self._settings = dict(_SETTINGS)
        if not durable:
            self._settings |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        self._settings |= settings or {}

    def start(self) -> Address:
        """Make, start or attach to the server; returns when it answers."""
        with self._record.locked():
            address = self._record.read()
            if address is not None and self._wait_while_busy(address):
                if self._port not in (0, address.port):
                    self.notices.append(f"The server runs already, on port {address.port}.")
                return address
            try:
                return self._start(address)
            except OSError as error:
                raise of_os_error(error, self.folder) from error

    def running(self) -> Address | None:
        """Its address while it answers; never starts it."""
        address = self._record.read()
        return address if address is not None and asks(address) == "ready" else None

    def stop(self, mode: str = "fast") -> None:
        """Stop it, whoever started it; a server that is down stays down. `immediate` is a crash on purpose."""
        with self._record.locked():
            address = self._record.read()
            if address is None or not processes_in(address.home / "data"):
                return
            user = service_user(address.home / "data")
            programs = self._programs(address.home, user)
            command = [programs / "pg_ctl", "-D", address.home / "data", "-w", "-t", str(STOP_WITHIN_S), "stop", "-m"]
            done = run([*command, mode], user)
            if done.returncode != 0 and mode != "immediate" and (address.home / "data" / "postmaster.pid").exists():
                done = run([*command, "immediate"], user)
            # Its lock file is gone before its last processes are: pg_ctl may be done, or have nobody to tell.
            if end_processes(address.home / "data", ENDS_WITHIN_S):
                raise EmbeddedError(f"The server in {address.home} does not stop: {_last(done.stdout + done.stderr)}")

    def remove(self) -> None:
        """Stop it and delete its data for good."""
        address = self._record.read()
        if address is None:
            return
        self.stop("immediate")
        shutil.rmtree(address.socket, ignore_errors=True)
        shutil.rmtree(address.home, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    # The steps of a start; the caller holds the lock.

    def _start(self, known: Address | None) -> Address:
        user = service_user(known.home / "data" if known else None)
        home = known.home if known else reachable_folder(self.folder, user)
        home.mkdir(parents=True, exist_ok=True)
        if home != self.folder:
            self.notices.append(
                f"{user.name if user else ''} cannot reach {self.folder}: the data is in {home}.".strip()
            )
        programs = self._programs(home, user)
        address = known or Address(home, home / "socket", self._port, _new_passwords())
        address = msgspec.structs.replace(address, socket=socket_folder(home, address.socket, user))
        self._record.write(address)  # Before there is data, so that nothing is made that nobody finds again.
        if not (home / "data" / "PG_VERSION").exists():
            self._make_cluster(address, programs, user)
        self._clear_stale_files(address)
        attempts = 1 if self._port else 3
        for attempt in range(attempts):
            address = msgspec.structs.replace(address, port=self._choose_port(address.port))
            self._record.write(address)
            failure = self._launch(address, programs, user)
            if failure is None:
                self.started_here = True
                return address
            if "Address already in use" not in failure or attempt == attempts - 1:
                raise self._failed(failure, address)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _programs(self, home: Path, user: ServiceUser | None) -> Programs:
        major = _major_of(home / "data")
        programs = find_programs(self._chosen_programs, major)
        if major is not None and programs.major != major:
            raise EmbeddedError(
                f"The data folder {home / 'data'} is of PostgreSQL {major}, but the programs in {programs.folder} are"
                f" of {programs.major}, which cannot open it. Name a PostgreSQL {major} with PASAR_DATABASE_PROGRAMS,"
                " or move the data with `pasar backup` and `pasar restore`, or choose another PASAR_DATA_DIR."
            )
        return reachable_programs(programs, user, home)

    def _make_cluster(self, address: Address, programs: Programs, user: ServiceUser | None) -> None:
        """Make the data folder under another name, with roles and database, and rename it when it is whole."""
        home, unfinished = address.home, address.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        make_private(unfinished, user)
        password_file = home / "password.unfinished"
        password_file.unlink(missing_ok=True)
        with open(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(address.passwords[SUPERUSER] + "\n")
        if user:
            os.chown(password_file, user.uid, user.gid)
        provider = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if programs.major >= 17 else []
        options = [
            "-U",
            SUPERUSER,
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            *provider,
            "--data-checksums",
            "--no-instructions",
        ]
        access = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password_file}"]
        try:
            done = run([programs / "initdb", "-D", unfinished, *options, *access], user)
            if done.returncode == 0:
                statements = "\n".join(_first_statements(address.passwords)) + "\n"
                single = [programs / "postgres", "--single", "-D", unfinished, "-c", "exit_on_error=on", SUPERUSER]
                done = run(single, user, input=statements)
        finally:
            password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise self._failed(done.stdout + done.stderr, address)
        unfinished.rename(home / "data")

    def _clear_stale_files(self, address: Address) -> None:
        """After a kill -9: wait until the orphans of the old server are gone, then take its lock file away.

        PostgreSQL does this itself where the process id in the file is free; it cannot when the id is that of a zombie
        or of another program that got it since.
        """
        data = address.home / "data"
        if not (data / "postmaster.pid").exists() or not os.path.isdir("/proc"):
            return
        deadline = time.monotonic() + 20
        while living := processes_in(data):
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"Processes of an earlier server still work in {data} and do not answer: {living}. End them with"
                    f" `kill {living[0]}`, then start again."
                )
            time.sleep(0.02)
        (data / "postmaster.pid").unlink(missing_ok=True)
        for file in address.socket.glob(".s.PGSQL.*"):
            file.unlink(missing_ok=True)

    def _choose_port(self, remembered: int) -> int:
        if self._port:
            if not _is_free(self._port):
                raise EmbeddedError(
                    f"Port {self._port} on 127.0.0.1 is taken by another program. Stop that program, or choose another"
                    " port with PASAR_DATABASE_PORT (0 picks a free one)."
                )
            return self._port
        if remembered and _is_free(remembered):
            return remembered
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def _launch(self, address: Address, programs: Programs, user: ServiceUser | None) -> str | None:
        """What the server said when it did not start."""
        configuration = self._write_configuration(address)
        log = _open_log(address.home / "postgres.log", user)
        position = log.stat().st_size
        data = address.home / "data"
        command = [programs / "pg_ctl", "-D", data, "-w", "-t", str(START_WITHIN_S), "-l", log]
        options = "-c config_file=" + shlex.quote(str(configuration))
        done = run([*command, "-o", options, "start"], user)
        if done.returncode == 0 and self._wait_while_busy(address):
            return None
        with log.open("rb") as file:
            file.seek(position)
            return file.read(100_000).decode(errors="replace") + done.stderr

    def _write_configuration(self, address: Address) -> Path:
        """All settings stand in a file of ours; what `alter system` wrote still wins."""
        settings = self._settings | {
            "port": str(address.port),
            "unix_socket_directories": str(address.socket),
            "unix_socket_permissions": "0700",
        }
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
        file = address.home / "postgresql.conf"
        file.write_text("# Written at every start.\n" + "\n".join(lines) + "\n")
        file.chmod(0o644)
        return file

    def _failed(self, output: str, address: Address) -> EmbeddedError:
        remedy = advice(output, _REMEDIES) or "See the end of its log."
        if "Address already in use" in output:
            remedy = f"Port {address.port} is taken by another program: choose one with PASAR_DATABASE_PORT (0 picks)."
        return EmbeddedError(
            f"The embedded PostgreSQL in {address.home} did not start. {remedy} It said: {_last(output)}"
        )

    def _wait_while_busy(self, address: Address) -> bool:
        """Whether it answers; waits while it is starting or recovering."""
        deadline = time.monotonic() + START_WITHIN_S
        while (state := asks(address)) == "busy" and time.monotonic() < deadline:
            time.sleep(0.02)
        return state == "ready"


def _new_passwords() -> dict[str, str]:
    return {role: secrets.token_urlsafe(24) for role in (SUPERUSER, APP, READER)}


def _first_statements(passwords: Mapping[str, str]) -> list[str]:
    roles = [statement for statements in CREATE_ROLES.values() for statement in statements]
    logins = [f"alter role {role} password '{passwords[role]}'" for role in (APP, READER)]
    return [*roles, *logins, f"create database {DATABASE} owner {OWNER}"]


def _major_of(data: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int((data / "PG_VERSION").read_text())
    return None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _open_log(log: Path, user: ServiceUser | None) -> Path:
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if user:
        os.fchown(handle, user.uid, user.gid)
    os.close(handle)
    return log


def _last(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error:", "ERROR"))]
    return " | ".join((telling or lines)[-3:]) or "nothing."
