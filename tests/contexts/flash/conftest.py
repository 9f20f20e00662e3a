"""Shops with sales."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from contexts.flash.bazaar import Bazaar, open_bazaar
from postgres import TestDatabase


@pytest_asyncio.fixture
async def bazaar(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Bazaar]:
    async with open_bazaar(database, tmp_path) as opened:
        yield opened
