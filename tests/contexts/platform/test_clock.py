"""The clock of a replay deployment: shared by its processes, moved by admins, forward only; and nobody else's."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from contexts.selling import Shop
from pasar.kernel.shared_clock import SharedClock

THEN = datetime(2009, 12, 1, tzinfo=UTC)


async def move(shop: Shop, to: str, kind: str = "admin"):
    return await shop.ask("PUT", "/api/v1/clock", {"to": to}, token=shop.token(kind))


@pytest.fixture
def replaying(shop: Shop, tmp_path: Path) -> Shop:
    shop.core.clock = SharedClock(tmp_path / "clock", THEN)
    return shop


async def test_an_admin_moves_the_clock_forward_for_all_processes(replaying: Shop, tmp_path: Path) -> None:
    answer = await move(replaying, "2009-12-01T07:45:00Z")
    assert (answer.status, answer.json) == (200, {"now": "2009-12-01T07:45:00Z"})
    assert SharedClock(tmp_path / "clock", THEN).now() == datetime(2009, 12, 1, 7, 45, tzinfo=UTC)
    assert (await replaying.ask("GET", "/api/v1/clock")).json == answer.json


async def test_time_does_not_go_back(replaying: Shop) -> None:
    await move(replaying, "2009-12-02T00:00:00Z")
    answer = await move(replaying, "2009-12-01T00:00:00Z")
    assert (answer.status, answer.json["code"]) == (409, 9106)
    assert (await move(replaying, "2009-12-02T00:00:00Z")).status == 200


async def test_others_do_not_move_it_and_a_time_has_a_zone(replaying: Shop) -> None:
    assert (await move(replaying, "2009-12-02T00:00:00Z", kind="warehouse")).json["code"] == 4003
    assert (await move(replaying, "2009-12-02T00:00:00")).json["code"] == 3003
    assert replaying.core.clock.now() == THEN


async def test_a_shop_that_does_not_replay_keeps_its_time(shop: Shop) -> None:
    answer = await move(shop, "2099-01-01T00:00:00Z")
    assert (answer.status, answer.json["code"]) == (409, 9106)
