"""A coupon: open from its creation until it is closed. Its uses are counted in the ledger, not here."""

from datetime import UTC, datetime, timedelta
from typing import assert_never

from msgspec.structs import replace

from pasar.accounts import coupon_issue, coupon_tickets
from pasar.kernel import ledger
from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value
from pasar.kernel.money import BadMoney, digits, minor
from pasar.refusals import CouponExists, CouponMalformed, CouponNotFound

from .contract import CloseCoupon, Coupon, CouponClosed, CouponCreated, CreateCoupon

CouponCommand = CreateCoupon | CloseCoupon
CouponEvent = CouponCreated | CouponClosed
_FAR = datetime(9999, 1, 1, tzinfo=UTC)


class Promotion(Value):
    """Nothing yet, or the coupon."""

    coupon: Coupon | None = None


def check(command: CreateCoupon) -> None:
    """Refuse a coupon that could never be understood in one way."""
    try:
        digits(command.currency)
        for amount in (command.min_amount, command.max_discount, command.value if command.kind == "amount" else None):
            if amount is not None:
                minor(amount, command.currency)
    except BadMoney as wrong:
        raise CouponMalformed(str(wrong)) from None
    if command.kind == "percent" and not 0 < command.value <= 100:
        raise CouponMalformed("a percentage is above 0 and not above 100")
    if command.kind == "amount" and command.value <= 0:
        raise CouponMalformed("an amount is above 0")
    if command.kind == "free_freight" and command.value != 0:
        raise CouponMalformed("free freight has no value; `max_discount` limits it")
    if command.max_discount is not None and command.max_discount <= 0:
        raise CouponMalformed("`max_discount` is above 0, or absent")
    starts_at, ends_at = command.period.starts_at, command.period.ends_at
    if any(at is not None and at.tzinfo is None for at in (starts_at, ends_at)):
        raise CouponMalformed("instants have a time zone")
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        raise CouponMalformed("the period ends before it starts")


def decide(command: CouponCommand, promotion: Promotion) -> list[CouponEvent]:
    coupon = promotion.coupon
    match command:
        case CreateCoupon():
            wanted = CouponCreated(**{name: getattr(command, name) for name in command.__struct_fields__})
            if coupon is None:
                check(command)
                return [wanted]
            if evolve(Promotion(), wanted).coupon == replace(coupon, is_open=True):
                return []  # A repeat.
            raise CouponExists(f"there is a coupon {command.coupon}, with other content")
        case CloseCoupon():
            if coupon is None:
                raise CouponNotFound(f"there is no coupon {command.coupon}")
            return [CouponClosed(coupon=command.coupon)] if coupon.is_open else []
        case _:
            assert_never(command)


def evolve(promotion: Promotion, event: CouponEvent) -> Promotion:
    match event:
        case CouponCreated():
            return Promotion(coupon=Coupon(**{name: getattr(event, name) for name in event.__struct_fields__}))
        case CouponClosed():
            assert promotion.coupon is not None
            return Promotion(coupon=replace(promotion.coupon, is_open=False))
        case _:
            assert_never(event)


def book(event: CouponEvent) -> list[ledger.Transfer]:
    """A limited coupon gets all its tickets at once; the floor of `coupon_tickets` refuses the use too many (6002)."""
    match event:
        case CouponCreated(coupon=code, total_limit=int() as limit):
            return [ledger.move(coupon_issue(code), coupon_tickets(code), limit)]
        case CouponCreated() | CouponClosed():
            return []
        case _:
            assert_never(event)


def answer(promotion: Promotion) -> Coupon | None:
    return promotion.coupon


def precedence(coupon: Coupon) -> tuple[bool, int, timedelta, str]:
    """Who comes first: a store's coupon before the platform's, then the higher priority, then the one that starts
    later, then the lower code. Sorted ascending."""
    starts_at = coupon.period.starts_at
    since = timedelta.max if starts_at is None else _FAR - starts_at
    return coupon.store is None, -coupon.priority, since, coupon.coupon


coupon = Decider("pricing.coupon", "coupon", Promotion(), decide, evolve, book=book, answer=answer)
