"""The machine room: adapters, followers, views, what is stuck or parked, flags, settings."""

import asyncio
import logging
from typing import Any, NamedTuple

from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark
from pasar.apps.pages.visit import Visit
from pasar.apps.wiring import modules
from pasar.contexts.payment import facade as payment
from pasar.contexts.payment.contract_staff import SetTraffic
from pasar.contexts.platform import facade as platform
from pasar.contexts.platform.contract import SetFlag
from pasar.kernel.bus import Core
from pasar.kernel.parking import list_parked, replay_parked
from pasar.kernel.process import redrive, stuck_processes
from pasar.kernel.view_tables import (
    BeingRebuilt,
    NoSwap,
    RebuildStopped,
    StaleView,
    rebuild,
    rebuilding,
    stale_views,
    stop_rebuild,
)
from pasar.kernel.views import View
from pasar.kernel.worker import lag
from pasar.refusals import StoreNotFound

from .desk import admin, checked
from .sign_in import ask_again

log = logging.getLogger("pasar.console")
SHOWN = 100


class Rebuilding:
    """Views that this process was asked to rebuild. How far they are, and whether to go on, stands in the database, for
    all processes."""

    def __init__(self) -> None:
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.ended: dict[str, str] = {}
        """View → how the last rebuild ended, as a text of the catalogue."""

    def start(self, core: Core, view: View) -> bool:
        """False: this process is at it already."""
        running = self.tasks.get(view.table)
        if running is not None and not running.done():
            return False
        self.ended.pop(view.table, None)
        self.tasks[view.table] = asyncio.create_task(self._run(core, view))
        return True

    async def _run(self, core: Core, view: View) -> None:
        try:
            await rebuild(core.database, view, core.clock)
            self.ended[view.table] = mark("Rebuilt")
        except RebuildStopped:
            self.ended[view.table] = mark("Stopped")
        except BeingRebuilt:
            self.ended[view.table] = mark("Another process rebuilds it")
        except (NoSwap, StaleView) as problem:
            self.ended[view.table] = mark("Not rebuilt; try again")
            log.warning("rebuild of %s: %s", view.table, problem)
        except Exception:
            self.ended[view.table] = mark("Not rebuilt; try again")
            log.exception("rebuild of %s failed", view.table)


class ViewRow(NamedTuple):
    """A view in the list. `progress` in percent while it is being rebuilt."""

    table: str
    events: int
    seconds: int
    parked: int
    progress: int | None
    ended: str
    is_changed: bool
    """Its definition is new: the worker has to build it, and it is not stopped."""


def views_of(visit: Visit) -> dict[str, View]:
    """All views of this deployment by their tables."""
    return {view.table: view for module in modules(visit.core.settings) for view in module.views}


async def view_rows(visit: Visit) -> list[ViewRow]:
    """Views with how far they are behind, and those being rebuilt with their progress."""
    pool, work, known = visit.core.database.kernel, visit.core.tool(Rebuilding, Rebuilding), views_of(visit)
    behind = {one.follower: one for one in await lag(pool, visit.core.clock.now())}
    progress = await rebuilding(pool, known.values())
    changed = {view.table for view in await stale_views(pool, known.values())}
    rows = []
    for table, view in sorted(known.items()):
        one = behind.get(view.follower)
        figures = (one.events, int(one.seconds), one.parked) if one else (0, 0, 0)
        rows.append(ViewRow(table, *figures, progress.get(table), work.ended.get(table, ""), table in changed))
    return rows


@page("GET", "/console/system", policy=admin, lane="reports")
async def system(visit: Visit) -> Response:
    """How everything is."""
    pool = visit.core.database.kernel
    followers = await lag(pool, visit.core.clock.now())
    return visit.render(
        "console/system.html",
        adapters=await payment.offers(visit.bus()),
        traffic={one.gateway: one for one in await payment.traffic(visit.bus())},
        followers=[one for one in followers if not one.follower.startswith("view:")],
        views=await view_rows(visit),
        stuck=await stuck_processes(pool, limit=SHOWN),
        parked=[one for one in await list_parked(pool, limit=SHOWN) if not one.follower.startswith("process:")],
    )


@page("GET", "/console/system/views", policy=admin, lane="reports")
async def views(visit: Visit) -> Response:
    """The table of views alone: pages ask for it while one is being rebuilt."""
    return visit.render("console/views_table.html", views=await view_rows(visit))


@page("POST", "/console/system/views", policy=admin)
async def rebuild_view(visit: Visit) -> Response:
    """Fold a view anew beside the live one, or stop doing so."""
    table, work = visit.text("view"), visit.core.tool(Rebuilding, Rebuilding)
    view = views_of(visit).get(table)
    if view is None:
        visit.say(mark("There is no such view."), good=False)
    elif visit.text("act") == "stop":
        if await stop_rebuild(visit.core.database.kernel, view):
            visit.say(mark("Stopped. The live table stays as it is."))
        else:
            visit.say(mark("It is not being rebuilt any more."), good=False)
    elif work.start(visit.core, view):
        visit.say(mark("The view is being rebuilt beside the live one."))
    return visit.go("/console/system")


@page("POST", "/console/system/traffic", policy=admin)
async def set_traffic(visit: Visit) -> Response:
    """Give a provider another share of the payments that choose none; empty: what the settings say."""
    wish = {"gateway": visit.text("gateway"), "share": visit.text("share") or None, "reason": visit.text("reason")}
    command = checked(wish, SetTraffic)
    title = visit.language.say("Another share for %(gateway)s", gateway=command.gateway)
    consequence = mark("Payments of shoppers go elsewhere at once. With 0 only those that name it reach it.")
    if (asked := await ask_again(visit, title, consequence)) is not None:
        return asked
    await payment.set_traffic(visit.bus(), command.gateway, command.share, command.reason)
    visit.say(mark("The share is set, for all processes."))
    return visit.go("/console/system")


@page("POST", "/console/system/parked", policy=admin)
async def replay(visit: Visit) -> Response:
    """Let what is parked or stuck try again."""
    pool, now = visit.core.database.kernel, visit.core.clock.now()
    follower, lane = visit.text("follower")[:200], visit.text("lane")[:200]
    if follower.startswith("process:"):
        done = await redrive(pool, follower.removeprefix("process:"), lane, now, tenant=visit.who.tenant)
    else:
        done = await replay_parked(pool, follower, visit.who.tenant, lane, now)
    visit.say(mark("It is tried again.") if done else mark("Nothing waits there any more."), good=done)
    return visit.go("/console/system")


@page("GET", "/console/system/flags", policy=admin)
async def flags(visit: Visit) -> Response:
    """Feature flags."""
    return visit.render("console/flags.html", flags=await platform.all_flags(visit.db, SHOWN))


@page("POST", "/console/system/flags", policy=admin)
async def set_flag(visit: Visit) -> Response:
    """For whom a new function is on."""
    wish: dict[str, Any] = {
        "name": visit.text("name"), "default": visit.text("default") == "true",
        "percentage": visit.text("percentage") or "0", "note": visit.text("note"),
        "stores": [part for part in visit.text("stores").replace(",", " ").split() if part],
    }  # fmt: skip
    command = checked(wish, SetFlag)
    unknown = set(command.stores) - (await platform.stores(visit.db, command.stores)).keys()
    if unknown:
        raise StoreNotFound(f"there is no store {', '.join(sorted(unknown))}")
    if command.default or command.percentage == 100:
        act = visit.language.say("Switch %(name)s on for everybody", name=command.name)
        if (asked := await ask_again(visit, act, mark("All shoppers get it at once."))) is not None:
            return asked
    await visit.bus().send(command)
    visit.say(mark("Saved."))
    return visit.go("/console/system/flags")


@page("GET", "/console/system/settings", policy=admin)
async def settings(visit: Visit) -> Response:
    """Every setting, its value, where the value comes from; secrets are hidden."""
    found: dict[str, list[Any]] = {}
    for one in visit.core.settings.explain():
        found.setdefault(one.name.rpartition(".")[0] or "general", []).append(one)
    return visit.render("console/settings.html", sections=found)
