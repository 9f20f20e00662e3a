"""Sums of accounts without a floor, kept in the background.

The balance of such an account is what was moved or settled to it less what was moved or settled from it. A hold counts
when it is settled; what is released never counts. So an account's debits and credits are sums over the journal's moves
and settlements, each counted once: with the position of the event that booked it.
"""

from collections.abc import Sequence

from .bus import Core
from .followers import Cursor, load_cursor, move_cursor
from .ledger import Family
from .store import Recorded

_ADD = """
    with e as materialized (
        select position from kernel.event
         where (epoch, xid, position) > ($1::smallint, $2::xid8, $3::bigint)
           and (epoch, xid, position) <= ($4::smallint, $5::xid8, $6::bigint)),
    t as materialized (
        select tenant, debit, credit, unit, amount from kernel.transfer
         where position between (select min(position) from e) and (select max(position) from e)
           and position in (select position from e) and phase in (2, 4)),
    side as (
        select tenant, debit as id, unit, amount as debits, 0 as credits from t union all
        select tenant, credit, unit, 0, amount from t),
    total as (
        select tenant, id, unit, sum(debits) as debits, sum(credits) as credits from side
         where split_part(id, ':', 1) <> all ($7) group by tenant, id, unit)
    insert into kernel.rollup as r (tenant, id, unit, debits, credits)
    select tenant, id, unit, debits, credits from total order by tenant, id, unit
        on conflict (tenant, id, unit) do update
       set debits = r.debits + excluded.debits, credits = r.credits + excluded.credits"""


class Rollup:
    """The follower that adds up."""

    name = "rollup"
    types: frozenset[str] = frozenset()
    every = True

    def __init__(self, core: Core) -> None:
        self._pool = core.database.kernel
        self._floored = [family.name for family in Family.all.values() if family.floor is not None or family.limited]
        self.cursor = Cursor(0, 0, 0)

    async def begin(self) -> None:
        self.cursor = await load_cursor(self._pool, self.name)

    async def handle(self, events: Sequence[Recorded], old: Cursor, new: Cursor) -> Cursor:
        async with self._pool.repeatable() as connection:
            await move_cursor(connection, self.name, old, new)
            await connection.execute(_ADD, *old, *new, self._floored)
        self.cursor = new
        return new

    async def again(self) -> bool:
        return False
