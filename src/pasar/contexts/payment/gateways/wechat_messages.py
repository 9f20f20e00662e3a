"""What WeChat Pay answers and tells in notices, and the facts in it. Pure. Amounts are whole fen."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from ..gateway import Facts, GatewayRefused, Kind

TRADE_KINDS: dict[str, Kind] = {
    "SUCCESS": "captured",
    "REFUND": "captured",  # Captured, and a refund of it has begun.
    "NOTPAY": "pending",
    "USERPAYING": "pending",
    "ACCEPT": "pending",
    "CLOSED": "failed",
    "REVOKED": "failed",
    "PAYERROR": "failed",
}
REFUND_KINDS: dict[str, Kind] = {
    "SUCCESS": "refunded",
    "PROCESSING": "pending",
    "CLOSED": "refund_failed",
    "ABNORMAL": "refund_failed",  # The buyer's account cannot take it; a person must choose another.
}


class Amount(msgspec.Struct, frozen=True):
    total: int | None = None
    currency: str | None = None


class Trade(msgspec.Struct, frozen=True):
    mchid: str
    out_trade_no: str
    trade_state: str
    transaction_id: str = ""
    trade_state_desc: str | None = None
    success_time: datetime | None = None
    amount: Amount | None = None


class RefundAmount(msgspec.Struct, frozen=True):
    refund: int
    total: int
    currency: str = "CNY"  # Notices leave it out; the domestic service knows no other.


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Answers say `status`, notices `refund_status`."""

    out_refund_no: str
    out_trade_no: str
    amount: RefundAmount
    transaction_id: str = ""
    refund_id: str | None = None
    status: str | None = None
    refund_status: str | None = None
    mchid: str | None = None
    success_time: datetime | None = None


def trade_facts(trade: Trade) -> Facts:
    kind = TRADE_KINDS.get(trade.trade_state, "pending")
    amount = trade.amount
    return Facts(
        kind=kind,
        payment_id=ours(trade.out_trade_no),
        provider_ref=trade.transaction_id,
        amount=amount and yuan(amount.total),
        currency=amount and amount.currency,
        receiver=trade.mchid,
        occurred_at=utc(trade.success_time),
        reason=None if kind == "captured" else trade.trade_state,
    )


def refund_facts(refund: Refund) -> Facts:
    state = refund.status or refund.refund_status or ""
    kind = REFUND_KINDS.get(state, "pending")
    return Facts(
        kind=kind,
        payment_id=ours(refund.out_trade_no),
        provider_ref=refund.transaction_id,
        amount=yuan(refund.amount.refund),
        currency=refund.amount.currency,
        receiver=refund.mchid,
        refund_id=ours(refund.out_refund_no),
        refund_ref=refund.refund_id,
        occurred_at=utc(refund.success_time),
        reason=None if kind == "refunded" else state,
    )


def theirs(identity: str) -> str:
    """Our id as an order number of the provider, which has at most 32 characters: a UUID goes without its hyphens.

    32 hexadecimal digits would come back as a UUID, so nothing else may look like that.
    """
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", identity):
        return identity.replace("-", "")
    if re.fullmatch(r"[A-Za-z0-9_-]{6,32}", identity) and not re.fullmatch(r"[0-9a-f]{32}", identity):
        return identity
    raise GatewayRefused("INVALID_PAYMENT_ID", "a UUID in lower case, or 6 to 32 characters of A-Z a-z 0-9 - _")


def ours(number: str) -> str:
    return str(UUID(number)) if re.fullmatch(r"[0-9a-f]{32}", number) else number


def yuan(fen: int | None) -> Decimal | None:
    return None if fen is None else Decimal(fen).scaleb(-2)


def utc(moment: datetime | None) -> datetime | None:
    return moment and moment.astimezone(UTC)
