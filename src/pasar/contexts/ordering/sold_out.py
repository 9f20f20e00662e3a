"""A crowd that wants what is gone: one look at the ledger for all who ask at once, instead of a price, a sealed order
and a commit that has to fail for each."""

import asyncio
from collections.abc import Sequence

from pasar.accounts import pool
from pasar.kernel.bus import Bus
from pasar.kernel.store import Reader
from pasar.refusals import InsufficientStock

from .bodies import Item

REMEMBERED_S = 1.0
MOST = 10_000


class SoldOut:
    """SKUs of which an order was refused a moment ago. That is no ground for a no: it says where a look pays off, and
    the look begins after the order has arrived."""

    def __init__(self) -> None:
        self._until: dict[tuple[int, str], float] = {}
        self._asked: dict[tuple[int, str], asyncio.Future[int]] = {}
        self._looks: set[asyncio.Task[None]] = set()

    def note(self, tenant: int, skus: Sequence[str]) -> None:
        """An order of these was refused for want of units."""
        if len(self._until) > MOST:
            self._until.clear()
        until = asyncio.get_running_loop().time() + REMEMBERED_S
        self._until.update(((tenant, sku), until) for sku in skus)

    async def refuse(self, db: Reader, items: Sequence[Item]) -> None:
        """Raises `InsufficientStock` where every SKU of an order was short a moment ago and some of them still are."""
        now = asyncio.get_running_loop().time()
        if any(self._until.get((db.tenant, item.sku_id), 0.0) < now for item in items):
            return
        left = await asyncio.gather(*(asyncio.shield(self._ask(db, item.sku_id)) for item in items))
        short = [
            {"sku": item.sku_id, "wanted": item.qty, "available": units}
            for item, units in zip(items, left, strict=True)
            if units < item.qty
        ]
        if short:
            self.note(db.tenant, [item.sku_id for item in items])
            raise lacking(short)

    def _ask(self, db: Reader, sku: str) -> "asyncio.Future[int]":
        asked = self._asked.get((db.tenant, sku))
        if asked is None:
            loop = asyncio.get_running_loop()
            asked = self._asked[db.tenant, sku] = loop.create_future()
            loop.call_soon(self._look, db, sku, asked)
        return asked

    def _look(self, db: Reader, sku: str, asked: "asyncio.Future[int]") -> None:
        del self._asked[db.tenant, sku]  # Who comes from now on needs another look.
        task = asyncio.create_task(_tell(db, sku, asked))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)


async def _tell(db: Reader, sku: str, asked: "asyncio.Future[int]") -> None:
    try:
        asked.set_result(await db.balance(pool(sku)))
    except Exception as error:
        asked.set_exception(error)
        asked.exception()  # Whoever waits still gets it; nobody need be left.


def lacking(short: Sequence[dict[str, str | int]]) -> InsufficientStock:
    """The refusal that names the lines that are short, and how many there are."""
    said = "; ".join(f"of {one['sku']} there are {one['available']}, not {one['wanted']}" for one in short)
    return InsufficientStock(said, short=list(short))


def sold_out(bus: Bus) -> SoldOut:
    return bus.tool(SoldOut, SoldOut)
