"""Pictures of key pages for the documentation: `make screenshots`. A town is started, shopped in and photographed."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import postgres
from browser.console_pictures import photograph_console
from browser.shopper import DESKTOP, PHONE, ROOT, Shopper, chromium, opened_browser
from journeys.town import Town, make_town

FOLDER = ROOT / "docs" / "screenshots"
WIDE = (1280, 860)


def main() -> None:
    if chromium() is None:
        sys.exit("No Chromium here: install it (Debian: apt-get install chromium) or name it in PASAR_TEST_CHROMIUM.")
    FOLDER.mkdir(exist_ok=True)
    folder = postgres.make_folder()
    os.environ[postgres.FOLDER] = str(folder)
    try:
        server = postgres.start_server()
        template = asyncio.run(server.template())
        with (
            tempfile.TemporaryDirectory() as data,
            make_town(server, template, Path(data), with_history=True) as town,
            opened_browser() as browser,
        ):
            photograph(browser, town)
            photograph_console(browser, town, keep)
    finally:
        postgres.remove_folder(folder)


def keep(one: Shopper, name: str) -> None:
    one.page.wait_for_load_state("networkidle")
    one.page.screenshot(path=FOLDER / f"{name}.png")


def photograph(browser: object, town: Town) -> None:
    """Twelve pages, in three languages, light and dark, on desktop and telephone."""

    def shopper(language: str, size: tuple[int, int] = WIDE, dark: bool = False) -> Shopper:
        return Shopper(browser, town.api, language, size=size, dark=dark)  # type: ignore[arg-type]

    plain = {
        "home": ("en", "/", WIDE, False),
        "listing": ("ko", "/c/fashion?pick=colour%3Dnavy", WIDE, False),
        "listing-dark": ("en", "/c/creator", WIDE, True),
        "home-phone": ("zh", "/", PHONE, False),
        "home-rtl": ("ar", "/", WIDE, False),
        "design": ("en", "/_design", WIDE, False),
        "nothing-fits": ("en", "/search?q=zeppelin", PHONE, True),
    }
    for name, (language, path, size, dark) in plain.items():
        one = shopper(language, size, dark)
        one.open(path)
        keep(one, name)
        one.close()
    guest = shopper("ko", DESKTOP)
    guest.open("/")
    guest.page.locator(".search input[type=search]").press_sequentially("사가", delay=20)
    guest.page.locator(".suggestion").first.wait_for()
    keep(guest, "suggestions")
    guest.choose_product("메리노 가디건", 2)
    keep(guest, "product")
    guest.put_in_cart()
    guest.page.reload()
    keep(guest, "cart")
    guest.check_out("KR")
    keep(guest, "checkout")
    guest.place_order()
    guest.pay()
    guest.page.reload()
    keep(guest, "order")
    guest.close()
    phone = shopper("zh", PHONE)
    phone.open("/")
    phone.choose_product("羊绒围巾", 1)
    keep(phone, "product-phone")
    phone.put_in_cart()
    phone.check_out("CN")
    phone.place_order()
    keep(phone, "pay-phone")
    phone.close()


if __name__ == "__main__":
    main()
