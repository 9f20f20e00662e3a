"""The shop by requests: finding, buying as guest and as member, accounts."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

import pytest
import pytest_asyncio

from apps.pages.visitor import Visitor, site_of
from contexts.ordering.market import Market, open_market
from contexts.selling import SHIRT
from pasar.apps.storefront import addresses
from pasar.apps.storefront.estimates import expected
from pasar.contexts.catalog.search import pairs
from pasar.contexts.fulfillment.facade import FulfillmentSettings
from pasar.contexts.ordering.contract import OrderPlaced
from pasar.contexts.pricing.contract import CreateCoupon, SetPrice
from pasar.kernel.messages import decode
from pasar.vocabulary import Period

ADDRESS = {
    "recipient": "김민지", "phone": "010-1234-5678", "postal_code": "04524", "city": "서울", "line1": "세종대로 110",
}  # fmt: skip
MAIL = {"mail": "guest@example.com"}
PASSWORD = "orange boats sail at noon"


@pytest_asyncio.fixture
async def market(database, tmp_path) -> AsyncIterator[Market]:
    async with open_market(database, tmp_path) as opened:
        titles = {"ko": "부사 사과", "en": "Fuji apples", "zh": "富士苹果"}
        await opened.stock("apple", 5, price=32_000, title="부사 사과", titles=titles)
        await opened.stock("pear", 9, price=45_000, title="신고배", titles={"en": "Shingo pears", "zh": "新高梨"})
        yield opened


@pytest.fixture
def visitor(market: Market) -> Visitor:
    return Visitor(site_of(market))


async def open_product(visitor: Visitor, words: str) -> str:
    page = await visitor.get(f"/search?q={words}")
    start = page.text.index("/p/")
    path = page.text[start : page.text.index('"', start)]
    await visitor.get(path)
    return path


async def order(visitor: Visitor, words: str = "apples", **more: str) -> str:
    """The number of a new order of one unit."""
    await open_product(visitor, words)
    await visitor.send("/cart/add", quantity="1")
    await visitor.get("/checkout")
    page = await visitor.send("/checkout", action="order", country="KR", **ADDRESS, **MAIL, **more)
    assert "Almost yours" in page.words, page.words
    return page.words.split("Order ")[1].split()[0]


@pytest.mark.requirement("S2-020", "S3-128")
@pytest.mark.parametrize(
    "words", ["apples", "aples", "APPLE", *map(quote, ("사과", "사가", "富土苹果"))],
)  # fmt: skip
async def test_search_finds_in_three_languages_and_forgives_a_letter(visitor: Visitor, words: str) -> None:
    page = await visitor.get(f"/search?q={words}")
    assert "Fuji apples" in page.words
    assert "Shingo pears" not in page.words


async def test_search_says_when_nothing_fits(visitor: Visitor) -> None:
    assert "Nothing fits" in (await visitor.get("/search?q=zeppelin")).words


async def test_suggestions_come_while_a_word_is_typed(visitor: Visitor) -> None:
    page = await visitor.get("/suggest?q=app")
    assert "Fuji apples" in page.text
    assert "<html" not in page.text


def test_pairs_of_letters_take_syllables_apart() -> None:
    same = set(pairs("사과")) & set(pairs("사가"))
    assert same == {" ᄉ", "ᄉ\u1161", "ᅡᄀ"}
    assert pairs("") == []


@pytest.mark.requirement("S2-020")
async def test_facets_sort_and_pages_narrow_a_list(market: Market, visitor: Visitor) -> None:
    await market.shop.sell("shirt-red-S", title="Shirt", **SHIRT)
    bus = market.shop.bus()
    for spec in SHIRT["skus"]:
        await bus.send(SetPrice(sku=spec.sku, channel="web", currency="KRW", price=Decimal(69_000)))
    await market.shop.views_reach(bus)
    everything = await visitor.get("/all?sort=cheap")
    assert (
        everything.words.index("Fuji apples") < everything.words.index("Shingo pears") < everything.words.index("Shirt")
    )
    red = await visitor.get("/all?pick=colour%3Dred")
    assert "Shirt" in red.words
    assert "Fuji apples" not in red.words
    dear = await visitor.get("/all?least=40000&most=50000")
    assert "1 product" in dear.words.replace("One", "1")
    assert (await visitor.get("/all?least=NaN")).status == 400


async def test_options_narrow_down_to_one_sku(market: Market, visitor: Visitor) -> None:
    await market.shop.sell("shirt-red-S", title="Shirt", **SHIRT)
    bus = market.shop.bus()
    for spec in SHIRT["skus"]:
        await bus.send(SetPrice(sku=spec.sku, channel="web", currency="KRW", price=Decimal(69_000)))
    await market.shop.views_reach(bus)
    await market.stock("shirt-blue-M", 3)
    path = await open_product(visitor, "shirt")
    assert 'name="sku"' not in visitor.page.text
    await visitor.get(f"{path}?pick=colour%3Dblue&pick=size%3DM")
    assert visitor.form("/cart/add")["sku"] == "shirt-blue-M"
    gone = await visitor.get(f"{path}?pick=colour%3Dred&pick=size%3DM")
    assert "Sold out" in gone.words


async def test_a_guest_orders_without_an_account_and_follows_the_order(market: Market, visitor: Visitor) -> None:
    number = await order(visitor)
    assert await market.left("apple") == 4
    page = await visitor.get(f"/orders/{number}")
    assert "Waiting for payment" in page.words
    assert "김민지" in page.words
    await market.pay(number, Decimal(35_000))
    assert "Payment received" in (await visitor.get(f"/orders/{number}")).words


async def test_the_same_form_twice_is_one_order(market: Market, visitor: Visitor) -> None:
    await open_product(visitor, "apples")
    await visitor.send("/cart/add")
    await visitor.get("/checkout")
    fields = {**visitor.form("/checkout"), "action": "order", "country": "KR", **ADDRESS, **MAIL}
    first, second = await visitor.post("/checkout", fields), await visitor.post("/checkout", fields)
    assert first.status == second.status == 303
    assert first.location == second.location
    assert await market.left("apple") == 4


async def test_a_wrong_address_is_said_field_by_field_and_nothing_is_lost(market: Market, visitor: Visitor) -> None:
    await open_product(visitor, "apples")
    await visitor.send("/cart/add")
    await visitor.get("/checkout")
    page = await visitor.send("/checkout", action="order", country="KR", **{**ADDRESS, "postal_code": "12"})
    assert page.status == 422
    assert "Five digits." in page.words
    assert 'value="김민지"' in page.text
    assert await market.left("apple") == 5


async def test_more_than_there_is_cannot_be_ordered_and_the_cart_says_so(market: Market, visitor: Visitor) -> None:
    await open_product(visitor, "apples")
    await visitor.send("/cart/add", quantity="9")
    assert "Only 5 left" in visitor.page.words
    page = await visitor.send("/cart/accept")
    assert 'value="5"' in page.text


async def test_a_stranger_sees_no_foreign_order(market: Market, visitor: Visitor) -> None:
    number = await order(visitor)
    other = Visitor(site_of(market))
    await open_product(other, "pears")
    await other.send("/cart/add")
    assert (await other.get(f"/orders/{number}")).status == 404


async def join(visitor: Visitor, mail: str = "kim@example.com") -> None:
    await visitor.get("/join")
    fields = {"mail": mail, "name": "Kim Minji", "password": PASSWORD, "terms": "true", "privacy": "true"}
    await visitor.send("/join", **fields)


async def test_a_guests_cart_comes_along_into_membership(visitor: Visitor) -> None:
    await open_product(visitor, "apples")
    await visitor.send("/cart/add", quantity="2")
    await join(visitor)
    page = await visitor.get("/cart")
    assert "Fuji apples" in page.words
    assert "Kim Minji" in (await visitor.get("/me")).words


async def test_joining_says_what_is_missing(visitor: Visitor) -> None:
    await visitor.get("/join")
    page = await visitor.send("/join", mail="kim", name="Kim", password=PASSWORD, terms="true", privacy="true")
    assert (page.status, "This is no mail address." in page.words) == (422, True)
    page = await visitor.send("/join", mail="kim@example.com", name="Kim", password=PASSWORD)
    assert "Please accept the terms" in page.words
    page = await visitor.send(
        "/join", mail="kim@example.com", name="Kim", password="12345678", terms="true", privacy="true"
    )
    assert "too easy to guess" in page.words


async def test_signing_in_and_out_changes_every_form_token(visitor: Visitor) -> None:
    await join(visitor)
    await visitor.get("/me")
    before = visitor.form("/logout")["form_token"]
    await visitor.send("/logout")
    assert (await visitor.get("/me/points")).status == 303
    await visitor.get("/login")
    assert (await visitor.send("/login", login="kim@example.com", password="wrong")).status == 422
    await visitor.send("/login", login="kim@example.com", password=PASSWORD)
    await visitor.get("/me")
    assert visitor.form("/logout")["form_token"] != before


async def test_a_session_goes_on_by_its_refresh_token_also_for_requests_that_come_together(
    market: Market, visitor: Visitor
) -> None:
    await join(visitor)
    visitor.cookies.pop("__Host-access")
    old = dict(visitor.cookies)
    assert (await visitor.get("/me/profile")).status == 200
    twin = Visitor(visitor._site)
    twin.cookies = dict(old)
    assert (await twin.get("/me/profile")).status == 200
    assert visitor.cookies["__Host-refresh"] != old["__Host-refresh"]


async def test_an_order_can_be_cancelled_and_its_goods_come_back(market: Market, visitor: Visitor) -> None:
    number = await order(visitor)
    await visitor.get(f"/orders/{number}")
    page = await visitor.send(f"/orders/{number}/cancel")
    assert "Cancelled" in page.words
    assert await market.left("apple") == 5


async def test_a_delivered_order_is_confirmed(market: Market, visitor: Visitor) -> None:
    number = await order(visitor)
    await market.pay(number, Decimal(35_000))
    await market.deliver(number)
    await visitor.get(f"/orders/{number}")
    assert "Receipt confirmed" in (await visitor.send(f"/orders/{number}/confirm")).words


async def test_addresses_are_kept_and_used(market: Market, visitor: Visitor) -> None:
    await join(visitor)
    await visitor.get("/me/addresses")
    page = await visitor.send("/me/addresses", country="KR", is_default="true", **ADDRESS)
    assert "세종대로 110" in page.words
    await open_product(visitor, "apples")
    await visitor.send("/cart/add")
    page = await visitor.get("/checkout")
    assert visitor.form("/checkout")["address_id"] != "new"
    await visitor.send("/checkout", action="order", country="KR")
    assert "Almost yours" in visitor.page.words


async def test_whoever_leaves_takes_the_data_along_and_is_gone(visitor: Visitor) -> None:
    await join(visitor)
    export = await visitor.get("/me/data/export")
    assert "kim@example.com" in export.text
    assert export.header("content-disposition").startswith("attachment")
    await visitor.get("/me/data")
    assert (await visitor.send("/me/data/erase")).status == 422
    await visitor.send("/me/data/erase", sure="true")
    await visitor.get("/login")
    assert (await visitor.send("/login", login="kim@example.com", password=PASSWORD)).status == 422


async def test_a_guest_says_where_to_write_and_a_member_need_not(market: Market, visitor: Visitor) -> None:
    await open_product(visitor, "apples")
    await visitor.send("/cart/add")
    for wrong in ("", "kim", "kim@", "kim@example", "a b@example.com"):
        await visitor.get("/checkout")
        page = await visitor.send("/checkout", action="order", country="KR", **ADDRESS, mail=wrong)
        assert (page.status, "This is no mail address." in page.words) == (422, True), wrong
        assert f'value="{wrong}"' in page.text  # What was typed stays.
    await visitor.get("/zh/checkout")
    await visitor.send("/zh/checkout", action="order", country="KR", **ADDRESS, mail="kim@example.com")
    [row] = await market.shop.core.database.kernel.fetch(
        "select data::text from kernel.event where type = 'ordering.OrderPlaced'"
    )
    assert "kim@example.com" not in row["data"]
    placed = decode(row["data"], OrderPlaced)
    assert placed.contact is not None
    assert placed.contact.language == "zh"
    assert await market.shop.core.keys.open(placed.contact.mail) == "kim@example.com"  # type: ignore[attr-defined]
    kim = Visitor(visitor._site)
    await join(kim)
    await open_product(kim, "pears")
    await kim.send("/cart/add")
    assert 'name="mail"' not in (await kim.get("/checkout")).text
    assert "Almost yours" in (await kim.send("/checkout", action="order", country="KR", **ADDRESS)).words


@pytest.mark.parametrize("country", sorted(addresses.FORMS))
def test_every_country_has_a_form_that_can_be_filled_in(country: str) -> None:
    codes = {"KR": "04524", "CN": "310000", "JP": "100-0001", "US": "94110", "AE": ""}
    text = {part.name: "CA" if part.name == "region" else "x" for part in addresses.FORMS[country]}
    text |= {"phone": "+82 10-1234-5678", "postal_code": codes[country]}
    found, wrong = addresses.read(country, text)
    assert wrong == {}
    assert found["country"] == country
    assert addresses.read(country, {})[1]["recipient"]


@pytest.mark.parametrize(
    ("ordered", "country", "first", "last"),
    [
        (datetime(2026, 11, 23, 10, tzinfo=UTC), "KR", date(2026, 11, 24), date(2026, 11, 25)),  # A Monday morning.
        (datetime(2026, 11, 23, 15, tzinfo=UTC), "KR", date(2026, 11, 25), date(2026, 11, 26)),
        (datetime(2026, 11, 27, 15, tzinfo=UTC), "KR", date(2026, 12, 1), date(2026, 12, 2)),  # Friday, too late.
        (datetime(2026, 11, 28, 9, tzinfo=UTC), "CN", date(2026, 12, 4), date(2026, 12, 9)),
    ],
)
def test_deliveries_are_promised_in_working_days(ordered: datetime, country: str, first: date, last: date) -> None:
    assert expected(ordered, country, FulfillmentSettings()) == (first, last)


def test_delivery_days_are_the_deployments_and_every_country_has_some() -> None:
    settings = FulfillmentSettings(leaves_until=9, delivery_days=("KR:2-2", "*:9-9"))
    ordered = datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert expected(ordered, "KR", settings).first == date(2026, 11, 26)
    assert settings.days_to("BR") == (9, 9)
    assert list(settings.problems()) == []
    assert len(list(FulfillmentSettings(delivery_days=("Korea:1",)).problems())) == 2


async def test_a_product_says_how_long_it_may_go_back_as_the_settings_do(market: Market, visitor: Visitor) -> None:
    await open_product(visitor, "apples")
    assert "7 days to return it" in visitor.page.words


async def test_my_page_counts_how_often_a_coupon_may_still_be_used(market: Market, visitor: Visitor) -> None:
    bus = market.shop.bus()
    once = {"kind": "percent", "value": Decimal(10), "currency": "KRW"}
    await bus.send(CreateCoupon(coupon="TWICE", per_person=2, **once))
    await bus.send(CreateCoupon(coupon="ALWAYS", **once))
    await bus.send(CreateCoupon(coupon="OVER", period=Period(ends_at=bus.now() - timedelta(days=1)), **once))
    await join(visitor)
    await order(visitor, coupon="TWICE")
    words = (await visitor.get("/me/coupons")).words
    assert "One use left" in words
    assert "As often as you like" in words
    assert "OVER" not in words
    await order(visitor, "pears", coupon="TWICE")
    words = (await visitor.get("/me/coupons")).words
    assert "Used up" in words
