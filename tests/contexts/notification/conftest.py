"""People for the tests of notification."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from contexts.people import People, open_people
from postgres import TestDatabase


@pytest_asyncio.fixture
async def people(database: TestDatabase, tmp_path: Path) -> AsyncIterator[People]:
    async with open_people(database, tmp_path) as opened:
        yield opened
