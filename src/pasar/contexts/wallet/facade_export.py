"""What wallet keeps of a person, for the export of their own data."""

from uuid import UUID

from pasar.kernel.bus import Bus

from .account import Wallet
from .account import account as wallets
from .contract import ExportedWallet, PointsEntry
from .facade import wallet_of


async def exports(bus: Bus, person: UUID) -> ExportedWallet:
    """The whole statement of a person, oldest first, and what they owe."""
    wallet = await bus.db.state(wallets, wallet_of(person)) or Wallet()
    entries = await bus.db.all(
        PointsEntry,
        """select entry, at, kind, points, reference from wallet.statement
            where tenant = $1 and account = $2::uuid order by at, entry""",
        *(bus.db.tenant, str(person)),
    )
    return ExportedWallet(programme="points", debt=wallet.debt, entries=tuple(entries))
