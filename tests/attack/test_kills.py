"""API, worker and PostgreSQL are killed and paused under load: what was accepted is there, once, and the books are in
order."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from journeys.town import Town
from pasar.apps.deployment import Addresses
from pasar.apps.lab.buyers import Buyers, Lost, reconcile
from pasar.apps.lab.evidence import Evidence, scale
from pasar.apps.lab.nemesis import Act, Fault, Flood, Nemesis, plan, served
from pasar.apps.lab.target import Caller, NotAsExpected, Reply, Target, reaching, until
from pasar.kernel.embedded import EmbeddedServer
from pasar.kernel.embedded_host import processes_in
from pasar.kernel.roles import APP

UNITS = 1_000_000
SERVERS = [("kill", "api"), ("kill", "worker"), ("pause", "api"), ("pause", "worker"), ("flood", "api")]
DATABASE = [("kill", "postgres"), ("kill", "everything"), ("pause", "postgres")]


@pytest.fixture
def mortal_town() -> Iterator[tuple[Town, EmbeddedServer]]:
    """A town on a durable PostgreSQL of its own, which may be killed."""
    folder = Path(tempfile.mkdtemp(prefix="pasar-kills-"))
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "postgres", settings={"shared_buffers": "64MB"})
    address = server.start()
    town = Town(folder / "town", Addresses(address.dsn(), address.dsn(role=APP)))
    try:
        town.start()
        yield town, server
    finally:
        town.stop()
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)


def postgres_of(server: EmbeddedServer) -> list[int]:
    address = server.running()
    assert address is not None
    return list(processes_in(address.home / "data"))


def victims(town: Town, server: EmbeddedServer, victim: str) -> list[int]:
    found = [
        child.process
        for name, child in town.children.items()
        if victim in (name, "everything") and name != "simulators"
    ]
    pids = [process.pid for process in found if process is not None]
    return pids + (postgres_of(server) if victim in ("postgres", "everything") else [])


def tell(pids: list[int], number: signal.Signals) -> None:
    """Send a signal; processes of PostgreSQL come and go by themselves."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def acts_on(town: Town, server: EmbeddedServer) -> dict[str, Act]:
    """What faults do here; and what a supervisor would do afterwards."""

    async def kill(fault: Fault) -> None:
        killed = [child for name, child in town.children.items() if fault.victim in (name, "everything")]
        tell(victims(town, server, fault.victim), signal.SIGKILL)
        for child in killed:
            if child.process is not None and child.name != "simulators":
                await asyncio.to_thread(child.process.wait, 10)
        if fault.victim in ("postgres", "everything"):
            await until(lambda: gone(server), "the end of PostgreSQL")
            await asyncio.to_thread(server.start)
        await until(lambda: revived(town), "the end of who was killed")

    async def pause(fault: Fault) -> None:
        paused = victims(town, server, fault.victim)
        tell(paused, signal.SIGSTOP)
        await asyncio.sleep(fault.for_s)
        tell(paused, signal.SIGCONT)

    return {"kill": kill, "pause": pause, "flood": Flood(town.api)}


async def gone(server: EmbeddedServer) -> bool:
    return server.running() is None


async def revived(town: Town) -> bool:
    tend(town)
    return all(child.exited() is None for child in town.children.values())


def tend(town: Town) -> None:
    for name, child in town.children.items():
        if child.exited() is not None:
            town.revive(name)


@pytest.mark.slow
@pytest.mark.timeout(3000 if scale() >= 1 else 400)
@pytest.mark.promise("A1", "B1", "B2")
@pytest.mark.parametrize(
    ("menu", "faults", "seed"), [(SERVERS, 300, 11), (DATABASE, 200, 12)], ids=["servers", "database"]
)
async def test_nothing_that_was_accepted_is_lost_or_doubled(
    mortal_town: tuple[Town, EmbeddedServer], proof: Evidence, menu: list[tuple[str, str]], faults: int, seed: int
) -> None:
    town, server = mortal_town
    async with reaching(town.api, simulators=town.simulators) as target:
        buyers = Buyers(target, await target.sell(UNITS))
        nemesis = Nemesis(acts_on(town, server), lambda: served(target))
        chosen = plan(proof.seed(seed), proof.number(faults, len(menu)), menu)
        await buyers.shop_during(12, nemesis.follow(chosen, proof))
        proof.figure("accepted orders", len(buyers.placed))
        assert buyers.broken > 0, "no request was broken off: nothing was tried"
        assert len(buyers.placed) > 20
        assert buyers.server_errors == []
    async with reaching(town.api) as target:  # Staff who signed in at the beginning would have to do so again.
        await in_order(town, target, buyers)


async def in_order(town: Town, target: Target, buyers: Buyers) -> None:
    """A quiet phase, in which what was not paid lapses; then the list of the buyers, and the books."""
    await at_rest(town)
    await healthy(town, "doctor")
    town.jump(minutes=50)
    await at_rest(town)
    await reconcile(target, buyers, UNITS)
    await healthy(town, "verify")


async def at_rest(town: Town) -> None:
    """Followers at the end of the log; who ends late, because its connection broke, is started again meanwhile."""

    async def look() -> bool:
        tend(town)
        return await town.is_at_rest()

    try:
        await until(look, "followers at the end of the log")
    except NotAsExpected as failure:
        raise NotAsExpected(f"{failure}\n{await town.lagging()}\n{town.children['worker'].last_lines()}") from None


async def healthy(town: Town, command: str) -> None:
    done = await asyncio.to_thread(town.command, command)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


class Forgetful:
    """A deployment that forgets one accepted order, or takes its unit twice."""

    def __init__(self, left: int, states: dict[str, str]) -> None:
        self._left, self._states = left, states

    async def ask(self, method: str, path: str, *more: object, **headers: object) -> object:
        state = self._states.get(path.rpartition("/")[2])
        return Reply(404, {}, b"{}") if state is None else Reply(200, {}, f'{{"status":"{state}"}}'.encode())

    async def left(self, sku: str) -> int:
        return self._left


@pytest.mark.parametrize(
    ("left", "states"),
    [
        (8, {"1": "PAID"}),
        (7, {"1": "PAID", "2": "PAID"}),
        (8, {"1": "PAID", "2": "CANCELED"}),
        (9, {"1": "PAID", "2": "PAID"}),
    ],
    ids=["forgotten", "a unit taken twice", "paid and cancelled", "a unit given twice"],
)
async def test_what_was_lost_or_doubled_is_found(left: int, states: dict[str, str]) -> None:
    buyers = Buyers.__new__(Buyers)
    buyers.placed, buyers.captured, buyers.sku = {"1": Caller("", ""), "2": Caller("", "")}, {"1", "2"}, "a"
    with pytest.raises(Lost):
        await reconcile(Forgetful(left, states), buyers, 10, patience_s=0)  # type: ignore[arg-type]


async def test_a_list_that_agrees_passes() -> None:
    buyers = Buyers.__new__(Buyers)
    buyers.placed, buyers.captured, buyers.sku = {"1": Caller("", ""), "2": Caller("", "")}, {"1"}, "a"
    whole = Forgetful(9, {"1": "PAID", "2": "CANCELED"})
    assert await reconcile(whole, buyers, 10) == 1  # type: ignore[arg-type]


class Lapsing(Forgetful):
    """A deployment in which an unpaid order lapses right after the first look at it."""

    def __init__(self) -> None:
        super().__init__(8, {"1": "PAID", "2": "PENDING_PAYMENT"})
        self.looked: list[str] = []

    async def ask(self, method: str, path: str, *more: object, **headers: object) -> object:
        self.looked.append(path.rpartition("/")[2])
        answer = await super().ask(method, path, *more, **headers)
        if path.endswith("/2"):
            self._left, self._states["2"] = 9, "CANCELED"
        return answer


async def test_what_lapses_during_the_look_is_looked_at_again_and_nothing_else() -> None:
    buyers = Buyers.__new__(Buyers)
    buyers.placed, buyers.captured, buyers.sku = {"1": Caller("", ""), "2": Caller("", "")}, {"1"}, "a"
    lapsing = Lapsing()
    assert await reconcile(lapsing, buyers, 10) == 1  # type: ignore[arg-type]
    assert lapsing.looked == ["1", "2", "2"]


class Expired(Forgetful):
    """A deployment in which the buyers' tokens have expired, staff sees the orders, and there is little room."""

    def __init__(self, left: int, states: dict[str, str]) -> None:
        super().__init__(left, states)
        self.refused = 0

    async def staff(self) -> Caller:
        return Caller("staff", "")

    async def ask(self, method: str, path: str, *more: object, **headers: object) -> object:
        if headers["who"] != await self.staff():
            return Reply(401, {}, b"{}")
        if self.refused < 3:
            self.refused += 1
            return Reply(503, {}, b"{}")
        return await super().ask(method, path)


async def test_where_tokens_have_expired_staff_looks_and_comes_again_when_there_is_no_room() -> None:
    buyers = Buyers.__new__(Buyers)
    buyers.placed, buyers.captured, buyers.sku = {"1": Caller("", ""), "2": Caller("", "")}, {"1"}, "a"
    expired = Expired(9, {"1": "PAID", "2": "CANCELED"})
    assert await reconcile(expired, buyers, 10) == 1  # type: ignore[arg-type]
    assert expired.refused == 3
    with pytest.raises(Lost):
        await reconcile(Expired(9, {"1": "PAID"}), buyers, 10, patience_s=0)  # type: ignore[arg-type]


async def test_whichever_fails_first_ends_the_shopping() -> None:
    class Closed(Buyers):
        async def shop(self, at_once: int) -> None:
            await (self.stopping.wait() if at_once else asyncio.sleep(0))
            if not at_once:
                raise NotAsExpected("the shop sells to nobody")

    cancelled: list[float] = []

    async def attack(seconds: float, broken: bool = False) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            cancelled.append(seconds)
            raise
        if broken:
            raise NotAsExpected("it does not serve again")

    shop = Closed(Target("http://unused", None), "a")  # type: ignore[arg-type]
    await shop.shop_during(1, attack(0))
    with pytest.raises(NotAsExpected, match="serve again"):
        await shop.shop_during(1, attack(0, broken=True))
    with pytest.raises(NotAsExpected, match="sells to nobody"):
        await shop.shop_during(0, attack(5))
    await asyncio.sleep(0)
    assert cancelled == [5]


def test_a_plan_follows_from_its_seed() -> None:
    assert plan(5, 30, SERVERS) == plan(5, 30, SERVERS)
    assert plan(5, 30, SERVERS) != plan(6, 30, SERVERS)
