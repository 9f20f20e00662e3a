"""A provider's notice as it is kept, and as much of it as may be shown without a reason."""

import json
from datetime import date, datetime
from hashlib import blake2b
from typing import Any, Literal
from uuid import UUID

import msgspec

from pasar.kernel.messages import Answer, Value
from pasar.kernel.private import Private, Purpose

Verdict = Literal["verified", "ignored", "refused", "postponed"]
"""Genuine and booked; about nothing that is booked, so not looked into; not believed; not booked, so that the provider
sends it again."""
HIDDEN = "•••"
_SHOWN = frozenset(
    """eventType createdAt version type status orderId paymentKey transactionKey lastTransactionKey mId currency method
    totalAmount balanceAmount suppliedAmount vat cancelAmount cancelStatus canceledAt requestedAt approvedAt id code
    event_type resource_type create_time algorithm original_type mchid appid out_trade_no transaction_id trade_state
    trade_type success_time refund_id out_refund_no refund_status total payer_total refund payer_refund amount
    """.split()
)
"""Fields of both providers that say nothing of a person: numbers of payments, states, times and amounts."""
_NAMES = ("orderId", "out_trade_no")
LONGEST = 100


class PaymentNotices(Purpose, name="payment_notices"):
    """To settle with a provider what it told us."""


class Sealable(Value):
    """What a notice says, to be sealed for a person."""

    person: UUID
    body: Private[PaymentNotices]


class Notice(Answer):
    """A notice that was received. `payment`: what it is about, or says it is; `outcome`: the kinds of facts that were
    booked. `body` is the text as it came; None where the person was erased before."""

    notice: UUID
    gateway: str
    payment: UUID | None
    person: UUID
    at: datetime
    verdict: Verdict
    reason: str
    outcome: str
    size: int
    digest: str
    body: Private[PaymentNotices] | None


def person_of_day(tenant: int, day: date) -> UUID:
    """For whom notices of a day are sealed that tell of nobody whom we know."""
    return UUID(bytes=blake2b(f"notices/{tenant}/{day.isoformat()}".encode(), digest_size=16).digest())


def named_in(body: bytes) -> UUID | None:
    """The payment that a notice says it is about. Proves nothing."""
    try:
        return _named(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _named(value: Any) -> UUID | None:
    if not isinstance(value, dict):
        return None
    for name in _NAMES:
        try:
            return UUID(str(value[name]))
        except (KeyError, ValueError):
            continue
    return next((found for part in value.values() if (found := _named(part)) is not None), None)


def masked(text: str) -> str:
    """A notice with everything hidden that could tell of a person, in lines. What is no JSON is hidden whole."""
    try:
        return json.dumps(_masked(json.loads(text), shown=False), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return HIDDEN


def _masked(value: Any, *, shown: bool) -> Any:
    if isinstance(value, dict):
        return {str(name)[:LONGEST]: _masked(part, shown=name in _SHOWN) for name, part in value.items()}
    if isinstance(value, list):
        return [_masked(part, shown=shown) for part in value]
    if value is None or isinstance(value, bool) or (shown and len(str(value)) <= LONGEST):
        return value
    return HIDDEN
