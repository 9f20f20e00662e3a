"""What only the routes of payments say: their bodies."""

from typing import Annotated

from msgspec import Meta

from pasar.kernel.free_text import TextBody
from pasar.kernel.messages import Body
from pasar.vocabulary import Amount


class NewPayment(Body):
    """Pay an order. Without `gateway` the shop chooses. `replace` ends another open attempt first."""

    gateway: Annotated[str, Meta(max_length=40)] | None = None
    return_url: Annotated[str, Meta(max_length=500, pattern="^https?://")] = ""
    replace: bool = False
    idempotency_key: str | None = None


class Confirmation(Body):
    """What the provider's page has put into the address to which the buyer's browser came back."""

    payment_key: Annotated[str, Meta(min_length=1, max_length=200)]
    order_id: Annotated[str, Meta(min_length=1, max_length=64)]
    amount: Amount


class NewRefund(TextBody):
    """Give back a part of a payment, or all that is left of it (no amount)."""

    free_texts = ("reason",)
    amount: Amount | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    idempotency_key: str | None = None


class NewTraffic(TextBody):
    """Of the payments that choose none, what those before it have left. No `share`: what the settings say."""

    free_texts = ("reason",)
    share: Annotated[int, Meta(ge=0, le=100, description="percent")] | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
