"""One office for the tests of a module: they keep out of each other's way."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from apps.admin.office import Office, open_office
from postgres import TestDatabase


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(module_database: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    async with open_office(module_database, tmp_path_factory.mktemp("office")) as opened:
        yield opened
