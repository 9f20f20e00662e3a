"""Orders of a sale: units from the sale's own pool, at the sale's price, within its limits; the rest is as always."""

import asyncio
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from pasar.contexts.flash import facade as flash
from pasar.contexts.flash import facade_queue as queue
from pasar.contexts.flash.facade_queue import Ticket
from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus, Contended, Context, Core, Reply
from pasar.kernel.commit import Busy
from pasar.kernel.messages import Refusal, Refused, decode
from pasar.kernel.pool import LOST, PoolExhausted
from pasar.kernel.web_answers import problem
from pasar.kernel.web_refusals import Unavailable
from pasar.refusals import (
    InsufficientStock,
    SaleLimitReached,
    SaleNotOpen,
    TicketRefused,
    TicketUsed,
)

from .bodies import BufferedSaleOrder, Item, NewOrder, SaleOrder, SaleResult
from .contract import Placed, PlaceOrder
from .facade import check_metadata, next_number, price_now, question_of
from .facade_recipient import address_of, contact_of
from .gateway import Buffer, BufferedOrder, Later
from .gateways.amqp import AmqpBuffer
from .settings import OrderingSettings

ROUTE = "sale order"
"""Under which the answers to buffered orders are stored; their key is the ticket."""
FINAL = (InsufficientStock, SaleLimitReached, SaleNotOpen, TicketUsed)
"""After these the ticket is of no use."""
PASSING = (Busy, Contended, PoolExhausted, TimeoutError, *LOST)


class Wish(NamedTuple):
    """An order of a sale by a buyer. `device` is what the sale counts it under."""

    sale: str
    sku: str
    units: int
    buyer: UUID
    order: NewOrder
    device: str | None


async def order(bus: Bus, who: Principal, code: str, body: SaleOrder, device: str | None) -> Placed:
    """Place an order of a sale for the caller. A sale with a queue wants a ticket; the commit takes it once."""
    wish = Wish(code, body.sku_id, body.qty, UUID(who.id), _as_order(body, who), flash.device_key(bus, code, device))
    used = None
    if body.ticket is not None:
        used = queue.admitted(bus, body.ticket, code, body.sku_id, body.qty, who.id)
    return await _place(bus, wish, used)


def _as_order(body: SaleOrder | BufferedSaleOrder, who: Principal) -> NewOrder:
    same = set(NewOrder.__struct_fields__) & set(body.__struct_fields__)
    item = Item(sku_id=body.sku_id, qty=body.qty)
    return NewOrder(uid=UUID(who.id), items=(item,), source="flash", **{name: getattr(body, name) for name in same})


async def _place(bus: Bus, wish: Wish, used: Ticket | None) -> Placed:
    try:
        placed = await _placed(bus, wish, used)
    except FINAL as refused:
        if used is not None and not bus.replayed:
            # A used ticket of which the order is there was counted when it was placed.
            await queue.done(bus, used, sold=isinstance(refused, TicketUsed))
        raise
    if used is not None:
        await queue.done(bus, used, sold=True)
    return placed


async def _placed(bus: Bus, wish: Wish, used: Ticket | None) -> Placed:
    check_metadata(wish.order.metadata)
    contact = contact_of(wish.order)
    settings, now = bus.settings.section(OrderingSettings), bus.now()
    address = await address_of(bus.db, wish.order)
    found = await flash.offer(bus, wish.sale, wish.sku, wish.units, wish.buyer, wish.device, address)
    if found.sale.queued and used is None:
        raise TicketRefused(f"orders of the sale {wish.sale} need a ticket: join the queue")
    question = question_of(settings, found.sale.channel, wish.order.items, (), 0, wish.buyer)
    question = msgspec.structs.replace(question, agreed=(found.item.price,))
    quote, order_no = await asyncio.gather(price_now(bus, question), next_number(bus.db, settings, now))
    lines = tuple(msgspec.structs.replace(line, sale=found.terms) for line in quote.lines)
    pay_until = now + timedelta(minutes=settings.payment_timeout_min)
    return await bus.send(
        PlaceOrder(
            order_no=order_no,
            buyer=wish.buyer,
            quote=msgspec.structs.replace(quote, lines=lines),
            address=address,
            pay_until=pay_until,
            keep_until=pay_until + timedelta(minutes=settings.attempt_extension_min),
            invoice_required=wish.order.invoice_required,
            metadata=wish.order.metadata,
            source=found.sale.kind,
            programme=settings.programme,
            placed_at=now,
            contact=contact,
            ticket="" if used is None else f"{wish.sale}/{used.id}",
        )
    )


async def submit(bus: Bus, who: Principal, code: str, body: BufferedSaleOrder, device: str | None) -> SaleResult:
    """Let an order wait in the broker; without one that confirms, it is placed at once. `result` tells."""
    used = queue.admitted(bus, body.ticket, code, body.sku_id, body.qty, who.id)
    wish = BufferedOrder(
        tenant=bus.context.tenant,
        member=who.id,
        sale=code,
        sku=body.sku_id,
        units=body.qty,
        ticket=body.ticket,
        address_id=body.shipping_address_id,
        device=flash.device_key(bus, code, device),
        correlation_id=bus.context.correlation_id,
    )
    if await buffer(bus.settings, bus).put(wish):
        await queue.keep(bus, used, queue.buffer_s(bus))
    else:
        try:
            await take(bus, wish)
        except Later as trouble:
            raise Unavailable(
                "the order cannot be placed just now; hand it in again, with the same ticket"
            ) from trouble
    return await result(bus, who, used.id)


class NoBuffer(Buffer):
    """Where there is no broker."""

    async def open(self) -> None:
        return

    async def close(self) -> None:
        return

    async def put(self, order: BufferedOrder) -> bool:
        return False


def buffer(settings: Any, tools: Bus | Core) -> Buffer:
    """This process's way to the broker."""
    chosen = settings.section("amqp")
    return tools.tool(Buffer, lambda: AmqpBuffer(chosen.url, prefix=chosen.prefix) if chosen.url else NoBuffer())


async def consume(core: Core, stop: asyncio.Event) -> None:
    """Place orders that wait in the broker, until `stop`; at once nothing where there is no broker."""
    found = buffer(core.settings, core)
    if not isinstance(found, AmqpBuffer):
        return

    async def place(wish: BufferedOrder) -> None:
        context = Context(tenant=wish.tenant, principal=wish.member, correlation_id=wish.correlation_id)
        await take(core.bus(context), wish)

    await found.consume(place, stop, prefetch=queue.orders_in_flight(core.settings))


async def take(bus: Bus, wish: BufferedOrder) -> None:
    """Place an order that waited, once: a repeat finds the answer stored. What the broker says is not believed: ticket,
    sale and limits are judged again. Raises `Later` when something is away."""
    try:
        used = queue.ticket_of(bus, wish.ticket, wish.sale, wish.sku, wish.units, wish.member)
    except TicketRefused:
        return  # Forged: nobody waits for it.
    try:
        sold = await _decided(bus.keyed(ROUTE, used.id), wish, used)
    except PASSING as trouble:
        raise Later from trouble
    await queue.done(bus, used, sold=sold)


async def _decided(own: Bus, wish: BufferedOrder, used: Ticket) -> bool:
    """Whether it was placed, now or before; what it was refused for is stored as its answer."""
    item = Item(sku_id=wish.sku, qty=wish.units)
    order = NewOrder(uid=UUID(wish.member), items=(item,), shipping_address_id=wish.address_id)
    reply = await own.recall()
    if reply is not None:
        return reply.status < 400
    try:
        queue.check_time(own, used, grace_s=queue.buffer_s(own))
        await _placed(own, Wish(wish.sale, wish.sku, wish.units, UUID(wish.member), order, wish.device), used)
    except Refused as refused:
        refusal = Refusal.of(refused)
        if refusal.status >= 500 or refusal.status == 429:
            raise Later from refused
        if not own.replayed:
            await own.remember(refusal.status, problem(refusal))
        return isinstance(refused, TicketUsed)
    return True


async def result(bus: Bus, who: Principal, ticket_id: str) -> SaleResult:
    """What became of an order that was let wait: its order, or the problem for which it was refused."""
    reply: Reply | None = await bus.keyed(ROUTE, ticket_id).recall()
    if reply is None:
        return SaleResult(ticket_id=ticket_id, state="pending", ask_again_s=1)
    await queue.settled(bus, ticket_id, sold=reply.status < 400)
    if reply.status >= 400:
        return SaleResult(ticket_id=ticket_id, state="refused", problem=decode(reply.body, dict))
    return SaleResult(ticket_id=ticket_id, state="placed", order=decode(reply.body, Placed))
