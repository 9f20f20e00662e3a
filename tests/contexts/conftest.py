"""Shops for the tests of contexts."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from contexts.ordering.market import Market, open_market
from contexts.selling import Shop, open_shop
from pasar.apps.deployment import read_settings
from pasar.apps.wiring import modules
from postgres import TestDatabase, TestServer


@pytest.fixture(scope="session")
def template_database(postgres_server: TestServer) -> TestDatabase:
    """With the tables of all views, which else each test would make anew."""
    return asyncio.run(postgres_server.template(modules(read_settings())))


@pytest_asyncio.fixture
async def shop(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path) as opened:
        await opened.open()
        yield opened


@pytest_asyncio.fixture
async def market(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Market]:
    async with open_market(database, tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture
async def holding_market(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Market]:
    """One whose carts keep units."""
    async with open_market(database, tmp_path, **{"checkout.hold_at": "cart"}) as opened:
        yield opened


@pytest_asyncio.fixture
async def tracing_market(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Market]:
    """One that says from which batches goods would come."""
    async with open_market(database, tmp_path, **{"ordering.soft_allocation": True}) as opened:
        yield opened
