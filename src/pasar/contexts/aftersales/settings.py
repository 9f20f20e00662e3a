"""How long, and of what, buyers get their money back."""

from typing import Annotated, Literal

from msgspec import Meta

from pasar.kernel.settings import Section, register


class AftersalesSettings(Section, frozen=True):
    """Returns and refunds."""

    withdrawal_days: Annotated[
        int, Meta(ge=0, le=365, description="Days after delivery in which goods go back without a reason.")
    ] = 7
    fault_days: Annotated[
        int, Meta(ge=0, le=3650, description="Days after delivery in which goods go back that are not as sold.")
    ] = 30
    refund_freight: Annotated[
        Literal["never", "fault", "always"],
        Meta(description="When freight goes back with the last unit: never, where the seller is at fault, always."),
    ] = "fault"


register("aftersales", AftersalesSettings)
