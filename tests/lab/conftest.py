"""The town as a target of the proof tools."""

from collections.abc import AsyncIterator

import pytest_asyncio

from journeys.town import Town
from pasar.apps.lab.target import Target, reaching


@pytest_asyncio.fixture
async def target(town: Town) -> AsyncIterator[Target]:
    async with reaching(town.api, simulators=town.simulators) as reached:
        yield reached
        for provider in ("toss", "wechat"):
            await reached.outside("PUT", f"/{provider}/simulator/chaos", {})
