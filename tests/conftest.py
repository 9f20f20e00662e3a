"""Fixtures that every test may use: a real PostgreSQL, migrated, and databases that nobody else touches."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

import postgres
import scheduling
from pasar.apps.lab.evidence import scale
from postgres import TestDatabase, TestServer

if TYPE_CHECKING:
    from journeys.people import City
    from journeys.town import Town

pytest_plugins = ["proof"]
# By day the same examples each time, other ones by night; how quick the machine is just now decides nothing.
settings.register_profile(
    "pasar", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=scale() < 1, database=None
)
settings.load_profile("pasar")
_folder = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """The process that was started by hand owns the folder of the run; the workers inherit its name."""
    if not hasattr(config, "workerinput") and not os.environ.get(postgres.EXTERNAL):
        folder = config.stash[_folder] = postgres.make_folder()
        os.environ[postgres.FOLDER] = str(folder)
        # What tests and their processes write for the time being lies there, too, and goes with it.
        temporary = folder / "tmp"
        temporary.mkdir()
        temporary.chmod(0o1777)
        os.environ["TMPDIR"], tempfile.tempdir = str(temporary), str(temporary)


def pytest_unconfigure(config: pytest.Config) -> None:
    if (folder := config.stash.get(_folder, None)) is not None:
        postgres.remove_folder(folder)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if scale() < 1 and (by_night := [item for item in items if any(item.iter_markers("night"))]):
        # Not skipped, which would be on record against what a night has shown.
        config.hook.pytest_deselected(items=by_night)
        items[:] = [item for item in items if item not in by_night]
    for item in items:
        if "town" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)  # A deployment of processes takes seconds to start.
    if hasattr(config, "workerinput"):
        scheduling.in_order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> scheduling.LongestFirst:
    return scheduling.LongestFirst(config, log)


@pytest.fixture(scope="session")
def postgres_server() -> TestServer:
    """One server for all workers, without fsync. Tests of crashes start an `EmbeddedServer` of their own."""
    return postgres.start_server()


@pytest.fixture(scope="session")
def template_database(postgres_server: TestServer) -> TestDatabase:
    """Migrated, and never to be written to."""
    return asyncio.run(postgres_server.template())


@pytest_asyncio.fixture
async def database(postgres_server: TestServer, template_database: TestDatabase) -> AsyncIterator[TestDatabase]:
    """A migrated, empty database for this one test."""
    made = await postgres_server.create(template_database)
    yield made
    await postgres_server.drop(made)


@pytest.fixture
def fresh_database(database: TestDatabase) -> TestDatabase:
    """The same as `database`, for tests that want to say so."""
    return database


@pytest.fixture(scope="module")
def module_database(postgres_server: TestServer, template_database: TestDatabase) -> Iterator[TestDatabase]:
    """One migrated database for all tests of a module, for tests that only read or keep out of each other's way."""
    made = asyncio.run(postgres_server.create(template_database))
    yield made
    asyncio.run(postgres_server.drop(made))


@pytest.fixture(scope="session")
def town(
    postgres_server: TestServer, template_database: TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["Town"]:
    """A whole deployment as processes, for all tests of this worker that go through HTTP."""
    from journeys.town import make_town

    with make_town(postgres_server, template_database, tmp_path_factory.mktemp("town")) as made:
        made.is_shared = True
        yield made


@pytest.fixture(scope="module")
def own_town(
    postgres_server: TestServer, template_database: TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["Town"]:
    """The same for the tests of one module, which let days pass: they make it their `town`."""
    from journeys.town import make_town

    with make_town(postgres_server, template_database, tmp_path_factory.mktemp("town")) as made:
        yield made


@pytest_asyncio.fixture
async def city(town: "Town") -> AsyncIterator["City"]:
    """The way into the town; its providers behave well at the beginning of each test."""
    from journeys.people import in_town

    async with in_town(town) as opened:
        yield opened
        for provider in ("toss", "wechat"):
            await opened.chaos(provider)
