"""What notification keeps of a person, for the export of their own data."""

from uuid import UUID

from pasar.kernel.bus import Bus

from .contract import ExportedMail
from .message import message


async def exports(bus: Bus, person: UUID) -> list[ExportedMail]:
    """Every mail that a person was sent, with the facts that it told. Its text is written anew for each sending."""
    return [
        ExportedMail(
            message=what.message,
            template=what.template,
            state=one.state.state,
            queued_at=one.opened_at,
            facts=what.facts,
        )
        async for one in bus.db.every_owned(message, str(person))
        if (what := one.state.what) is not None and one.state.state != "new"
    ]
