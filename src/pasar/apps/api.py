"""The HTTP server: an ASGI application of all modules, and the processes that serve it.

Worker processes listen on one port by themselves (SO_REUSEPORT), so that the system spreads connections and none of
them depends on another. The first process only watches: it starts again what has died and ends all on SIGTERM.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from pasar.apps.http_protocol import Http
from pasar.apps.memory import spare_the_collector
from pasar.apps.pages.site import SiteParts
from pasar.kernel.bus import Core
from pasar.kernel.clock import SystemClock
from pasar.kernel.module import Module
from pasar.kernel.rates import LocalRates, RedisRates
from pasar.kernel.redis_link import RedisLink
from pasar.kernel.settings_kernel import LimitsSettings
from pasar.kernel.shared_clock import SharedClock
from pasar.kernel.store import Recorded
from pasar.kernel.tail import Tail
from pasar.kernel.tallies import Tallies
from pasar.kernel.throttle import Throttle
from pasar.kernel.tokens import OLD_KEY_S, SKEW_S, KeyRing, Revocations, Tokens, authenticator
from pasar.kernel.web import Lane
from pasar.kernel.web_app import Web
from pasar.kernel.web_fair import Fairness
from pasar.kernel.web_lanes import Lanes
from pasar.kernel.web_system import Check, observe, system_routes
from pasar.kernel.worker import lag

log = logging.getLogger("pasar.api")
KEYS_S = 5.0
"""How often a process looks whether the signing keys were rotated."""
BEHIND_S = 30.0
"""A view that is further behind makes a process unready."""
GRACE_S = 10
SPARE_S = 0.5
"""A request begins when what is known of revocations will be good enough for so long: begun, it would be refused."""
_THERE = """
    select coalesce(bool_and((epoch, xid, position) >= (l.now, $2::xid8, $3::bigint)), true)
      from kernel.cursor c, (select epoch as now from kernel.cluster) l where follower = any ($1)"""
Revoked = tuple[int, str, int]
"""Tenant, account, the least token version that is still good."""


@dataclass(frozen=True)
class Parts:
    """What an API process is made of. `open_core` opens the database and all that needs closing afterwards.

    `revoking`: which events revoke tokens, and of whom; `revoked`: those that did so before this process began.
    """

    open_core: Callable[[], AbstractAsyncContextManager[Core]]
    modules: Sequence[Module]
    token_folder: Path
    token_lifetime_s: int = OLD_KEY_S - SKEW_S
    revoking: Mapping[Any, Callable[[Recorded], Revoked | None]] = field(default_factory=dict)
    revoked: Callable[[Core], Awaitable[Iterable[Revoked]]] | None = None
    mounts: Mapping[str, Any] = field(default_factory=dict)
    pages: Callable[[SiteParts], Any] | None = None
    """Makes the application of the pages for people."""
    hsts: bool = False
    keys_everywhere: bool = False
    keep_alive_s: int = 30
    lanes: Mapping[Lane, tuple[int, int]] = field(default_factory=dict)
    """Sizes of lanes other than usual; see `web_lanes.DEFAULTS`."""
    on_start: Callable[[Core, Tokens], None] | None = None
    """Hands core and tokens to what issues them."""


class Api:
    """The ASGI application; `lifespan` opens and closes what it needs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.keep_alive_s = parts.keep_alive_s
        self._stack = AsyncExitStack()
        self._web: Web | None = None
        self._views = [view.follower for module in parts.modules for view in module.views]

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._web is None:
            raise RuntimeError("the application was not started: the server must speak the lifespan protocol")
        else:
            await self._web(scope, receive, send)

    def refusal(self, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
        """What a request is answered at once that no lane has a place for; None: it is served."""
        return None if self._web is None else self._web.early.answer(method, target, headers)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            await self.open()
        except Exception as error:
            log.exception("the API cannot start")
            await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
            return
        spare_the_collector()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def open(self) -> Web:
        """Open everything; returns the part that answers requests."""
        parts = self._parts
        try:
            core = await self._stack.enter_async_context(parts.open_core())
            # Tokens live in the time of the world, also where a replay moves the shop's own.
            clock = SystemClock() if isinstance(core.clock, SharedClock) else core.clock
            ring = await asyncio.to_thread(KeyRing, parts.token_folder, clock)
            tokens = Tokens(ring, clock, core.ids, lifetime_s=min(parts.token_lifetime_s, OLD_KEY_S - SKEW_S))
            tail = Tail(core.database.kernel)
            revocations = Revocations(tail.age)
            for kind, read in parts.revoking.items():
                tail.subscribe([kind], lambda recorded, read=read: _revoke(revocations, read(recorded)))
            for hearing in (hearing for module in parts.modules for hearing in module.hearings):
                tail.subscribe(hearing.on, partial(hearing.hear, core, tail))
            await tail.start()
            self._stack.push_async_callback(tail.stop)
            if parts.revoked is not None:  # After the tail has begun, so that nothing falls in between.
                for one in await parts.revoked(core):
                    _revoke(revocations, one)
            for module in parts.modules:
                for hearing in module.hearings:
                    hearing.begin(core, tail)
            watching = asyncio.create_task(_watch_keys(tokens))
            self._stack.callback(watching.cancel)
            core.equip(tokens)
            core.equip(Throttle(core.database.kernel, SystemClock()))
            tallies = Tallies(core.database.kernel)
            core.equip(tallies)
            self._stack.push_async_callback(tallies.close)
            if parts.on_start is not None:
                parts.on_start(core, tokens)
            self._web = self._make(core, tokens, revocations, tail)
            return self._web
        except BaseException:
            await self._stack.aclose()
            raise

    def _make(self, core: Core, tokens: Tokens, revocations: Revocations, tail: Tail) -> Web:
        web: Web

        async def views_at(tenant: int, position: str) -> None:
            xid, _, number = position.partition(".")
            while not await core.database.kernel.fetchval(  # noqa: ASYNC110 - what is waited for is elsewhere
                _THERE, self._views, int(xid), int(number)
            ):
                await asyncio.sleep(0.01)

        system = system_routes(lambda: web.routes, _checks(core, tail))
        authenticate, positions = authenticator(tokens, revocations), views_at if self._views else None
        web = Web(
            core,
            [*(module.routes for module in self._parts.modules), *system],
            authenticate=authenticate,
            views_at=positions,
            observe=observe,
            mounts=self._parts.mounts,
            hsts=self._parts.hsts,
            keys_everywhere=self._parts.keys_everywhere,
            fairness=_fairness(core),
            informed=lambda: revocations.informed(SPARE_S),
            lanes=Lanes(dict(self._parts.lanes)),
        )
        if self._parts.pages is not None:
            web.pages = self._parts.pages(
                SiteParts(core, authenticate, positions, observe, web.lanes, self._parts.hsts)
            )
        return web

    async def close(self) -> None:
        """Close in the reverse order."""
        self._web = None
        await self._stack.aclose()


def _fairness(core: Core) -> Fairness:
    """Limits that all processes share where there is a Redis."""
    if core.settings is None:  # A domain that has none.
        return Fairness(LimitsSettings(), LocalRates())
    chosen, local = core.settings.section(LimitsSettings), LocalRates()
    url = core.settings.section("redis").url
    if not url:
        return Fairness(chosen, local)
    link = core.tool(RedisLink, lambda: RedisLink(url))
    return Fairness(chosen, local, RedisRates(link, local))


def _revoke(revocations: Revocations, revoked: Revoked | None) -> None:
    if revoked is not None:
        revocations.revoke(*revoked)


async def _watch_keys(tokens: Tokens) -> None:
    while True:
        await asyncio.sleep(KEYS_S)
        try:
            await asyncio.to_thread(tokens.refresh_keys)
        except (OSError, ValueError, KeyError):  # The next look makes up for it; known keys go on until they die.
            log.warning("the signing keys cannot be read", exc_info=True)


def _checks(core: Core, tail: Tail) -> dict[str, Check]:
    async def database() -> str | None:
        return None if await core.database.kernel.fetchval("select 1") == 1 else "does not answer"

    async def views() -> str | None:
        late = [one for one in await lag(core.database.kernel, core.clock.now()) if one.seconds > BEHIND_S]
        return "; ".join(f"{one.follower} is {one.seconds:.0f} s behind" for one in late) or None

    async def log_tail() -> str | None:
        age = tail.age()
        return None if age <= 1.0 else f"the log was last read {age:.1f} s ago"

    return {"database": database, "views": views, "tail": log_tail}


ACCEPTS = 32
"""libuv accepts one connection a round of each descriptor that it listens on: in a busy process, whose rounds take ten
milliseconds, thousands would wait for many seconds."""


class PortTaken(Exception):
    """Something listens on that port already."""


def serve(make: Callable[[], Api], *, host: str = "127.0.0.1", port: int = 8000, workers: int = 1) -> None:
    """Serve until SIGTERM or SIGINT. `make` is called in each process, so it must be importable by name."""
    with _reserved(host, port, shared=workers > 1) as listening:
        port = listening.getsockname()[1]
        if workers == 1:
            _serve_one(make, host, port, listening)
        else:
            _supervise(make, host, port, workers)


def _reserved(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        sentence = f"{host}:{port} cannot be listened on ({error.strerror}); choose another port with PASAR_SERVER_PORT"
        raise PortTaken(sentence) from None
    return made


def listeners(listening: socket.socket) -> list[socket.socket]:
    """The socket and copies of it, by which one round of the event loop accepts `ACCEPTS` connections."""
    return [listening, *(listening.dup() for _ in range(ACCEPTS - 1))]


def _serve_one(make: Callable[[], Api], host: str, port: int, listening: socket.socket) -> None:
    api = make()
    config = uvicorn.Config(
        api, host=host, port=port, http=Http, loop="uvloop", ws="none", lifespan="on", access_log=False,
        server_header=False, proxy_headers=False, log_config=None, timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=api.keep_alive_s, backlog=2048,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.run(sockets=listeners(listening))
    if not server.started:
        raise SystemExit(3)


def _worker(make: Callable[[], Api], host: str, port: int) -> None:
    with _reserved(host, port, shared=True) as listening:
        _serve_one(make, host, port, listening)


def _supervise(make: Callable[[], Api], host: str, port: int, workers: int) -> None:
    """Keep `workers` processes alive; one that dies at once is started again ever more slowly."""
    context = multiprocessing.get_context("spawn")
    stopping = False

    def stop(*_: Any) -> None:
        nonlocal stopping
        stopping = True

    def start() -> tuple[Any, float]:
        process = context.Process(target=_worker, args=(make, host, port), name="pasar api")
        process.start()
        return process, time.monotonic()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    running = [start() for _ in range(workers)]
    failures = 0
    try:
        while not stopping:
            time.sleep(0.1)
            for place, (process, began) in enumerate(running):
                if process.is_alive() or stopping:
                    continue
                failures = failures + 1 if time.monotonic() - began < 5 else 0
                log.error("an API process ended with %s; starting another", process.exitcode)
                _wait(min(5.0, 0.1 * 2**failures), lambda: stopping)
                running[place] = start()
    finally:
        _end([process for process, _ in running])
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(seconds: float, stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stopped():
        time.sleep(0.05)


def _end(processes: Iterable[Any]) -> None:
    processes = list(processes)
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    until = time.monotonic() + GRACE_S + 2
    for process in processes:
        process.join(max(0.1, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
