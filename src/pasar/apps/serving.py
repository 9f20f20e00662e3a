"""The roles that answer HTTP: API and lane of sales. Each may run many times over."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from pasar.apps import wiring
from pasar.apps.api import Api, Parts, serve
from pasar.apps.deployment import data_folder, opened, reach_database, read_settings
from pasar.apps.faces import FACES
from pasar.apps.pages.site import make_site
from pasar.apps.roles import observe, reached
from pasar.contexts.identity import facade as identity
from pasar.contexts.ordering import facade_sale as sales
from pasar.kernel.bus import Core
from pasar.kernel.module import Module
from pasar.kernel.settings import Settings
from pasar.kernel.web import Lane

Modules = Sequence[Module]


def make_api() -> Api:
    """The ASGI application of this deployment; called in each process that serves it."""
    settings = read_settings()
    observe(settings, "pasar-api")

    @asynccontextmanager
    async def open_core() -> AsyncIterator[Core]:
        async with opened(settings, reach_database(settings)) as deployment, reached(deployment.core, "api"):
            yield deployment.core

    return Api(replace(_parts(settings, open_core, wiring.modules(settings)), pages=make_site(FACES)))


def _parts(settings: Settings, open_core: Callable[[], AbstractAsyncContextManager[Core]], modules: Modules) -> Parts:
    return Parts(
        open_core,
        modules,
        data_folder(settings) / "tokens",
        token_lifetime_s=settings.section("tokens").access_min * 60,
        revoking=identity.REVOKING,
        revoked=identity.recently_revoked,
        on_start=Core.equip,
        hsts=settings.section("server").public_url.startswith("https://"),
        keys_everywhere=settings.section("server").idempotency_on_every_write,
        keep_alive_s=settings.section("server").keep_alive_s,
    )


WAITING: dict[Lane, tuple[int, int]] = {
    "checkout": (12_000, 24_000),
    "browse": (2_000, 8_000),
}
"""A lane of sales does little for each, and nothing else: many may wait in it, for Redis or for a commit."""


def make_lane() -> Api:
    """The ASGI application of `pasar flash`: what buyers of a sale call, and the consumer of buffered orders."""
    settings = read_settings()
    observe(settings, "pasar-flash")

    @asynccontextmanager
    async def open_core() -> AsyncIterator[Core]:
        async with (
            opened(settings, reach_database(settings)) as deployment,
            reached(deployment.core, "api"),
            _placing(deployment.core),
        ):
            yield deployment.core

    return Api(replace(_parts(settings, open_core, wiring.lane(settings)), lanes=WAITING))


@asynccontextmanager
async def _placing(core: Core) -> AsyncIterator[None]:
    """Buffered orders are placed meanwhile."""
    stop = asyncio.Event()
    consuming = asyncio.create_task(sales.consume(core, stop))
    try:
        yield
    finally:
        stop.set()
        await consuming


def serve_lane() -> None:
    """Serve the lane of sales until SIGTERM, beside the API, on a port of its own."""
    settings = read_settings()
    chosen = settings.section("server")
    serve(make_lane, host=chosen.host, port=settings.section("flash").port, workers=1)


def serve_api() -> None:
    """Serve until SIGTERM; as many processes as the settings say."""
    settings = read_settings()
    chosen = settings.section("server")
    serve(make_api, host=chosen.host, port=chosen.port, workers=chosen.workers)
