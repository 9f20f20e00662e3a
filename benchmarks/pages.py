"""(p): pages: how heavy they are, how soon their first byte comes at 32 concurrent visitors, how soon a browser shows
them. The mall is the demo's, with its sixty days of history."""

import asyncio
import gzip
import http.client
import itertools
import re
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from benchmarks import load
from benchmarks.http import PORT
from benchmarks.place import place
from pasar.apps.demo import PASSWORD, load_demo, product_id
from pasar.apps.demo_history import load_history

VISITORS = 32
PAGES = {
    "home": "/en",
    "listing": "/en/c/fruit",
    "product": f"/en/p/{product_id('apple-fuji')}",
    "search": "/en/search?q=apple",
    "console dashboard": "/en/console",
}
VIEWS = 5
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NO_BROWSER = (
    "No Chromium on the machine that measured, so nothing is said of first screens; `apt-get install chromium`."
)
_TIMES = """() => new Promise(done => setTimeout(() => {
    const painted = performance.getEntriesByName("first-contentful-paint")[0];
    const whole = performance.getEntriesByType("navigation")[0];
    done([painted ? painted.startTime : null, whole.loadEventEnd]);
}, 50))"""


def run(seconds: float) -> dict[str, Any]:
    """All of it: a minute at most."""
    url = f"http://127.0.0.1:{PORT}"
    extra = (("PASAR_SERVER_PORT", str(PORT)), ("PASAR_SERVER_PUBLIC_URL", url))
    with place(worker=False, extra=extra) as here:
        asyncio.run(load_demo(here.settings, here.addresses, with_history=True))
        asyncio.run(load_history(here.settings, here.addresses))
        here.start("worker", "work")
        here.start("api", "serve")
        load.wait_ready(PORT)
        asyncio.run(here.lag())
        cookies = _sign_in()
        rows = [_measured(name, path, min(seconds, 4.0), cookies) for name, path in PAGES.items()]
        shown = _in_browser(url, cookies)
    return {"rows": rows, "browser": shown}


def _get(path: str, cookies: str, **headers: str) -> tuple[bytes, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    connection.request("GET", path, headers={"Cookie": cookies, **headers})
    answer = connection.getresponse()
    return answer.read(), answer


def _cookies(answer: http.client.HTTPResponse, before: dict[str, str]) -> dict[str, str]:
    found = dict(before)
    for text in answer.headers.get_all("set-cookie") or ():
        name, _, value = text.partition(";")[0].partition("=")
        found[name] = value
    return found


def _header(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def _sign_in() -> str:
    """The cookies of an admin."""
    page, answer = _get("/en/console/login", "")
    cookies = _cookies(answer, {})
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.decode())
    form = {**dict(hidden), "login": "admin@example.com", "password": PASSWORD}
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    headers = {"Cookie": _header(cookies), "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/en/console/login", urlencode(form), headers)
    answer = connection.getresponse()
    if answer.status != 303:
        raise RuntimeError(f"the sign-in was answered with {answer.status}")
    return _header(_cookies(answer, cookies))


def _measured(name: str, path: str, seconds: float, cookies: str) -> dict[str, Any]:
    cookies = cookies if "console" in path else ""
    page, answer = _get(path, cookies)
    if answer.status != 200:
        raise RuntimeError(f"{path} was answered with {answer.status}")
    cookie = f"Cookie: {cookies}\r\n" if cookies else ""
    asked = load.request("GET", path, extra=cookie, host="127.0.0.1")  # Whose cookies are those of a shop without TLS.

    def visitor(_: int) -> Iterator[bytes]:
        return cast("Iterator[bytes]", (asked for _ in itertools.count()))

    outcome = asyncio.run(load.run("127.0.0.1", PORT, VISITORS, seconds, visitor))
    if set(outcome.statuses) - {200, 503}:
        raise RuntimeError(f"{path} was answered with {dict(outcome.statuses)}: {outcome.samples}"[:2000])
    first = sorted(outcome.first_bytes[200])
    return {
        "page": name,
        "kb": round(len(page) / 1000, 1),
        "gzip_kb": round(len(gzip.compress(page, 6)) / 1000, 1),
        "ttfb_p50_ms": round(statistics.median(first) * 1000, 1),
        "ttfb_p95_ms": round(first[int(len(first) * 0.95)] * 1000, 1),
        "per_second": round(outcome.per_second),
        "shed_percent": round(100 * outcome.statuses[503] / outcome.statuses.total()),
    }


def _in_browser(url: str, cookies: str) -> list[dict[str, Any]] | str:
    """First contentful paint and end of the load event of a fresh visit, the middle one of several; or why not."""
    program = next((found for one in BROWSERS if (found := shutil.which(one))), None)
    if program is None:
        return NO_BROWSER
    from playwright.sync_api import sync_playwright

    rows = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for name, path in PAGES.items():
            seen = []
            for _ in range(VIEWS):
                context = browser.new_context(viewport={"width": 1280, "height": 900})
                context.set_extra_http_headers({"Cookie": cookies} if "console" in path else {})
                page, weight = context.new_page(), list[int]()
                page.on("requestfinished", lambda one, w=weight: w.append(one.sizes()["responseBodySize"]))
                page.goto(url + path, wait_until="load")
                first, whole = page.evaluate(_TIMES)
                seen.append((first or whole, whole, sum(weight), len(weight)))
                context.close()
            middle = [statistics.median(column) for column in zip(*seen, strict=True)]
            rows.append(
                {
                    "page": name,
                    "first_screen_ms": round(middle[0]),
                    "full_load_ms": round(middle[1]),
                    "kb": round(middle[2] / 1000, 1),
                    "requests": int(middle[3]),
                }
            )
        browser.close()
    return rows


def write(found: dict[str, Any], machine: str, folder: Path) -> None:
    """pages.md."""
    lines = [
        "# Pages",
        "",
        f'Made by `make bench ARGUMENTS="--only p"` on {machine}; the demo mall with its history. One API process; worker,',
        "PostgreSQL, load generator and browser share the cores.",
        "",
        f"Weight of the HTML, and the time to its first byte with {VISITORS} visitors who ask again as soon as they are answered:",
        "Shed: answered with 503. Readers of the dashboard who may see the same share one working out of its figures, which is",
        "two seconds old at most.",
        "",
        "| page | HTML kB | compressed | first byte P50 ms | P95 ms | pages/s | shed % |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["rows"]:
        figures = row["ttfb_p50_ms"], row["ttfb_p95_ms"], row["per_second"], row["shed_percent"]
        lines.append(f"| {row['page']} | {row['kb']} | {row['gzip_kb']} | {' | '.join(map(str, figures))} |")
    lines.append("")
    if isinstance(found["browser"], str):
        lines += [found["browser"], ""]
    else:
        lines += [
            f"In Chromium, desktop, nothing cached, the middle one of {VIEWS} visits. First screen: first contentful paint; full",
            "load: end of the load event. Wanted: 1 s and 2 s.",
            "",
            "| page | first screen ms | full load ms | transferred kB | requests |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| {row['page']} | {row['first_screen_ms']} | {row['full_load_ms']} | {row['kb']} | {row['requests']} |"
            for row in found["browser"]
        ] + [""]
    (folder / "pages.md").write_text("\n".join(lines))
