"""Shares of the traffic are changed while the shop runs: for all processes at once, and on the record."""

from typing import Any

import pytest

from contexts.payment.till import ANN, Till
from kernel.toy_web import Answered
from pasar.contexts.payment import facade
from pasar.contexts.payment.contract_staff import SetTraffic, TrafficSet
from pasar.contexts.payment.traffic import traffic
from pasar.kernel.bus import Core
from pasar.kernel.settings import load
from pasar.kernel.store import Database
from pasar.kernel.testing import scenario
from postgres import TestDatabase


async def say(till: Till, gateway: str, kind: str = "admin", **body: Any) -> Answered:
    path = f"/api/v1/payments/gateways/{gateway}/traffic"
    return await till.shop.ask("PUT", path, {"reason": "slow today", **body}, token=till.shop.token(kind))


async def shares(core: Core) -> dict[str, int]:
    return {one.gateway: one.share for one in await facade.offers(core.bus())}


@pytest.mark.requirement("S1-046")
async def test_a_share_is_changed_for_all_processes_at_once(till: Till, database: TestDatabase) -> None:
    core, given = till.shop.core, {one.name: one.value for one in till.shop.core.settings.explain()}
    other_settings = load({}, None, {name: given[name] for name in ("data_dir", "payment.simulators")})
    pool = Database(database.app_dsn, size=2)
    await pool.open()
    other = Core(
        pool, list(core.deciders.values()), clock=core.clock, ids=core.ids, keys=core.keys, settings=other_settings
    )
    try:
        assert await shares(core) == await shares(other) == {"toss": 100, "wechat": 100}
        answer = await say(till, "wechat", share=0)
        assert answer.status == 200, answer.body
        assert await shares(core) == await shares(other) == {"toss": 100, "wechat": 0}
        order_no = await till.order()
        refused = await till.pay(order_no)
        assert (refused.status, refused.json["code"]) == (503, 2001)
        assert (await till.pay(order_no, gateway="wechat")).status == 201  # Whoever names it gets it.
        await say(till, "wechat")
        assert await shares(other) == {"toss": 100, "wechat": 100}
        assert (await till.pay(await till.order())).status == 201
    finally:
        await facade.close(other_settings)
        await pool.close()


async def test_who_changed_a_share_and_why_is_on_the_record(till: Till) -> None:
    for kind in ("finance", "manager", "seller", "member"):
        assert (await say(till, "toss", kind, share=10)).status == 403
    assert (await say(till, "paypal", share=10)).status == 404
    for wrong in ({"share": 101}, {"share": -1}, {"share": 10, "reason": ""}):
        assert (await say(till, "toss", **wrong)).status == 400
    await say(till, "toss", share=10)
    [row] = await till.shop.core.database.kernel.fetch(
        "select data, meta ->> 'by' as by from kernel.event where type = 'payment.TrafficSet'"
    )
    assert "slow today" in row["data"]
    assert row["by"] != str(ANN)
    shown = await till.shop.ask("GET", "/api/v1/payments/gateways/traffic", token=till.shop.token("admin"))
    assert {one["gateway"]: (one["configured"], one["set"]) for one in shown.json} == {
        "toss": (100, 10), "wechat": (100, None),
    }  # fmt: skip


def test_saying_the_same_again_changes_nothing() -> None:
    said = TrafficSet(gateway="toss", share=10, reason="slow")
    back = SetTraffic(gateway="toss", share=None, reason="well again")
    check = scenario(traffic)
    check(given=[said], when=SetTraffic(gateway="toss", share=10, reason="still slow"), then=[])
    check(given=[said], when=back, then=[TrafficSet(gateway="toss", share=None, reason="well again")])
    check(given=[], when=back, then=[])
