"""A sale: prepared with units of its own, then ended, by its timer or earlier. Its orders are counted in the ledger,
not here, so that the sale's stream is written twice in its life, however many buy."""

from typing import assert_never

from msgspec.structs import replace

from pasar.accounts import pool, sale_pool
from pasar.kernel import ledger
from pasar.kernel.decider import Clear, Decider, Set
from pasar.kernel.messages import Value
from pasar.kernel.money import BadMoney, digits, minor
from pasar.refusals import SaleExists, SaleMalformed, SaleNotFound

from .contract import EndSale, PrepareSale, Sale, SaleEnded, SalePrepared

SaleCommand = PrepareSale | EndSale
SaleEvent = SalePrepared | SaleEnded


class SaleLife(Value):
    """Nothing yet, or the sale."""

    sale: Sale | None = None


def check(command: PrepareSale) -> None:
    """Refuse a sale that could never be understood in one way."""
    if command.starts_at.tzinfo is None or command.ends_at.tzinfo is None:
        raise SaleMalformed("instants have a time zone")
    if command.ends_at <= command.starts_at:
        raise SaleMalformed("the sale ends before it starts")
    skus = [item.sku for item in command.items]
    if len(set(skus)) < len(skus):
        raise SaleMalformed("each SKU stands once")
    try:
        digits(command.currency)
        for item in command.items:
            minor(item.price, command.currency)
    except BadMoney as wrong:
        raise SaleMalformed(str(wrong)) from None


def decide(command: SaleCommand, life: SaleLife) -> list[SaleEvent]:
    sale = life.sale
    match command:
        case PrepareSale():
            prepared = SalePrepared(**{name: getattr(command, name) for name in command.__struct_fields__})
            if sale is None:
                check(command)
                return [prepared]
            if evolve(SaleLife(), prepared).sale == replace(sale, is_ended=False):
                return []  # A repeat.
            raise SaleExists(f"there is a sale {command.sale}, with other content")
        case EndSale():
            if sale is None:
                raise SaleNotFound(f"there is no sale {command.sale}")
            if sale.is_ended:
                return []
            return [SaleEnded(sale=sale.sale, skus=tuple(item.sku for item in sale.items))]
        case _:
            assert_never(command)


def evolve(life: SaleLife, event: SaleEvent) -> SaleLife:
    match event:
        case SalePrepared():
            return SaleLife(sale=Sale(**{name: getattr(event, name) for name in event.__struct_fields__}))
        case SaleEnded():
            assert life.sale is not None
            return SaleLife(sale=replace(life.sale, is_ended=True))
        case _:
            assert_never(event)


def book(event: SaleEvent) -> list[ledger.Transfer]:
    """The floor of each SKU's pool refuses (1001) to lock away what is not there. What an ended sale has left is not
    known here: a reaction reads it and returns it."""
    match event:
        case SalePrepared(sale=sale, items=items):
            return [ledger.move(pool(item.sku), sale_pool(item.sku, sale), item.units) for item in items]
        case SaleEnded():
            return []
        case _:
            assert_never(event)


def timers(event: SaleEvent) -> list[Set | Clear]:
    match event:
        case SalePrepared(sale=sale, ends_at=at):
            return [Set("end", at=at, send=EndSale(sale=sale))]
        case SaleEnded():
            return [Clear("end")]
        case _:
            assert_never(event)


def answer(life: SaleLife) -> Sale | None:
    return life.sale


sale = Decider("flash.sale", "sale", SaleLife(), decide, evolve, book=book, timers=timers, answer=answer)
