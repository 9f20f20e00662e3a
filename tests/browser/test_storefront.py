"""The shop in a real browser: the whole way of buying, with and without scripts, on telephone and desktop, in three
languages and right to left; every page without a finding of axe, a broken content rule or a word in the console."""

import pytest

from browser.conftest import MakeShopper
from browser.shopper import DESKTOP, PHONE
from journeys.people import fresh

pytestmark = [pytest.mark.slow, pytest.mark.promise("E9")]
OWN_PAGES = ("addresses", "points", "returns", "sessions", "profile", "data")


@pytest.mark.requirement("S2-007", "S4-009")
@pytest.mark.parametrize(
    ("language", "words", "picks", "country", "size", "scripts"),
    [
        ("ko", "옥스포드 셔츠", 2, "KR", DESKTOP, True),  # As many people would write it.
        ("ko", "샤인머스캣", 0, "KR", PHONE, False),
        ("zh", "富土苹果", 0, "CN", PHONE, True),
        ("zh", "降噪耳机", 1, "CN", DESKTOP, False),
        ("ar", "mug", 0, "KR", PHONE, True),
    ],
)
def test_a_guest_buys(
    shopper: MakeShopper,
    language: str,
    words: str,
    picks: int,
    country: str,
    size: tuple[int, int],
    scripts: bool,
) -> None:
    guest = shopper(language, size=size, scripts=scripts)
    guest.open("/")
    guest.check()
    guest.choose_product(words, picks)
    guest.check()
    guest.put_in_cart()
    guest.check()
    guest.check_out(country)
    guest.check()
    guest.place_order()
    guest.check()
    number = guest.pay()
    guest.check()
    if scripts:
        assert guest.width_fits()
    guest.open("/mailbox")
    while not guest.page.locator("main li a").count():  # It is written by another process.
        guest.page.wait_for_timeout(200)
        guest.page.reload()
    assert number in guest.page.locator("main li a").first.inner_text()
    guest.check()


def test_a_member_signs_up_buys_with_a_coupon_and_leaves(shopper: MakeShopper) -> None:
    member = shopper("en")
    member.join(f"{fresh('kim')}@example.com")
    member.choose_product("usb-c cable")
    member.put_in_cart()
    member.check_out("KR")
    member.page.locator("input[name=keep]").check()
    member.page.locator("#coupon").fill("WELCOME10")
    member.page.locator("button[value=sum]").click()
    member.page.get_by_text("Discounts").wait_for()
    member.place_order()
    number = member.pay()
    for path in (
        "/me",
        "/orders",
        "/me/addresses",
        "/me/points",
        "/me/returns",
        "/me/sessions",
        "/me/profile",
        "/me/data",
    ):
        member.open(path)
        member.check()
    member.open(f"/orders/{number}")
    member.page.get_by_role("button", name="Cancel the order").click()
    member.page.get_by_text("Order cancelled").wait_for()
    member.open("/mailbox")
    member.page.locator("main li a").first.click()
    member.page.locator(".letter").wait_for()
    member.check()
    member.open("/me/data")
    member.page.locator("input[name=sure]").check()
    member.page.get_by_role("button", name="Close my account").click()
    member.page.get_by_text("Your account is closed").wait_for()
    member.check()


@pytest.mark.parametrize(
    ("path", "size", "dark"),
    [
        ("/c/fashion", DESKTOP, False), ("/c/fashion", PHONE, True),
        ("/all?pick=colour%3Dnavy&sort=cheap", PHONE, False),
        ("/search?q=zeppelin", PHONE, True), ("/_design", DESKTOP, False), ("/_design", PHONE, True),
        ("/cart", PHONE, False), ("/login", PHONE, True), ("/s/orchard", DESKTOP, True),
    ],
)  # fmt: skip
def test_pages_fit_and_can_be_used_by_everybody(
    shopper: MakeShopper, path: str, size: tuple[int, int], dark: bool
) -> None:
    somebody = shopper("en", size=size, dark=dark)
    somebody.open(path)
    somebody.check()
    assert somebody.width_fits()


def test_right_to_left_turns_the_page_around(shopper: MakeShopper) -> None:
    somebody = shopper("ar")
    somebody.open("/c/fashion")
    mark = somebody.page.locator(".wordmark").bounding_box()
    cart = somebody.page.locator(".top-actions").bounding_box()
    assert mark is not None
    assert cart is not None
    assert mark["x"] > cart["x"]


def test_suggestions_and_filters_come_without_leaving_the_page(shopper: MakeShopper) -> None:
    somebody = shopper("ko")
    somebody.open("/")
    somebody.page.locator(".search input[type=search]").press_sequentially("사과", delay=20)
    somebody.page.locator(".suggestion").first.wait_for()
    somebody.check()
    somebody.open("/c/fashion")
    somebody.page.locator("input[name=pick][value='colour=navy']").check()
    somebody.page.wait_for_url("**pick=colour%3Dnavy**")
    somebody.check()


def test_a_dark_page_is_dark_and_the_choice_is_kept(shopper: MakeShopper) -> None:
    somebody = shopper("en")
    somebody.open("/")
    somebody.page.locator(".menu > summary").click()
    somebody.page.get_by_role("button", name="Dark").click()
    somebody.page.wait_for_selector("html[data-theme=dark]")
    ground = somebody.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(19, 19, 17)"
    somebody.check()
