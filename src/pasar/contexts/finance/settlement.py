"""One store's part of a run, paid once."""

from decimal import Decimal
from typing import assert_never

from pasar.accounts import bank, debt_open, debts, payable, seller_debt
from pasar.kernel.decider import Decider, Give, Take, Unique
from pasar.kernel.ledger import Account, Transfer, move
from pasar.kernel.messages import Value
from pasar.kernel.money import minor
from pasar.refusals import AlreadySettled, SettlementStateForbids

from .contract import PaySeller, SellerSettled, Settlement

settled = Unique("settled", AlreadySettled)


class Payment(Value):
    paid: SellerSettled | None = None


def decide(command: PaySeller, payment: Payment) -> list[SellerSettled]:
    event = SellerSettled(**{name: getattr(command, name) for name in SellerSettled.__struct_fields__})
    if payment.paid == event:
        return []
    if payment.paid is not None:
        raise AlreadySettled(f"{command.settlement} was paid with other orders")
    if sum((order.amount for order in command.orders), Decimal(0)) != command.amount + command.debt_netted:
        raise SettlementStateForbids(f"the orders of {command.settlement} do not add up to what is paid and netted")
    return [event]


def evolve(payment: Payment, event: SellerSettled) -> Payment:
    return Payment(paid=event)


def book(event: SellerSettled) -> list[Transfer]:
    """Each order's payable gives what it is settled with, to our bank account and, first, to what the seller owes. The
    floors refuse (7002) when a refund has taken back some of it since the run was proposed."""
    unit, left = event.currency, minor(event.debt_netted, event.currency)
    owes, paid_out = seller_debt(event.store, unit=unit), bank(unit=unit)
    booked: list[Transfer] = []
    for order in event.orders:
        account, amount = payable(event.store, order.order_no, unit=unit), minor(order.amount, unit)
        netted = min(left, amount)
        left -= netted
        booked += _some(account, owes, netted) + _some(account, paid_out, amount - netted)
    return booked + _some(debt_open(event.store, unit=unit), debts(unit=unit), minor(event.debt_netted, unit))


def _some(debit: Account, credit: Account, amount: int) -> list[Transfer]:
    return [move(debit, credit, amount)] if amount else []


def claims(event: SellerSettled) -> list[Take | Give]:
    """An order is settled once for each store, whatever runs there are."""
    match event:
        case SellerSettled(store=store, orders=orders):
            return [settled.take(f"{order.order_no}:{store}") for order in orders]
        case _:
            assert_never(event)


def answer(payment: Payment) -> Settlement | None:
    paid = payment.paid
    return paid and Settlement(**{name: getattr(paid, name) for name in SellerSettled.__struct_fields__})


settlement = Decider(
    "finance.settlement", "settlement", Payment(), decide, evolve, book=book, claims=claims, answer=answer
)
