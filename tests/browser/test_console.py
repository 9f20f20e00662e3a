"""The console in a real browser: every page, acts on them, one journey through all; in four languages, light and dark,
on telephone and desktop, without a finding of axe, a broken content rule or a word in the console."""

from datetime import timedelta
from typing import Any

import pytest

from browser.conftest import MakeShopper, outside
from browser.shopper import PHONE, Shopper
from journeys.people import City, Person, fresh, item
from journeys.town import Town
from pasar.apps.demo import PASSWORD
from pasar.contexts.finance.weeks import monday_after

pytestmark = [pytest.mark.slow, pytest.mark.promise("E9")]
PAGES = (
    "", "/orders", "/shipping", "/returns", "/products", "/products/new", "/products/import", "/inventory",
    "/inventory/holds", "/inventory/expiry", "/inventory/warehouses/icheon", "/inventory/skus/apple-fuji",
    "/payments", "/payments/notices", "/payments/parked", "/promotions", "/promotions/new", "/members", "/settlement",
    "/settlement/stores/orchard", "/audit", "/system", "/system/flags", "/system/settings", "/security",
    "/search?q=apple",
)  # fmt: skip
FEW = ("", "/orders", "/products", "/inventory/skus/apple-fuji", "/promotions/new", "/system")


@pytest.fixture(scope="module")
def town(own_town: Town) -> Town:
    """Weeks pass here."""
    return own_town


def sign_in(one: Shopper, who: str) -> Shopper:
    one.open("/console/login")
    one.page.locator("#login").fill(f"{who}@example.com")
    one.page.locator("#password").fill(PASSWORD)
    one.check()
    one.page.locator("main form button").click()
    one.page.wait_for_url("**/console")
    return one


def again(one: Shopper) -> None:
    """Say the password again."""
    one.page.locator("#again_password").fill(PASSWORD)
    one.check()
    one.page.locator("main form .button-bad").click()


def test_every_page_opens_without_a_fault(shopper: MakeShopper) -> None:
    admin = sign_in(shopper("en"), "admin")
    for path in PAGES:
        admin.open(f"/console{path}")
        admin.check()
        assert admin.width_fits(), path


@pytest.mark.parametrize(("language", "dark", "size"), [("ko", True, None), ("zh", False, PHONE), ("ar", True, PHONE)])
def test_other_languages_and_looks(shopper: MakeShopper, language: str, dark: bool, size: Any) -> None:
    options = {"dark": dark} | ({"size": size} if size else {})
    admin = sign_in(shopper(language, **options), "admin")
    for path in FEW:
        admin.open(f"/console{path}")
        admin.check()
        assert admin.width_fits(), path


def test_the_keyboard_finds_everything(shopper: MakeShopper) -> None:
    admin = sign_in(shopper("en"), "admin")
    admin.page.keyboard.press("Control+k")
    admin.page.keyboard.type("wool")
    admin.page.locator("#finder-hits .hits a").first.wait_for()
    admin.check()
    admin.page.keyboard.press("ArrowDown")
    admin.page.keyboard.press("Enter")
    admin.page.wait_for_url("**/console/**")
    admin.check()


def test_without_scripts_a_product_is_paused_and_a_long_list_goes_on(shopper: MakeShopper, town: Town) -> None:
    seller = sign_in(shopper("en", scripts=False), "tailor")
    seller.open("/console/products?q=scarf")
    for tick in seller.page.locator("input.tick").all():
        tick.check()
    seller.page.locator("button[value=paused]").click()
    seller.page.get_by_text("All done.").wait_for()
    outside(town, lambda city: city.at_rest())
    seller.open("/console/products?q=scarf&state=paused")
    assert seller.page.locator("tbody tr").count() > 0
    for tick in seller.page.locator("input.tick").all():
        tick.check()
    seller.page.locator("button[value=on_sale]").click()
    seller.page.get_by_text("All done.").wait_for()
    assert seller.problems == []


def add_vase(seller: Shopper) -> list[str]:
    """A product of two sizes; its SKUs."""
    page, prefix = seller.page, fresh("vase")
    seller.open("/console/products/new")
    texts = {"title_en": "Blue vase", "option_1": "Size", "values_1": "S, L", "prefix": prefix, "base_web": "30000"}
    for field, text in texts.items():
        page.locator(f"#{field}").fill(text)
    page.locator("button[value=matrix]").click()
    page.locator("input[name=sku_1]").wait_for()
    seller.check()
    page.locator("button[value=create]").click()
    page.get_by_text("The product is created.").wait_for()
    seller.check()
    assert seller.width_fits()
    skus = [cell.inner_text() for cell in page.locator("tbody td:first-child a.mono").all()]
    assert skus == [f"{prefix}-s", f"{prefix}-l"]
    return skus


def ship(seller: Shopper, number: str) -> None:
    """Packed step by step, sent by a pasted list."""
    seller.open(f"/console/orders/{number}")
    for step in ("prepare", "pick", "pack"):
        seller.page.locator(f"button[value={step}]").click()
        seller.page.get_by_text("Done: the parcel moved on.").wait_for()
    seller.check()
    seller.open("/console/shipping")
    seller.page.locator("#list").fill(f"{number} {fresh('6312')}")
    seller.page.locator("main aside button.button-main").click()
    seller.page.get_by_text("All done.").wait_for()
    seller.check()


async def bought_in(city: City, sku: str) -> tuple[dict[str, Any], str]:
    """The tokens of a guest who has bought two units, and the number of the order."""
    await city.receive(sku, 5)
    guest = await city.guest()
    number = (await guest.placed(item(sku, 2)))["order_no"]
    await guest.pay(number)
    await guest.sees(number, "ALLOCATED")
    return {"account": guest.id, "access_token": guest.token}, number


async def delivered_and_confirmed(city: City, buyer: dict[str, Any], number: str) -> None:
    warehouse, guest = await city.staff("warehouse"), Person(city, buyer)
    path = f"/fulfillment/orders/{number}/parcels/1"
    await warehouse.post(f"{path}/transit", {"place": "Daejeon hub"})
    await warehouse.post(f"{path}/deliver")
    await guest.sees(number, "DELIVERED")
    await guest.post(f"/orders/{number}/confirm")
    await city.at_rest()
    now = city.town.clock.now()
    tuesday = monday_after(now + timedelta(days=7), "UTC") + timedelta(days=1)
    city.town.jump(seconds=(tuesday - now).total_seconds())
    await city.at_rest()


@pytest.mark.requirement("S1-123")
def test_from_a_new_product_to_the_last_won(shopper: MakeShopper, town: Town) -> None:
    """A seller adds a product with options, a shopper buys it, the seller ships it; finance proposes, a second person
    approves; and an administrator follows the money from the payment to the payout."""
    seller = sign_in(shopper("en"), "creator")
    sku = add_vase(seller)[0]
    buyer, number = outside(town, lambda city: bought_in(city, sku))
    ship(seller, number)
    outside(town, lambda city: delivered_and_confirmed(city, buyer, number))

    finance = sign_in(shopper("ko"), "finance")
    finance.open("/console/settlement")
    finance.check()
    finance.page.locator("button[name=currency][value=KRW]").click()
    finance.page.wait_for_url("**/console/settlement/*KRW*")
    run = finance.page.url.rpartition("/")[2]
    finance.check()

    admin = sign_in(shopper("en"), "admin")
    admin.open(f"/console/settlement/{run}")
    admin.page.locator(f"a[href$='/orders/{number}/money']").first.wait_for()
    admin.page.locator("button[value=approve]").click()
    again(admin)
    admin.page.get_by_text("Approved. The sellers are being paid.").wait_for()
    outside(town, lambda city: city.at_rest())
    admin.open(f"/console/orders/{number}/money")
    admin.check()
    said = " / ".join(line.inner_text() for line in admin.page.locator(".trail > li").all())
    for part in ("The shopper paid", "Shared out after confirmation", "Our commission", "Paid out by a settlement run"):
        assert part in said, said
    assert run in admin.page.locator("main").inner_text()
