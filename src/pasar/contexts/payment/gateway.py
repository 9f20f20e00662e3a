"""The port to payment providers: what we ask of them, and what they state.

A provider's statement is `Facts`: verified to be the provider's own, otherwise exactly as it came. Whether it fits
the order (amount, currency, receiver) is for the domain to judge. A call that got no answer which can be trusted
raises `GatewayUnavailable`: the outcome is unknown and must be asked for, by `query` or `query_refund`, before
anything is concluded. Only `GatewayRefused` is a no.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

import msgspec

Kind = Literal["captured", "failed", "refunded", "refund_failed", "pending", "unknown"]


class PaymentIntent(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer is about to pay.

    `payment_id` names one attempt to pay, for ever: the provider hears it, and its facts carry it. It has 6 to 36
    characters of A-Z a-z 0-9 - _; a UUID in its usual form fits every provider. `attempt_key` makes a repeated start
    or confirmation the same one.
    """

    payment_id: str
    order_no: str
    amount: Decimal
    currency: str
    title: str
    return_url: str
    notify_url: str
    expires_at: datetime
    attempt_key: str
    payer: str | None = None  # The provider's own name of the buyer, where the product needs it (WeChat: openid).
    payer_ip: str | None = None


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What the buyer's browser needs: a page to open, or fields for the provider's script or a QR code."""

    provider_ref: str | None = None
    pay_url: str | None = None
    fields: dict[str, str] = {}


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of a provider about one payment or one refund.

    - captured: `amount` was taken. It stays true when some of it was refunded later.
    - failed: nothing was taken, and with this payment nothing will be.
    - pending: neither is settled yet; for a refund, it is on its way.
    - refunded, refund_failed: the fate of `refund_id`; None when the refund was not made through this port.
    - unknown: the provider has no such payment or refund.

    `receiver` is the merchant who gets the money; None where the provider does not say. `provider_ref` is empty as
    long as the provider has not given one.
    """

    kind: Kind
    payment_id: str
    provider_ref: str
    amount: Decimal | None = None
    currency: str | None = None
    receiver: str | None = None
    refund_id: str | None = None
    refund_ref: str | None = None  # The provider's own number of the refund.
    occurred_at: datetime | None = None
    reason: str | None = None


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a notice that the provider understands."""

    status: int
    content_type: str
    body: bytes


class GatewayUnavailable(Exception):
    """No trustworthy answer: time-out, lost connection, 5xx, 429, unreadable or wrongly signed. Ask before you act."""


class GatewayRefused(Exception):
    """The provider's definite no, or ours before anything was sent."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class NoticeForged(Exception):
    """A notice that is not the provider's, or not of now: signature missing, wrong or stale, or a body to match."""


class Gateway(Protocol):
    """One provider, for one merchant."""

    @property
    def name(self) -> str: ...

    @property
    def currencies(self) -> frozenset[str]: ...

    @property
    def receiver(self) -> str:
        """The merchant that `Facts.receiver` must name."""
        ...

    @property
    def calls_to_start(self) -> bool:
        """Whether `start` asks the provider. Where it does not, it is known at once what the browser needs."""
        ...

    async def start(self, intent: PaymentIntent) -> Started:
        """Prepare a payment. A repeat with the same intent changes nothing."""
        ...

    async def confirm(
        self, payment_id: str, provider_ref: str, amount: Decimal, currency: str, attempt_key: str
    ) -> Facts:
        """Take the money that the buyer has agreed to. A repeat tells what was taken; it never takes twice."""
        ...

    async def query(self, payment_id: str, provider_ref: str | None) -> Facts:
        """What became of a payment."""
        ...

    async def close(self, payment_id: str, provider_ref: str | None) -> Facts:
        """End a payment that is not wanted any more, if it can still be ended; the facts say how it ended."""
        ...

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
        """Give back a part of `total`. A repeat with the same `refund_id` never gives twice."""
        ...

    async def query_refund(self, payment_id: str, provider_ref: str, refund_id: str) -> Facts:
        """What became of a refund."""
        ...

    def claims(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether a notice that came to the common path looks like this provider's. Proves nothing."""
        ...

    async def read_notice(self, headers: Mapping[str, str], body: bytes) -> list[Facts]:
        """The facts of a notice, verified; none when it is genuine but about other things. Raises `NoticeForged`."""
        ...

    def acknowledge(self, ok: bool) -> Acknowledgement:
        """The answer to a notice: taken, or send it again later."""
        ...
