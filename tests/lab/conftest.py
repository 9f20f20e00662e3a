"""The town as a target of the proof tools."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
import uvloop

from journeys.town import Town
from pasar.apps.lab.target import Target, reaching


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Load and what is loaded share two cores: what the load costs is taken from the other."""
    return {"uvloop": uvloop.new_event_loop} if item.path.name == "test_load.py" else {"usual": asyncio.new_event_loop}


@pytest_asyncio.fixture
async def target(town: Town) -> AsyncIterator[Target]:
    async with reaching(town.api, simulators=town.simulators) as reached:
        yield reached
        for provider in ("toss", "wechat"):
            await reached.outside("PUT", f"/{provider}/simulator/chaos", {})
