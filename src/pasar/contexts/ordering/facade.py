"""Placing orders, and what others may do to them."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

import msgspec

from pasar.accounts import pool
from pasar.contexts.checkout import facade as checkout
from pasar.contexts.checkout.contract import CartLine, EmptyCart
from pasar.contexts.fulfillment.contract import Deallocate
from pasar.contexts.identity import facade as identity
from pasar.contexts.inventory import facade as inventory
from pasar.contexts.pricing import facade as pricing
from pasar.contexts.pricing.contract import Quote, QuoteFor, Wanted
from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus
from pasar.kernel.messages import Command, FieldError, encode
from pasar.kernel.shortages import Shortages
from pasar.kernel.store import Reader
from pasar.kernel.web import Page
from pasar.kernel.web_refusals import InvalidRequest
from pasar.refusals import (
    AccountNotFound,
    CartIsEmpty,
    InsufficientStock,
    NotForSale,
    OrderNotFound,
    OrderStateForbids,
    ParcelStateForbids,
    PriceChanged,
)  # fmt: skip

from . import views
from .bodies import AddressGiven as AddressGiven  # Whoever places an order says where to send it.
from .bodies import (
    AskQuote,
    BestSeller,
    FindOrders,
    Item,
    NewOrder,
    OwnOrders,
    QuoteAnswer,
    SalesDay,
    SalesOrder,
    SubmitCart,
    Timeline,
)
from .contract import (
    CancelOrder,
    CancelPaidOrder,
    CancelReason,
    ConfirmOrder,
    OrderDetails,
    OrderSummary,
    Placed,
    PlaceOrder,
    SoftAllocation,
    Vocabulary,
)  # fmt: skip
from .facade_recipient import address_of, contact_of
from .life import NOT_SENT, Order
from .numbers import Numbers
from .order import order as order_decider
from .settings import OrderingSettings
from .shown import details, is_visible, moments, quoted
from .soft import named_batches, soonest_first

METADATA_BYTES = 8_192
EVERYWHERE = ("admin", "finance", "warehouse")
"""Staff who see the orders of all stores."""
STAFF = (*EVERYWHERE, "seller", "manager")


_numbers: "WeakKeyDictionary[Reader, Numbers]" = WeakKeyDictionary()


async def create(bus: Bus, who: Principal, body: NewOrder) -> Placed:
    """Place an order for the caller. Whoever orders for somebody else is told that there is nobody of that id."""
    if str(body.uid) != who.id:
        raise AccountNotFound(f"there is no account {body.uid}")
    also: Sequence[Command] = ()
    if body.cart:
        cart = await checkout.cart(bus.db, body.uid)
        wanted = {checkout.key_of(item.sku_id, item.batch_id): item.qty for item in body.items}
        lines = [line for line in cart.lines if checkout.key(line) in wanted]
        also = await _out_of_cart(bus, body.uid, lines, wanted)
    return await _place(bus, body, also)


async def submit(bus: Bus, who: Principal, body: SubmitCart) -> Placed:
    """Order what is in the caller's cart; holds are taken over, and the lines leave the cart, in the same change."""
    buyer = UUID(who.id)
    cart = await checkout.cart(bus.db, buyer)
    chosen = None if body.skus is None else set(body.skus)
    lines = [line for line in cart.lines if chosen is None or checkout.key(line) in chosen]
    if not lines:
        raise CartIsEmpty()
    items = tuple(
        Item(sku_id=line.sku, qty=line.quantity, batch_id=line.batch, price_snapshot=line.price_seen) for line in lines
    )
    order = NewOrder(
        uid=buyer,
        items=items,
        shipping_address_id=body.shipping_address_id,
        address=body.address,
        contact=body.contact,
        coupon_ids=body.coupon_ids,
        points=body.points,
        invoice_required=body.invoice_required,
        metadata=body.metadata,
        channel=cart.channel,
        source=body.source,
    )
    return await _place(bus, order, await _out_of_cart(bus, buyer, lines, None))


async def take(bus: Bus, who: Principal, body: SalesOrder) -> Placed:
    """Place an order for a buyer, at agreed prices where there are any. Managers sell what their stores have."""
    person = (await identity.people(bus.db, (body.buyer,))).get(body.buyer)
    if person is None or person.erased:
        raise AccountNotFound(f"there is no account {body.buyer}")
    same = set(NewOrder.__struct_fields__) & set(SalesOrder.__struct_fields__)
    wish = NewOrder(uid=body.buyer, **{name: getattr(body, name) for name in same})
    agreed = tuple(item.agreed_price for item in body.items)
    return await _place(bus, wish, (), agreed, None if who.has("admin") else who.stores)


async def _out_of_cart(bus: Bus, buyer: UUID, lines: Sequence[CartLine], units: dict[str, int] | None) -> list[Command]:
    """The cart's side of an order. What is added to a line while the order is being placed stays in the cart."""
    if not lines:
        return []
    taken = tuple(
        line if units is None else msgspec.structs.replace(line, quantity=min(line.quantity, units[checkout.key(line)]))
        for line in lines
    )
    return [EmptyCart(owner=buyer, taken=taken), *await checkout.consumed(bus, buyer, lines)]


async def _place(
    bus: Bus,
    wish: NewOrder,
    also: Sequence[Command],
    agreed: tuple[Decimal | None, ...] = (),
    stores: frozenset[str] | None = None,
) -> Placed:
    """`stores`: whose goods the caller may sell; None: all."""
    check_metadata(wish.metadata)
    contact = contact_of(wish)
    if not also and stores is None:  # What an order takes over of a cart may be the last unit.
        await _refuse_what_is_gone(bus, wish.items)
    settings, now = bus.settings.section(OrderingSettings), bus.now()
    question = question_of(settings, wish.channel, wish.items, wish.coupon_ids, wish.points, wish.uid)
    if agreed:
        question = msgspec.structs.replace(question, agreed=agreed)
    quote, address, order_no = await asyncio.gather(
        price_now(bus, question), address_of(bus.db, wish), next_number(bus.db, settings, now)
    )
    _compare(wish.items, quote)
    if stores is not None and (foreign := sorted({line.sku for line in quote.lines if line.store not in stores})):
        raise NotForSale(f"not of your stores: {', '.join(foreign)}", skus=foreign)
    pay_until = now + timedelta(minutes=settings.payment_timeout_min)
    command = PlaceOrder(
        order_no=order_no,
        buyer=wish.uid,
        quote=quote,
        address=address,
        pay_until=pay_until,
        keep_until=pay_until + timedelta(minutes=settings.attempt_extension_min),
        invoice_required=wish.invoice_required,
        metadata=wish.metadata,
        source=wish.source,
        soft_allocation=await _soft_allocation(bus.db, settings, quote, inventory.today(bus)),
        programme=settings.programme,
        placed_at=now,
        contact=contact,
    )
    # What holds give back comes before what the order takes: a cart may hold the last unit.
    before = [_named(one, order_no) for one in also]
    try:
        return await bus.send_together(*before, command, answer_of=len(before))
    except InsufficientStock as refused:
        if bus.replayed:
            raise
        raise await _said_how_many(bus, refused, quote) from None


async def price_now(bus: Bus, question: QuoteFor) -> Quote:
    return await pricing.quote(bus.db, question, bus.now(), bus.settings.section(pricing.PricingSettings))


async def _refuse_what_is_gone(bus: Bus, items: Sequence[Item]) -> None:
    """Where a crowd wants what somebody was refused a moment ago, one look at the ledger tells all of it."""
    left = await bus.tool(Shortages, Shortages).look(bus.db, [pool(item.sku_id) for item in items])
    if left is not None and (short := _short([(item.sku_id, item.qty) for item in items], left)):
        raise _lacking(bus, short)


async def _said_how_many(bus: Bus, refused: InsufficientStock, quote: Quote) -> InsufficientStock:
    """Name the lines that are short, and how many there are."""
    left = await bus.db.balances([pool(line.sku) for line in quote.lines])
    wanted = [(line.sku, 0 if line.is_digital else line.quantity) for line in quote.lines]
    short = _short(wanted, left)
    return _lacking(bus, short) if short else refused


def _short(wanted: Sequence[tuple[str, int]], left: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {"sku": sku, "wanted": units, "available": there}
        for (sku, units), there in zip(wanted, left, strict=True)
        if there < units
    ]


def _lacking(bus: Bus, short: Sequence[dict[str, Any]]) -> InsufficientStock:
    bus.tool(Shortages, Shortages).note(bus.context.tenant, [pool(one["sku"]) for one in short])
    said = "; ".join(f"of {one['sku']} there are {one['available']}, not {one['wanted']}" for one in short)
    return InsufficientStock(said, short=list(short))


def _named(command: Command, order_no: str) -> Command:
    """The number is drawn after the cart was looked at."""
    field = "ordered_as" if isinstance(command, EmptyCart) else "order_no"
    return msgspec.structs.replace(command, **{field: order_no})


def check_metadata(metadata: dict[str, Any]) -> None:
    if metadata and len(encode(metadata)) > METADATA_BYTES:
        detail = f"takes {METADATA_BYTES} bytes of JSON at most"
        raise InvalidRequest(errors=(FieldError(field="/metadata", detail=detail),))


async def next_number(db: Reader, settings: OrderingSettings, now: datetime) -> str:
    numbers = _numbers.get(db)
    if numbers is None:

        async def draw(name: str, size: int) -> int:
            return await db.fetchval("select kernel.take_block($1, $2, $3)", db.tenant, name, size)

        numbers = _numbers[db] = Numbers(draw)
    return await numbers.next(now.astimezone(ZoneInfo(settings.time_zone)).date())


def _compare(items: Iterable[Item], quote: Quote) -> None:
    """Refuse (1002) where a price is not what the buyer saw, and say what it is."""
    prices = {(line.sku, line.batch): line.unit_price for line in quote.lines}
    differences = [
        {"sku": item.sku_id, "seen": item.price_snapshot, "price": prices[item.sku_id, item.batch_id]}
        for item in items
        if item.price_snapshot is not None and item.price_snapshot != prices[item.sku_id, item.batch_id]
    ]
    if differences:
        said = "; ".join(f"{one['sku']} costs {one['price']}, not {one['seen']}" for one in differences)
        raise PriceChanged(said, differences=differences)


async def _soft_allocation(
    db: Reader, settings: OrderingSettings, quote: Quote, today: date
) -> tuple[SoftAllocation, ...]:
    if not settings.soft_allocation:
        return named_batches(quote.lines)
    places = await inventory.places(db, [line.sku for line in quote.lines if not line.is_digital])
    return soonest_first(quote.lines, places, today)


def question_of(
    settings: OrderingSettings,
    channel: str | None,
    items: Iterable[Item],
    coupons: tuple[str, ...],
    points: int,
    person: UUID | None,
) -> QuoteFor:
    wanted = [
        Wanted(sku=item.sku_id, quantity=item.qty, batch=item.batch_id, price_snapshot=item.price_snapshot)
        for item in items
    ]
    return QuoteFor(
        channel=channel or settings.default_channel,
        wanted=tuple(wanted),
        coupons=coupons,
        points=points,
        person=person,
    )


async def quote(bus: Bus, who: Principal, body: AskQuote) -> QuoteAnswer:
    """What an order would cost now, without ordering."""
    person = UUID(who.id) if who.signed_in else None
    settings = bus.settings.section(OrderingSettings)
    question = question_of(settings, body.channel, body.items, body.coupon_ids, body.points, person)
    found = await price_now(bus, question)
    return quoted(found)


async def order(db: Reader, order_no: str) -> Order:
    """An order as of now, for others; refuses (1003) unknown ones."""
    found = await db.state(order_decider, order_no)
    if found is None or found.placed is None:
        raise OrderNotFound(f"there is no order {order_no}")
    return found


async def cancel(bus: Bus, who: Principal, order_no: str) -> Placed:
    """The buyer gives up an order that is not paid or, being paid, that the warehouse has not begun with."""
    if (state := (await _own(bus.db, who, order_no)).state) in ("PREPARING", "PICKED", "PACKED"):
        raise OrderStateForbids(f"order {order_no} is {state}; ask the seller to cancel it", order_no=order_no)
    return await cancel_for(bus, order_no, "buyer")


async def cancel_for(bus: Bus, order_no: str, reason: CancelReason) -> Placed:
    """An order that has not left: a paid one with its allocation, which says no if a parcel has left meanwhile."""
    if (await order(bus.db, order_no)).state not in NOT_SENT:
        return await bus.send(CancelOrder(order_no=order_no, reason=reason))
    paid = CancelPaidOrder(order_no=order_no, reason=reason)
    try:
        return await bus.send_together(paid, Deallocate(order_no=order_no, reason=reason))
    except ParcelStateForbids as refused:
        raise OrderStateForbids(f"{refused.detail}; it can be returned", order_no=order_no) from None


async def confirm(bus: Bus, who: Principal, order_no: str) -> Placed:
    """The buyer has the goods and is content."""
    await _own(bus.db, who, order_no)
    return await bus.send(ConfirmOrder(order_no=order_no, by_buyer=True, now=bus.now()))


async def _own(db: Reader, who: Principal, order_no: str) -> Order:
    found = await order(db, order_no)
    if found.placed is None or str(found.placed.buyer) != who.id:
        raise OrderNotFound(f"there is no order {order_no}")
    return found


def may_see(who: Principal) -> frozenset[str] | None:
    """Of which stores somebody may see orders as staff; None: of all."""
    return None if who.has(*EVERYWHERE) else who.stores


async def seen(bus: Bus, who: Principal, order_no: str, vocabulary: Vocabulary | None) -> OrderDetails:
    """An order as the caller may see it; a foreign one looks like a missing one."""
    found, stores = await _visible_to(bus.db, who, order_no)
    assert found.placed is not None
    return details(found, found.placed, vocabulary or _words(bus), stores)


async def history(bus: Bus, who: Principal, order_no: str, vocabulary: Vocabulary | None) -> Timeline:
    """Why an order is as it is."""
    found, _ = await _visible_to(bus.db, who, order_no)
    assert found.placed is not None
    entries = await views.entries(bus.db, order_no)
    buyer = str(found.placed.buyer)
    for_staff = who.id != buyer
    return Timeline(order_no=order_no, moments=moments(entries, buyer, vocabulary or _words(bus), for_staff=for_staff))


async def _visible_to(db: Reader, who: Principal, order_no: str) -> tuple[Order, frozenset[str] | None]:
    found = await order(db, order_no)
    if found.placed is not None and str(found.placed.buyer) == who.id:
        return found, None
    stores = may_see(who)
    if not who.has(*STAFF) or not is_visible(found, stores):
        raise OrderNotFound(f"there is no order {order_no}")
    return found, stores


def _words(bus: Bus) -> Vocabulary:
    return bus.settings.section(OrderingSettings).vocabulary


async def own_orders(bus: Bus, who: Principal, query: OwnOrders) -> Page[OrderSummary]:
    """The caller's orders, newest first, right at once."""
    return await views.own(bus.db, who.id, query, query.vocabulary or _words(bus))


async def find_orders(bus: Bus, who: Principal, query: FindOrders) -> Page[OrderSummary]:
    """Orders that staff look for, newest first."""
    return await views.find(bus.db, may_see(who), query, query.vocabulary or _words(bus))


async def days(bus: Bus, who: Principal, days: int) -> list[SalesDay]:
    """What was sold on each of the last days, today included, in the stores that somebody works for."""
    settings = bus.settings.section(OrderingSettings)
    return await views.days(bus.db, may_see(who), bus.now(), days, settings.time_zone)


async def best_sellers(bus: Bus, who: Principal, days: int, limit: int) -> list[BestSeller]:
    """The SKUs of which most was paid for in the last days."""
    return await views.best_sellers(bus.db, may_see(who), bus.now() - timedelta(days=days), limit)


async def by_status(bus: Bus, who: Principal, days: int) -> dict[str, int]:
    """How many orders of the last days are in which status."""
    return await views.by_status(bus.db, may_see(who), bus.now() - timedelta(days=days))
