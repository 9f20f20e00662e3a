"""What is known of a payment, and its refunds under the numbers that the provider hears."""

from decimal import Decimal
from hashlib import blake2b
from uuid import UUID

import msgspec

from pasar.kernel.messages import Value

from .contract import PaymentStarted, PaymentState, RefundState

NOTHING = Decimal(0)
OPEN = ("started", "confirming")
CAPTURED = ("captured", "late", "refunded")


class GivenBack(Value, omit_defaults=True):
    """One refund: asked for, done, or refused by the provider for the moment."""

    amount: Decimal
    state: RefundState = "requested"
    reason: str = ""
    attempt: int = 1
    failure: str | None = None


class Attempt(Value, omit_defaults=True):
    state: PaymentState = "new"
    started: PaymentStarted | None = None
    provider_ref: str | None = None
    pay_url: str | None = None
    fields: dict[str, str] = {}
    late: bool = False
    refunds: dict[str, GivenBack] = {}
    failure: str | None = None
    parked: tuple[str, ...] = ()
    """The provider's numbers of what was parked here."""
    told_as: str = ""
    """This payment's number in the provider's words, where it is not ours: it was found, and not asked for."""

    @property
    def given_back(self) -> Decimal:
        return sum((one.amount for one in self.refunds.values() if one.state == "completed"), NOTHING)

    @property
    def promised_back(self) -> Decimal:
        """Asked for or done. What the provider refused is still owed, so it counts."""
        return sum((one.amount for one in self.refunds.values()), NOTHING)


def refund_number(payment: UUID, refund: UUID, attempt: int) -> UUID:
    """Under which number the provider hears of one attempt at a refund: the same for a repeat, another after its no."""
    return UUID(bytes=blake2b(f"{payment}/{refund}/{attempt}".encode(), digest_size=16).digest())


def refund_of(attempt: Attempt, number: str) -> UUID | None:
    """Our refund that the provider's facts are about; None when it is not one of ours."""
    if attempt.started is None:
        return None
    payment = attempt.started.payment
    for refund, given in attempt.refunds.items():
        numbers = (refund_number(payment, UUID(refund), tried + 1) for tried in range(given.attempt))
        if any(str(one) == number for one in numbers):
            return UUID(refund)
    return None


def given_back(attempt: Attempt, refund: UUID) -> GivenBack:
    return attempt.refunds[str(refund)]


def with_refund(attempt: Attempt, refund: UUID, given: GivenBack) -> Attempt:
    return msgspec.structs.replace(attempt, refunds={**attempt.refunds, str(refund): given})
