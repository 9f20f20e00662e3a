"""One browser for all tests of this folder, and shoppers who use it in the town.

The browser's driver keeps an event loop running in its thread, which no asynchronous test could live beside: so it has
a thread of its own, and the tests of this folder run there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from browser.shopper import AXE, Shopper, chromium, opened_browser
from journeys.people import City, in_town
from journeys.town import Town
from pasar.apps.lab.evidence import Evidence

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MakeShopper = Callable[..., Shopper]


class Stage:
    """The thread of the browser."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "browser")
        self._stack = ExitStack()
        self.browser: Browser = self.run(lambda: self._stack.enter_context(opened_browser()))

    def run(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return self._thread.submit(function, *arguments, **named).result()

    def close(self) -> None:
        self.run(self._stack.close)
        self._thread.shutdown()


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    if chromium() is None:
        pytest.skip("no Chromium here: install it (Debian: apt-get install chromium) or name it in PASAR_TEST_CHROMIUM")
    if not AXE.exists():
        pytest.skip("the browser libraries are not here: run `make libraries` where the npm registry can be reached")
    made = Stage()
    yield made
    made.close()


@pytest.fixture
def shopper(stage: Stage, town: Town, proof: Evidence) -> Iterator[MakeShopper]:
    """Makes shoppers; to be called inside the test."""
    made: list[Shopper] = []

    def make(language: str = "en", **options: Any) -> Shopper:
        made.append(Shopper(stage.browser, town.api, language, **options))
        return made[-1]

    yield make
    for one in made:
        proof.attempt(one.checked)
        stage.run(one.close)


def outside(town: Town, work: Callable[[City], Awaitable[Any]]) -> Any:
    """What others do meanwhile, by the API; in a thread that has no browser."""

    async def run() -> Any:
        async with in_town(town) as city:
            return await work(city)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(run())).result()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test of the browser in the browser's thread."""
    stage = pyfuncitem.funcargs.get("stage")
    if not isinstance(stage, Stage):
        return None
    wanted = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    stage.run(pyfuncitem.obj, **wanted)
    return True
