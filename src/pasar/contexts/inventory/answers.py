"""What only lists of staff show of stock."""

from datetime import date, datetime

from pasar.kernel.messages import Answer
from pasar.vocabulary import AccountId, BatchId, HoldId, Sku, WarehouseCode


class OpenHold(Answer):
    """Units that a cart keeps just now."""

    hold: HoldId
    owner: AccountId
    sku: Sku
    quantity: int
    until: datetime


class Expiring(Answer):
    """Pieces of a batch that lie in a warehouse, and the day after which they are not sold."""

    sku: Sku
    warehouse: WarehouseCode
    batch: BatchId
    quantity: int
    expires_on: date
