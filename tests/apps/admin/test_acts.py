"""What people do in the console, by the forms of its pages."""

import asyncio
import re
from pathlib import Path
from uuid import UUID

import pytest

from apps.admin.office import PASSWORD, Office
from contexts.ordering.market import item
from kernel.running import caught_up
from pasar.apps.admin.sign_in import PROOF
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.payment import facade as payment
from pasar.contexts.payment.gateways.toss import Toss, TossConfig
from pasar.contexts.pricing import facade as pricing

pytestmark = pytest.mark.asyncio(loop_scope="module")
NEW = "/console/products/new"


async def test_a_seller_adds_a_product_with_options(office: Office) -> None:
    seller, db = await office.as_("seller"), office.market.shop.db
    await seller.get(NEW)
    first = {
        "store": "s1", "title_en": "Wool scarf", "title_ko": "울 목도리", "prefix": "scarf", "weight_g": "180",
        "option_1": "Colour", "values_1": "red, grey", "option_2": "Size", "values_2": "S,L", "base_web": "39,000",
    }  # fmt: skip
    page = await seller.send(NEW, **first, act="matrix")
    assert "4 SKUs" in page.words
    assert [page.text.count(f'value="scarf-{tail}"') for tail in ("red-s", "red-l", "grey-s", "grey-l")] == [1] * 4
    rows = seller.form(NEW)
    # The visitor keeps one value a field; each row's two option values are sent as the browser would.
    fields = [(name, value) for name, value in rows.items() if not name.startswith("of_")]
    for number, (colour, size) in enumerate([("red", "S"), ("red", "L"), ("grey", "S"), ("grey", "L")]):
        fields += [(f"of_{number}", colour), (f"of_{number}", size)]
    fields = [(name, "41000" if name == "price_3_web" else value) for name, value in fields]
    unpriced = [(name, value) for name, value in fields if not name.startswith("price_2_")]
    page = await seller.post(NEW, [*unpriced, ("act", "create")])
    assert (page.status, "a price in at least one channel" in page.words) == (422, True)
    answer = await seller.post(NEW, [*fields, ("act", "create")])
    assert answer.status == 303, answer.words
    made = await catalog.product(db, UUID(answer.location.rpartition("/")[2]))
    assert (made.store, made.state, made.titles["en"], len(made.skus)) == ("s1", "on_sale", "Wool scarf", 4)
    assert made.skus[3].options == ("grey", "L")
    prices = await pricing.prices_of(db, [spec.sku for spec in made.skus])
    assert [int(prices[spec.sku].channels["web"].price) for spec in made.skus] == [39_000, 39_000, 39_000, 41_000]
    for wrong, said in (
        ({"store": "s2"}, "one of your stores"),
        ({"values_1": ""}, "at least one value"),
        ({"title_en": "", "title_ko": ""}, "Give it a title"),
    ):
        await seller.get(NEW)
        page = await seller.send(NEW, **{**first, **wrong}, act="matrix")
        assert (page.status, said in page.words) == (422, True)


async def test_what_cannot_be_undone_asks_for_the_password_again(office: Office) -> None:
    seller, db = await office.as_("seller"), office.market.shop.db
    await office.market.stock("quince", 1)
    quince = (await catalog.for_sale(db, ["quince"]))["quince"].product
    path = f"/console/products/{quince}/state"
    await seller.get(f"/console/products/{quince}")
    page = await seller.send(path, state="discontinued")
    assert "A discontinued product never comes back." in page.words
    assert (await catalog.product(db, quince)).state == "on_sale"
    page = await seller.send(path, again_password="not it at all")
    assert (page.status, "Login or password is wrong." in page.words) == (422, True)
    assert (await catalog.product(db, quince)).state == "on_sale"
    page = await seller.send(path, again_password=PASSWORD)
    assert page.status == 200
    assert (await catalog.product(db, quince)).state == "discontinued"


async def test_what_is_refused_after_the_password_leads_back_to_where_it_was_asked_for(office: Office) -> None:
    seller, db = await office.as_("seller"), office.market.shop.db
    await office.market.stock("medlar", 1)
    medlar = (await catalog.for_sale(db, ["medlar"]))["medlar"].product
    where, path = f"/console/products/{medlar}?tab=state", f"/console/products/{medlar}/state"
    await seller.get(where)
    came_from = {"referer": f"http://localhost{where}"}
    page = await seller.post(path, {**seller.form(path), "state": "discontinued"}, **came_from)
    assert f'href="{where}"' in page.text  # Rather not.
    seller.page = page
    fields = {**seller.form(path), "again_password": PASSWORD, "state": "draft"}
    answer = await seller.post(path, fields, referer=f"http://localhost{path}")
    assert (answer.status, answer.location) == (303, where)
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example", path, "/nowhere", ""):
        answer = await seller.post(path, {**fields, "origin": elsewhere})
        assert (answer.status, answer.location) == (303, "/console"), elsewhere
    assert (await catalog.product(db, medlar)).state == "on_sale"


async def test_many_orders_are_cancelled_part_by_part_and_only_with_the_password(office: Office) -> None:
    market = office.market
    await market.stock("plum", 60, price=1_000)
    numbers = [(await market.order(item("plum"))).json["order_no"] for _ in range(23)]
    await caught_up(market.shop.core)
    admin = await office.as_("admin")
    await admin.get("/console/orders")
    token = admin.form("/console/orders/bulk")["form_token"]
    chosen = [("form_token", token), ("act", "cancel"), *(("id", number) for number in numbers)]
    bulk = "/console/orders/bulk"
    for proof in ("", "9999999999.0000", f"{2**40}.{token}"):
        page = await admin.post(bulk, [*chosen, (PROOF, proof), ("sure", "true")])
        assert "Your password" in page.text
    assert await market.left("plum") == 37
    admin.page = await admin.post(bulk, [*chosen, ("again_password", PASSWORD)])
    assert "20 of 23 done" in admin.page.words
    assert await market.left("plum") == 57
    rest = [("id", number) for number in re.findall(r'name="id" value="(\d+)"', admin.page.text)]
    assert len(rest) == 3
    going_on = [(name, value) for name, value in admin.form(bulk).items() if name != "id"]
    page = await admin.post(bulk, [*going_on, *rest])
    assert "23 of 23 done" in page.words
    assert await market.left("plum") == 60
    other = await office.as_("seller")  # The proof is another's.
    await other.get("/console/orders")
    stolen = [(name, value) for name, value in going_on if name != "form_token"]
    page = await other.post(bulk, [*stolen, *rest, ("form_token", other.form(bulk)["form_token"])])
    assert "Packing orders" in page.words  # Sellers cancel nothing.


async def test_searches_are_kept_and_forgotten(office: Office) -> None:
    seller = await office.as_("seller")
    await seller.get("/console/orders?state=PAID&channel=web")
    page = await seller.send("/console/orders/searches", name="To pack")
    assert 'href="/console/orders?state=PAID&amp;channel=web"' in page.text or "state=PAID" in page.text
    assert "To pack" in page.words
    assert "To pack" not in (await (await office.as_("manager")).get("/console/orders")).words
    await seller.get("/console/orders")
    page = await seller.send("/console/orders/searches", act="forget")
    assert "To pack" not in page.words


async def test_a_file_is_looked_at_before_it_is_imported(office: Office) -> None:
    seller, db = await office.as_("seller"), office.market.shop.db
    sheet = (
        "id,title,sku,price,channel,store,stock,warehouse\n"
        "jam,Plum jam,jam-1,9000,web,s1,4,w1\n"
        "tea,Green tea,tea-1,cheap,web,s1,,\n"
        "hat,Straw hat,hat-1,9000,web,s2,,\n"
    )
    path = "/console/products/import"
    await seller.get(path)
    token = seller.form(path)["form_token"]
    edge = "edge0of0parts"
    body = (
        f'--{edge}\r\nContent-Disposition: form-data; name="form_token"\r\n\r\n{token}\r\n'
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n'
        f"Content-Type: text/csv\r\n\r\n{sheet}\r\n--{edge}--\r\n"
    ).encode()
    sent = {"content-type": f"multipart/form-data; boundary={edge}", "origin": "http://localhost"}
    seller.page = await seller._ask("POST", path, body, sent)
    assert seller.page.status == 200, seller.page.words
    assert "there is no open store s2" in seller.page.words
    assert "line 4" in seller.page.words.lower() or "4 there is no open store" in seller.page.words
    assert await db.claimed("sku", ["jam-1"]) == {}
    page = await seller.send(path, act="import")
    assert "Imported" in page.words
    assert set(await db.claimed("sku", ["jam-1", "tea-1", "hat-1"])) == {"jam-1"}
    assert await office.market.left("jam-1") == 4


async def test_the_keeper_books_stock_once_for_a_form(office: Office) -> None:
    keeper, market = await office.as_("warehouse"), office.market
    await market.stock("melon", 12)
    path, book = "/console/inventory/skus/melon", "/console/inventory/adjustments"
    await keeper.get(path)
    form = {**keeper.form(book), "delta": "-2", "warehouse": "w1", "reason": "rotten"}
    for _ in range(2):
        assert (await keeper.post(book, form)).status == 303
    assert await market.left("melon") == 10
    await caught_up(market.shop.core)
    page = await keeper.get(path)
    assert "10 = 10 + 0 + 0 − 0 adds up" in page.words
    assert "rotten" in page.words
    await keeper.get(path)
    page = await keeper.send(book, delta="-500", warehouse="w1", reason="fire")
    assert "Write off 500 units of melon" in page.words
    await keeper.get("/console/inventory")
    page = await keeper.send("/console/inventory/receipts", sku="nothing", quantity="5", warehouse="w1")
    assert await market.shop.db.claimed("sku", ["nothing"]) == {}


async def test_what_is_personal_is_masked_until_somebody_says_why(office: Office) -> None:
    admin, member = await office.as_("admin"), office.accounts["member"]
    page = await admin.get("/console/members?q=member%40example.com")
    assert page.location == f"/console/members/{member}"
    page = await admin.get(page.location)
    assert "m•••@e•••" in page.words
    assert "member@example.com" not in page.text
    reveal = f"/console/members/{member}/reveal"
    page = await admin.post(reveal, {**admin.form(reveal), "reason": ""})
    assert "member@example.com" not in page.text
    page = await admin.post(reveal, {**admin.form(reveal), "reason": "asked for a copy by telephone"})
    assert "member@example.com" in page.text
    trail = (await admin.get("/console/audit?type=identity.PersonRevealed")).words
    assert str(member) in trail
    assert (await admin.get("/console/members?q=nobody%40example.com")).status == 200


async def test_a_coupon_is_tried_on_an_order_before_it_exists(office: Office) -> None:
    market, seller = office.market, await office.as_("seller")
    order = (await market.order(item("apple", 2))).json["order_no"]
    await caught_up(market.shop.core)
    path = "/console/promotions/new"
    await seller.get(path)
    wish = {"coupon": "APPLE10", "kind": "percent", "value": "10", "store": "s1", "of_order": order}
    page = await seller.send(path, **wish, act="try")
    assert "It takes ₩6,400 off." in page.words
    assert "APPLE10" not in [one.coupon for one in await pricing.all_coupons(market.shop.db, 10)]
    page = await seller.send(path, **wish, act="create")
    assert "APPLE10" in [one.coupon for one in await pricing.all_coupons(market.shop.db, 10)]
    await seller.get(path)
    page = await seller.send(path, **{**wish, "coupon": "X", "store": "s2"}, act="create")
    assert page.status == 422
    page = await seller.send(path, **{**wish, "coupon": "Y", "value": "many"}, act="create")
    assert page.status == 422


@pytest.mark.requirement("S2-051")
async def test_an_order_goes_its_way_and_says_why(office: Office) -> None:
    market, seller = office.market, await office.as_("seller")
    placed = (await market.order(item("apple", 2))).json
    number = placed["order_no"]
    await market.pay(number, placed["total"])
    keeper = await office.as_("warehouse")

    async with asyncio.timeout(30):
        while "Start preparing" not in (await keeper.get(f"/console/orders/{number}")).words:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    page = await seller.get(f"/console/orders/{number}")
    assert "Ann Kim" in page.words  # Who sends it must know where to.
    parcel = f"/console/orders/{number}/parcel"
    for step in ("prepare", "pick", "pack"):
        page = await seller.send(parcel, step=step)
        assert page.status == 200
    page = await seller.send(parcel, step="ship", carrier="cj", tracking_no="6312-0001")
    assert "6312-0001" in page.words
    assert "Shipped" in page.words
    finance = await office.as_("finance")
    page = await finance.get(f"/console/orders/{number}")
    assert "Ann Kim" not in page.words  # Finance has no need to.
    assert "Payment received" in page.words
    page = await finance.get(f"/console/orders/{number}/money")
    assert "payment.PaymentCaptured" in page.text or "ordering.OrderPaid" in page.text
    assert (await seller.get(f"/console/orders/{number}/money")).status == 403


async def test_search_finds_what_one_may_see(office: Office) -> None:
    market = office.market
    number = (await market.order(item("apple"))).json["order_no"]
    await caught_up(market.shop.core)
    seller, manager = await office.as_("seller"), await office.as_("manager")
    words = (await seller.get(f"/console/search?q={number}")).words
    assert number in words.replace(number, "", 1)  # Beyond the echo of what was asked.
    assert "Order" in words
    assert "apple" in (await seller.get("/console/search?q=aple")).words
    assert "Fuji" not in (await manager.get("/console/search?q=apple")).words
    found = await (await office.as_("admin")).get("/console/search?q=member%40example.com")
    assert str(office.accounts["member"]) in found.text
    part = await seller.get("/console/search?q=orders", hx_request="true")
    assert part.text.lstrip().startswith("<ul")


async def test_flags_settings_and_views(office: Office) -> None:
    admin = await office.as_("admin")
    await admin.get("/console/system/flags")
    page = await admin.send("/console/system/flags", name="new-checkout", percentage="25")
    assert "new-checkout" in page.words
    page = await admin.send("/console/system/flags", name="new-checkout", default="true")
    assert "All shoppers get it at once." in page.words
    page = await admin.get("/console/system/settings")
    assert "ordering.payment_timeout_min" in page.words
    assert "default" in page.words
    await admin.get("/console/system")
    fields = {
        "form_token": admin.form("/console/system/views")["form_token"],
        "view": "ordering.orders",
        "act": "rebuild",
    }
    assert (await admin.post("/console/system/views", fields)).status == 303
    async with asyncio.timeout(30):
        while "Rebuilt" not in (await admin.get("/console/system/views")).text:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_providers_share_is_changed_after_the_password_and_stays_on_the_record(office: Office) -> None:
    admin, shop = await office.as_("admin"), office.market.shop
    hub = payment.Hub.of(shop.bus())
    nobody = TossConfig(client_key="c", secret_key="s", merchant_id="m", base_url="http://127.0.0.1:9")
    hub.add(Toss(nobody, hub.client), 100)
    await admin.get("/console/system")
    path = "/console/system/traffic"
    page = await admin.send(path, gateway="toss", share="40", reason="many refusals")
    assert "Another share for toss" in page.words
    assert [one.share for one in await payment.traffic(shop.bus())] == [100]
    page = await admin.send(path, again_password=PASSWORD)
    assert "The share is set, for all processes." in page.text
    assert "settings: 100%; many refusals" in page.words
    assert [one.share for one in await payment.traffic(shop.bus())] == [40]
    assert str(office.accounts["admin"]) in (await admin.get("/console/audit?type=payment.TrafficSet")).text
    await admin.get("/console/system")
    page = await admin.send(path, gateway="toss", share="140", reason="wrong")
    assert [one.share for one in await payment.traffic(shop.bus())] == [40]


@pytest.mark.parametrize("kind", ["png", "text"])
async def test_pictures_are_taken_or_refused(office: Office, kind: str, tmp_path: Path) -> None:
    from contexts.catalog.test_catalog import picture

    seller, db = await office.as_("seller"), office.market.shop.db
    apple = (await catalog.for_sale(db, ["apple"]))["apple"].product
    path = f"/console/products/{apple}/pictures"
    await seller.get(f"/console/products/{apple}")
    before = len((await catalog.product(db, apple)).media)
    token = seller.form(path)["form_token"]
    data = picture(format="PNG") if kind == "png" else b"<svg onload=alert(1)>"
    edge = b"edge0of0parts"
    body = (
        b"--" + edge + b'\r\nContent-Disposition: form-data; name="form_token"\r\n\r\n' + token.encode()
        + b"\r\n--" + edge + b'\r\nContent-Disposition: form-data; name="pictures"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + data + b"\r\n--" + edge + b"--\r\n"
    )  # fmt: skip
    sent = {"content-type": f"multipart/form-data; boundary={edge.decode()}", "origin": "http://localhost"}
    assert (await seller._ask("POST", path, body, sent)).status == 303
    assert len((await catalog.product(db, apple)).media) == before + (kind == "png")
    page = await seller.get(f"/console/products/{apple}")
    assert ("Not taken" in page.text) == (kind == "text")
