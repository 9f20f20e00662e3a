"""What is remembered about an embedded server in the folder it was asked for, and whether it answers."""

import contextlib
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec

from .embedded_host import EmbeddedError

DATABASE = "pasar"
SUPERUSER = "postgres"


class Address(msgspec.Struct, frozen=True):
    """Where a server answers, and what opens it."""

    home: Path
    socket: Path
    port: int
    passwords: dict[str, str] = {}  # role → password, for TCP

    def dsn(self, database: str = DATABASE, *, role: str = SUPERUSER, tcp: bool = False) -> str:
        """By the Unix socket, which costs a fifth less; or by TCP, for programs that cannot."""
        if tcp:
            return f"postgresql://{role}:{self.passwords[role]}@127.0.0.1:{self.port}/{database}"
        return f"postgresql://{role}@/{database}?host={quote(str(self.socket))}&port={self.port}"


class Record:
    """The lock and the address of the server of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise of_os_error(error, self.folder) from error
        with os.fdopen(handle, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read(self) -> Address | None:
        try:
            stored = msgspec.json.decode((self.folder / "server.json").read_bytes(), type=Address, dec_hook=_as_path)
            home = self.folder / stored.home
            return msgspec.structs.replace(stored, home=home, socket=home / stored.socket)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise of_os_error(error, self.folder) from error
        except ValueError as error:
            raise EmbeddedError(
                f"{self.folder / 'server.json'} is damaged: {error}. Restore it from a backup."
            ) from error

    def write(self, address: Address) -> None:
        """Paths below the folder are written relative to it, so that the folder can be moved."""
        if address.socket.is_relative_to(address.home):
            address = msgspec.structs.replace(address, socket=address.socket.relative_to(address.home))
        if address.home == self.folder:
            address = msgspec.structs.replace(address, home=Path("."))
        unfinished = self.folder / "server.json.unfinished"
        unfinished.unlink(missing_ok=True)
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(address, enc_hook=str))
            os.fsync(file.fileno())
        unfinished.rename(self.folder / "server.json")


def _as_path(kind: type, value: str) -> Path:
    return kind(value)


def asks(address: Address) -> str:
    """`ready`, `busy` (starting, recovering, stopping) or `down`: what the server answers to a greeting."""
    body = struct.pack("!I", 196608) + f"user\0{SUPERUSER}\0database\0{SUPERUSER}\0\0".encode()
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            link.connect(str(address.socket / f".s.PGSQL.{address.port}"))
            link.sendall(struct.pack("!I", len(body) + 4) + body)
            answer = link.recv(1024)
            if answer[:1] == b"R":
                link.sendall(b"X\0\0\0\4")
                return "ready"
            # Too many clients is an answer too: it runs.
            return "ready" if b"C53300\0" in answer else "busy" if b"C57P03\0" in answer else "down"
    except TimeoutError:
        return "busy"
    except OSError:
        return "down"


def of_os_error(error: OSError, folder: Path) -> EmbeddedError:
    place = error.filename or folder
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EmbeddedError(f"The disk is full: {place} cannot be written. Free some space, then start again.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return EmbeddedError(
            f"{place} belongs to somebody else, or may not be written. Start as the user who made it, or choose another"
            " folder with PASAR_DATA_DIR."
        )
    return EmbeddedError(f"{place}: {error.strerror}. Choose another folder with PASAR_DATA_DIR.")
