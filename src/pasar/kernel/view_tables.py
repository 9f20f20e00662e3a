"""The tables of views: made by the owner, rebuilt beside the live ones from the log, swapped when caught up."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any

import asyncpg

from .clock import Clock
from .followers import START, Cursor, Fenced, end_of_log, load_cursor, lock_number, move_cursor, place, read_types
from .module import Module
from .pool import Pool
from .store import Database
from .view_follower import StaleView, ViewFollower
from .views import View

NEXT = "__next"
READ = 2000


SWAP_TRIES = 100
_REBUILDING = """
    select number, coalesce(c.position, 0) as position, (select coalesce(max(position), 0) from kernel.event) as goal
      from unnest($1::bigint[], $2::text[]) u (number, follower) left join kernel.cursor c using (follower)
     where exists (select from pg_locks l
                    where l.locktype = 'advisory' and l.granted and l.objsubid = 1
                      and l.database = (select oid from pg_database where datname = current_database())
                      and (l.classid::bigint << 32) | l.objid::bigint = number)"""


class NoSwap(Exception):
    """The rebuilt table could not take the live one's place."""


class BeingRebuilt(Exception):
    """Another process rebuilds this view."""


class RebuildStopped(Exception):
    """Somebody wished that it ends; the live table is as it was."""


async def prepare_views(owner: Any, modules: Iterable[Module]) -> list[str]:
    """Make the tables that are missing, as `pasar_owner` on a connection that may act so; beside the live table where a
    definition has changed. Returns the views that the worker has to build."""
    waiting = []
    async with owner.transaction():
        await owner.execute("set local role pasar_owner")
        await owner.execute("select pg_advisory_xact_lock($1)", lock_number("prepare views"))
        for view in (view for module in modules for view in module.views):
            await owner.execute(f"create schema if not exists {view.schema}")
            await owner.execute(f"grant usage on schema {view.schema} to pasar_app, pasar_reader")
            known = await owner.fetchval("select definition from kernel.view_table where view = $1", view.table)
            if known is None:
                await _make(owner, view, view.name)
                await owner.execute(
                    "insert into kernel.view_table (view, definition) values ($1, $2)", view.table, view.definition
                )
            elif known != view.definition:
                await _make_next(owner, view)
                waiting.append(view.table)
    return waiting


async def _make_next(owner: Any, view: View) -> None:
    following = "select next_definition from kernel.view_table where view = $1"
    if await owner.fetchval(following, view.table) == view.definition:
        return
    await owner.execute(f"drop table if exists {view.table}{NEXT}")
    await _make(owner, view, view.name + NEXT)
    await owner.execute(
        "update kernel.view_table set next_definition = $2 where view = $1", view.table, view.definition
    )
    await owner.execute("delete from kernel.cursor where follower = $1", f"view:{view.table}{NEXT}")


async def _make(owner: Any, view: View, name: str) -> None:
    table = f"{view.schema}.{name}"
    await owner.execute(
        f"""create table {table} (
                tenant int not null default current_setting('pasar.tenant')::int,
                {view.columns},
                primary key (tenant, {view.key}))"""
    )
    for index in view.indexes:
        await owner.execute(f"create index on {table} {index}")
    await owner.execute("select kernel.fence_view($1, $2)", view.schema, name)


async def stale_views(pool: Pool, views: Iterable[View]) -> list[View]:
    """Those whose table was made by another definition."""
    rows = await pool.fetch("select view, definition from kernel.view_table")
    made = {row["view"]: row["definition"] for row in rows}
    return [view for view in views if made.get(view.table) != view.definition]


async def fingerprint(connection: Any, view: View, *, table: str | None = None) -> str:
    """A hash of all rows in the order of their key, as text: equal tables, and only those, have equal ones."""
    keys = ", ".join(f'({key.strip()})::text collate "C"' for key in ("tenant", *view.key.split(",")))
    digest = blake2b(digest_size=16)
    async with connection.transaction():
        await connection.execute("set local timezone = 'UTC'")
        await connection.execute("set local extra_float_digits = 1")
        async for row in connection.cursor(
            f"select t::text from {table or view.table} t order by {keys}", prefetch=1000
        ):
            digest.update(row[0].encode() + b"\n")
    return digest.hexdigest()


@asynccontextmanager
async def _alone(database: Database, view: View) -> AsyncIterator[None]:
    """Nobody else rebuilds this view meanwhile; on a connection of its own, so that it ends with this process."""
    connection = await database.connect({"application_name": "pasar rebuild"})
    try:
        if not await connection.fetchval("select pg_try_advisory_lock($1)", lock_number(f"rebuild:{view.table}")):
            raise BeingRebuilt(view.table)
        yield
    finally:
        await connection.close()


async def rebuild(database: Database, view: View, clock: Clock) -> int:
    """Fold the view anew beside the live one, then swap in one short transaction; how many events were folded. The live
    one is read, and followed, until the swap. Whoever follows it then finds its cursor moved and starts again. Raises
    `RebuildStopped`."""
    async with _alone(database, view):
        builder = await _open_next(database.kernel, view, clock)
        events = await _catch_up(database.kernel, builder, await end_of_log(database.kernel))
        for _ in range(SWAP_TRIES):
            events += await _catch_up(database.kernel, builder, await end_of_log(database.kernel))
            if await _swap(database.kernel, view, builder):
                return events
        raise NoSwap(f"{view.table}: readers kept the table locked for too long; rebuild it again")


async def stop_rebuild(pool: Pool, view: View) -> bool:
    """Let whoever rebuilds the view end it, in whichever process: the cursor is taken away by which it goes on. False:
    there is none. What was built is emptied by the next rebuild."""
    gone = "with gone as (delete from kernel.cursor where follower = $1 returning 1) select count(*) from gone"
    return bool(await pool.fetchval(gone, view.follower + NEXT))


async def rebuilding(pool: Pool, views: Iterable[View]) -> dict[str, int]:
    """How far the rebuilds are that are under way in any process, in percent, by table."""
    numbers = {lock_number(f"rebuild:{view.table}"): view for view in views}
    rows = await pool.fetch(_REBUILDING, list(numbers), [view.follower + NEXT for view in numbers.values()])
    return {numbers[row["number"]].table: min(99, 100 * row["position"] // max(1, row["goal"])) for row in rows}


async def differs(database: Database, view: View, clock: Clock) -> bool:
    """Whether the live table is not what the log says: folded anew beside it, compared at the same place in the log."""
    async with _alone(database, view):
        pool = database.kernel
        builder = await _open_next(pool, view, clock)
        try:
            await _catch_up(pool, builder, await load_cursor(pool, view.follower))
            async with pool.acquire() as connection:
                # Reads only: a lock or a write held this long would stall all followers.
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    row = await connection.fetchrow(
                        "select epoch, xid, position from kernel.cursor where follower = $1", view.follower
                    )
                    live = await fingerprint(connection, view)
                await _catch_up(pool, builder, place(row))
                return live != await fingerprint(connection, view, table=view.table + NEXT)
        finally:
            await pool.execute("select kernel.drop_next_view($1, $2)", view.schema, view.name)
            await _forget(pool, builder.name)


async def _open_next(pool: Pool, view: View, clock: Clock) -> ViewFollower:
    made = await pool.fetchval(
        "select coalesce(next_definition, definition) from kernel.view_table where view = $1", view.table
    )
    if made != view.definition:
        raise StaleView(view.table)
    builder = ViewFollower(view, pool, clock, table=view.table + NEXT)
    await _forget(pool, builder.name)
    await load_cursor(pool, builder.name)
    await pool.execute("select kernel.open_next_view($1, $2)", view.schema, view.name)
    if not await pool.fetchval("select true from kernel.cursor where follower = $1", builder.name):
        raise RebuildStopped(view.table)
    await builder.begin()
    return builder


async def _forget(pool: Any, follower: str) -> None:
    await pool.execute("delete from kernel.parked where follower = $1", follower)
    await pool.execute("delete from kernel.cursor where follower = $1", follower)


async def _catch_up(pool: Pool, builder: ViewFollower, end: Cursor) -> int:
    try:
        return await _read_up_to(pool, builder, end)
    except Fenced:
        raise RebuildStopped(builder.view.table) from None


async def _read_up_to(pool: Pool, builder: ViewFollower, end: Cursor) -> int:
    done = 0
    while builder.cursor < end:
        batch = await read_types(pool, builder.cursor, end, builder.types, READ)
        done += len(batch.events)
        if batch.events:
            await builder.handle(batch.events, builder.cursor, batch.end)
        else:
            async with pool.acquire() as connection:
                await move_cursor(connection, builder.name, builder.cursor, batch.end)
            builder.cursor = batch.end
    return done


async def _place_cursor(connection: Any, follower: str, cursor: Cursor) -> None:
    await connection.execute(
        """insert into kernel.cursor (follower, epoch, xid, position) values ($1, $2, $3, $4)
               on conflict (follower) do update
              set epoch = $2, xid = $3, position = $4, updated_at = clock_timestamp()""",
        *(follower, *cursor),
    )


async def _lock_live(connection: Any, view: View) -> Cursor:
    row = await connection.fetchrow(
        "select epoch, xid, position from kernel.cursor where follower = $1 for update", view.follower
    )
    return START if row is None else place(row)


async def _swap(pool: Pool, view: View, builder: ViewFollower) -> bool:
    """False: the live one got ahead meanwhile, or readers are in the way; try again."""
    try:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("set local lock_timeout = '500ms'")
            live = await _lock_live(connection, view)
            if live > builder.cursor:
                return False
            if await connection.execute("delete from kernel.cursor where follower = $1", builder.name) == "DELETE 0":
                raise RebuildStopped(view.table)
            await connection.execute("select kernel.swap_view($1, $2)", view.schema, view.name)
            await _place_cursor(connection, view.follower, builder.cursor)
            await connection.execute("delete from kernel.parked where follower = $1", view.follower)
            await connection.execute(
                "update kernel.parked set follower = $2 where follower = $1", builder.name, view.follower
            )
    except asyncpg.LockNotAvailableError:
        return False
    return True
