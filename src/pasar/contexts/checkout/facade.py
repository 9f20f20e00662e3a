"""Carts of guests and members: what is put in, and what it comes to today."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from pasar.accounts import batch_pool, pool
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.catalog.contract import SkuOnSale
from pasar.contexts.inventory import facade as inventory
from pasar.contexts.inventory.contract import ConsumeHold, HoldStock, ReleaseHold
from pasar.contexts.pricing import facade as pricing
from pasar.contexts.pricing.contract import Quote, QuotedLine, QuoteFor, Wanted
from pasar.kernel.bus import Bus
from pasar.kernel.ledger import Account
from pasar.kernel.messages import Command
from pasar.kernel.settings import Section
from pasar.kernel.store import Reader
from pasar.refusals import CartIsFull, LineNotInCart, NotForSale, PriceNotFound

from . import cart as decider
from .cart import key as key
from .cart import key_of as key_of
from .contract import (
    MAX_LINES,
    Cart,
    CartLine,
    CartTotals,
    EmptyCart,
    LineChange,
    MergeCarts,
    NewLine,
    PutInCart,
    RemoveFromCart,
    ShownCart,
    ShownLine,
)


class CheckoutSettings(Section, frozen=True):
    """What a cart keeps."""

    hold_at: Annotated[
        Literal["cart", "order"], Meta(description="Whether units are kept from the cart on, or from the order on.")
    ] = "order"


HOLDS_LOOKED_AT = 100
MERGE_TRIES = 5


async def cart(db: Reader, owner: UUID) -> Cart:
    """Somebody's cart as of now; an empty one where nothing was ever put in."""
    found = await db.state(decider.cart, owner)
    return (found and decider.answer(found)) or Cart(owner=owner)


async def put(bus: Bus, owner: UUID, line: NewLine) -> Cart:
    """Add units; refuses what is not for sale. What it costs is not asked here."""
    # The cart is asked for beside the SKU, in one statement: the bus then has it at hand.
    await asyncio.gather(_check_for_sale(bus.db, line.sku), bus.db.stored(decider.cart, owner))
    wish = PutInCart(
        owner=owner,
        channel=line.channel or _default_channel(bus),
        sku=line.sku,
        quantity=line.quantity,
        batch=line.batch,
        price_seen=line.price_seen,
    )
    return await bus.send_together(wish, *await _holds_for(bus, owner, wish))


async def change(bus: Bus, owner: UUID, sku: str, batch: str | None, change: LineChange) -> Cart:
    """Set how many units of a line that is there."""
    now = await cart(bus.db, owner)
    if decider.find(now.lines, sku, batch) is None:
        raise LineNotInCart(f"{key_of(sku, batch)} is not in the cart")
    wish = PutInCart(
        owner=owner,
        channel=now.channel or _default_channel(bus),
        sku=sku,
        quantity=change.quantity,
        batch=batch,
        price_seen=change.price_seen,
        add=False,
    )
    return await bus.send_together(wish, *await _holds_for(bus, owner, wish))


async def remove(bus: Bus, owner: UUID, sku: str, batch: str | None) -> Cart:
    """Take a line out; what was kept for it may be sold to others again."""
    releases = await _releases(bus, owner, sku) if _holds_in_carts(bus) else []
    return await bus.send_together(RemoveFromCart(owner=owner, sku=sku, batch=batch), *releases)


async def empty(bus: Bus, owner: UUID) -> Cart:
    held = await inventory.holds_of(bus.db, owner, limit=HOLDS_LOOKED_AT) if _holds_in_carts(bus) else []
    releases = [ReleaseHold(hold=one.hold) for one in held if one.state == "held"]
    return await bus.send_together(EmptyCart(owner=owner), *releases) or Cart(owner=owner)


async def merge_at_login(bus: Bus, guest: UUID, member: UUID) -> None:
    """What a guest put in becomes the member's, once: the guest's cart gives up in the same change what the member's
    takes. What does not fit into the member's cart stays in the guest's. A repeat finds nothing to merge."""
    for _ in range(MERGE_TRIES):
        theirs, ours = await asyncio.gather(cart(bus.db, guest), cart(bus.db, member))
        known = {key(line) for line in ours.lines}
        room = MAX_LINES - len(known)
        new = [line for line in theirs.lines if key(line) not in known][:room]
        taken = tuple(line for line in theirs.lines if key(line) in known or line in new)
        if not taken:
            return
        channel = ours.channel or theirs.channel or _default_channel(bus)
        try:
            await bus.send_together(
                MergeCarts(owner=member, lines=taken, channel=channel), EmptyCart(owner=guest, taken=taken)
            )
        except (CartIsFull, LineNotInCart):
            continue  # One of the carts changed meanwhile.
        return


async def consumed(bus: Bus, owner: UUID, lines: Iterable[CartLine]) -> list[Command]:
    """What an order of these lines takes over of the owner's holds; the number comes when it is drawn."""
    skus = {line.sku for line in lines}
    held = await inventory.holds_of(bus.db, owner, limit=HOLDS_LOOKED_AT)
    return [ConsumeHold(hold=one.hold, order_no="") for one in held if one.state == "held" and one.sku in skus]


async def _check_for_sale(db: Reader, sku: str) -> None:
    found = (await catalog.for_sale(db, [sku])).get(sku)
    if found is None or found.state != "on_sale":
        raise NotForSale(f"{sku} is not for sale now", sku=sku)


def _default_channel(bus: Bus) -> str:
    return bus.settings.section("ordering").default_channel


def _holds_in_carts(bus: Bus) -> bool:
    return bus.settings.section(CheckoutSettings).hold_at == "cart"


async def _holds_for(bus: Bus, owner: UUID, wish: PutInCart) -> list[Command]:
    """Where carts hold stock: one hold of all units of the SKU in the cart, instead of the one before."""
    if not _holds_in_carts(bus):
        return []
    now, releases = await asyncio.gather(cart(bus.db, owner), _releases(bus, owner, wish.sku))
    units = wish.quantity
    for line in now.lines:
        if line.sku == wish.sku and (wish.add or line.batch != wish.batch):
            units += line.quantity
    settings = bus.settings.section("inventory")
    until = bus.now() + timedelta(minutes=settings.cart_hold_min)
    limit = settings.holds_per_person
    hold = HoldStock(hold=bus.ids.uuid(), owner=owner, sku=wish.sku, quantity=units, until=until, limit=limit)
    return [*releases, hold]


async def _releases(bus: Bus, owner: UUID, sku: str) -> list[Command]:
    held = await inventory.holds_of(bus.db, owner, limit=HOLDS_LOOKED_AT)
    return [ReleaseHold(hold=one.hold) for one in held if one.state == "held" and one.sku == sku]


async def shown(bus: Bus, owner: UUID, coupons: Sequence[str]) -> ShownCart:
    """The cart at today's prices: what changed since it was put in, what is there, what is not for sale any more."""
    found = await cart(bus.db, owner)
    channel = found.channel or _default_channel(bus)
    skus = [line.sku for line in found.lines]
    on_sale, available = await asyncio.gather(
        catalog.for_sale(bus.db, skus), bus.db.balances([_account(line) for line in found.lines])
    )
    sellable = [line for line in found.lines if (sku := on_sale.get(line.sku)) and sku.state == "on_sale"]
    quote = await _quote(bus, owner, channel, sellable, coupons)
    priced = {(line.sku, line.batch): line for line in quote.lines} if quote else {}
    lines = tuple(
        _shown(line, on_sale.get(line.sku), units, priced.get((line.sku, line.batch)))
        for line, units in zip(found.lines, available, strict=True)
    )
    return ShownCart(
        owner=owner,
        channel=channel,
        lines=lines,
        totals=quote and _totals(quote),
        can_be_ordered=bool(lines)
        and all(line.is_for_sale and line.is_available and not line.price_change for line in lines),
    )


def _account(line: CartLine) -> Account:
    return pool(line.sku) if line.batch is None else batch_pool(line.sku, line.batch)


def _shown(line: CartLine, sku: SkuOnSale | None, available: int, priced: QuotedLine | None) -> ShownLine:
    change = priced.unit_price - line.price_seen if priced and line.price_seen is not None else None
    return ShownLine(
        key=key(line),
        sku=line.sku,
        quantity=line.quantity,
        batch=line.batch,
        title=sku and sku.title,
        is_for_sale=priced is not None,
        available=available,
        is_available=available >= line.quantity,
        price_seen=line.price_seen,
        unit_price=priced and priced.unit_price,
        price_change=change,
        amount=priced and priced.amount,
    )


async def _quote(
    bus: Bus, owner: UUID, channel: str, lines: Sequence[CartLine], coupons: Sequence[str]
) -> Quote | None:
    """What is left of the lines once those without a price, or of a closed store, are taken out."""
    settings = bus.settings.section(pricing.PricingSettings)
    while lines:
        wanted = tuple(Wanted(sku=line.sku, quantity=line.quantity, batch=line.batch) for line in lines)
        question = QuoteFor(channel=channel, wanted=wanted, coupons=tuple(coupons), person=owner)
        try:
            return (await pricing.estimate(bus.db, question, bus.now(), settings)).quote
        except (NotForSale, PriceNotFound) as refused:
            without = set(refused.facts.get("skus", ()))
            fewer = [line for line in lines if line.sku not in without]
            if len(fewer) == len(lines):
                return None
            lines = fewer
    return None


def _totals(quote: Quote) -> CartTotals:
    return CartTotals(
        goods=quote.goods,
        discounts=quote.discounts,
        freight=quote.freight,
        taxes=quote.taxes,
        total=quote.total,
        currency=quote.currency,
    )
