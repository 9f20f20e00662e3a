"""Importing product files: real ones, large ones, broken ones, and the same one twice."""

import gzip
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from contexts.selling import MODULES, Shop, open_shop
from pasar.accounts import pool
from pasar.apps.import_products import CannotImport, Options, Report, import_products, parse_map
from pasar.apps.import_rows import category_code, product_id
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.inventory.contract import OpenWarehouse
from pasar.contexts.inventory.module import module as inventory
from pasar.contexts.pricing import facade as pricing
from pasar.kernel.messages import decode
from postgres import TestDatabase

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "catalogue"
DEFAULTS = {"store": "s1", "channel": "web"}


@pytest_asyncio.fixture
async def shop(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path) as opened:
        await opened.open()
        yield opened


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


async def load(shop: Shop, file: Path, *, defaults: Any = DEFAULTS, columns: Any = None, **more: Any) -> Report:
    return await import_products(
        shop.core, Options(file, columns=columns or {}, defaults=defaults, **more)
    )  # fmt: skip


async def events(shop: Shop) -> int:
    return await shop.core.database.kernel.fetchval("select count(*) from kernel.event")


GOODS = """id,title,sku,price,description
1,Apple,apple,1200,Red and round
2,Pear,pear,900.5,
3,"Plum, dried",plum,"3000",Sweet
"""


async def test_good_rows_become_products_with_prices_on_sale(shop: Shop, tmp_path: Path) -> None:
    report = await load(shop, write(tmp_path, "goods.csv", GOODS))
    assert (report.rows, report.bad, report.created, report.skus, report.prices) == (3, 0, 3, 3, 3)
    product = await catalog.product(shop.db, product_id(1, "3"))
    assert (product.title, product.description, product.state, product.store) == (
        "Plum, dried", "Sweet", "on_sale", "s1",
    )  # fmt: skip
    assert (await pricing.prices(shop.bus(), "pear")).prices[0].price == Decimal("900.5")


async def test_a_repeat_changes_nothing_and_what_differs_becomes_a_change(shop: Shop, tmp_path: Path) -> None:
    file = write(tmp_path, "goods.csv", GOODS)
    await load(shop, file)
    before = await events(shop)
    report = await load(shop, file)
    assert (report.created, report.changed, report.unchanged) == (0, 0, 3)
    assert await events(shop) == before
    write(tmp_path, "goods.csv", GOODS.replace("1200", "1300").replace("Pear", "Green pear"))
    report = await load(shop, file)
    assert (report.created, report.changed, report.unchanged, report.prices) == (0, 2, 1, 1)
    assert await events(shop) == before + 2
    assert (await catalog.product(shop.db, product_id(1, "2"))).title == "Green pear"


BAD = """id;title;sku;price;store;currency
1;Apple;apple;1200;s1;
2;;nameless;5;s1;
3;Pear;pear;cheap;s1;
4;Plum;plum;-5;s1;
5;Fig;fig;5;nowhere;
6;Nut;nut;5;s1;CNY
7;Kiwi;apple;5;s1;
8;Bad sku;not a sku!;5;s1;
9;Too;many;cells;s1;;;
10;{long};long;5;s1;
11;Last;last;5;s1;KRW
"""


async def test_bad_rows_are_reported_with_line_and_reason(shop: Shop, tmp_path: Path) -> None:
    file = write(tmp_path, "bad.csv", BAD.format(long="x" * 101))
    report = await load(shop, file, defaults={"channel": "web"})
    assert (report.rows, report.bad, report.created) == (11, 9, 2)
    assert report.file is not None
    listed = {row["line"]: row["reason"] for row in map(json.loads, report.file.read_text().splitlines())}
    expected = {
        3: "`title` is missing", 4: "`price` is 'cheap'", 5: "`price` is '-5'", 6: "no open store nowhere",
        7: "in KRW, not CNY", 8: "another product has the SKU apple", 9: "regex", 10: "columns", 11: "length <= 100",
    }  # fmt: skip
    assert sorted(listed) == sorted(expected)
    for line, reason in expected.items():
        assert reason in listed[line]
    assert len(report.first_bad) == 9


async def test_all_or_nothing_writes_nothing_when_a_row_is_bad(shop: Shop, tmp_path: Path) -> None:
    before = await events(shop)
    file = write(tmp_path, "goods.csv", GOODS + "4,No price,sku4,none,\n")
    report = await load(shop, file, all_or_nothing=True)
    assert (report.bad, report.created, report.written) == (1, 0, False)
    assert await events(shop) == before
    report = await load(shop, write(tmp_path, "goods.csv", GOODS), all_or_nothing=True)
    assert (report.created, report.written) == (3, True)


async def test_adjacent_rows_of_one_id_are_the_skus_of_one_product(shop: Shop, tmp_path: Path) -> None:
    rows = [f"shirt,Shirt,shirt-{c}-{s},1000,{c},{s}" for c in ("red", "blue") for s in "SML"]
    head = "Ref,Name,sku,price,Colour,option.size"
    columns = parse_map(["id=Ref,title=Name", "option.colour=Colour"])
    file = write(tmp_path, "shirts.csv", "\n".join([head, *rows[:5]]))
    assert (await load(shop, file, columns=columns)).skus == 5
    product = await catalog.product(shop.db, product_id(1, "shirt"))
    assert [(o.name, o.values) for o in product.options] == [("colour", ("red", "blue")), ("size", ("S", "M", "L"))]
    write(tmp_path, "shirts.csv", "\n".join([head, *rows]))
    report = await load(shop, file, columns=columns)
    assert (report.created, report.changed, report.skus, report.prices) == (0, 1, 1, 1)
    write(tmp_path, "shirts.csv", "\n".join([head, *rows, "shirt,Shirt,shirt-red-XL,1000,red,XL"]))
    report = await load(shop, file, columns=columns, all_or_nothing=True)
    assert report.bad == 7
    assert "no value XL" in report.first_bad[0].reason


async def test_lines_of_json_may_hold_options_skus_and_attributes(shop: Shop, tmp_path: Path) -> None:
    row = {
        "id": 7, "title": "찻잔", "category": "그릇", "parent": "부엌", "attributes": {"재질": ["흙"]},
        "options": [{"name": "색", "value": "흰"}, {"name": "색", "value": "검정"}],
        "skus": [{"sku_id": 71, "options": ["흰"], "price": 12.50}, {"sku_id": 72, "options": ["검정"], "price": "13"}],
    }  # fmt: skip
    lines = [json.dumps(row), "not json", '{"id": 8}', "[1]", "", json.dumps({**row, "id": 9, "skus": [5]})]
    path = tmp_path / "cups.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    report = await load(shop, path)
    assert (report.rows, report.created, report.bad) == (5, 1, 4)
    assert sorted(bad.line for bad in report.first_bad) == [2, 3, 4, 6]
    product = await catalog.product(shop.db, product_id(1, "7"))
    assert product.attributes == {"재질": ["흙"]}
    assert [spec.sku for spec in product.skus] == ["71", "72"]
    assert (await pricing.prices(shop.bus(), "71")).prices[0].price == Decimal("12.50")
    assert await catalog.existing_categories(shop.db, [category_code("그릇"), category_code("부엌")])
    assert product.category == category_code("그릇")


async def test_without_a_price_products_are_drafts(shop: Shop, tmp_path: Path) -> None:
    report = await load(shop, write(tmp_path, "plain.csv", "id,title\na1,Apple\n"))
    assert (report.created, report.prices) == (1, 0)
    product = await catalog.product(shop.db, product_id(1, "a1"))
    assert (product.state, product.skus[0].sku) == ("draft", "a1")


async def test_files_that_cannot_be_read_say_so(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(CannotImport, match="neither"):
        await load(shop, write(tmp_path, "goods.txt", GOODS))
    with pytest.raises(CannotImport, match="no column Name; the file has: id, title"):
        await load(shop, write(tmp_path, "goods.csv", GOODS), columns={"title": "Name"})
    with pytest.raises(CannotImport, match="cannot be read"):
        await load(shop, tmp_path / "none.csv")
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(GOODS.encode())[:-12])
    with pytest.raises(CannotImport, match="cannot be read"):
        await load(shop, cut)
    with pytest.raises(CannotImport, match="field=column"):
        parse_map(["nonsense"])
    with pytest.raises(CannotImport, match="keeps no stock"):
        await load(shop, write(tmp_path, "stock.csv", "id,title,price,stock,warehouse\n1,A,5,7,w\n"))


async def test_hostile_bytes_are_bad_rows_and_not_the_end(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "hostile.csv"
    rows = [b"1,\xff\xfe,a,5", b"2,nul\0nul,b,5", b"3," + b"x" * 200_000 + b",c,5", b"4,=cmd(),d,5", b'5,"open,e,5']
    path.write_bytes(b"id,title,sku,price\n" + b"\n".join(rows))
    report = await load(shop, path)
    assert (report.created, report.bad) == (1, 4)
    assert (await catalog.product(shop.db, product_id(1, "4"))).title == "=cmd()"


@pytest.mark.slow
async def test_a_large_file_streams_with_progress(shop: Shop, tmp_path: Path) -> None:
    seen: list[int] = []
    lines = [f"p{n},Product {n},sku-{n},{n}.99" for n in range(3000)]
    file = write(tmp_path, "many.csv", "id,title,sku,price\n" + "\n".join(lines))
    report = await load(shop, file, progress=lambda report: seen.append(report.rows))
    assert (report.rows, report.created, report.prices, report.bad) == (3000, 3000, 3000, 0)
    assert len(seen) == 15
    assert seen == sorted(seen)
    assert report.rate > 0
    longest = await shop.core.database.kernel.fetchval(
        "select max(n) from (select count(*) as n from kernel.event group by xid) x"
    )
    assert longest <= 2 * 64  # No transaction has more than one group of small changes.


async def test_stock_is_received_once_into_a_warehouse(database: TestDatabase, tmp_path: Path) -> None:
    async with open_shop(database, tmp_path / "stocked", (*MODULES, inventory)) as shop:
        await shop.open()
        await shop.bus().send(OpenWarehouse(warehouse="w1", name="One", country="KR"))
        text = "id,title,price,stock,warehouse\na,Apple,5,7,w1\nb,Pear,5,3,w9\nc,Plum,5,0,\n"
        file = write(tmp_path, "stock.csv", text)
        report = await load(shop, file)
        assert (report.created, report.received, report.units, report.bad) == (2, 1, 7, 1)
        assert "no warehouse w9" in report.first_bad[0].reason
        assert await shop.db.balance(pool("a")) == 7
        again = await load(shop, file)
        assert (again.unchanged, again.received) == (2, 0)
        assert await shop.db.balance(pool("a")) == 7
        later = await load(shop, file, reference="second delivery")
        assert (later.changed, later.received, await shop.db.balance(pool("a"))) == (1, 1, 14)
        assert "1 new" not in later.text()
        assert "7 units of 1 SKUs" in later.text()


def real(name: str) -> Path:
    if not (SHARED / name).exists():
        pytest.skip(f"{name} is not here: put the shared data beside the repository, as ../shared, to run this test")
    return SHARED / name


async def test_a_real_grocery_catalogue(shop: Shop) -> None:
    columns = parse_map(["id=product_id,title=name"])
    defaults = {**DEFAULTS, "price": "1000"}
    report = await load(shop, real("en_grocery.jsonl"), columns=columns, defaults=defaults)
    assert (report.rows, report.created, report.bad) == (81, 81, 0)
    assert (await catalog.product(shop.db, product_id(1, "grocery-001"))).title == "Golden Delicious"
    again = await load(shop, real("en_grocery.jsonl"), columns=columns, defaults=defaults)
    assert again.unchanged == 81


async def test_a_real_catalogue_of_home_goods(shop: Shop) -> None:
    path = real("zh_home_goods.jsonl")
    body = {"channel": "cn", "name": "CN", "currency": "CNY"}
    assert (await shop.ask("POST", "/api/v1/channels", body, token=shop.token())).status == 201
    # Every product keeps its SKUs; `stock` belongs to the inventory, which this shop has not.
    lines = [decode(line, dict[str, Any]) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        for sku in line["skus"]:
            sku.pop("stock")
    cut = Path(shop.core.settings.general.data_dir) / "home.jsonl"
    cut.write_text("\n".join(json.dumps(line, default=str) for line in lines))
    columns = parse_map(["id=product_id,title=name,description=brief,parent=parent_category"])
    report = await load(shop, cut, columns=columns, defaults={"store": "s1", "channel": "cn"})
    assert (report.rows, report.created, report.skus, report.bad) == (239, 239, 244, 0), report.first_bad
    again = await load(shop, cut, columns=columns, defaults={"store": "s1", "channel": "cn"})
    assert again.unchanged == 239
