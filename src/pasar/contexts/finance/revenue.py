"""An order's money shared out: what each store is due, what is ours, and what refunds took back of both."""

from decimal import Decimal
from typing import assert_never
from uuid import UUID

from pasar.accounts import commission, debt_open, debts, liability, payable, seller_debt
from pasar.kernel.decider import Decider
from pasar.kernel.ledger import Account, Transfer, move
from pasar.kernel.messages import Value
from pasar.kernel.money import Currency, minor
from pasar.refusals import AlreadyRecognized, RefundAboveCaptured, SettlementNotFound

from .contract import RecognizeRevenue, RevenueRecognized, RevenueTakenBack, Share, TakeBackRevenue

RevenueCommand = RecognizeRevenue | TakeBackRevenue
RevenueEvent = RevenueRecognized | RevenueTakenBack
NOTHING = Decimal(0)


class Revenue(Value):
    """`left` is what each store's share still is after what was taken back."""

    recognized: RevenueRecognized | None = None
    left: tuple[Share, ...] = ()
    cases: tuple[UUID, ...] = ()


def base_of(share: Share) -> Decimal:
    return share.gross if share.base is None else share.base


def less(share: Share, other: Share) -> Share:
    return Share(
        store=share.store,
        gross=share.gross - other.gross,
        commission=share.commission - other.commission,
        seller=share.seller - other.seller,
        base=base_of(share) - base_of(other),
    )


def decide(command: RevenueCommand, revenue: Revenue) -> list[RevenueEvent]:
    known = revenue.recognized
    match command:
        case RecognizeRevenue(order_no=order_no, currency=currency, shares=shares, confirmed_at=at):
            if known is None:
                return [RevenueRecognized(order_no=order_no, currency=currency, shares=shares, confirmed_at=at)]
            if (known.currency, known.shares) == (currency, shares):
                return []
            raise AlreadyRecognized(f"order {order_no} was shared out otherwise")
        case TakeBackRevenue(order_no=order_no, case=case):
            if known is None:
                raise SettlementNotFound(f"the money of order {order_no} was not shared out")
            if case in revenue.cases:
                return []
            _check(command, revenue, known.currency)
            return [
                RevenueTakenBack(
                    order_no=order_no,
                    case=case,
                    currency=known.currency,
                    shares=command.shares,
                    from_payable=command.from_payable,
                )
            ]
        case _:
            assert_never(command)


def _check(command: TakeBackRevenue, revenue: Revenue, currency: Currency) -> None:
    """No store gives back more than it got, of its part and of ours."""
    left = {share.store: share for share in revenue.left}
    for share, from_payable in zip(command.shares, command.from_payable, strict=True):
        has = left.get(share.store)
        fits = has is not None and all(
            (
                share.gross == share.seller + share.commission,
                NOTHING <= share.seller <= has.seller,
                NOTHING <= share.commission <= has.commission,
                NOTHING <= from_payable <= share.seller,
            )
        )
        if not fits:
            raise RefundAboveCaptured(f"{share.store} has less than {share.gross} {currency} left of this order")


def evolve(revenue: Revenue, event: RevenueEvent) -> Revenue:
    match event:
        case RevenueRecognized(shares=shares):
            return Revenue(recognized=event, left=shares)
        case RevenueTakenBack(shares=shares, case=case):
            taken = {share.store: share for share in shares}
            left = [less(share, taken[share.store]) if share.store in taken else share for share in revenue.left]
            return Revenue(recognized=revenue.recognized, left=tuple(left), cases=(*revenue.cases, case))
        case _:
            assert_never(event)


def book(event: RevenueEvent) -> list[Transfer]:
    """The order's liability refuses to be shared out beyond what was paid (2006), a payable to be taken back beyond
    what was not yet paid out (7002)."""
    unit, order_no = event.currency, event.order_no
    order = liability(order_no, unit=unit)
    booked: list[Transfer] = []
    match event:
        case RevenueRecognized(shares=shares):
            for share in shares:
                booked += _some(order, payable(share.store, order_no, unit=unit), share.seller, unit)
                booked += _some(order, commission(share.store, unit=unit), share.commission, unit)
        case RevenueTakenBack(shares=shares, from_payable=parts):
            for share, part in zip(shares, parts, strict=True):
                debt = share.seller - part
                booked += _some(payable(share.store, order_no, unit=unit), order, part, unit)
                booked += _some(seller_debt(share.store, unit=unit), order, debt, unit)
                booked += _some(debts(unit=unit), debt_open(share.store, unit=unit), debt, unit)
                booked += _some(commission(share.store, unit=unit), order, share.commission, unit)
        case _:
            assert_never(event)
    return booked


def _some(debit: Account, credit: Account, amount: Decimal, currency: str) -> list[Transfer]:
    return [move(debit, credit, minor(amount, currency))] if amount else []


revenue = Decider("finance.revenue", "order_no", Revenue(), decide, evolve, book=book)
