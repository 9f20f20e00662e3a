"""Stores, channels, flags and the audit trail."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from contexts.selling import OWNER, START, Shop
from pasar.contexts.platform import facade
from pasar.contexts.platform.channel import channel
from pasar.contexts.platform.contract import (
    ChangeChannel,
    ChangeStore,
    ChannelChanged,
    ChannelOpened,
    CloseStore,
    Flag,
    OpenChannel,
    OpenStore,
    SetFlag,
    StoreChanged,
    StoreClosed,
    StoreOpened,
)
from pasar.contexts.platform.flag import is_on
from pasar.contexts.platform.store import store
from pasar.kernel.testing import scenario
from pasar.refusals import (
    ChannelExists,
    ChannelNotFound,
    CurrencyUnknown,
    StoreExists,
    StoreIsClosed,
    StoreNotFound,
)

STORE: dict[str, Any] = {
    "store": "s", "name": "S", "owner": OWNER, "commission_rate": Decimal("0.05"), "settlement_currency": "KRW",
}  # fmt: skip
CHANNEL: dict[str, Any] = {
    "channel": "web", "name": "Web", "currency": "KRW", "locale": "ko", "tax_rate": Decimal("0.10"),
    "prices_include_tax": True, "freight": Decimal(0), "free_freight_from": None, "kind": "web",
}  # fmt: skip


def test_a_store_is_opened_changed_and_closed_for_good() -> None:
    check, opened = scenario(store), StoreOpened(**STORE)
    check(given=[], when=OpenStore(**STORE), then=[opened])
    check(given=[opened], when=OpenStore(**STORE), then=[])
    check(given=[opened], when=OpenStore(**{**STORE, "name": "T"}), then=StoreExists)
    changed = StoreChanged(store="s", name="S", commission_rate=Decimal("0.03"))
    check(given=[opened], when=ChangeStore(store="s", commission_rate=Decimal("0.03")), then=[changed])
    check(given=[opened], when=ChangeStore(store="s", name="S"), then=[])
    check(given=[opened], when=CloseStore(store="s"), then=[StoreClosed(store="s")])
    check(given=[opened, StoreClosed(store="s")], when=CloseStore(store="s"), then=[])
    check(given=[opened, StoreClosed(store="s")], when=ChangeStore(store="s", name="T"), then=StoreIsClosed)
    check(given=[], when=CloseStore(store="s"), then=StoreNotFound)
    check(given=[], when=OpenStore(**{**STORE, "settlement_currency": "ZZZ"}), then=CurrencyUnknown)


def test_a_channel_keeps_its_currency_and_takes_its_digits() -> None:
    check, opened = scenario(channel), ChannelOpened(**CHANNEL)
    check(given=[], when=OpenChannel(**CHANNEL), then=[opened])
    check(given=[opened], when=OpenChannel(**{**CHANNEL, "currency": "CNY"}), then=ChannelExists)
    check(given=[], when=OpenChannel(**{**CHANNEL, "freight": Decimal("2.5")}), then=CurrencyUnknown)
    check(given=[], when=OpenChannel(**{**CHANNEL, "currency": "ABC"}), then=CurrencyUnknown)
    change = ChangeChannel(channel="web", freight=Decimal(3000))
    fields = {name: CHANNEL[name] for name in ("channel", "name", "tax_rate", "free_freight_from")}
    check(given=[opened], when=change, then=[ChannelChanged(**fields, freight=Decimal(3000))])
    check(given=[], when=change, then=ChannelNotFound)
    check(given=[opened], when=ChangeChannel(channel="web", freight=Decimal("0.5")), then=CurrencyUnknown)


@pytest.mark.requirement("S1-278")
def test_a_flag_is_on_for_its_share_of_people_who_stay_when_it_grows() -> None:
    people = [str(number) for number in range(5000)]
    assert not any(is_on(Flag(name="new"), who) for who in people)
    ten = {who for who in people if is_on(Flag(name="new", percentage=10), who)}
    half = {who for who in people if is_on(Flag(name="new", percentage=50), who)}
    assert 400 < len(ten) < 600
    assert 2300 < len(half) < 2700
    assert ten < half
    assert {who for who in people if is_on(Flag(name="other", percentage=10), who)} != ten
    assert all(is_on(Flag(name="new", percentage=100), who) for who in people)
    assert all(is_on(Flag(name="new", default=True), who) for who in people)
    shop_only = Flag(name="new", stores=("s1",))
    assert is_on(shop_only, "1", "s1")
    assert not is_on(shop_only, "1", "s2")


async def test_a_flag_that_nobody_has_set_is_off(shop: Shop) -> None:
    assert await facade.flag(shop.db, "new", "kim") is False
    await shop.bus().send(SetFlag(name="new", default=True))
    assert await facade.flag(shop.db, "new", "kim") is True
    admin = shop.token()
    assert (await shop.ask("GET", "/api/v1/flags/none", token=admin)).json["code"] == 9105
    assert (await shop.ask("PUT", "/api/v1/flags/new", {"percentage": 5}, token=admin)).json["percentage"] == 5
    assert (await shop.ask("PUT", "/api/v1/flags/new", {"percentage": 101}, token=admin)).status == 400
    assert (await shop.ask("PUT", "/api/v1/flags/new", {}, token=shop.token("seller", "s1"))).status == 403
    assert [flag["name"] for flag in (await shop.ask("GET", "/api/v1/flags", token=admin)).json["items"]] == ["new"]


async def test_only_admins_open_stores_and_channels(shop: Shop) -> None:
    body = {"store": "s3", "name": "S3", "owner": str(OWNER)}
    assert (await shop.ask("POST", "/api/v1/stores", body)).status == 401
    assert (await shop.ask("POST", "/api/v1/stores", body, token=shop.token("seller", "s1"))).status == 403
    assert (await shop.ask("POST", "/api/v1/stores", body, token=shop.token())).status == 201
    assert (await shop.ask("POST", "/api/v1/stores", {**body, "name": "X"}, token=shop.token())).json["code"] == 9102
    assert (await shop.ask("GET", "/api/v1/stores/s1", token=shop.token("seller", "s1"))).json["name"] == "s1"
    assert (await shop.ask("GET", "/api/v1/stores/s2", token=shop.token("seller", "s1"))).status == 403
    body = {"channel": "x", "name": "X", "currency": "QQQ"}
    assert (await shop.ask("POST", "/api/v1/channels", body, token=shop.token())).json["code"] == 9107
    assert (await shop.ask("GET", "/api/v1/channels/web")).json["currency"] == "KRW"
    first = (await shop.ask("GET", "/api/v1/stores?limit=2", token=shop.token())).json
    rest = (await shop.ask("GET", f"/api/v1/stores?limit=2&cursor={first['next']}", token=shop.token())).json
    assert [store["store"] for store in first["items"] + rest["items"]] == ["s1", "s2", "s3"]
    assert rest["next"] is None


async def test_the_audit_trail_says_who_did_what_when(shop: Shop) -> None:
    admin = shop.token(id=(boss := uuid4()))
    shop.clock.advance(timedelta(minutes=1))
    sent = [("X-Request-ID", "req-1")]
    await shop.ask("PATCH", "/api/v1/stores/s1", {"name": "New name"}, token=admin, headers=sent)
    trail = (await shop.ask("GET", f"/api/v1/audit?by={boss}", token=admin)).json["items"]
    assert trail == [
        {
            "at": (START + timedelta(minutes=1)).isoformat().replace("+00:00", "Z"),
            "by": str(boss), "type": "platform.StoreChanged", "stream": "platform.store-s1", "version": 2,
            "request": "req-1",
        }
    ]  # fmt: skip
    whole = (await shop.ask("GET", "/api/v1/audit", token=admin)).json["items"]
    assert [entry["type"].partition(".")[2] for entry in whole] == [
        "StoreChanged", "StoreOpened", "StoreOpened", "ChannelOpened",
    ]  # fmt: skip
    stream = (await shop.ask("GET", "/api/v1/audit?stream=platform.store-s1", token=admin)).json["items"]
    assert [entry["version"] for entry in stream] == [2, 1]
    since = (START + timedelta(seconds=30)).isoformat().replace("+", "%2B")
    assert len((await shop.ask("GET", f"/api/v1/audit?since={since}", token=admin)).json["items"]) == 1
    assert len((await shop.ask("GET", f"/api/v1/audit?until={since}", token=admin)).json["items"]) == 3
    seen, place = [], "/api/v1/audit?limit=1"
    while place:
        page = (await shop.ask("GET", place, token=admin)).json
        seen += page["items"]
        place = page["next"] and f"/api/v1/audit?limit=1&cursor={page['next']}"
    assert seen == whole
    assert (await shop.ask("GET", "/api/v1/audit", token=shop.token("seller", "s1"))).status == 403
    assert (await shop.ask("GET", "/api/v1/audit?cursor=WzEsMiwzXQ", token=admin)).status == 200
    assert (await shop.ask("GET", "/api/v1/audit?cursor=Wzk5OTk5LDIsM10", token=admin)).status == 400
