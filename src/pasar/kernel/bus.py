"""From a command to a durable change: load, decide, seal what is private, commit; again when somebody was faster."""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol, TypeVar, get_args, get_type_hints
from uuid import UUID

from msgspec import structs

from .clock import Clock
from .commit import Append, Change, Deadline, Key, Result, Verdict, event_id, posting
from .decider import Decider, Set, Take, Unique
from .ids import Ids
from .ledger import family_of
from .messages import Answer, Command, Event, Refusal, Refused, Value, decode, encode, name_of
from .store import Database, Reader, Stored
from .tools import Tools

T = TypeVar("T")


class Seals(Protocol):
    """The key store, as far as the bus needs it: it encrypts what is private in an event."""

    def has_private(self, kind: type) -> bool: ...

    async def seal(self, tenant: int, event: Event, event_id: UUID) -> Event: ...


class Context(Value):
    """Who asks, and why: it travels into the log, the logs and the traces."""

    tenant: int = 1
    principal: str = "system"
    roles: frozenset[str] = frozenset()
    request_id: str = ""
    correlation_id: str = ""
    causation_id: str | None = None
    route: str = ""
    key: str | None = None
    request_hash: bytes = b""
    success_status: int = 200
    deadline: float | None = None
    """Of the event loop's clock: who asked waits no longer than that."""


class Position(NamedTuple):
    """Where a write is in the log; a reader may wait until its view has got there."""

    xid: int
    position: int

    def __str__(self) -> str:
        return f"{self.xid}.{self.position}"


class Reply(NamedTuple):
    """The stored answer of a key."""

    status: int
    body: bytes


class KeyReused(Exception):
    """The idempotency key was used before, for another request."""


class Contended(Exception):
    """The streams of this command keep changing under it: try again later."""


class UnknownCommand(Exception):
    """No decider takes this command."""


class Core(Tools):
    """What a process has one of: the database, the deciders by command, clock, ids, settings and keys."""

    def __init__(
        self,
        database: Database,
        deciders: Sequence[Decider[Any]],
        *,
        clock: Clock,
        ids: Ids,
        keys: Seals,
        settings: Any = None,
    ) -> None:
        super().__init__()
        self.database, self.clock, self.ids, self.keys, self.settings = database, clock, ids, keys, settings
        self.deciders = {decider.kind: decider for decider in deciders}
        self.routes: dict[type[Command], Decider[Any]] = {}
        self.commands: dict[str, type[Command]] = {}
        for decider in deciders:
            for command in decider.commands:
                if command in self.routes:
                    raise TypeError(f"{command.__name__} is taken by {decider.kind} and {self.routes[command].kind}")
                self.routes[command] = decider
                self.commands[name_of(command)] = command
        self._names = {event: name_of(event) for decider in deciders for event in decider.events}
        self._private = {event for event in self._names if keys.has_private(event)}
        self.answers = {decider.kind: _answer_type(decider) for decider in deciders}

    def bus(self, context: Context | None = None) -> "Bus":
        return Bus(self, context or Context())

    def decider(self, command: Command) -> Decider[Any]:
        found = self.routes.get(type(command))
        if found is None:
            raise UnknownCommand(name_of(type(command)))
        return found

    def command(self, name: str, data: str | bytes) -> Command:
        """A stored command: of a timer, of a process."""
        kind = self.commands.get(name)
        if kind is None:
            raise UnknownCommand(name)
        return decode(data, kind)

    def name(self, event: Event) -> str:
        name = self._names.get(type(event))
        if name is None:
            raise TypeError(f"{type(event).__name__} is not an event of the decider that decided it")
        return name

    async def seal(self, tenant: int, event: Event, id: UUID) -> Event:
        return await self.keys.seal(tenant, event, id) if type(event) in self._private else event


def _answer_type(decider: Decider[Any]) -> Any:
    if decider.answer is None:
        return None
    hint = get_type_hints(decider.answer).get("return")
    members = [
        member for member in get_args(hint) or (hint,) if isinstance(member, type) and issubclass(member, Answer)
    ]
    return members[0] if members else None


class _Decided(NamedTuple):
    decider: Decider[Any]
    stream: str
    before: Stored[Any]
    events: Sequence[Event]


class Bus:
    """Sends commands for one request, timer or follower. Its first committed change carries the idempotency key."""

    MAX_ATTEMPTS = 12

    def __init__(self, core: Core, context: Context) -> None:
        self._core, self.context = core, context
        self._keyed = context.key is not None
        self.position: Position | None = None
        self.reply: Reply | None = None
        """What is stored as the answer of the key: send these bytes, then a repeat gets the very same."""
        self.replayed = False

    @property
    def clock(self) -> Clock:
        return self._core.clock

    @property
    def ids(self) -> Ids:
        return self._core.ids

    @property
    def settings(self) -> Any:
        return self._core.settings

    @property
    def keys(self) -> Any:
        return self._core.keys

    def tool(self, kind: type[T], make: Callable[[], T] | None = None) -> T:
        return self._core.tool(kind, make)

    @property
    def db(self) -> Reader:
        return self._core.database.reader(self.context.tenant)

    def now(self) -> datetime:
        return self._core.clock.now()

    def without_key(self) -> "Bus":
        """For changes of the same request that are not its answer. They must bear repeating by themselves."""
        return Bus(self._core, structs.replace(self.context, key=None))

    def keyed(self, route: str, key: str) -> "Bus":
        """For a change of the same principal that has a key of its own."""
        return Bus(self._core, structs.replace(self.context, route=route, key=key, request_hash=b""))

    async def send(self, command: Command) -> Any:
        """One command, one change. Returns the decider's answer; raises what it refuses."""
        return await self.send_together(command)

    async def fire(self, command: Command, kind: str, stream: str, name: str) -> Any:
        """A timer's command; the timer is cleared in the same change, unless what happens sets it anew."""
        return await self.send_together(command, clears=Deadline(kind, stream, name, None))

    async def send_together(self, *commands: Command, clears: Deadline | None = None, answer_of: int = 0) -> Any:
        """Commands of different streams as one change: all or none, booked in their order. The answer is
        that of the first, or of number `answer_of`."""
        fresh = False
        for attempt in range(self.MAX_ATTEMPTS):
            if attempt:
                await asyncio.sleep(random.random() * min(0.1, 0.002 * 2**attempt))
            try:
                decided = await self._decide(commands, fresh)
            except Refused:
                if not fresh and self._guessed(commands):
                    fresh = True
                    continue
                if self._keyed and await self.recall() is not None:
                    return self._replayed(self._core.decider(commands[answer_of]))
                raise
            if not any(one.events for one in decided) and not fresh and self._guessed(commands):
                fresh = True
                continue
            change, after = await self._change(decided, clears, answer_of)
            if change is None:
                return self._answer(decided[answer_of].decider, decided[answer_of].before.state)
            result = await self._core.database.committer.commit(change)
            if result.verdict is Verdict.VERSION_CONFLICT:
                fresh = True
                continue
            return self._concluded(result, decided, after, change, answer_of)
        raise Contended(f"{type(commands[0]).__name__}: {self.MAX_ATTEMPTS} attempts met a faster one")

    def _guessed(self, commands: Sequence[Command]) -> bool:
        """Whether the decision rests on anything but the database: then it is no ground for a no."""
        return any(type(command).opens or self._peek(command) is not None for command in commands)

    def _peek(self, command: Command) -> Stored[Any] | None:
        decider = self._core.decider(command)
        return self._core.database.streams.peek(self.context.tenant, decider.kind, decider.stream(command))

    async def _decide(self, commands: Sequence[Command], fresh: bool) -> list[_Decided]:
        """States that are guessed (a new stream, what this process last knew) save a read; the commit checks them."""
        found = [None if fresh else self._guess(command) for command in commands]
        missing = [command for command, guess in zip(commands, found, strict=True) if guess is None]
        loaded = iter(await asyncio.gather(*(self._load(command) for command in missing)) if missing else ())
        decided = []
        for command, guess in zip(commands, found, strict=True):
            decider, before = self._core.decider(command), guess if guess is not None else next(loaded)
            events = decider.decide(command, before.state)
            decided.append(_Decided(decider, decider.stream(command), before, events))
        return decided

    def _guess(self, command: Command) -> Stored[Any] | None:
        known = self._peek(command)
        if known is None and type(command).opens:
            return Stored(0, self._core.decider(command).initial)
        return known

    async def _load(self, command: Command) -> Stored[Any]:
        decider = self._core.decider(command)
        return await self._core.database.streams.load(self.context.tenant, decider, decider.stream(command))

    async def _change(
        self, decided: Sequence[_Decided], clears: Deadline | None, answer_of: int
    ) -> tuple[Change | None, list[Stored[Any]]]:
        tenant, core = self.context.tenant, self._core
        appends, postings, after = [], [], []
        deadlines = [] if clears is None else [clears]
        event_no = 0
        for decider, stream, before, events in decided:
            state, encoded, claims = before.state, [], []
            for version, plain in enumerate(events, before.version + 1):
                event_no += 1
                id = event_id(tenant, decider.kind, stream, version)
                event = await core.seal(tenant, plain, id)
                state = decider.evolve(state, event)
                encoded.append((core.name(event), encode(event).decode()))
                if decider.book is not None:
                    for ordinal, transfer in enumerate(decider.book(event)):
                        postings.append(posting(event_no, id, ordinal, transfer, tenant, decider.kind, stream))
                if decider.timers is not None:
                    deadlines.extend(_deadline(decider.kind, stream, timer) for timer in decider.timers(event))
                if decider.claims is not None:
                    claims.extend((claim.kind, claim.key, isinstance(claim, Take)) for claim in decider.claims(event))
            owner = before.owner or (decider.owner(state) if decider.owner else None)
            after.append(Stored(before.version + len(events), state, owner))
            if events:
                appends.append(
                    Append(
                        *(decider.kind, stream, before.version, encoded, encode(state).decode(), decider.state_schema),
                        *(owner, claims),
                    )
                )
        key = self._key(decided[answer_of].decider, after[answer_of].state) if self._keyed else None
        if not appends and key is None and not deadlines:
            return None, after
        now, meta = core.clock.now(), self._meta()
        return Change(tenant, core.ids.uuid(), now, meta, appends, postings, deadlines, key), after

    def _meta(self) -> str:
        context = self.context
        meta = {"by": context.principal, "correlation": context.correlation_id or context.request_id}
        more = ("request", context.request_id), ("causation", context.causation_id)
        return encode(meta | {name: id for name, id in more if id}).decode()

    def _key(self, decider: Decider[Any], state: Any) -> Key:
        answer = decider.answer(state) if decider.answer else None
        return self._keyed_with(self.context.success_status, b"" if answer is None else encode(answer))

    def _keyed_with(self, status: int, body: bytes) -> Key:
        context = self.context
        assert context.key is not None
        digest = context.request_hash or blake2b(context.key.encode(), digest_size=16).digest()
        return Key(context.principal, context.route, context.key, digest, status, body)

    def _concluded(
        self,
        result: Result,
        decided: Sequence[_Decided],
        after: Sequence[Stored[Any]],
        change: Change,
        answer_of: int,
    ) -> Any:
        tenant, streams = self.context.tenant, self._core.database.streams
        match result.verdict:
            case Verdict.OK | Verdict.ALREADY:
                for one, stored in zip(decided, after, strict=True):
                    if one.events:
                        streams.remember(tenant, one.decider.kind, one.stream, stored)
                if result.position is not None:
                    self.position = Position(result.xid, result.position)
                if change.key is not None:
                    self._keyed = False
                    self.reply = Reply(change.key.status, change.key.body)
                return self._answer(decided[answer_of].decider, after[answer_of].state)
            case Verdict.REPLAY:
                self.reply, self.replayed = Reply(result.status or 200, result.body or b""), True
                return self._replayed(decided[answer_of].decider)
            case Verdict.KEY_REUSED:
                raise KeyReused(self.context.key)
            case Verdict.INSUFFICIENT:
                family = family_of(result.detail or "")
                if family is None:
                    raise TypeError(f"{result.detail} is of no account family")
                raise family.refuse(result.detail or "")
            case Verdict.CLAIMED:
                kind, _, key = (result.detail or "").partition(":")
                raise Unique.all[kind].refusal(f"{kind} {key} is taken")
            case _:
                raise AssertionError(f"{decided[0].decider.kind}-{decided[0].stream}: {result}")

    def _replayed(self, decider: Decider[Any]) -> Any:
        """The first answer again, or the first refusal."""
        assert self.reply is not None
        self._keyed = False
        if self.reply.status >= 400:
            raise decode(self.reply.body, Refusal).error()
        kind = self._core.answers[decider.kind]
        return decode(self.reply.body, kind) if self.reply.body and kind is not None else None

    @staticmethod
    def _answer(decider: Decider[Any], state: Any) -> Any:
        return decider.answer(state) if decider.answer else None

    async def recall(self) -> Reply | None:
        """The stored answer of this request's key. Raises `KeyReused` when it was given to another request."""
        context = self.context
        if context.key is None:
            return None
        row = await self.db.fetchrow(
            """select request_hash, status, body from kernel.answer
                where (tenant, principal, route, key) = ($1, $2, $3, $4)""",
            *(context.tenant, context.principal, context.route, context.key),
        )
        if row is None:
            return None
        if row["request_hash"] != self._keyed_with(0, b"").hash:
            raise KeyReused(context.key)
        self.reply, self.replayed = Reply(row["status"], row["body"]), True
        return self.reply

    async def remember(self, status: int, body: bytes) -> Reply:
        """Store the answer of a key without any effect: a refusal, so that a late repeat cannot succeed."""
        core, key = self._core, self._keyed_with(status, body)
        change = Change(self.context.tenant, core.ids.uuid(), core.clock.now(), self._meta(), key=key)
        result = await core.database.committer.commit(change)
        if result.verdict is Verdict.KEY_REUSED:
            raise KeyReused(self.context.key)
        self._keyed = False
        self.replayed = result.verdict is Verdict.REPLAY
        self.reply = Reply(result.status or status, result.body or b"") if self.replayed else Reply(status, body)
        return self.reply


def _deadline(kind: str, stream: str, timer: Any) -> Deadline:
    if isinstance(timer, Set):
        command = encode(timer.send).decode()
        return Deadline(kind, stream, timer.name, timer.at, name_of(type(timer.send)), command)
    return Deadline(kind, stream, timer.name, None)
