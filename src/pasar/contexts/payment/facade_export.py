"""What payment keeps of a person, for the export of their own data."""

from uuid import UUID

from pasar.kernel.bus import Bus
from pasar.kernel.messages import Answer

from .contract import Payment
from .facade_notices import of_person
from .notice import Notice
from .payment import answer, payment


class ExportedPayments(Answer):
    """Every payment that a person ever began, with what went back, and what providers told of them."""

    payments: tuple[Payment, ...]
    notices: tuple[Notice, ...]


async def exports(bus: Bus, person: UUID) -> ExportedPayments:
    found = [answer(one.state) async for one in bus.db.every_owned(payment, str(person))]
    return ExportedPayments(
        payments=tuple(one for one in found if one is not None), notices=tuple(await of_person(bus.db, person))
    )
