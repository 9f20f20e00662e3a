"""A cart: what somebody means to buy, in the order in which it was put in."""

from collections.abc import Iterable
from typing import assert_never
from uuid import UUID

from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value
from pasar.refusals import CartIsFull, LineNotInCart

from .contract import (
    MAX_LINES,
    Cart,
    CartChanged,
    CartEmptied,
    CartLine,
    CartsMerged,
    EmptyCart,
    MergeCarts,
    PutInCart,
    RemoveFromCart,
)

CartCommand = PutInCart | RemoveFromCart | MergeCarts | EmptyCart
CartEvent = CartChanged | CartsMerged | CartEmptied
MOST_UNITS = 1_000_000_000


class InCart(Value, omit_defaults=True):
    owner: UUID | None = None
    channel: str | None = None
    lines: tuple[CartLine, ...] = ()


def key_of(sku: str, batch: str | None) -> str:
    return sku if batch is None else f"{sku}@{batch}"


def key(line: CartLine) -> str:
    return key_of(line.sku, line.batch)


def find(lines: Iterable[CartLine], sku: str, batch: str | None) -> CartLine | None:
    return next((line for line in lines if line.sku == sku and line.batch == batch), None)


def decide(command: CartCommand, cart: InCart) -> list[CartEvent]:
    match command:
        case PutInCart():
            return _put(command, cart)
        case RemoveFromCart(owner=owner, sku=sku, batch=batch):
            if find(cart.lines, sku, batch) is None:
                raise LineNotInCart(f"{key_of(sku, batch)} is not in the cart")
            channel = cart.channel or ""
            return [CartChanged(owner=owner, channel=channel, sku=sku, quantity=0, batch=batch, price_seen=None)]
        case MergeCarts():
            return _merge(command, cart)
        case EmptyCart():
            return _empty(command, cart)
        case _:
            assert_never(command)


def _put(command: PutInCart, cart: InCart) -> list[CartEvent]:
    before = find(cart.lines, command.sku, command.batch)
    quantity = command.quantity + (before.quantity if before is not None and command.add else 0)
    price_seen = command.price_seen if before is None or command.price_seen is not None else before.price_seen
    if quantity > MOST_UNITS or (before is None and len(cart.lines) >= MAX_LINES):
        raise CartIsFull()
    after = CartLine(sku=command.sku, quantity=quantity, batch=command.batch, price_seen=price_seen)
    if after == before and command.channel == cart.channel:
        return []
    return [
        CartChanged(
            owner=command.owner,
            channel=command.channel,
            sku=command.sku,
            quantity=quantity,
            batch=command.batch,
            price_seen=price_seen,
        )
    ]


def _merge(command: MergeCarts, cart: InCart) -> list[CartEvent]:
    """Units of the same SKU and batch are added up; the price that was seen last counts."""
    merged: dict[str, CartLine] = {}
    for line in command.lines:
        before = merged.get(key(line)) or find(cart.lines, line.sku, line.batch)
        units = min(MOST_UNITS, line.quantity + (before.quantity if before else 0))
        seen = line.price_seen if line.price_seen is not None or before is None else before.price_seen
        merged[key(line)] = CartLine(sku=line.sku, quantity=units, batch=line.batch, price_seen=seen)
    if not merged:
        return []
    if len({key(line) for line in cart.lines} | merged.keys()) > MAX_LINES:
        raise CartIsFull()
    channel = cart.channel or command.channel
    return [CartsMerged(owner=command.owner, channel=channel, lines=tuple(merged.values()))]


def _empty(command: EmptyCart, cart: InCart) -> list[CartEvent]:
    if command.taken is not None:
        return [_take(command, command.taken, cart)]
    gone = [each for each in map(key, cart.lines) if command.skus is None or each in command.skus]
    if not gone:
        return []
    skus = None if command.skus is None else tuple(gone)
    return [CartEmptied(owner=command.owner, ordered_as=command.ordered_as, skus=skus)]


def _take(command: EmptyCart, taken: tuple[CartLine, ...], cart: InCart) -> CartEvent:
    """Somebody relies on these units being theirs: of two who take them at once, one is refused."""
    left = []
    for line in taken:
        present = find(cart.lines, line.sku, line.batch)
        if present is None or present.quantity < line.quantity:
            raise LineNotInCart(f"{line.quantity} of {key(line)} are not in the cart any more")
        if stays := present.quantity - line.quantity:
            left.append(CartLine(sku=line.sku, quantity=stays, batch=line.batch, price_seen=present.price_seen))
    skus = tuple(key(line) for line in taken)
    return CartEmptied(owner=command.owner, ordered_as=command.ordered_as, skus=skus, left=tuple(left))


def evolve(cart: InCart, event: CartEvent) -> InCart:
    match event:
        case CartChanged(quantity=0):
            lines = tuple([line for line in cart.lines if (line.sku, line.batch) != (event.sku, event.batch)])
            return InCart(owner=event.owner, channel=cart.channel, lines=lines)
        case CartChanged():
            line = CartLine(sku=event.sku, quantity=event.quantity, batch=event.batch, price_seen=event.price_seen)
            return InCart(owner=event.owner, channel=event.channel, lines=_with(cart.lines, [line]))
        case CartsMerged():
            return InCart(owner=event.owner, channel=event.channel, lines=_with(cart.lines, event.lines))
        case CartEmptied(skus=None):
            return InCart(owner=event.owner, channel=cart.channel)
        case CartEmptied(skus=skus):
            gone = set(skus or ()) - {key(line) for line in event.left}
            lines = tuple([line for line in cart.lines if key(line) not in gone])
            return InCart(owner=event.owner, channel=cart.channel, lines=_with(lines, event.left))
        case _:
            assert_never(event)


def _with(lines: tuple[CartLine, ...], changed: Iterable[CartLine]) -> tuple[CartLine, ...]:
    """Lines that are there change where they stand; new ones come last."""
    new = {(line.sku, line.batch): line for line in changed}
    kept = [new.pop((line.sku, line.batch), line) for line in lines]
    return (*kept, *new.values())


def answer(cart: InCart) -> Cart | None:
    return cart.owner and Cart(owner=cart.owner, channel=cart.channel, lines=cart.lines)


def owner_of(cart: InCart) -> str | None:
    return cart.owner and str(cart.owner)


cart = Decider("checkout.cart", "owner", InCart(), decide, evolve, answer=answer, owner=owner_of)
