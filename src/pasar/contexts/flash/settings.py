"""How the queue of a sale admits people."""

from typing import Annotated

from msgspec import Meta

from pasar.kernel.settings import Section, register


class FlashSettings(Section, frozen=True):
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port of `pasar flash`, the lane in a process of its own.")
    ] = 8002
    admit_per_s: Annotated[
        int, Meta(ge=1, le=100_000, description="Tickets a second of one SKU of a sale, while there are units.")
    ] = 500
    ticket_s: Annotated[int, Meta(ge=1, le=3600, description="Seconds for which a ticket is good.")] = 60
    place_s: Annotated[
        int, Meta(ge=1, le=3600, description="Seconds after which a place is given up that nobody asked for.")
    ] = 60
    waiting_percent: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="How many may wait, in percent of the units; more hear that the queue is full.",
        ),
    ] = 100
    joins_per_member_min: Annotated[
        int, Meta(ge=1, le=100_000, description="How often a minute one member may join queues of sales.")
    ] = 60
    joins_per_device_min: Annotated[
        int, Meta(ge=1, le=100_000, description="The same of one device, where it says which it is.")
    ] = 120
    joins_per_address_min: Annotated[
        int, Meta(ge=1, le=10_000_000, description="The same of one network address; many may share one.")
    ] = 6000
    orders_in_flight: Annotated[
        int, Meta(ge=1, le=10_000, description="Buffered orders that one process takes from the broker at once.")
    ] = 128
    buffer_s: Annotated[
        int, Meta(ge=1, le=3600, description="Seconds that an order may lie in the broker after its ticket's end.")
    ] = 60


register("flash", FlashSettings)
