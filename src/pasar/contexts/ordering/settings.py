"""How long orders wait, and how they are numbered and shown."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from pasar.kernel.settings import Section, is_time_zone

from .contract import Vocabulary


class OrderingSettings(Section, frozen=True):
    """How long orders wait, and how they are numbered and shown."""

    payment_timeout_min: Annotated[int, Meta(ge=1, le=43_200, description="Minutes until an unpaid order is off.")] = 30
    attempt_extension_min: Annotated[
        int, Meta(ge=0, le=1_440, description="Minutes that an open payment attempt keeps an order longer, at most.")
    ] = 10
    confirm_after_days: Annotated[
        int, Meta(ge=1, le=365, description="Days after delivery until an order counts as confirmed.")
    ] = 7
    complete_after_days: Annotated[
        int, Meta(ge=0, le=365, description="Days after confirmation until an order is completed.")
    ] = 7
    time_zone: Annotated[
        str, Meta(description="Whose date order numbers begin with (IANA name); else `time_zone`.")
    ] = "UTC"
    default_channel: Annotated[str, Meta(description="Where orders are placed that do not say.", min_length=1)] = "web"
    programme: Annotated[str, Meta(description="The points that orders are paid with.", min_length=1)] = "points"
    soft_allocation: Annotated[
        bool, Meta(description="Whether the answer of an order says which batches its goods would come from.")
    ] = False
    vocabulary: Annotated[
        Vocabulary, Meta(description="In whose words states are shown beside the canonical ones.")
    ] = "canonical"

    def problems(self) -> Iterable[str]:
        if not is_time_zone(self.time_zone):
            yield f"time_zone is {self.time_zone!r}, which is no name of a time zone; write for example Asia/Seoul"
