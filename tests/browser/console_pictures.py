"""Pictures of the console of a mall that has been open for sixty days."""

from collections.abc import Callable
from typing import Any

from browser.shopper import PHONE, Shopper
from browser.test_console import sign_in
from journeys.town import Town


def photograph_console(browser: Any, town: Town, keep: Callable[[Shopper, str], None]) -> None:
    def staff(who: str, language: str, **options: Any) -> Shopper:
        return sign_in(Shopper(browser, town.api, language, **options), who)

    admin = staff("admin", "en")
    admin.open("/console/orders?state=COMPLETED")
    number = admin.page.locator("td a.mono").last.inner_text().strip()
    for name, path in {
        "console": "", "console-orders": "/orders", "console-order": f"/orders/{number}",
        "console-money": f"/orders/{number}/money", "console-sku": "/inventory/skus/apple-fuji",
        "console-system": "/system",
    }.items():  # fmt: skip
        admin.open(f"/console{path}")
        keep(admin, name)
    admin.page.keyboard.press("Control+k")
    admin.page.keyboard.type("tea")
    admin.page.locator("#finder-hits .hits a").first.wait_for()
    keep(admin, "console-search")
    admin.close()
    dark = staff("admin", "ko", dark=True)
    keep(dark, "console-dark")
    dark.close()
    seller = staff("farmer", "zh", size=PHONE)
    seller.open("/console/products")
    keep(seller, "console-phone")
    seller.close()
