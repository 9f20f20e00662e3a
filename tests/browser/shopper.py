"""A shopper with a real browser: does what people do, and notes everything that a page does wrong."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 20_000
PHONE, DESKTOP = (390, 844), (1280, 900)
ADDRESSES = {
    "KR": {
        "recipient": "김민지", "phone": "010-1234-5678", "postal_code": "04524", "city": "서울",
        "line1": "세종대로 110",
    },
    "CN": {
        "recipient": "王芳", "phone": "13800138000", "region": "浙江省", "city": "杭州市",
        "line1": "西湖区文三路 90 号", "postal_code": "310000",
    },
}  # fmt: skip


def chromium() -> str | None:
    """Where a Chromium is, or None."""
    named = os.environ.get("PASAR_TEST_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def opened_browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright  # Takes a while, which only tests of the browser have.

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Shopper:
    """`problems` holds what no page may do: messages of the console, errors of scripts, broken rules of content,
    answers that failed, findings of axe."""

    def __init__(
        self, browser: "Browser", base: str, language: str, *, size: tuple[int, int] = DESKTOP, scripts: bool = True,
        dark: bool = False,
    ) -> None:  # fmt: skip
        self.base, self.language, self.scripts = base, language, scripts
        self.problems: list[str] = []
        self.checked = 0
        self.context: BrowserContext = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, java_script_enabled=scripts,
            color_scheme="dark" if dark else "light", reduced_motion="reduce",
        )  # fmt: skip
        self.context.set_default_timeout(PATIENCE_MS)
        self.page: Page = self.context.new_page()
        self.page.on(
            "console", lambda message: self._note("console", message.text, message.type in ("error", "warning"))
        )
        self.page.on("pageerror", lambda error: self._note("script", str(error), True))
        self.page.on(
            "response",
            lambda answer: self._note("answer", f"{answer.status} {answer.url}", answer.url.startswith(base)
                                      and answer.status >= 400),
        )  # fmt: skip

    def _note(self, kind: str, text: str, counts: bool) -> None:
        if counts:
            self.problems.append(f"{kind} on {self.page.url}: {text}")

    def close(self) -> None:
        self.context.close()

    def open(self, path: str) -> None:
        self.page.goto(f"{self.base}/{self.language}{path if path != '/' else ''}")

    def check(self) -> None:
        """Nothing wrong so far, and axe finds nothing on this page, with no rule switched off."""
        assert not self.problems, self.problems
        findings = self.findings() if self.scripts else []
        self.checked += self.scripts
        assert not findings, findings

    def findings(self) -> list[str]:
        # In the debugger's own world: the page's policy forbids scripts that are not its own.
        self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [f"{one['id']} on {self.page.url}: {one['nodes'][0]['html'][:300]}" for one in found["violations"]]

    def width_fits(self) -> bool:
        """Whether nothing sticks out to the side."""
        return self.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    # What shoppers do.

    def choose_product(self, words: str, picks: int = 0) -> None:
        """By the search field, then the first that was found, then the first values of its options."""
        self.page.locator(".search input[type=search]").fill(words)
        self.page.locator(".search input[type=search]").press("Enter")
        self.page.wait_for_url("**/search?**")  # The page before it may have goods, too.
        self.page.locator(".good h3 a").first.click()
        for number in range(picks):
            values = self.page.locator("#buy .values").nth(number)
            values.locator("a:not(.is-gone)").first.click()
            values.locator("a[aria-current]").wait_for()

    def put_in_cart(self) -> None:
        self.page.locator("#buy button[name=now][value=false]:not([disabled])").click()
        self.page.locator(".line").first.wait_for()

    def check_out(self, country: str) -> None:
        self.page.locator("main a[href$='/checkout']").click()
        if self.page.locator("#mail").count():  # A guest's.
            self.page.locator("#mail").fill("guest@example.com")
        for name, text in ADDRESSES[country].items():
            self.page.locator(f"#{name}").fill(text)

    def place_order(self) -> None:
        self.page.locator("aside button[value=order]").click()
        self.page.locator("#pay").wait_for()

    def pay(self) -> str:
        """On the provider's page, and back; returns the number of the order once its page says that it is paid."""
        self.page.locator("#pay").click()
        self.page.locator("button[name=outcome]").first.click()
        self.page.wait_for_url(f"{self.base}/{self.language}/orders/**")
        while self.page.url.endswith("/paid"):  # The provider's notice is under way; the page says: look again.
            if self.scripts:
                self.page.wait_for_url(lambda url: not url.endswith("/paid"))
            else:
                self.page.locator("main a.button").click()
        self.page.locator(".timeline").wait_for()
        return self.page.url.rpartition("/")[2]

    def join(self, mail: str) -> None:
        self.open("/join")
        self.page.locator("#mail").fill(mail)
        self.page.locator("#name").fill("Kim Minji")
        self.page.locator("#password").fill("orange boats sail at noon")
        self.page.locator("input[name=terms]").check()
        self.page.locator("input[name=privacy]").check()
        self.page.locator("main form button").click()
        self.page.wait_for_url(lambda url: "/join" not in url)
