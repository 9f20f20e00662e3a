"""A domain of the kernel's own tests: coins in jars, letters about them, and a process that looks after a jar."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never
from uuid import UUID

import asyncpg

from pasar.kernel import ledger
from pasar.kernel.bus import Core
from pasar.kernel.clock import SettableClock
from pasar.kernel.decider import Clear, Decider, Set
from pasar.kernel.ids import SystemIds
from pasar.kernel.messages import Command, Event, Refused, Value
from pasar.kernel.module import Module
from pasar.kernel.process import module as process_module
from pasar.kernel.store import Database
from pasar.kernel.view_tables import prepare_views
from pasar.kernel.views import View
from postgres import TestDatabase

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class TooFewCoins(Refused, code=90_101):
    """The jar has not that many."""


class JarIsSmashed(Refused, code=90_102):
    """There is no jar any more."""


class NobodyReads(Refused, code=90_103):
    """Nobody would read this letter."""


coins = ledger.Family("coins", meaning="coins in a jar", unit="coin", floor=0, refusal=TooFewCoins)
mint = ledger.Family("mint", meaning="where coins come from", unit="coin")
spent = ledger.Family("spent", meaning="where coins go", unit="coin")


class Tag(Value):
    colour: str
    words: tuple[str, ...] = ()


class Put(Command):
    jar: str
    coins: int
    tag: Tag | None = None


class Take(Command):
    jar: str
    coins: int


class Promise(Command):
    """Set coins aside until a time; then they are free again, unless they were taken."""

    jar: str
    promise: str
    coins: int
    until: datetime | None = None


class Keep(Command):
    jar: str
    promise: str


class Free(Command):
    jar: str
    promise: str


class Smash(Command):
    jar: str


class CoinsPut(Event):
    jar: str
    coins: int
    tag: Tag | None = None


class CoinsTaken(Event):
    jar: str
    coins: int


class CoinsPromised(Event):
    jar: str
    promise: str
    coins: int
    until: datetime | None = None


class PromiseKept(Event):
    jar: str
    promise: str


class PromiseFreed(Event):
    jar: str
    promise: str


class JarSmashed(Event):
    jar: str


JarCommand = Put | Take | Promise | Keep | Free | Smash
JarEvent = CoinsPut | CoinsTaken | CoinsPromised | PromiseKept | PromiseFreed | JarSmashed


class Jar(Value):
    smashed: bool = False
    promises: tuple[str, ...] = ()


def decide(command: JarCommand, state: Jar) -> list[JarEvent]:
    if state.smashed:
        raise JarIsSmashed
    match command:
        case Put(jar=jar, coins=n, tag=tag):
            return [CoinsPut(jar=jar, coins=n, tag=tag)]
        case Take(jar=jar, coins=n):
            return [CoinsTaken(jar=jar, coins=n)]
        case Promise(jar=jar, promise=name, coins=n, until=until):
            return [] if name in state.promises else [CoinsPromised(jar=jar, promise=name, coins=n, until=until)]
        case Keep(jar=jar, promise=name):
            return [PromiseKept(jar=jar, promise=name)] if name in state.promises else []
        case Free(jar=jar, promise=name):
            return [PromiseFreed(jar=jar, promise=name)] if name in state.promises else []
        case Smash(jar=jar):
            return [JarSmashed(jar=jar)]
        case _:
            assert_never(command)


def evolve(state: Jar, event: JarEvent) -> Jar:
    match event:
        case CoinsPut() | CoinsTaken():
            return state
        case CoinsPromised(promise=name):
            return Jar(promises=(*state.promises, name))
        case PromiseKept(promise=name) | PromiseFreed(promise=name):
            return Jar(promises=tuple(other for other in state.promises if other != name))
        case JarSmashed():
            return Jar(smashed=True)
        case _:
            assert_never(event)


def book(event: JarEvent) -> list[ledger.Transfer]:
    match event:
        case CoinsPut(jar=jar, coins=n):
            return [ledger.move(mint("royal"), coins(jar), n)]
        case CoinsTaken(jar=jar, coins=n):
            return [ledger.move(coins(jar), spent("shop"), n)]
        case CoinsPromised(jar=jar, promise=name, coins=n):
            return [ledger.hold(name, coins(jar), spent("promise"), n)]
        case PromiseKept(promise=name):
            return [ledger.settle(name)]
        case PromiseFreed(promise=name):
            return [ledger.release(name)]
        case JarSmashed():
            return []
        case _:
            assert_never(event)


def timers(event: JarEvent) -> list[Set | Clear]:
    match event:
        case CoinsPromised(jar=jar, promise=name, until=datetime() as until):
            return [Set(name, until, Free(jar=jar, promise=name))]
        case PromiseKept(promise=name) | PromiseFreed(promise=name):
            return [Clear(name)]
        case _:
            return []


jars = Decider("jar.jar", "jar", Jar(), decide, evolve, book=book, timers=timers)


class WriteLetter(Command):
    letter: str
    text: str


class LetterWritten(Event):
    letter: str
    text: str


class Letters(Value):
    texts: tuple[str, ...] = ()


def write(command: WriteLetter, state: Letters) -> list[LetterWritten]:
    """Not idempotent by itself: whoever writes twice has written two letters."""
    if command.text.startswith("unreadable"):
        raise NobodyReads
    return [LetterWritten(letter=command.letter, text=command.text)]


def written(state: Letters, event: LetterWritten) -> Letters:
    return Letters(texts=(*state.texts, event.text))


letters = Decider("jar.letter", "letter", Letters(), write, written)

contents = View(
    table="jar.contents",
    key="jar",
    columns="jar text, coins int not null, puts int, colour text, tag jsonb, last_at timestamptz, by_whom text",
    on={
        CoinsPut: """
            insert into jar.contents as c (jar, coins, puts, colour, tag, last_at, by_whom)
            values (%(jar)s, %(coins)s, 1, %(tag.colour)s, %(tag)s, %(at)s, %(by)s)
                on conflict (tenant, jar) do update
               set coins = c.coins + excluded.coins, puts = c.puts + 1, colour = excluded.colour, tag = excluded.tag,
                   last_at = excluded.last_at, by_whom = excluded.by_whom""",
        CoinsTaken: "update jar.contents set coins = coins - %(coins)s, last_at = %(at)s where jar = %(jar)s",
        JarSmashed: "delete from jar.contents where jar = %(jar)s",
    },
    indexes=("(coins desc)",),
)

diary = View(
    table="jar.diary",
    key="event_id",
    columns="event_id uuid, jar text not null, version int not null, size smallint not null",
    on={
        CoinsPut: """
            insert into jar.diary (event_id, jar, version, size)
            values (%(event_id)s, %(stream)s, %(version)s, %(coins)s)""",
        CoinsTaken: """
            insert into jar.diary (event_id, jar, version, size)
            values (%(event_id)s, %(stream)s, %(version)s, 0 - %(coins)s::int)""",
    },
    indexes=("(jar, version)",),
)


class Keyless:
    """Nothing here is private."""

    def has_private(self, kind: type) -> bool:
        return False

    async def seal(self, tenant: int, event: Event, event_id: UUID) -> Event:
        return event


def module(**parts: Any) -> Module:
    return Module("jar", deciders=(jars, letters), **parts)


async def prepare(database: TestDatabase, *modules: Module) -> list[str]:
    owner = await asyncpg.connect(database.dsn)
    try:
        return await prepare_views(owner, modules)
    finally:
        await owner.close()


@asynccontextmanager
async def opened(database: TestDatabase, *modules: Module, clock: Any = None) -> AsyncIterator[Core]:
    """A process of its own kind: its connections, and its core."""
    mine = Database(database.app_dsn)
    deciders = [decider for one in (*modules, process_module) for decider in one.deciders]
    core = Core(mine, deciders, clock=clock or SettableClock(START), ids=SystemIds(), keys=Keyless())
    await mine.open()
    try:
        yield core
    finally:
        await mine.close()


HOUR = timedelta(hours=1)
