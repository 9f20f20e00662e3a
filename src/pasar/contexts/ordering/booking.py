"""What an order counts: stock, coupon tickets, quotas and points are held while it waits, settled when it is paid,
released or given back when it is cancelled."""

from collections.abc import Iterable
from decimal import Decimal

from pasar import accounts
from pasar.kernel.ledger import Account, Transfer, hold, move, release, settle
from pasar.kernel.messages import Event
from pasar.kernel.money import minor
from pasar.vocabulary import AccountId

from .contract import AfterSaleClosed, CouponUse, OrderCanceled, OrderPaid, OrderPlaced, QuotedLine


def book(event: Event) -> list[Transfer]:
    """The floors refuse: no stock (1001), no ticket, no use left, not enough points. No rule repeats them."""
    match event:
        case OrderPlaced():
            return _taken(event.lines, event.coupons, event.points, event.programme, event.buyer)
        case OrderPaid():
            names = _names(event.lines, event.coupons, event.points)
            return [*(settle(name) for name in names), *_to_platform(event, -event.platform_paid)]
        case OrderCanceled(was_paid=False):
            return [release(name) for name in _names(event.lines, event.coupons, event.points)]
        case OrderCanceled():
            taken = _taken(event.lines, event.coupons, event.points, event.programme, event.buyer)
            return [*(_back(transfer) for transfer in taken), *_to_platform(event, event.platform_paid)]
        case AfterSaleClosed(platform_part=amount):
            return _to_platform(event, amount)
        case _:
            return []


def _taken(
    lines: Iterable[QuotedLine], coupons: Iterable[CouponUse], points: int, programme: str, buyer: AccountId
) -> list[Transfer]:
    """The holds of an order, a sale's limits before its units. Digital goods are not stocked."""
    taken = []
    for line in lines:
        sku, units = line.sku, line.quantity
        taken += [hold(name, *between, units) for name, between in _quotas(line)]
        if not line.is_digital:
            pool = accounts.pool(sku) if line.sale is None else accounts.sale_pool(sku, line.sale.sale)
            taken.append(hold(f"stock-{line.line_id}", pool, accounts.sold(sku), units))
            if line.batch is not None:
                pool, sold = accounts.batch_pool(sku, line.batch), accounts.batch_sold(sku, line.batch)
                taken.append(hold(f"batch-{line.line_id}", pool, sold, units))
    for use in coupons:
        code = use.coupon
        if use.limited:
            taken.append(hold(f"ticket-{code}", accounts.coupon_tickets(code), accounts.coupon_used(code), 1))
        if use.per_person is not None:
            quota = accounts.coupon_quota(code, buyer, limit=use.per_person)
            taken.append(hold(f"quota-{code}", quota, accounts.coupon_uses(code), 1))
    if points:
        taken.append(hold("points", accounts.points(programme, buyer), accounts.points_spent(programme), points))
    return taken


def _names(lines: Iterable[QuotedLine], coupons: Iterable[CouponUse], points: int) -> list[str]:
    """The names of those holds."""
    names = []
    for line in lines:
        names += [name for name, _ in _quotas(line)]
        if not line.is_digital:
            names.append(f"stock-{line.line_id}")
            if line.batch is not None:
                names.append(f"batch-{line.line_id}")
    for use in coupons:
        if use.limited:
            names.append(f"ticket-{use.coupon}")
        if use.per_person is not None:
            names.append(f"quota-{use.coupon}")
    if points:
        names.append("points")
    return names


def _quotas(line: QuotedLine) -> list[tuple[str, tuple[Account, Account]]]:
    """What a line counts against the limits of its sale: the name of each hold, and its two accounts."""
    if line.sale is None:
        return []
    sale, units = line.sale.sale, accounts.sale_units(line.sale.sale)
    return [
        (
            f"{quota.who.partition('-')[0]}-{line.line_id}",
            (accounts.sale_quota(sale, line.sku, quota.who, limit=quota.most), units),
        )
        for quota in line.sale.quotas
    ]


def _back(taken: Transfer) -> Transfer:
    """What a settled hold took, the other way round."""
    assert taken.debit is not None
    assert taken.credit is not None
    return move(taken.credit, taken.debit, taken.amount)


def _to_platform(event: OrderPaid | OrderCanceled | AfterSaleClosed, amount: Decimal) -> list[Transfer]:
    """From the order's liability to the platform; below 0: what the platform pays for the buyer into it."""
    units = minor(amount, event.currency)
    if units == 0:
        return []
    ours = accounts.platform_discounts(unit=event.currency)
    order = accounts.liability(event.order_no, unit=event.currency)
    return [move(order, ours, units) if units > 0 else move(ours, order, -units)]
