"""What a run pays: each store's orders less its debt, held back where it is too little or nobody knows to whom."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

from pasar.kernel.messages import Value
from pasar.vocabulary import AccountId, StoreId

from .contract import ProposedSettlement, SettledOrder

NOTHING = Decimal(0)


class Seller(Value):
    account: AccountId
    kyc: str


def proposed(
    due: Mapping[StoreId, Sequence[SettledOrder]],
    debts: Mapping[StoreId, Decimal],
    sellers: Mapping[StoreId, Seller],
    minimum: Decimal,
) -> tuple[ProposedSettlement, ...]:
    """One for each store that is due something, in the order of their codes."""
    settlements = []
    for store in sorted(due):
        orders, seller = tuple(due[store]), sellers[store]
        gross = sum((order.amount for order in orders), NOTHING)
        netted = min(debts.get(store, NOTHING), gross)
        amount = gross - netted
        settlements.append(
            ProposedSettlement(
                store=store,
                seller=seller.account,
                amount=amount,
                debt_netted=netted,
                orders=orders,
                kyc=seller.kyc,
                held_back=_held_back(amount, minimum, seller.kyc),
            )
        )
    return tuple(settlements)


def _held_back(amount: Decimal, minimum: Decimal, kyc: str) -> Literal["", "below_minimum", "kyc", "debt"]:
    if amount <= 0:
        return "debt"
    if amount < minimum:
        return "below_minimum"
    return "" if kyc == "verified" else "kyc"
