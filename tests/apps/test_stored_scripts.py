"""Scripts stored in every text that people write, and read back where they are shown: in the shop, in the console, in
mails and in tables. A page with a hostile text has the same elements and attributes as one with an honest text."""

import csv
import io
import os
from collections.abc import AsyncIterator, Sequence
from email import message_from_bytes, policy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import UUID

import pytest
import pytest_asyncio

from apps.admin.office import PASSWORD, Office, open_office
from apps.pages.visitor import Visitor
from contexts.ordering.market import HOME
from kernel.running import caught_up
from pasar.apps.lab.corpora import families
from pasar.apps.lab.evidence import Evidence
from pasar.contexts.notification import facade as notification
from postgres import TestDatabase

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

OWN = Path(__file__).parents[1] / "data" / "corpora"
MORE = "LAB_CORPORA"
HONEST = "Honest words of 7 people"
FORMULAS = "=+-@\t\r"


@pytest_asyncio.fixture
async def office(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(database, tmp_path) as opened:
        yield opened


class Shape(HTMLParser):
    """The elements of a page with the names of their attributes, and where scripts and forms lead to."""

    LEADS = ("src", "action", "formaction", "srcdoc", "data")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        leads = [value or "" for name, value in attrs if name in self.LEADS]
        # A name is active if it begins so, an address if it leads out of the page.
        active = [name for name, _ in attrs if name.startswith("on") or name == "style"]
        outside = [lead.split("?")[0][:4] for lead in leads if not lead.startswith("/")]
        links = [(value or "").strip().lower() for name, value in attrs if name == "href"]
        inside = [link[:10] for link in links if link.startswith("javascript")]
        self.found.append((tag, *sorted(name for name, _ in attrs), *active, *outside, *inside))


def shape_of(text: str) -> list[tuple[str, ...]]:
    parser = Shape()
    parser.feed(text)
    parser.close()
    return parser.found


class Active(AssertionError):
    """A stored text became more than text."""


def judge(where: str, honest: str, hostile: str, text: str) -> None:
    """Raises `Active` where the page is another one, or a text stands in it as it came."""
    if shape_of(honest) != shape_of(hostile):
        wrong = [pair for pair in zip(shape_of(honest), shape_of(hostile), strict=False) if pair[0] != pair[1]][:2]
        raise Active(f"{where} has other elements with {text!r}: {wrong}")
    stands_there_as_it_came(where, honest, hostile, text)


def stands_there_as_it_came(where: str, honest: str, hostile: str, text: str) -> None:
    if any(mark in text for mark in "<>") and hostile.count(text) > honest.count(text):
        raise Active(f"{where} has {text!r} as it came")


class Shown(NamedTuple):
    """Pages by their name; `taken`: what was stored of all that was asked for."""

    pages: dict[str, str]
    taken: int


class Life:
    """Somebody who writes one text wherever a text may be written."""

    def __init__(self, office: Office, number: int, text: str) -> None:
        self._market, self._office, self._text, self._number = office.market, office, text, number
        self.taken = 0

    async def _ask(self, method: str, path: str, body: Any, *, who: UUID, kind: str) -> Any:
        answer = await self._market.say(method, path, body, token=self._market.shop.token(kind, id=who))
        assert answer.status < 500, answer.body
        self.taken += answer.status < 300
        return answer.json if answer.status < 300 else None

    async def live(self) -> Shown:
        admin, member, text = self._office.accounts["admin"], self._office.accounts["member"], self._text
        sku = f"thing-{self._number}"
        product = {
            "store": "s1", "title": text[:100], "titles": {"en": text[:100]}, "description": text,
            "descriptions": {"en": text}, "attributes": {"made of": text[:60]}, "skus": [{"sku": sku}],
            "state": "on_sale",
        }  # fmt: skip
        made = await self._ask("POST", "/api/v1/products", product, who=admin, kind="admin")
        if made is None:  # The text may not be a title: the rest is still tried, with a thing of an honest name.
            await self._market.stock(sku, 3, title=HONEST, titles={"en": HONEST})
        else:
            price = {"currency": "KRW", "price": 1000}
            await self._ask("PUT", f"/api/v1/prices/{sku}/web", price, who=admin, kind="admin")
            await self._market.stock(sku, 3)
        await self._ask("PATCH", "/api/v1/me", {"name": text[:100]}, who=member, kind="member")
        address = {**HOME, "recipient": text[:100], "line1": text[:200], "city": text[:100]}
        order = {
            "uid": str(member), "items": [{"sku_id": sku, "qty": 1}], "address": address,
            "metadata": {"note": text},
        }  # fmt: skip
        placed = await self._ask("POST", "/api/v1/orders/create", order, who=member, kind="member")
        if placed is None:
            order["address"] = HOME
            placed = await self._ask("POST", "/api/v1/orders/create", order, who=member, kind="member")
        await caught_up(self._market.shop.core)
        return await self._look(made, placed)

    async def _look(self, made: Any, placed: Any) -> Shown:
        visitor, console = await member_of(self._office), await self._office.as_("admin")
        pages = {
            "search": await visitor.get(f"/search?q={quote(self._text, safe='', errors='replace')}"),
            "profile": await visitor.get("/me/profile"),
            "console search": await console.get(f"/console/search?q={quote(self._text, safe='', errors='replace')}"),
            "nowhere": await visitor.get(f"/p/{quote(self._text, safe='', errors='replace')}"),
        }
        if made is not None:
            pages["product, console"] = await console.get(f"/console/products/{made['product']}")
            pages["versions, console"] = await console.get(f"/console/products/{made['product']}/versions")
        if placed is not None:
            pages["order"] = await visitor.get(f"/orders/{placed['order_no']}")
            pages["order, console"] = await console.get(f"/console/orders/{placed['order_no']}")
        return Shown({name: page.text for name, page in pages.items()}, self.taken)


async def cells_of(office: Office) -> list[str]:
    """Of the tables that people take along."""
    console, found = await office.as_("admin"), []
    for path in ("/console/orders/export", "/console/products/export"):
        table = io.StringIO((await console.get(path)).text.lstrip("\ufeff"))
        found += [cell for row in csv.reader(table) for cell in row]
    return found


async def member_of(office: Office) -> Visitor:
    visitor = Visitor(office.site)
    await visitor.get("/login")
    await visitor.send("/login", login="member@example.com", password=PASSWORD)
    return visitor


def texts_here() -> Sequence[str]:
    found = list(families(OWN)["xss"])
    if more := os.environ.get(MORE):
        found += families(Path(more))["xss"]
    return list(dict.fromkeys(found))


@pytest.mark.promise("D4")
async def test_a_stored_script_is_text_wherever_it_is_shown(office: Office, proof: Evidence) -> None:
    honest = await Life(office, 0, HONEST).live()
    assert all(HONEST in page for name, page in honest.pages.items() if name not in ("console search", "nowhere"))
    texts = texts_here()
    chosen = texts[: len(families(OWN)["xss"])]
    chosen += texts[len(chosen) :: max(1, 8 * len(texts) // max(1, proof.number(2_000, 1)))] if len(texts) > 100 else []
    taken = 0
    for number, text in enumerate(chosen, 1):
        shown = await Life(office, number, text).live()
        taken += shown.taken
        for name, page in shown.pages.items():
            if name in ("order", "order, console", "product, console", "versions, console", "profile"):
                judge(name, honest.pages[name], page, text)
            else:
                stands_there_as_it_came(name, honest.pages[name], page, text)
            proof.attempt()
    assert taken > len(chosen), "nothing was stored: nothing was tried"
    cells = await cells_of(office)
    assert any("HYPERLINK" in cell for cell in cells), "what is like a formula is not in the tables"
    risky = [cell for cell in cells if cell[:1] and cell[0] in FORMULAS and not cell.lstrip("-").isdigit()]
    assert risky == [], "a cell that a spreadsheet takes for a formula"
    proof.attempt(len(chosen))
    await _mails(office, proof)


async def _mails(office: Office, proof: Evidence) -> None:
    """What is sent as HTML has no element that our letters do not have."""
    found = await notification.own_mailbox(office.market.shop.core.settings, office.accounts["member"], 50)
    for letter in found:
        parsed = message_from_bytes(letter.content, policy=policy.default)
        body = parsed.get_body(("html",))  # type: ignore[attr-defined]
        text = body.get_content() if body is not None else ""
        assert not {tag for tag, *_ in shape_of(text)} & {"script", "iframe", "svg", "img", "form", "object"}
        proof.attempt()


@pytest.mark.parametrize(
    "page",
    ["<p>{}</p>", "<input value='{}'>", '<input value="{}">', "<a href={}>x</a>", "<title>{}</title>"],
)  # fmt: skip
def test_a_page_that_shows_a_text_as_it_came_is_found(page: str) -> None:
    hostile = families(OWN)["xss"]
    found = 0
    for text in hostile:
        try:
            judge("a page", page.format(HONEST), page.format(text), text)
        except Active:
            found += 1
    assert found > len(hostile) / 3
