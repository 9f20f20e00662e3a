"""A process: hears events, remembers, sends commands, has deadlines; what follows when several contexts act in turn.

A process is made of pure functions `(event, memory) -> Next`. Its memory is a stream, written only when it changes; its
deadlines are timers of that stream. Commands are sent first, each with a key made of the event and its place, then the
memory is written, with the place in the log up to which it has heard: so a repeat after a crash does the same again
and changes nothing, and what it has heard it does not hear twice.

A refused command ends the list that it is in, and `refused` says what then: which is where compensation is written.
Without a say there, or when the budget of tries is used up and `failed` does not help, the process is stuck with its
reason: what happens to it afterwards queues up until people let it go on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from .bus import Core
from .decider import Clear, Decider, Set
from .delivery import Delivery, Patience, Stuck
from .followers import stored_types
from .messages import Command, Event, Refusal, Refused, Value, decode, encode
from .module import Module
from .parking import list_parked, replay_parked
from .pool import Pool
from .store import Recorded

NOTHING = msgspec.Raw(b"null")
MOST_STEPS = 20


class Deadline(NamedTuple):
    """Wake the process at `at`; setting a name again moves it."""

    name: str
    at: datetime


class Next(NamedTuple):
    """What a process does: `memory` None keeps it as it is; `done` ends the process and clears its deadlines."""

    memory: Value | None = None
    send: Sequence[Command] = ()
    set: Sequence[Deadline] = ()
    clear: Sequence[str] = ()
    done: bool = False


class MoveProcess(Command):
    """Remember, and set deadlines; from the process's own follower only."""

    process: str
    heard: tuple[int, int, int]
    memory: msgspec.Raw = NOTHING
    set: tuple[Deadline, ...] = ()
    clear: tuple[str, ...] = ()
    done: bool = False


class ProcessDue(Command):
    """A deadline of a process has come."""

    process: str
    name: str


class ProcessMoved(Event):
    process: str
    heard: tuple[int, int, int]
    memory: msgspec.Raw = NOTHING
    set: tuple[Deadline, ...] = ()
    clear: tuple[str, ...] = ()
    done: bool = False


class ProcessWoken(Event):
    process: str
    name: str


class ProcessMemory(Value):
    """`woken` are deadlines that have come and were not yet heard: clearing or moving one undoes that."""

    heard: tuple[int, int, int] = (0, 0, 0)
    memory: msgspec.Raw = NOTHING
    deadlines: tuple[str, ...] = ()
    woken: tuple[str, ...] = ()
    done: bool = False


def decide(command: MoveProcess | ProcessDue, state: ProcessMemory) -> list[ProcessMoved | ProcessWoken]:
    match command:
        case ProcessDue(process=process, name=name):
            return [ProcessWoken(process=process, name=name)] if name in state.deadlines else []
        case MoveProcess(heard=heard):
            if heard <= state.heard:
                return []  # A repeat, or a worker that has lost its lease.
            clear = state.deadlines if command.done else command.clear
            return [
                ProcessMoved(
                    process=command.process,
                    heard=heard,
                    memory=command.memory,
                    set=() if command.done else command.set,
                    clear=clear,
                    done=command.done,
                )
            ]


def evolve(state: ProcessMemory, event: ProcessMoved | ProcessWoken) -> ProcessMemory:
    match event:
        case ProcessWoken(name=name):
            left = tuple(deadline for deadline in state.deadlines if deadline != name)
            return msgspec.structs.replace(state, deadlines=left, woken=(*state.woken, name))
        case ProcessMoved():
            named = {deadline.name for deadline in event.set}
            gone = named | set(event.clear)
            return ProcessMemory(
                heard=event.heard,
                memory=state.memory if event.memory == NOTHING else event.memory,
                deadlines=(*(name for name in state.deadlines if name not in gone), *sorted(named)),
                woken=tuple(name for name in state.woken if name not in gone),
                done=state.done or event.done,
            )


def timers(event: ProcessMoved | ProcessWoken) -> list[Set | Clear]:
    match event:
        case ProcessWoken(name=name):
            return [Clear(name)]
        case ProcessMoved(process=process):
            due = [Set(d.name, d.at, ProcessDue(process=process, name=d.name)) for d in event.set]
            return [*(Clear(name) for name in event.clear), *due]


memories = Decider("kernel.process", "process", ProcessMemory(), decide, evolve, timers=timers)
module = Module("kernel", deciders=(memories,))
"""Part of every wiring that has processes."""

Step = Callable[[Recorded, Any], Next | None]


@dataclass(frozen=True)
class Process:
    """`key` says which instance hears an event: the name of a field per event type, or a function (None: none does).

    `due` has a function per deadline; it hears `ProcessWoken`. `failed(event, reason, memory)` is the last way out when
    an event could not be dealt with for technical reasons for as long as `patience` lasts.
    """

    name: str
    key: Mapping[type[Event], str] | Callable[[Recorded], object]
    memory: Value
    on: Mapping[type[Event], Step]
    due: Mapping[str, Step] = field(default_factory=dict)
    refused: Mapping[type[Command], Callable[[Any, Refusal, Any], Next | None]] = field(default_factory=dict)
    failed: Callable[[Recorded, str, Any], Next | None] | None = None
    patience: Patience = Patience()

    @property
    def follower(self) -> str:
        return f"process:{self.name}"

    def instance(self, event: Recorded) -> str | None:
        """The id of the process that hears an event."""
        if isinstance(event.event, ProcessWoken):
            name, _, id = event.event.process.partition(":")
            return id if name == self.name else None
        if isinstance(self.key, Mapping):
            named = self.key.get(type(event.event))
            found: object = None if named is None else getattr(event.event, named)
        else:
            found = self.key(event)
        return None if found is None else str(found)


class _Run:
    """What one event makes a process do, gathered over all its steps."""

    def __init__(self, memory: Value, replays: int) -> None:
        self.memory, self.replays = memory, replays
        self.set: dict[str, Deadline] = {}
        self.clear: set[str] = set()
        self.done = False

    def take(self, next: Next) -> None:
        if next.memory is not None:
            self.memory = next.memory
        for name in next.clear:
            self.set.pop(name, None)
            self.clear.add(name)
        for deadline in next.set:
            self.clear.discard(deadline.name)
            self.set[deadline.name] = deadline
        self.done = self.done or next.done


class ProcessFollower(Delivery):
    """Runs all instances of a process."""

    def __init__(self, process: Process, core: Core) -> None:
        super().__init__(process.follower, core, process.patience)
        if memories.kind not in core.deciders:
            raise TypeError("wire the module of kernel.process: processes need it to remember")
        self._process = process
        self.types = stored_types((*process.on, ProcessWoken))

    def lane(self, event: Recorded) -> str | None:
        return self._process.instance(event) if not _unreadable(event) else f"{event.kind}-{event.stream}"

    async def deliver(self, event: Recorded, replays: int) -> None:
        process, woken = self._process, event.event if isinstance(event.event, ProcessWoken) else None
        state, memory = await self._memory(event)
        if state.done or event.place <= state.heard or (woken and woken.name not in state.woken):
            return
        function = process.due.get(woken.name) if woken else process.on.get(type(event.event))
        if function is None:
            return
        run = _Run(memory, replays)
        await self._act(run, event, function(event, memory), "")
        await self._remember(run, event, state, memory)

    async def give_up(self, event: Recorded, reason: str) -> None:
        if self._process.failed is None:
            raise Stuck(reason)
        state, memory = await self._memory(event)
        run = _Run(memory, 0)
        await self._act(run, event, self._process.failed(event, reason, memory), "failed.")
        await self._remember(run, event, state, memory)

    async def _memory(self, event: Recorded) -> tuple[ProcessMemory, Value]:
        stored = await self.core.database.reader(event.tenant).stored(memories, self._stream(event))
        state, initial = stored.state, self._process.memory
        return state, initial if state.memory == NOTHING else decode(state.memory, type(initial))

    def _stream(self, event: Recorded) -> str:
        return f"{self._process.name}:{self._process.instance(event)}"

    async def _act(self, run: _Run, event: Recorded, next: Next | None, path: str) -> None:
        if next is None:
            return
        if path.count(".") > MOST_STEPS:
            raise Stuck(f"more than {MOST_STEPS} refusals in a row")
        run.take(next)
        for number, command in enumerate(next.send):
            refusal = await self._send(run, event, command, f"{path}{number}")
            if refusal is not None:
                heard = self._process.refused.get(type(command))
                if heard is None:
                    raise Stuck(
                        f"{type(command).__name__} was refused: {refusal.code} {refusal.name}: {refusal.detail}"
                    )
                await self._act(run, event, heard(command, refusal, run.memory), f"{path}{number}.")
                return

    async def _send(self, run: _Run, event: Recorded, command: Command, path: str) -> Refusal | None:
        """Refusals are kept like answers, so that a repeat takes the same way. Who lets a stuck process go on wants
        what was refused to be tried anew: each of their times has a key of its own."""
        refusal = None
        for replay in range(run.replays + 1):
            try:
                await self.send(event, command, path if replay == 0 else f"{path}~{replay}", record=True)
            except Refused as error:
                if error.status >= 500:
                    raise
                refusal = Refusal.of(error)
            else:
                return None
        return refusal

    async def _remember(self, run: _Run, event: Recorded, state: ProcessMemory, before: Value) -> None:
        woken = isinstance(event.event, ProcessWoken)
        changed = run.memory != before
        if not (changed or run.set or run.clear or run.done or woken):
            return
        clear = run.clear | ({event.event.name} - set(run.set) if isinstance(event.event, ProcessWoken) else set())
        move = MoveProcess(
            process=self._stream(event),
            heard=(event.epoch, event.xid, event.position),
            memory=msgspec.Raw(encode(run.memory)) if changed else NOTHING,
            set=tuple(run.set.values()),
            clear=tuple(sorted(clear)),
            done=run.done,
        )
        await self.send(event, move, "memory")


def _unreadable(event: Recorded) -> bool:
    return not isinstance(event.event, Event)


class StuckProcess(NamedTuple):
    """A process that people must look at: which, since when, and why."""

    process: str
    id: str
    tenant: int
    reason: str
    since: datetime
    event: str


async def stuck_processes(pool: Pool, *, process: str = "", limit: int = 100) -> list[StuckProcess]:
    """Longest stuck first."""
    rows = await list_parked(pool, follower=f"process:{process}", limit=limit)
    return [
        StuckProcess(
            p.follower.partition(":")[2], p.lane, p.tenant, p.reason, p.parked_at, f"{p.kind}-{p.stream}@{p.version}"
        )
        for p in rows
    ]


async def redrive(pool: Pool, process: str, id: str | UUID, now: datetime, *, tenant: int = 1) -> bool:
    """Let a stuck process go on where it stopped; whether it was stuck."""
    return await replay_parked(pool, f"process:{process}", tenant, str(id), now)
