"""The key store: seals personal values with a key per person and purpose, opens them, and destroys keys.

    keys = await SqliteKeyStore.open_in(folder, clock)
    sealed = await keys.seal(tenant, event, event_id)       # AES-256-GCM; new keys are durable first
    readable = await keys.open_all(answer)
    await keys.erase(tenant, person)                        # unreadable everywhere, backups included

Several processes may share it. Each keeps unwrapped keys for at most 30 s, so an erasure elsewhere is heard by then.
What is asked for while the store is being written waits for the next write: new keys of many events cost one flush.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import re
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .clock import Clock
from .keyfile import KeyFile, KeyRow, Owner, reading, written
from .master import KeyStoreError, Master, fresh
from .private import Private, plan_of, replace_plain, replace_sealed, sealed_in

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
CACHED_S = 30.0
CACHE_SIZE = 20_000
COPIES_LIVE = timedelta(days=14)
_COPY_NAME = re.compile(r"keys-(\d{8}T\d{6}Z)\.(sqlite|master)")


class PersonErased(Exception):
    """Something was to be recorded about a person whose keys were destroyed. They get no new ones."""


class Altered(KeyStoreError):
    """A sealed value is not what was sealed: it was changed, or moved to another key, event or field."""


class Kept(NamedTuple):
    """What law keeps of a person: a copy in the vault, with its term."""

    id: str
    class_: str
    until: datetime
    values: dict[str, str]


class Retained(NamedTuple):
    """Something that law makes us keep of a person: its class, its name within the class, the end of its term."""

    class_: str
    name: str
    until: datetime
    values: dict[str, str]


class _Key(NamedTuple):
    id: str
    bound_to: str
    cipher: AESGCM | None
    until: float


def normalised(kind: str, text: str) -> str:
    """Mail addresses without case, telephone numbers as digits, so that one person's spellings meet."""
    text = unicodedata.normalize("NFKC", text).strip().casefold()
    if kind in ("phone", "mobile", "telephone"):
        digits = re.sub(r"[^0-9+]", "", text)
        return digits[:1] + digits[1:].replace("+", "")
    return text


def _bound_to(owner: Owner) -> str:
    return f"{owner[0]}\x1f{owner[1]}\x1f{owner[2]}"


class SqliteKeyStore:
    """The embedded key store: one SQLite file in a folder of its own."""

    def __init__(self, file: KeyFile, thread: ThreadPoolExecutor, clock: Clock, monotonic: Callable[[], float]) -> None:
        self._file, self._thread, self._clock, self._monotonic = file, thread, clock, monotonic
        self._by_owner: dict[Owner, _Key] = {}
        self._by_id: dict[str, _Key] = {}
        self._asked: dict[Owner, asyncio.Future[KeyRow | None]] = {}
        self._writing: asyncio.Task[None] | None = None
        self._digest_secret = file.digest_secret()

    @classmethod
    async def open_in(
        cls,
        folder: Path,
        clock: Clock,
        *,
        environment: Mapping[str, str] = os.environ,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> "SqliteKeyStore":
        """Open the store of a folder, or make it. Raises `KeyStoreError` with what to do."""
        thread = ThreadPoolExecutor(1, "keys")
        try:
            with reading(folder):
                file = await asyncio.get_running_loop().run_in_executor(thread, KeyFile, folder, environment)
                return cls(file, thread, clock, monotonic)
        except BaseException:
            thread.shutdown(wait=False)
            raise

    async def close(self) -> None:
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._run(self._file.close)
        self._thread.shutdown()

    @property
    def folder(self) -> Path:
        return self._file.folder

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        with reading(self.folder):
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    # Sealing.

    def has_private(self, kind: type) -> bool:
        return plan_of(kind) is not None

    async def seal(self, tenant: int, event: S, event_id: UUID) -> S:
        """An event, or another value that has a person, with every plain value sealed. Raises `PersonErased`."""
        plan = plan_of(type(event))
        if plan is None:
            return event
        person = str(event.person)  # type: ignore[attr-defined]  # `plan_of` made sure of it.
        now, by_owner = self._monotonic(), self._by_owner
        keys: dict[str, _Key] = {}
        for purpose in plan.purposes:
            key = by_owner.get((tenant, person, purpose))
            if key is None or key.until < now:
                keys = await self._keys_for(tenant, person, event)
                break
            keys[purpose] = key
        id = str(event_id)

        def seal(value: Private[Any], purpose: str, path: str) -> Private[Any]:
            key = keys[purpose]
            if key.cipher is None:
                raise PersonErased(f"person {person} was erased")
            nonce = fresh(12)
            bound_to = f"{key.bound_to}\x1f{id}\x1f{path}".encode()
            box = nonce + key.cipher.encrypt(nonce, value.plain_text.encode(), bound_to)
            return Private.sealed(key.id, id, path, base64.urlsafe_b64encode(box).rstrip(b"=").decode())

        return replace_plain(event, seal)

    async def _keys_for(self, tenant: int, person: str, event: msgspec.Struct) -> dict[str, _Key]:
        """Keys of just those purposes of which the event has plain values."""
        purposes: set[str] = set()

        def note(value: Private[Any], purpose: str, path: str) -> Private[Any]:
            purposes.add(purpose)
            return value

        replace_plain(event, note)
        wanted = sorted(purposes)
        found = await asyncio.gather(*(self._key_of((tenant, person, purpose)) for purpose in wanted))
        return dict(zip(wanted, found, strict=True))

    async def _key_of(self, owner: Owner) -> _Key:
        key = self._by_owner.get(owner)
        if key is not None and key.until >= self._monotonic():
            return key
        asked = self._asked.get(owner)
        if asked is None:
            asked = self._asked[owner] = asyncio.get_running_loop().create_future()
            if self._writing is None:
                self._writing = asyncio.create_task(self._serve(), name="key store")
        row = await asyncio.shield(asked)
        if row is None:
            raise PersonErased(f"person {owner[1]} was erased")
        return self._remember(row)

    async def _serve(self) -> None:
        """All that is asked for while the file is busy is served by its next transaction."""
        try:
            while self._asked:
                asked, self._asked = self._asked, {}
                try:
                    found = await self._run(self._file.of_owners, list(asked), self._clock.now())
                except Exception as error:
                    for waiting in asked.values():
                        waiting.set_exception(error)
                        waiting.exception()  # Whoever waits still gets it; nobody need be left.
                else:
                    for owner, waiting in asked.items():
                        waiting.set_result(found.get(owner))
        finally:
            self._writing = None

    def _remember(self, row: KeyRow) -> _Key:
        cipher = None if row.secret is None else AESGCM(row.secret)
        key = _Key(row.id, _bound_to(row.owner), cipher, self._monotonic() + CACHED_S)
        for cache, name in ((self._by_owner, row.owner), (self._by_id, row.id)):
            cache.pop(name, None)  # type: ignore[call-overload]
            cache[name] = key  # type: ignore[index]
            if len(cache) > CACHE_SIZE:
                del cache[next(iter(cache))]  # type: ignore[arg-type]
        return key

    # Opening.

    async def open(self, value: Private[Any]) -> str:
        """The text; empty when its key was destroyed."""
        return (await self.open_all(value)).plain_text

    async def open_all(self, value: T) -> T:
        """The value with every sealed part opened; what cannot be opened any more becomes `Private.gone()`."""
        envelopes = sealed_in(value)
        if not envelopes:
            return value
        now, keys = self._monotonic(), {}
        missing = []
        for id in {envelope.envelope[0] for envelope in envelopes}:
            key = self._by_id.get(id)
            if key is None or key.until < now:
                missing.append(id)
            else:
                keys[id] = key
        if missing:
            for row in await self._run(self._file.by_id, missing):
                keys[row.id] = self._remember(row)
        return replace_sealed(value, lambda envelope: _opened(envelope, keys.get(envelope.envelope[0])))

    async def known(self, ids: Sequence[str]) -> set[str]:
        """Which of these keys the store has; those of erased persons count."""
        return await self._run(self._file.known, ids)

    def digest(self, kind: str, text: str, *, tenant: int = 1) -> str:
        """A keyed hash of a normalised text, to look it up by without knowing it. Rotation does not change it."""
        message = f"{tenant}\x1f{kind}\x1f{normalised(kind, text)}".encode()
        digest = hmac.digest(self._digest_secret, message, hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    # Erasing, and what law keeps.

    async def erase(self, tenant: int, person: UUID) -> int:
        """Destroy all keys of a person for ever; how many there were. May be repeated."""
        for cache in (self._by_owner, self._by_id):
            for name, key in list(cache.items()):
                if key.bound_to.startswith(f"{tenant}\x1f{person}\x1f"):
                    del cache[name]  # type: ignore[arg-type]
        destroyed = await self._run(self._file.erase, tenant, str(person), self._clock.now())
        for name, key in list(self._by_owner.items()):  # Those that were asked for while the file was busy.
            if name[:2] == (tenant, str(person)):
                del self._by_owner[name]
                self._by_id.pop(key.id, None)
        return destroyed

    async def keep(
        self, tenant: int, person: UUID, class_: str, until: datetime, values: Mapping[str, str], *, record: str = ""
    ) -> str:
        """Copy what law keeps into the vault, under a key of its own that dies with its term; the record's id. Kept
        again under the same name (`record`) and class it replaces what was there."""
        id, secret, nonce = fresh(12).hex(), fresh(32), fresh(12)
        if record:
            id = hashlib.blake2b(f"{tenant}/{person}/{class_}/{record}".encode(), digest_size=12).hexdigest()
        bound_to = f"{tenant}\x1f{person}\x1f{class_}\x1f{written(until)}\x1f{id}".encode()
        box = nonce + AESGCM(secret).encrypt(nonce, msgspec.json.encode(dict(values)), bound_to)
        now = self._clock.now()
        await self._run(self._file.keep, tenant, str(person), class_, written(until), now, id, box, secret)
        return id

    async def read_vault(self, tenant: int, person: UUID, *, by: str, why: str) -> list[Kept]:
        """What is kept of a person. The reading itself is recorded first, with who and why."""
        if not (by and why):
            raise KeyStoreError("Say who reads the vault, and why")
        kept = []
        for row in await self._run(self._file.read_vault, tenant, str(person), by, why, self._clock.now()):
            bound_to = f"{tenant}\x1f{person}\x1f{row.class_}\x1f{row.until}\x1f{row.id}".encode()
            try:
                plain = AESGCM(row.secret).decrypt(row.box[:12], row.box[12:], bound_to)
            except InvalidTag:
                raise Altered(f"Vault record {row.id} was altered") from None
            values = msgspec.json.decode(plain, type=dict[str, str])
            kept.append(Kept(row.id, row.class_, datetime.fromisoformat(row.until), values))
        return kept

    async def readings(self, tenant: int, person: UUID) -> list[tuple[str, str, str, str]]:
        """Who read a person's vault: record, who, why, when."""
        return await self._run(self._file.readings, tenant, str(person))

    async def expire_vault(self) -> int:
        """Destroy the records whose term is over; how many."""
        return await self._run(self._file.expire_vault, self._clock.now())

    # The master key, and copies.

    async def rotate(self, new: bytes | None = None) -> int:
        """Wrap all keys with a new master key; without one, with that of the environment, or one made in the folder."""
        return await self._run(self._file.rotate, None if new is None else Master(new))

    async def copy_to(self, folder: Path) -> Path:
        """A copy of the store, which dies within 14 days; older ones in the folder die now."""
        return await self._run(_copy, self._file, folder, self._clock.now())

    async def faults(self) -> list[tuple[str, str]]:
        """Where the store is not as it was written, and what is wrong there."""
        return await self._run(lambda: list(self._file.faults()))

    async def copies(self) -> list[Path]:
        """The folders that this store was ever copied to."""
        return await self._run(KeyFile.copies, self._file)

    async def expire_copies(self) -> list[Path]:
        """Delete the copies of this store that are 14 days old, wherever they were put."""
        return await self._run(_expire_known_copies, self._file, self._clock.now())


def _opened(envelope: Private[Any], key: _Key | None) -> Private[Any]:
    if key is None or key.cipher is None:
        return Private.gone()
    _, event, field, box = envelope.envelope
    try:
        sealed = base64.urlsafe_b64decode(box + "=" * (-len(box) % 4))
        bound_to = f"{key.bound_to}\x1f{event}\x1f{field}".encode()
        return Private(key.cipher.decrypt(sealed[:12], sealed[12:], bound_to).decode())
    except (InvalidTag, ValueError):
        raise Altered(f"The value of {field} in event {event} was altered") from None


def _copy(store: KeyFile, folder: Path, now: datetime) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    expire_copies(folder, now)
    file = folder / f"keys-{now:%Y%m%dT%H%M%SZ}.sqlite"
    file.unlink(missing_ok=True)  # Of the same second: this one is newer.
    store.copy_to(file)
    store.note_copies(folder.absolute())
    return file


def _expire_known_copies(store: KeyFile, now: datetime) -> list[Path]:
    return [file for folder in store.copies() if folder.is_dir() for file in expire_copies(folder, now)]


def copied_at(file: Path) -> datetime:
    """When a copy was made, by its name; raises `KeyStoreError` for a file that is no copy."""
    match = _COPY_NAME.fullmatch(file.name)
    if match is None:
        raise KeyStoreError(f"{file} is not a copy of a key store (keys-<time>.sqlite)")
    return datetime.fromisoformat(match[1])


def expire_copies(folder: Path, now: datetime) -> list[Path]:
    """Delete the copies that are 14 days old, their bytes overwritten first."""
    expired = []
    for file in sorted(folder.glob("keys-*")):
        if _COPY_NAME.fullmatch(file.name) and copied_at(file) + COPIES_LIVE <= now:
            with file.open("rb+") as handle:
                handle.write(bytes(file.stat().st_size))
                os.fsync(handle.fileno())
            file.unlink()
            expired.append(file)
    return expired
