"""Each role opens its own pages and no others; what is another store's is as if it were not there."""

from uuid import UUID

import pytest

from apps.admin.office import Office
from apps.pages.visitor import Visitor
from contexts.ordering.market import item
from kernel.running import caught_up
from pasar.apps.admin import FACE
from pasar.apps.pages.page import pages_in
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.pricing.contract import CreateCoupon

OWN = "/console/security"
pytestmark = pytest.mark.asyncio(loop_scope="module")
EVERYBODY = {"/console", "/console/orders", "/console/orders/export", "/console/returns", "/console/search", OWN}
SELLING = EVERYBODY | {
    "/console/shipping", "/console/products", "/console/products/new", "/console/products/import",
    "/console/products/export", "/console/inventory", "/console/promotions", "/console/promotions/new",
    "/console/settlement",
}  # fmt: skip
KEEPING = {"/console/inventory", "/console/inventory/holds", "/console/inventory/expiry"}
MONEY = {
    "/console/payments", "/console/payments/notices", "/console/payments/parked", "/console/settlement",
    "/console/members",
}  # fmt: skip
RUNNING = {
    "/console/audit", "/console/system", "/console/system/views", "/console/system/flags", "/console/system/settings",
}  # fmt: skip
MAY_OPEN = {
    "seller": SELLING,
    "manager": SELLING,
    "finance": EVERYBODY | MONEY,
    "warehouse": EVERYBODY | KEEPING | {"/console/shipping"},
    "admin": SELLING | KEEPING | MONEY | RUNNING,
    "member": {OWN},
}
LOGIN = "/console/login"
PATHS = sorted(
    page.path for page in pages_in(FACE) if page.method == "GET" and "{" not in page.path and page.path != LOGIN
)


@pytest.mark.requirement("S2-007")
@pytest.mark.parametrize("name", list(MAY_OPEN))
async def test_each_role_opens_its_own_pages_only(office: Office, name: str) -> None:
    visitor = Visitor(office.site)
    if name != "member":
        visitor = await office.as_(name)
    else:
        await visitor.get("/login")
        await visitor.send("/login", login="member@example.com", password="seven quiet lamps in a row")
    opened = set()
    for path in PATHS:
        page = await visitor.get(path)
        assert page.status in (200, 303, 403), (path, page.status, page.words)
        if page.status != 403:
            opened.add(path)
    assert opened == MAY_OPEN[name]


async def test_the_navigation_leads_only_where_one_may_go(office: Office) -> None:
    for name, paths in MAY_OPEN.items():
        if name == "member":
            continue
        page = await (await office.as_(name)).get("/console")
        side = page.text.partition('<nav class="side"')[2].partition("</nav>")[0]
        linked = {part.partition('"')[0] for part in side.split('<a href="')[1:]}
        assert linked, name
        assert linked <= paths, name


async def test_who_has_not_signed_in_is_asked_to(office: Office) -> None:
    visitor = Visitor(office.site)
    page = await visitor.get("/console/orders?state=PAID")
    assert (page.status, page.location) == (303, "/console/login?next=%2Fconsole%2Forders%3Fstate%3DPAID")
    await visitor.get(page.location)
    page = await visitor.send("/console/login", login="seller@example.com", password="seven quiet lamps in a row")
    assert page.status == 200
    assert "Orders" in page.words


async def test_signing_in_leads_nowhere_else(office: Office) -> None:
    visitor = Visitor(office.site)
    await visitor.get("/console/login?next=https%3A%2F%2Fevil.example")
    form = visitor.form("/console/login")
    assert form["next"] == "/console"
    fields = {**form, "next": "//evil.example", "login": "seller@example.com", "password": "seven quiet lamps in a row"}
    assert (await visitor.post("/console/login", fields)).location == "/console"


async def test_a_wrong_password_says_so_and_no_more(office: Office) -> None:
    visitor = Visitor(office.site)
    await visitor.get("/console/login")
    for login in ("seller@example.com", "nobody@example.com"):
        page = await visitor.send("/console/login", login=login, password="wrong wrong wrong")
        assert page.status == 422
        assert "Login or password is wrong." in page.words


@pytest.mark.requirement("S0-029")
async def test_what_is_of_another_store_is_not_there(office: Office) -> None:
    market = office.market
    order = await market.order(item("pear"))
    await market.shop.bus().send(CreateCoupon(coupon="THEIRS", kind="free_freight", currency="KRW", store="s2"))
    await caught_up(market.shop.core)
    pear = (await catalog.for_sale(market.shop.db, ["pear"]))["pear"].product
    apple = (await catalog.for_sale(market.shop.db, ["apple"]))["apple"].product
    seller = await office.as_("seller")
    for path in (
        f"/console/products/{pear}", f"/console/products/{pear}/versions", "/console/inventory/skus/pear",
        f"/console/orders/{order.json['order_no']}", "/console/settlement/stores/s2",
        f"/console/products/{UUID(int=1)}", f"/console/returns/{UUID(int=1)}",
    ):  # fmt: skip
        assert (await seller.get(path)).status == 404, path
    assert (await seller.get(f"/console/products/{apple}")).status == 200
    token = seller.form(f"/console/products/{apple}")["form_token"]
    for path, fields in (
        (f"/console/products/{pear}", {"title": "mine now"}), (f"/console/products/{pear}/state", {"state": "paused"}),
        ("/console/promotions/THEIRS/close", {"again_password": "seven quiet lamps in a row"}),
    ):  # fmt: skip
        assert (await seller.post(path, {"form_token": token, **fields})).status in (303, 404), path
    kept = await catalog.product(market.shop.db, pear)
    assert (kept.title, kept.state) == ("Shingo pears", "on_sale")
    for path in ("/console/products", "/console/orders", "/console/inventory", "/console/search?q=pear"):
        words = (await seller.get(path)).words
        assert "pear" not in words.replace("“pear”", "").replace("pears", "pear") or "Nothing fits" in words, path


@pytest.mark.requirement("S2-094")
async def test_a_form_that_is_not_ours_is_refused(office: Office) -> None:
    admin = await office.as_("admin")
    apple = (await catalog.for_sale(office.market.shop.db, ["apple"]))["apple"].product
    page = await admin.post(f"/console/products/{apple}/state", {"state": "paused"})
    assert page.status == 403
    await admin.get(f"/console/products/{apple}")
    token = admin.form(f"/console/products/{apple}/state")["form_token"]
    page = await admin.post(
        f"/console/products/{apple}/state", {"state": "paused", "form_token": token}, origin="https://evil.example"
    )
    assert page.status == 403
    assert (await catalog.product(office.market.shop.db, apple)).state == "on_sale"


@pytest.mark.requirement("S2-093")
async def test_what_people_write_is_never_a_script(office: Office) -> None:
    evil = "<script>alert(1)</script>"
    await office.market.stock("evil", 1, title=evil[:40], titles={"en": evil}, description=evil)
    evil_product = (await catalog.for_sale(office.market.shop.db, ["evil"]))["evil"].product
    await office.market.order(item("evil"))
    await caught_up(office.market.shop.core)
    admin = await office.as_("admin")
    for path in (
        "/console/products", f"/console/products/{evil_product}", f"/console/products/{evil_product}/versions",
        "/console/orders", "/console/inventory", "/console/inventory/skus/evil", "/console/search?q=script",
        "/console/search?q=%3Cscript%3Ealert(2)", "/console/products?q=%22%3E%3Cscript%3Ealert(2)",
        "/console/audit?by=%22%3E%3Cscript%3E",
    ):  # fmt: skip
        page = await admin.get(path)
        assert page.status == 200, path
        assert "<script>" not in page.text, path
        assert "style-src 'self'" in page.header("content-security-policy")
