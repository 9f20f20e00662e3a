"""Files of products: what is exported and imported again changes nothing."""

import csv
import io
from decimal import Decimal
from typing import Any

import pytest

from apps.admin.office import Office
from apps.pages.visitor import Seen, Visitor
from kernel.running import caught_up
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.catalog.contract import ChangeProduct, Option, SkuSpec
from pasar.contexts.pricing import facade as pricing
from pasar.contexts.pricing.contract import SetPrice

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/console/products/import"
SIZES = Option(name="Size", values=("S", "L")), Option(name="Colour", values=("=red", "blé "))
ODD: dict[str, dict[str, Any]] = {
    "formula": {"title": "=1+1", "description": "@SUM(A1)"},
    "quoted": {"title": "'=1+1", "description": "'tis, \"fine\"\nand two lines\r\nor three"},
    "blanks": {"title": " Cafe\u0301 ", "description": "  ends with blanks \n", "category": "no-such-category"},
    "cap": {"title": "Cap", "options": SIZES[::-1], "skus": (
        SkuSpec(sku="cap-1", options=("=red", "S"), barcode="0012", weight_g=120),
        SkuSpec(sku="cap-2", options=("blé ", "L"), barcode="-5"))},
    "hat": {"title": "Hat", "options": SIZES, "skus": (
        SkuSpec(sku="hat-1", options=("S", "=red")), SkuSpec(sku="hat-2", options=("L", "blé ")))},
}  # fmt: skip


async def upload(visitor: Visitor, sheet: bytes) -> Seen:
    await visitor.get(PATH)
    token, edge = visitor.form(PATH)["form_token"].encode(), b"edge0of0parts"
    body = (
        b"--" + edge + b'\r\nContent-Disposition: form-data; name="form_token"\r\n\r\n' + token
        + b"\r\n--" + edge + b'\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n'
        b"Content-Type: text/csv\r\n\r\n" + sheet + b"\r\n--" + edge + b"--\r\n"
    )  # fmt: skip
    sent = {"content-type": f"multipart/form-data; boundary={edge.decode()}", "origin": "http://localhost"}
    visitor.page = await visitor._ask("POST", PATH, body, sent)
    return visitor.page


async def events(office: Office) -> int:
    return await office.market.shop.core.database.kernel.fetchval("select count(*) from kernel.event")


async def test_what_was_exported_and_is_imported_again_changes_nothing(office: Office) -> None:
    shop, seller = office.market.shop, await office.as_("seller")
    for sku, more in ODD.items():
        await shop.sell(sku, Decimal("1250"), **more)
    for sku, price, was in (("cap-1", "9900", "12000"), ("cap-2", "9900", None), ("hat-1", "7000", None)):
        compare_at = None if was is None else Decimal(was)
        await shop.bus().send(
            SetPrice(sku=sku, channel="web", currency="KRW", price=Decimal(price), compare_at=compare_at)
        )
    await caught_up(shop.core)
    file = (await seller.get("/console/products/export")).text.encode()
    rows = list(csv.DictReader(io.StringIO(file.decode("utf-8-sig"))))
    assert {row["title"] for row in rows} >= {"'=1+1", "''=1+1", "Hat", "Cap"}
    assert "Shingo pears" not in {row["title"] for row in rows}  # Of another store.
    before, products = await events(office), len({row["id"] for row in rows})
    page = await upload(seller, file)
    nothing = f"Rows {len(rows)} New products 0 Changed 0 As they were {products} Rows with errors 0"
    assert nothing in page.words
    page = await seller.send(PATH, act="import")
    assert f"Imported {nothing}" in page.words
    await caught_up(shop.core)
    assert await events(office) == before
    assert not await catalog.existing_categories(shop.db, ["no-such-category"])


async def test_a_change_of_an_exported_file_is_a_change_of_that_product(office: Office) -> None:
    shop, seller = office.market.shop, await office.as_("seller")
    apple = (await catalog.for_sale(shop.db, ["apple"]))["apple"].product
    file = (await seller.get("/console/products/export")).text
    page = await upload(seller, file.replace("Fuji apples", "Fuji apples: washed").replace("32000", "33000").encode())
    assert "New products 0 Changed 1 " in page.words
    await seller.send(PATH, act="import")
    assert (await catalog.product(shop.db, apple)).title == "Fuji apples: washed"
    assert (await pricing.prices_of(shop.db, ["apple"]))["apple"].channels["web"].price == 33_000
    await shop.bus().send(ChangeProduct(product=apple, title="Fuji apples"))


async def test_the_id_of_another_stores_product_is_no_way_to_it(office: Office) -> None:
    shop, seller = office.market.shop, await office.as_("seller")
    pear = (await catalog.for_sale(shop.db, ["pear"]))["pear"].product
    before = await events(office)
    for store, sku in (("s1", "pear"), ("s2", "pear")):
        sheet = f"id,title,sku,price,channel,store\n{pear},Mine now,{sku},1,web,{store}\n"
        page = await upload(seller, sheet.encode())
        assert "another product has the SKU pear" in page.words or "no open store s2" in page.words
    assert (await catalog.product(shop.db, pear)).title == "Shingo pears"
    assert await events(office) == before
