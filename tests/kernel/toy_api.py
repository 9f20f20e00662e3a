"""The toy domain as an API that processes serve: `PASAR_TEST_TOY_DSN` and `PASAR_TEST_TOY_FOLDER` say where."""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from kernel.shelf import Kept, baskets, filling
from kernel.toy_web import ROUTES, NoKeys
from pasar.apps.api import Api, Parts, Revoked
from pasar.kernel.bus import Core
from pasar.kernel.clock import SystemClock
from pasar.kernel.ids import SystemIds
from pasar.kernel.messages import name_of
from pasar.kernel.module import Module
from pasar.kernel.store import Database, Recorded


@asynccontextmanager
async def open_core() -> AsyncIterator[Core]:
    database = Database(os.environ["PASAR_TEST_TOY_DSN"], size=2)
    await database.open()
    try:
        yield Core(database, [filling, baskets], clock=SystemClock(), ids=SystemIds(), keys=NoKeys())  # type: ignore[arg-type]
    finally:
        await database.close()


def revoked_by(recorded: Recorded) -> Revoked:
    """Whoever keeps a basket has no token any more: the toy's way to sign out."""
    return recorded.tenant, str(recorded.meta["by"]), 1


async def revoked(core: Core) -> Iterable[Revoked]:
    """Those of whom this process did not hear, since it began later."""
    rows = await core.database.kernel.fetch(
        "select tenant, meta ->> 'by' as account from kernel.event where type = $1", name_of(Kept)
    )
    return [(1, "gone", 1), *((row["tenant"], row["account"], 1) for row in rows)]


def make() -> Api:
    module = Module("toy", deciders=(filling, baskets), routes=ROUTES)
    folder = Path(os.environ["PASAR_TEST_TOY_FOLDER"])
    return Api(Parts(open_core, [module], folder / "tokens", revoking={Kept: revoked_by}, revoked=revoked, hsts=True))
