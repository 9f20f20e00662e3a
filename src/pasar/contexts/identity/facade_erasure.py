"""Who leaves: what law keeps goes into the vault with its term; then the keys of all that was told of them die.

Each context says itself what law makes it keep (`retains` of its module).
"""

from uuid import UUID

from pasar.kernel.bus import Bus
from pasar.kernel.keystore import Retained
from pasar.kernel.module import OfPersons

from .account import account as accounts
from .contract import EraseAccount


async def erase(bus: Bus, id: UUID) -> int:
    """The person leaves: logins are given back, tokens die, and what was told of them becomes unreadable everywhere,
    backups included; what law keeps is in the vault. May be repeated. The number of keys that there were.

    Where this process dies in between, the reaction `identity.destroy_keys` finishes it."""
    await _keep(bus, id)  # With name and address, which the account knows only until it is erased.
    await bus.send(EraseAccount(account=id))
    return await finish(bus, id)


async def finish(bus: Bus, id: UUID) -> int:
    """What follows from an erasure that is on the log. Into the vault once more: an order may have come between."""
    await _keep(bus, id)
    return await bus.keys.erase(bus.context.tenant, id)


async def _keep(bus: Bus, id: UUID) -> None:
    retains = bus.tool(OfPersons).retains
    records = [record for name in sorted(retains) for record in await retains[name](bus, id)]
    if records and (who := await _who(bus, id)):
        last = max(records, key=lambda record: record.until)
        records.append(Retained(last.class_, "account", last.until, who))
    for record in records:
        await bus.keys.keep(bus.context.tenant, id, record.class_, record.until, record.values, record=record.name)


async def _who(bus: Bus, id: UUID) -> dict[str, str]:
    """Whom the records are of; nothing once the account is erased."""
    found = await bus.db.state(accounts, id)
    parts = {"name": found.name, "mail": found.mail, "mobile": found.mobile} if found else {}
    opened = {name: (await bus.keys.open(value)) for name, value in parts.items() if value is not None}
    return {name: text for name, text in opened.items() if text}
