"""A small domain of the lab's own, on the real bus and ledger: lists for the history checker, purses for the bank."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from pasar.kernel import ledger
from pasar.kernel.bus import Core
from pasar.kernel.clock import Clock, SystemClock
from pasar.kernel.decider import Decider
from pasar.kernel.ids import SystemIds
from pasar.kernel.keystore import SqliteKeyStore
from pasar.kernel.messages import Command, Event, Refused, Value
from pasar.kernel.store import Database


class PurseIsEmpty(Refused, code=90_901):
    """There is not that much in the purse."""


purse = ledger.Family("lab_purse", meaning="coins in a purse of the lab", unit="lab", floor=0, refusal=PurseIsEmpty)
mint = ledger.Family("lab_mint", meaning="where the lab's coins come from", unit="lab")


class AppendValue(Command):
    opens = True
    list: str
    value: int


class ValueAppended(Event):
    list: str
    value: int


class Items(Value):
    values: tuple[int, ...] = ()


def _append(command: AppendValue, items: Items) -> list[ValueAppended]:
    return [ValueAppended(list=command.list, value=command.value)]


def _appended(items: Items, event: ValueAppended) -> Items:
    return Items(values=(*items.values, event.value))


lists = Decider("lab.list", "list", Items(), _append, _appended)


class Fill(Command):
    opens = True
    payment: str
    purse: str
    coins: int


class Pay(Command):
    """From purse to purse, at once or in two steps."""

    opens = True
    payment: str
    payer: str
    payee: str
    coins: int
    in_two_steps: bool = False


class Conclude(Command):
    """The second step: the coins arrive, or go back."""

    payment: str
    goes_back: bool


class Filled(Event):
    payment: str
    purse: str
    coins: int


class Paid(Event):
    payment: str
    payer: str
    payee: str
    coins: int
    in_two_steps: bool = False


class Concluded(Event):
    payment: str
    goes_back: bool


class Payment(Value):
    begun: bool = False
    concluded: bool = False


def _pay(command: Fill | Pay | Conclude, payment: Payment) -> Sequence[Filled | Paid | Concluded]:
    match command:
        case Fill():
            return [] if payment.begun else [Filled(payment=command.payment, purse=command.purse, coins=command.coins)]
        case Pay():
            fields = {name: getattr(command, name) for name in command.__struct_fields__}
            return [] if payment.begun else [Paid(**fields)]
        case Conclude():
            again = payment.concluded or not payment.begun
            return [] if again else [Concluded(payment=command.payment, goes_back=command.goes_back)]


def _paid(payment: Payment, event: Filled | Paid | Concluded) -> Payment:
    match event:
        case Filled():
            return Payment(begun=True, concluded=True)
        case Paid():
            return Payment(begun=True, concluded=not event.in_two_steps)
        case Concluded():
            return replace(payment, concluded=True)


def _book(event: Filled | Paid | Concluded) -> list[ledger.Transfer]:
    match event:
        case Filled():
            return [ledger.move(mint(), purse(event.purse), event.coins)]
        case Paid(in_two_steps=True):
            return [ledger.hold("coins", purse(event.payer), purse(event.payee), event.coins)]
        case Paid():
            return [ledger.move(purse(event.payer), purse(event.payee), event.coins)]
        case Concluded():
            return [ledger.release("coins") if event.goes_back else ledger.settle("coins")]


payments = Decider("lab.payment", "payment", Payment(), _pay, _paid, book=_book)
DECIDERS = (lists, payments)


@asynccontextmanager
async def opened(
    dsn: str, folder: Path, *, clock: Clock | None = None, cores: int = 1, size: int = 8
) -> AsyncIterator[list[Core]]:
    """So many cores on one database, each with connections and memory of its own, as processes have them. `dsn` is that
    of the role that serves, on a migrated database."""
    keys = await SqliteKeyStore.open_in(folder / "keys", clock or SystemClock())
    databases = [Database(dsn, size=size) for _ in range(cores)]
    try:
        for database in databases:
            await database.open()
        yield [
            Core(database, DECIDERS, clock=clock or SystemClock(), ids=SystemIds(), keys=keys) for database in databases
        ]
    finally:
        for database in databases:
            await database.close()
        await keys.close()
