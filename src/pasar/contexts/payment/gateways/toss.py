"""Toss Payments, core API of version 2022-11-16 (docs.tosspayments.com/reference).

The buyer agrees in the provider's window; only `confirm` takes the money. Notices of payments carry no signature, so
they are a hint to read the payment again. The API knows no id for a refund: ours ends the reason, where `query_refund`
finds it again, and is the idempotency key, which the provider remembers for 15 days.
"""

import hmac
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import msgspec

from pasar.kernel.outgoing import Outgoing

from ..gateway import (
    Acknowledgement,
    Facts,
    GatewayRefused,
    GatewayUnavailable,
    Kind,
    NoticeForged,
    PaymentIntent,
    Started,
)
from . import toss_signing, wire

# Codes that come with a 4xx and still leave the outcome open.
OPEN_CODES = frozenset({"PROVIDER_ERROR", "COMMON_ERROR", "UNKNOWN_PAYMENT_ERROR", "IDEMPOTENT_REQUEST_PROCESSING"})
NO_SUCH_PAYMENT = frozenset({"NOT_FOUND_PAYMENT", "NOT_FOUND"})
PAYMENT_EVENTS = frozenset({"PAYMENT_STATUS_CHANGED", "CANCEL_STATUS_CHANGED"})
SIGNED_EVENTS = frozenset({"payout.changed", "seller.changed"})
REASON_LENGTH = 200
NAME_LENGTH = 100


class TossConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One merchant. `window_url` is a page that opens the provider's window with the fields of `Started`."""

    client_key: str
    secret_key: str
    merchant_id: str
    security_key: str | None = None  # Signs notices of payouts, where that service is used.
    base_url: str = "https://api.tosspayments.com"
    window_url: str | None = None
    timeout_s: int = 30  # Card companies take their time; the provider itself recommends 30 to 60 s.

    def __repr__(self) -> str:
        """Without keys: settings end up in logs."""
        return f"TossConfig({self.merchant_id!r}, {self.base_url!r})"


class Cancel(msgspec.Struct, frozen=True, rename="camel"):
    cancel_amount: Decimal
    cancel_reason: str = ""
    transaction_key: str | None = None
    canceled_at: datetime | None = None
    cancel_status: str | None = "DONE"  # Foreign methods only know later whether they succeeded.


class Failure(msgspec.Struct, frozen=True):
    code: str
    message: str = ""


class Payment(msgspec.Struct, frozen=True, rename="camel"):
    payment_key: str
    order_id: str
    status: str
    total_amount: Decimal
    currency: str
    m_id: str | None = None
    approved_at: datetime | None = None
    cancels: list[Cancel] | None = None
    failure: Failure | None = None
    secret: str | None = None


class Toss:
    """The port, spoken to Toss Payments. The currency of its domestic methods is KRW."""

    name = "toss"
    currencies = frozenset({"KRW"})
    calls_to_start = False

    def __init__(self, config: TossConfig, client: Outgoing) -> None:
        self.config = config
        self.client = client

    @property
    def receiver(self) -> str:
        return self.config.merchant_id

    async def start(self, intent: PaymentIntent) -> Started:
        """The fields of the provider's script. Nothing is sent: the window itself makes the payment.

        The address for notices is set in the provider's console, not with each payment.
        """
        fields = {
            "clientKey": self.config.client_key,
            "orderId": wire.check_payment_id(intent.payment_id),
            "amount": str(won(intent.amount, intent.currency)),
            "currency": intent.currency,
            "orderName": intent.title[:NAME_LENGTH],
            "successUrl": intent.return_url,
            "failUrl": intent.return_url,
        }
        window = self.config.window_url
        return Started(pay_url=window and f"{window}?{urlencode(fields)}", fields=fields)

    async def confirm(
        self, payment_id: str, provider_ref: str, amount: Decimal, currency: str, attempt_key: str
    ) -> Facts:
        body = {"paymentKey": provider_ref, "orderId": payment_id, "amount": won(amount, currency)}
        try:
            answer = await self._call("POST", "/v1/payments/confirm", body, attempt_key)
        except GatewayRefused as no:
            if no.code != "ALREADY_PROCESSED_PAYMENT":
                raise
            return await self.query(payment_id, provider_ref)
        payment = read_payment(answer)
        if (payment.order_id, payment.payment_key) != (payment_id, provider_ref):
            # A key that was used before brings the first answer back, whatever is asked now.
            raise GatewayUnavailable(f"the answer is about {payment.order_id}, not {payment_id}")
        return capture_facts(payment)

    async def query(self, payment_id: str, provider_ref: str | None) -> Facts:
        payment = await self._find(payment_id, provider_ref)
        if payment is None:
            return Facts(kind="unknown", payment_id=payment_id, provider_ref=provider_ref or "")
        return capture_facts(payment)

    async def close(self, payment_id: str, provider_ref: str | None) -> Facts:
        """Only an account that waits for a deposit must be ended; what is never confirmed lapses in ten minutes."""
        payment = await self._find(payment_id, provider_ref)
        if payment is not None and payment.status == "WAITING_FOR_DEPOSIT":
            path = f"/v1/payments/{segment(payment.payment_key)}/cancel"
            # A no means that the deposit came first; it cannot be sent back without an account.
            with suppress(GatewayRefused):
                await self._call("POST", path, {"cancelReason": "not paid in time"}, f"close-{payment_id}")
        return await self.query(payment_id, provider_ref)

    async def refund(
        self,
        payment_id: str,
        provider_ref: str,
        refund_id: str,
        amount: Decimal,
        currency: str,
        total: Decimal,
        reason: str,
    ) -> Facts:
        """Looks before it asks: a repeat after the provider has forgotten the key would give twice."""
        body = {"cancelReason": mark(reason, refund_id), "cancelAmount": won(amount, currency)}
        path = f"/v1/payments/{segment(provider_ref)}/cancel"
        before = await self.query_refund(payment_id, provider_ref, refund_id)
        if before.kind != "unknown":
            return before
        payment = read_payment(await self._call("POST", path, body, refund_id))
        for facts in refund_facts(payment):
            if facts.refund_id == refund_id and payment.order_id == payment_id:
                return facts
        raise GatewayUnavailable(f"the answer does not show refund {refund_id}")

    async def query_refund(self, payment_id: str, provider_ref: str, refund_id: str) -> Facts:
        payment = await self._find(payment_id, provider_ref)
        found = refund_facts(payment) if payment is not None else []
        missing = Facts(kind="unknown", payment_id=payment_id, provider_ref=provider_ref, refund_id=refund_id)
        return next((facts for facts in found if facts.refund_id == refund_id), missing)

    def claims(self, headers: Mapping[str, str], body: bytes) -> bool:
        if "tosspayments-webhook-signature" in wire.lower(headers):
            return True
        try:
            notice = read_object(body)
        except NoticeForged:
            return False
        return notice.get("eventType") in PAYMENT_EVENTS | SIGNED_EVENTS or is_deposit(notice)

    async def read_notice(self, headers: Mapping[str, str], body: bytes) -> list[Facts]:
        notice = read_object(body)
        self._check_signature(wire.lower(headers), body, notice)
        if is_deposit(notice):
            return await self._read_deposit(notice)
        data = notice.get("data")
        if notice.get("eventType") not in PAYMENT_EVENTS or not isinstance(data, dict):
            return []
        payment_key, order_id = data.get("paymentKey"), data.get("orderId")
        if not isinstance(payment_key, str) or not isinstance(order_id, str):
            return []  # A hint that names no payment; the notice of the payment itself comes as well.
        payment = await self._find(order_id, payment_key)
        if payment is None or payment.order_id != order_id:
            raise NoticeForged("the provider does not know this payment")
        return statement(payment)

    def acknowledge(self, ok: bool) -> Acknowledgement:
        return Acknowledgement(status=200 if ok else 500, content_type="text/plain", body=b"")

    def _check_signature(self, headers: Mapping[str, str], body: bytes, notice: dict[str, Any]) -> None:
        signature = headers.get("tosspayments-webhook-signature")
        if signature is None and notice.get("eventType") not in SIGNED_EVENTS:
            return
        sent = headers.get("tosspayments-webhook-transmission-time", "")
        key = self.config.security_key
        if not key or not signature or not toss_signing.notice_is_genuine(key, body, sent, signature):
            raise NoticeForged("wrong or missing signature")

    async def _read_deposit(self, notice: dict[str, Any]) -> list[Facts]:
        """Whoever knows the secret that was given with the virtual account is the provider; the payment tells more."""
        payment = await self._find(notice["orderId"], None)
        if payment is None or not payment.secret:
            raise NoticeForged("the provider does not know this deposit")
        if not hmac.compare_digest(payment.secret.encode(), notice["secret"].encode()):
            raise NoticeForged("wrong secret of a deposit")
        return statement(payment)

    async def _find(self, payment_id: str, provider_ref: str | None) -> Payment | None:
        try:
            key = segment(provider_ref) if provider_ref else f"orders/{segment(payment_id)}"
            return read_payment(await self._call("GET", f"/v1/payments/{key}"))
        except GatewayRefused as no:
            if no.code in NO_SUCH_PAYMENT:
                return None
            raise

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None, key: str | None = None) -> bytes:
        headers = {"Authorization": toss_signing.basic_credentials(self.config.secret_key)}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Idempotency-Key"] = key
        payload = None if body is None else msgspec.json.encode(body)
        url = self.config.base_url.rstrip("/") + path
        reply = await wire.call(self.client, method, url, headers, payload, self.config.timeout_s)
        problem = wire.read_problem(reply) if reply.status >= 400 else None
        if problem is not None and problem.code in OPEN_CODES:
            raise GatewayUnavailable(f"{problem.code}: {problem.message}")
        wire.raise_for_status(reply)
        return reply.body


def won(amount: Decimal, currency: str) -> int:
    if currency not in Toss.currencies:
        raise GatewayRefused("INVALID_CURRENCY", f"{currency} is not taken")
    return wire.minor_units(amount, digits=0)


def segment(text: str) -> str:
    """One part of a path. Keys come from browsers, and must not become two parts, none, or a query."""
    if not re.fullmatch(r"[A-Za-z0-9_=-]{1,200}", text):
        raise GatewayRefused("NOT_FOUND_PAYMENT", "not a key of a payment")
    return text


def mark(reason: str, refund_id: str) -> str:
    ending = f" [{wire.check_payment_id(refund_id)}]"
    return (reason or "refund")[: REASON_LENGTH - len(ending)] + ending


def marked(reason: str) -> str | None:
    found = re.search(r" \[([A-Za-z0-9_-]{6,64})\]$", reason)
    return found and found[1]


def read_payment(body: bytes) -> Payment:
    try:
        return msgspec.json.decode(body, type=Payment)
    except wire.UNREADABLE as problem:
        raise GatewayUnavailable(f"not a payment: {problem}") from problem


def read_object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except wire.UNREADABLE as problem:
        raise NoticeForged("not a JSON object") from problem


def is_deposit(notice: dict[str, Any]) -> bool:
    return "eventType" not in notice and all(
        isinstance(notice.get(name), str) for name in ("secret", "status", "transactionKey", "orderId")
    )


def statement(payment: Payment) -> list[Facts]:
    return [capture_facts(payment), *refund_facts(payment)]


def capture_facts(payment: Payment) -> Facts:
    """Approved is captured, and stays so: refunds are facts of their own."""
    if payment.approved_at is not None:
        kind: Kind = "captured"
    elif payment.status in ("ABORTED", "EXPIRED", "CANCELED"):
        kind = "failed"
    else:
        kind = "pending"
    return Facts(
        kind=kind,
        payment_id=payment.order_id,
        provider_ref=payment.payment_key,
        amount=payment.total_amount,
        currency=payment.currency,
        receiver=payment.m_id,
        occurred_at=payment.approved_at and payment.approved_at.astimezone(UTC),
        reason=payment.failure.code if payment.failure else None,
    )


def refund_facts(payment: Payment) -> list[Facts]:
    kinds: dict[str | None, Kind] = {"DONE": "refunded", None: "refunded", "ABORTED": "refund_failed"}
    if payment.approved_at is None:
        return []  # Ended before anything was taken.
    return [
        Facts(
            kind=kinds.get(cancel.cancel_status, "pending"),
            payment_id=payment.order_id,
            provider_ref=payment.payment_key,
            amount=cancel.cancel_amount,
            currency=payment.currency,
            receiver=payment.m_id,
            refund_id=marked(cancel.cancel_reason),
            refund_ref=cancel.transaction_key,
            occurred_at=cancel.canceled_at and cancel.canceled_at.astimezone(UTC),
        )
        for cancel in payment.cancels or ()
    ]
