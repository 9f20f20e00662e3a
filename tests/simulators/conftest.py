"""Keys are made once; every test has a data folder of its own."""

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pasar.simulators.keys import keys
from pasar.simulators.testing import Clock, World, simulated


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    keys(folder, datetime.now(UTC))
    return folder


@pytest.fixture
def data(tmp_path: Path, key_folder: Path) -> Path:
    return Path(shutil.copytree(key_folder, tmp_path / "world"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def world(data: Path, clock: Clock) -> AsyncIterator[World]:
    async with simulated(data, clock) as world:
        yield world
