"""A batch of a SKU: the day after which it is not sold stays what its first receipt said; when it has passed, the
batch expires."""

from datetime import date
from typing import assert_never

from pasar.kernel.decider import Decider, Set
from pasar.kernel.messages import Value
from pasar.refusals import StockIsAnother
from pasar.vocabulary import BatchId, Sku

from .contract import BatchExpired, BatchRegistered, ExpireBatch, RegisterBatch


class KnownBatch(Value):
    known: bool = False
    expires_on: date | None = None
    registered: BatchRegistered | None = None
    expired: bool = False


def name_of_batch(sku: Sku, batch: BatchId) -> str:
    """The stream of a batch. SKUs and batches have no colon."""
    return f"{sku}:{batch}"


def decide(command: RegisterBatch | ExpireBatch, state: KnownBatch) -> list[BatchRegistered | BatchExpired]:
    match command:
        case RegisterBatch():
            return _register(command, state)
        case ExpireBatch():
            if state.registered is None or state.expired:
                return []
            return [BatchExpired(sku=state.registered.sku, batch=state.registered.batch)]
        case _:
            assert_never(command)


def _register(command: RegisterBatch, state: KnownBatch) -> list[BatchRegistered | BatchExpired]:
    if not state.known:
        return [
            BatchRegistered(
                sku=command.sku, batch=command.batch, expires_on=command.expires_on, expires_at=command.expires_at
            )
        ]
    if command.expires_on is not None and command.expires_on != state.expires_on:
        day = state.expires_on or "never"
        raise StockIsAnother(f"batch {command.batch} of {command.sku} expires {day}, not {command.expires_on}")
    return []


def evolve(state: KnownBatch, event: BatchRegistered | BatchExpired) -> KnownBatch:
    match event:
        case BatchRegistered(expires_on=expires_on):
            return KnownBatch(known=True, expires_on=expires_on, registered=event)
        case BatchExpired():
            return KnownBatch(known=True, expires_on=state.expires_on, registered=state.registered, expired=True)
        case _:
            assert_never(event)


def timers(event: BatchRegistered | BatchExpired) -> list[Set]:
    match event:
        case BatchRegistered(expires_at=at) if at is not None:
            return [Set("expiry", at, ExpireBatch(batch_of=name_of_batch(event.sku, event.batch)))]
        case _:
            return []


batch = Decider(
    *("inventory.batch", "batch_of", KnownBatch(), decide, evolve),
    timers=timers,
    state_schema=2,
)
