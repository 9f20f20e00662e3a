"""Adapters: breaker, shares, stand-ins, checks."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pasar.kernel.adapters import AdapterDown, Adapters
from pasar.kernel.clock import SettableClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Trouble(Exception):
    """No answer."""


class Peer:
    """Somebody outside, who fails while `down`."""

    def __init__(self) -> None:
        self.down, self.calls = False, 0

    async def ask(self) -> str:
        self.calls += 1
        await asyncio.sleep(0)
        if self.down:
            raise Trouble
        return "yes"


class Outside:
    def __init__(self, *shares: int) -> None:
        self.clock = SettableClock(NOON)
        self.adapters: Adapters[Peer] = Adapters("test", self.clock, trouble=(Trouble,), threshold=3)
        self.peers = [Peer() for _ in shares]
        for number, (peer, share) in enumerate(zip(self.peers, shares, strict=True)):
            self.adapters.register(f"p{number}", peer, share=share, check=peer.ask)

    async def fail(self, name: str, times: int) -> None:
        self.adapters[name].down = True
        for _ in range(times):
            with pytest.raises(Trouble):
                await self.adapters.call(name, Peer.ask)
        self.adapters[name].down = False


@pytest.mark.requirement("S1-047")
async def test_failures_in_a_row_open_the_breaker_and_nothing_is_sent_any_more() -> None:
    outside = Outside(100, 100)
    await outside.fail("p0", 2)
    assert await outside.adapters.call("p0", Peer.ask) == "yes"  # Not in a row.
    await outside.fail("p0", 3)
    before = outside.peers[0].calls
    with pytest.raises(AdapterDown):
        await outside.adapters.call("p0", Peer.ask)
    assert outside.peers[0].calls == before
    assert outside.adapters.candidates("x") == ["p1"]


async def test_after_the_pause_one_call_tries_and_closes_the_breaker() -> None:
    outside = Outside(100)
    await outside.fail("p0", 3)
    outside.clock.advance(timedelta(seconds=31))
    first = asyncio.create_task(outside.adapters.call("p0", Peer.ask))
    await asyncio.sleep(0)
    with pytest.raises(AdapterDown):
        await outside.adapters.call("p0", Peer.ask)
    assert await first == "yes"
    assert await outside.adapters.call("p0", Peer.ask) == "yes"


async def test_a_try_that_fails_opens_the_breaker_again() -> None:
    outside = Outside(100)
    await outside.fail("p0", 3)
    outside.clock.advance(timedelta(seconds=31))
    await outside.fail("p0", 1)
    assert not outside.adapters.is_healthy("p0")


async def test_a_no_is_an_answer() -> None:
    outside = Outside(100)

    async def refuse(peer: Peer) -> None:
        raise ValueError("no")

    for _ in range(5):
        with pytest.raises(ValueError, match="no"):
            await outside.adapters.call("p0", refuse)
    assert outside.adapters.is_healthy("p0")


async def test_silence_is_trouble() -> None:
    outside = Outside(100)

    async def hang(peer: Peer) -> None:
        await asyncio.sleep(60)

    for _ in range(3):
        with pytest.raises(TimeoutError):
            await outside.adapters.call("p0", hang, timedelta(milliseconds=1))
    assert not outside.adapters.is_healthy("p0")


@pytest.mark.requirement("S1-046", "S1-047", "S1-113")
async def test_a_new_adapter_gets_its_share_and_nothing_at_zero() -> None:
    outside = Outside(20, 100, 0)
    first = [outside.adapters.candidates(f"order-{number}") for number in range(2000)]
    assert 300 < sum(names[0] == "p0" for names in first) < 500
    assert all(sorted(names) == ["p0", "p1"] for names in first)
    assert first == [outside.adapters.candidates(f"order-{number}") for number in range(2000)]
    changed = [outside.adapters.candidates(f"order-{number}", shares={"p0": 0, "p2": 100}) for number in range(100)]
    assert all(names == ["p1", "p2"] for names in changed)


@pytest.mark.requirement("S1-112")
async def test_a_check_marks_an_adapter_down_before_anybody_has_suffered() -> None:
    outside = Outside(100, 100)
    await outside.adapters.check()
    outside.peers[0].down = True
    await outside.adapters.check()
    assert outside.adapters.is_healthy("p0")  # Heard of a moment ago.
    outside.clock.advance(timedelta(seconds=31))
    outside.adapters.check_in_background()
    await outside.adapters.check()
    assert [one.healthy for one in outside.adapters.health()] == [False, True]
    outside.peers[0].down = False
    outside.clock.advance(timedelta(seconds=31))
    await outside.adapters.check()
    assert [one.healthy for one in outside.adapters.health()] == [True, True]
    await outside.adapters.close()
