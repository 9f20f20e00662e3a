"""Products, lists, snapshots and pictures over HTTP."""

import io
import struct
import zlib
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from contexts.selling import SHIRT, START, Shop
from kernel.toy_web import Answered
from pasar.accounts import pool, promises
from pasar.contexts.catalog import facade
from pasar.contexts.catalog.gateway import cleaned
from pasar.kernel import ledger
from pasar.kernel.decider import Decider
from pasar.kernel.messages import Command, Event, Value
from pasar.refusals import MediaRefused, SkuTaken

NEW: dict[str, Any] = {"store": "s1", "title": "Shirt", "skus": [{"sku": "shirt"}], "state": "on_sale"}
PRODUCTS = "/api/v1/products"


async def create(shop: Shop, token: str | None = None, **changes: Any) -> Answered:
    return await shop.ask("POST", PRODUCTS, {**NEW, **changes}, token=token or shop.token())


async def after(shop: Shop, answer: Answered) -> None:
    """Until the views show a write."""
    from pasar.kernel.bus import Position

    bus = shop.bus()
    bus.position = Position(*map(int, answer.headers["x-pasar-position"].split(".")))
    await shop.views_reach(bus)


@pytest.mark.requirement("S0-034", "S0-035")
async def test_sellers_create_and_change_their_own_products_only(shop: Shop) -> None:
    seller, other = shop.token("seller", "s1"), shop.token("seller", "s2")
    assert (await create(shop, other)).json["code"] == 9101
    made = await create(shop, seller)
    assert (made.status, made.json["store"]) == (201, "s1")
    place = f"{PRODUCTS}/{made.json['product']}"
    assert (await shop.ask("PATCH", place, {"title": "Red shirt"}, token=seller)).json["title"] == "Red shirt"
    foreign = await shop.ask("PATCH", place, {"title": "Mine"}, token=other)
    missing = await shop.ask("PATCH", f"{PRODUCTS}/{uuid4()}", {"title": "Mine"}, token=other)
    assert (foreign.status, foreign.json["code"]) == (missing.status, missing.json["code"]) == (404, 5001)
    assert (await shop.ask("GET", place)).json["product"]["title"] == "Red shirt"
    assert (await create(shop, shop.token("member"))).status == 403


async def test_a_sku_is_one_products_for_ever(shop: Shop) -> None:
    first = await create(shop)
    assert (await create(shop)).json["code"] == SkuTaken.code
    place = f"{PRODUCTS}/{first.json['product']}/state"
    await shop.ask("PUT", place, {"state": "discontinued"}, token=shop.token())
    assert (await create(shop)).json["code"] == SkuTaken.code
    found = await facade.for_sale(shop.db, ["shirt", "none"])
    assert {sku: item.state for sku, item in found.items()} == {"shirt": "discontinued"}


async def test_a_skus_title_has_its_option_values(shop: Shop) -> None:
    await shop.sell("x")
    await shop.sell("y", **{**SHIRT, "title": "Shirt"})
    found = await facade.for_sale(shop.db, ["shirt-red-S", "x"])
    assert [found[sku].title for sku in ("shirt-red-S", "x")] == ["Shirt (red, S)", "X"]


@pytest.mark.requirement("S0-036")
async def test_a_paused_product_is_seen_by_its_seller_only(shop: Shop) -> None:
    seller = shop.token("seller", "s1")
    place = f"{PRODUCTS}/{(await create(shop, seller)).json['product']}"
    assert (await shop.ask("GET", place)).status == 200
    await shop.ask("PUT", f"{place}/state", {"state": "paused"}, token=seller)
    assert (await shop.ask("GET", place)).status == 404
    assert (await shop.ask("GET", place, token=shop.token("seller", "s2"))).status == 404
    assert (await shop.ask("GET", place, token=seller)).json["product"]["state"] == "paused"
    resumed = await shop.ask("PUT", f"{place}/state", {"state": "on_sale"}, token=seller)
    assert resumed.json["state"] == "on_sale"
    assert (await shop.ask("GET", place)).status == 200


@pytest.mark.requirement("S0-038")
async def test_every_change_leaves_a_snapshot_that_can_be_read_back(shop: Shop) -> None:
    seller = shop.token("seller", "s1")
    place = f"{PRODUCTS}/{(await create(shop, seller)).json['product']}"
    titles = ["Shirt", "Shirt 1", "Shirt 2", "Shirt 3"]
    for title in titles[1:]:
        shop.clock.advance(timedelta(minutes=1))
        await shop.ask("PATCH", place, {"title": title}, token=seller)
    versions = (await shop.ask("GET", f"{place}/versions", token=seller)).json["items"]
    assert [one["product"]["title"] for one in versions] == titles
    assert [one["version"] for one in versions] == [1, 2, 3, 4]
    assert (await shop.ask("GET", f"{place}/versions/2", token=seller)).json == versions[1]
    at = (START + timedelta(seconds=150)).isoformat().replace("+", "%2B")
    assert (await shop.ask("GET", f"{place}/snapshot?at={at}", token=seller)).json == versions[2]
    before = (START - timedelta(days=1)).isoformat().replace("+", "%2B")
    assert (await shop.ask("GET", f"{place}/snapshot?at={before}", token=seller)).json["code"] == 5012
    assert (await shop.ask("GET", f"{place}/versions/9", token=seller)).json["code"] == 5012
    assert (await shop.ask("GET", f"{place}/differences?before=1&after=4", token=seller)).json == [
        {"field": "title", "before": "Shirt", "after": "Shirt 3"}
    ]
    first = (await shop.ask("GET", f"{place}/versions?limit=3", token=seller)).json
    rest = (await shop.ask("GET", f"{place}/versions?limit=3&cursor={first['next']}", token=seller)).json
    assert first["items"] + rest["items"] == versions
    assert rest["next"] is None
    assert (await shop.ask("GET", f"{place}/versions", token=shop.token("seller", "s2"))).status == 404


async def test_the_list_goes_on_by_cursor_the_newest_first(shop: Shop) -> None:
    for number in range(25):
        await shop.sell(f"sku-{number:02}", 100 + number)
    seen, cursor = [], ""
    while True:
        page = (await shop.ask("GET", f"{PRODUCTS}?channel=web{cursor}")).json
        seen += page["items"]
        if page["next"] is None:
            break
        assert len(page["items"]) == 20
        cursor = f"&cursor={page['next']}"
    assert [item["title"] for item in seen] == [f"Sku-{number:02}" for number in reversed(range(25))]
    assert (seen[0]["price"], seen[0]["currency"]) == (124, "KRW")
    assert (await shop.ask("GET", f"{PRODUCTS}?cursor=nonsense")).status == 400
    assert (await shop.ask("GET", f"{PRODUCTS}?cursor=-1")).status == 400


@pytest.mark.requirement("S2-013")
async def test_the_list_is_narrowed_by_store_category_and_channel(shop: Shop) -> None:
    admin = shop.token()
    for code, parent in (("food", None), ("fruit", "food"), ("tools", None)):
        body = {"category": code, "name": code, "parent": parent}
        assert (await shop.ask("POST", "/api/v1/categories", body, token=admin)).status == 201
    await shop.sell("apple", category="fruit")
    await shop.sell("bread", category="food", store="s2")
    await shop.sell("saw", category="tools")
    await after(shop, await create(shop, title="No price"))

    async def titles(query: str) -> list[str]:
        return [item["title"] for item in (await shop.ask("GET", f"{PRODUCTS}?{query}")).json["items"]]

    assert await titles("category=food") == ["Bread", "Apple"]
    assert await titles("category=fruit") == ["Apple"]
    assert await titles("store=s2") == ["Bread"]
    assert await titles("") == ["No price", "Saw", "Bread", "Apple"]
    assert await titles("channel=web") == ["Saw", "Bread", "Apple"]
    assert await titles("channel=web&category=food&store=s1") == ["Apple"]
    tree = (await shop.ask("GET", "/api/v1/categories")).json
    assert {node["category"]: node["parent"] for node in tree} == {"food": None, "fruit": "food", "tools": None}
    lost = await shop.ask("POST", "/api/v1/categories", {"category": "x", "name": "x", "parent": "none"}, token=admin)
    assert lost.json["code"] == 5005
    assert (await create(shop, skus=[{"sku": "s9"}], category="none")).json["code"] == 5005


async def test_drafts_are_listed_for_those_who_work_for_the_store(shop: Shop) -> None:
    await after(shop, await create(shop, state="draft"))
    place = f"{PRODUCTS}?state=draft&store=s1"
    assert (await shop.ask("GET", place)).json["items"] == []
    assert (await shop.ask("GET", place, token=shop.token("seller", "s2"))).json["items"] == []
    assert len((await shop.ask("GET", place, token=shop.token("seller", "s1"))).json["items"]) == 1
    assert len((await shop.ask("GET", f"{PRODUCTS}?state=draft", token=shop.token())).json["items"]) == 1


class Stock(Command):
    sku: str
    units: int


class Stocked(Event):
    sku: str
    units: int


def _decide(command: Stock, state: Value) -> list[Stocked]:
    return [Stocked(sku=command.sku, units=command.units)]


def _evolve(state: Value, event: Stocked) -> Value:
    return state


def _book(event: Stocked) -> list[ledger.Transfer]:
    sides = (promises(event.sku), pool(event.sku))
    return [ledger.move(*(sides if event.units > 0 else sides[::-1]), abs(event.units))]


stocking: Decider[Value] = Decider("test.stocking", "sku", Value(), _decide, _evolve, book=_book)


@pytest.mark.requirement("S0-111", "S2-015", "S2-019")
async def test_sold_out_is_what_the_pool_says(shop: Shop) -> None:
    shop.core.routes[Stock] = stocking
    shop.core._names[Stocked] = "test.Stocked"
    shop.core.answers[stocking.kind] = None
    product = await shop.sell("apple")

    async def sold_out() -> tuple[bool, bool, int]:
        headers = [("X-Pasar-After", "0.0")]  # Not the list of a moment ago.
        listed = (await shop.ask("GET", f"{PRODUCTS}?channel=web", headers=headers)).json["items"][0]
        page = (await shop.ask("GET", f"{PRODUCTS}/{product}?channel=web")).json
        return listed["sold_out"], page["sold_out"], page["skus"][0]["available"]

    assert await sold_out() == (True, True, 0)
    await shop.bus().send(Stock(sku="apple", units=3))
    assert await sold_out() == (False, False, 3)
    await shop.bus().send(Stock(sku="apple", units=-3))
    assert await sold_out() == (True, True, 0)


async def test_a_list_and_a_page_that_are_known_are_not_sent_again(shop: Shop) -> None:
    product = await shop.sell("apple")
    for place in (f"{PRODUCTS}?channel=web", f"{PRODUCTS}/{product}?channel=web"):
        first = await shop.ask("GET", place)
        again = await shop.ask("GET", place, headers=[("If-None-Match", first.headers["etag"])])
        assert (first.status, again.status, again.body) == (200, 304, b"")
    await shop.ask("PATCH", f"{PRODUCTS}/{product}", {"title": "Other"}, token=shop.token())
    changed = await shop.ask("GET", place, headers=[("If-None-Match", first.headers["etag"])])
    assert changed.json["product"]["title"] == "Other"


async def test_unknown_fields_are_refused(shop: Shop) -> None:
    assert (await create(shop, product=str(uuid4()))).status == 400
    assert (await create(shop, owner="me")).status == 400
    assert (await create(shop, title="x" * 101)).status == 400


def picture(size: tuple[int, int] = (40, 20), format: str = "JPEG", **options: Any) -> bytes:
    target = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGB").save(target, format, **options)
    return target.getvalue()


LIMITS = {"max_bytes": 5 << 20, "max_pixels": 1_000_000, "max_side": 5000}


@pytest.mark.promise("D5")
def test_metadata_is_gone_and_the_picture_is_turned_as_it_said() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "secret place"
    clean = cleaned(picture(exif=exif) + b"<script>rider</script>", **LIMITS)
    shown = Image.open(io.BytesIO(clean.data))
    assert shown.size == (20, 40)
    assert not shown.getexif()
    assert b"secret place" not in clean.data
    assert b"rider" not in clean.data


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_each_kind_of_picture_is_taken(format: str) -> None:
    clean = cleaned(picture(format=format), **LIMITS)
    assert Image.open(io.BytesIO(clean.data)).size == (40, 20)


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it is 30,000 pixels square."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "bad",
    [b"", b"<svg onload=alert(1)>", b"%PDF-1.7", picture()[:200], b"\xff\xd8\xff\xe0" + bytes(100), bomb(),
     picture((2000, 1000)), picture((6000, 10))],
    ids=["empty", "svg", "pdf", "cut", "header-only", "bomb", "pixels", "side"],
)  # fmt: skip
@pytest.mark.promise("D5")
def test_what_is_no_harmless_picture_is_refused(bad: bytes) -> None:
    with pytest.raises(MediaRefused):
        cleaned(bad, **LIMITS)


@pytest.mark.requirement("S2-018")
async def test_a_picture_of_exactly_5_mb_is_taken_and_a_larger_one_refused(shop: Shop) -> None:
    place = f"{PRODUCTS}/{(await create(shop)).json['product']}/media"
    sent = [("Content-Type", "image/jpeg")]
    five = picture().ljust(5 << 20, b"\0")
    assert (await shop.ask("POST", place, five + b"\0", token=shop.token(), headers=sent)).json["code"] == 5007
    taken = await shop.ask("POST", f"{place}?alt=A%20shirt", five, token=shop.token(), headers=sent)
    assert taken.status == 200
    [media] = taken.json["media"]
    assert media["alt"] == "A shirt"
    shown = await shop.ask("GET", media["url"])
    assert (shown.status, shown.headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(shown.body)).size == (40, 20)
    again = await shop.ask("POST", place, five, token=shop.token(), headers=sent)
    assert len(again.json["media"]) == 1
    assert (await shop.ask("POST", place, five, token=shop.token("seller", "s2"), headers=sent)).status == 404
    for name in ("none.jpg", "..%2F..%2Fkeys%2Fmaster.key", "0" * 32 + ".jpg"):
        assert (await shop.ask("GET", f"/media/{name}")).status == 404
