"""The master key: it wraps all others, and is the one secret that has to be kept elsewhere than the data.

It comes from the environment (32 bytes, base64), or is made in the data folder, mode 0600, with a warning.
"""

import base64
import binascii
import hashlib
import os
import warnings
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VARIABLE = "PASAR_MASTER_KEY"
NEXT_VARIABLE = "PASAR_NEXT_MASTER_KEY"
FILE = "master.key"
_NEXT = "master.key.next"


def fresh(size: int) -> bytes:
    """Keys and nonces. Their chance comes from the machine alone: one that could be passed in could be guessed."""
    return os.urandom(size)


class KeyStoreError(Exception):
    """A sentence that says what is wrong with keys or key store, and what to do."""


class MasterKeyInFolder(UserWarning):
    """The master key lies beside the data: who copies the folder has both."""


class Master:
    """Wraps and unwraps data keys. `name` tells master keys apart without giving anything away."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise KeyStoreError(f"A master key has 32 bytes, this has {len(key)}. Make one: openssl rand -base64 32")
        self.key = key
        self.name = hashlib.blake2b(key, digest_size=8, person=b"pasar-master").hexdigest()
        self._cipher = AESGCM(key)

    def wrap(self, secret: bytes, meant_for: str) -> bytes:
        nonce = fresh(12)
        return nonce + self._cipher.encrypt(nonce, secret, meant_for.encode())

    def unwrap(self, wrapped: bytes, meant_for: str) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:12], wrapped[12:], meant_for.encode())
        except InvalidTag:
            raise KeyStoreError(
                f"The key of {meant_for} cannot be unwrapped: it was altered. Restore the key store from its last copy."
            ) from None


def parse(text: str, where: str) -> bytes:
    """32 bytes of base64, as written by people: both alphabets, padding or none."""
    text = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 32:
        raise KeyStoreError(f"{where} is not a master key: 32 bytes in base64. Make one: openssl rand -base64 32")
    return key


def write_private(file: Path, data: bytes) -> None:
    """Write a file that only we can read, durably and whole or not at all."""
    unfinished = file.with_name(file.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(data)
        os.fsync(out.fileno())
    unfinished.rename(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def masters(folder: Path, environment: Mapping[str, str]) -> list[Master]:
    """The master keys at hand, the current one first: that of the environment, else those of the folder.

    There are two only while a rotation is under way; the key store says which one it was written with.
    """
    if VARIABLE in environment:
        given = [name for name in (VARIABLE, NEXT_VARIABLE) if environment.get(name)]
        return [Master(parse(environment[name], name)) for name in given]
    found = [folder / name for name in (FILE, _NEXT) if (folder / name).exists()]
    return [Master(parse(file.read_text(), str(file))) for file in found]


def next_master(environment: Mapping[str, str]) -> Master:
    """The one to rotate to: made here where it lives in the folder, else it must be given, or nobody would know it."""
    if VARIABLE not in environment:
        return Master(fresh(32))
    if not environment.get(NEXT_VARIABLE):
        raise KeyStoreError(
            f"The master key comes from {VARIABLE}, so the next one must too: give all processes {NEXT_VARIABLE} (made"
            f" by openssl rand -base64 32), rotate, then make it their {VARIABLE}."
        )
    return Master(parse(environment[NEXT_VARIABLE], NEXT_VARIABLE))


def make_in_folder(folder: Path) -> Master:
    """A new master key beside the data, said aloud."""
    master = Master(fresh(32))
    write_private(folder / FILE, base64.b64encode(master.key) + b"\n")
    warnings.warn(
        f"Made a master key in {folder / FILE}. Whoever copies this folder can read personal data: on a server, move"
        f" the key into the environment as {VARIABLE} and delete the file.",
        MasterKeyInFolder,
        stacklevel=3,
    )
    return master


def announce_next(folder: Path, master: Master) -> None:
    """Before a rotation: the next master key is durable in the folder, so that a crash half-way loses nothing."""
    write_private(folder / _NEXT, base64.b64encode(master.key) + b"\n")


def settle_on(folder: Path, master: Master) -> None:
    """After a rotation, or after one that was cut off: keep the master key that the store is written with, alone."""
    for name in (FILE, _NEXT):
        file = folder / name
        if file.exists() and Master(parse(file.read_text(), str(file))).name != master.name:
            file.unlink()
    if (folder / _NEXT).exists():
        (folder / _NEXT).rename(folder / FILE)
    sync_folder(folder)
