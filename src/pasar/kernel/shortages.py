"""A crowd that wants what is gone: one look at the ledger for all who ask at once, instead of a decision and a commit
for each that has to fail.

That somebody was refused a moment ago is no ground for a no. It says where a look pays off, and that begins after
whoever is refused by it has come.
"""

import asyncio
from collections.abc import Sequence

from .ledger import Account
from .store import Reader

REMEMBERED_S = 1.0
MOST = 10_000
_Key = tuple[int, str, str]


class Shortages:
    """Accounts that had too little a moment ago; a tool of the process."""

    def __init__(self) -> None:
        self._until: dict[_Key, float] = {}
        self._asked: dict[_Key, asyncio.Future[int]] = {}
        self._looks: set[asyncio.Task[None]] = set()

    def note(self, tenant: int, accounts: Sequence[Account]) -> None:
        """Something was refused because each of these has too little."""
        if len(self._until) > MOST:
            self._until.clear()
        until = asyncio.get_running_loop().time() + REMEMBERED_S
        self._until.update(((tenant, one.id, one.unit), until) for one in accounts)

    async def look(self, db: Reader, accounts: Sequence[Account]) -> list[int] | None:
        """What may be taken from each now, where all had too little a moment ago; else None, and nothing was asked."""
        now = asyncio.get_running_loop().time()
        if any(self._until.get((db.tenant, one.id, one.unit), 0.0) < now for one in accounts):
            return None
        return list(await asyncio.gather(*(asyncio.shield(self._ask(db, one)) for one in accounts)))

    def _ask(self, db: Reader, account: Account) -> "asyncio.Future[int]":
        key = (db.tenant, account.id, account.unit)
        asked = self._asked.get(key)
        if asked is None:
            loop = asyncio.get_running_loop()
            asked = self._asked[key] = loop.create_future()
            loop.call_soon(self._begin, db, account, asked)
        return asked

    def _begin(self, db: Reader, account: Account, asked: "asyncio.Future[int]") -> None:
        del self._asked[db.tenant, account.id, account.unit]  # Who comes from now on needs another look.
        task = asyncio.create_task(_tell(db, account, asked))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)


async def _tell(db: Reader, account: Account, asked: "asyncio.Future[int]") -> None:
    try:
        asked.set_result(await db.balance(account))
    except BaseException as error:  # Also when it is cancelled: who waits is answered.
        asked.set_exception(TimeoutError() if isinstance(error, asyncio.CancelledError) else error)
        asked.exception()  # Whoever waits still gets it; nobody need be left.
        if not isinstance(error, Exception):
            raise
