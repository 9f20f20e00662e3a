"""What ordering keeps of a person, for the export of their own data."""

from uuid import UUID

from pasar.kernel.bus import Bus

from .bodies import ExportedOrder
from .life import status_of
from .order import order


async def exports(bus: Bus, person: UUID) -> list[ExportedOrder]:
    """Every order that a person ever placed: what was bought, for how much, where it went, what was noted with it."""
    return [
        ExportedOrder(
            order_no=placed.order_no,
            status=status_of(one.state),
            channel=placed.channel,
            currency=placed.currency,
            lines=placed.lines,
            discounts=placed.discounts,
            freight=placed.freight,
            taxes=placed.taxes,
            points=placed.points,
            total=placed.total,
            coupons=tuple(use.coupon for use in placed.coupons),
            address=placed.address,
            contact=placed.contact,
            placed_at=placed.placed_at,
            invoice_required=placed.invoice_required,
            metadata=placed.metadata,
            source=placed.source,
        )
        async for one in bus.db.every_owned(order, str(person))
        if (placed := one.state.placed) is not None
    ]
