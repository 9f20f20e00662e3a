"""What every page keeps: forms that are ours, texts that cannot act, headers, languages, sessions."""

import gzip
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from apps.pages.visitor import Visitor, site_of
from contexts.ordering.market import Market, open_market
from pasar.apps.pages.assets import Assets
from pasar.apps.pages.languages import preferred
from pasar.apps.storefront.joining import safe_next


@pytest_asyncio.fixture
async def market(database, tmp_path) -> AsyncIterator[Market]:
    async with open_market(database, tmp_path) as opened:
        await opened.stock("apple", 5, price=32_000)
        yield opened


@pytest.fixture
def visitor(market: Market) -> Visitor:
    return Visitor(site_of(market))


async def product_path(visitor: Visitor) -> str:
    page = await visitor.get("/all")
    start = page.text.index("/p/")
    return page.text[start : page.text.index('"', start)]


@pytest.mark.promise("D11")
@pytest.mark.requirement("S2-094")
async def test_a_form_without_the_token_of_the_session_is_refused(visitor: Visitor) -> None:
    await visitor.get(await product_path(visitor))
    fields = visitor.form("/cart/add")
    assert (await visitor.post("/cart/add", {**fields, "form_token": "x"})).status == 403
    assert (await visitor.post("/cart/add", {"sku": "apple"})).status == 403
    assert (await visitor.post("/cart/add", fields)).status == 303


@pytest.mark.promise("D11")
async def test_a_form_from_another_origin_is_refused_though_it_has_the_token(visitor: Visitor) -> None:
    await visitor.get(await product_path(visitor))
    fields = visitor.form("/cart/add")
    assert (await visitor.post("/cart/add", fields, origin="https://evil.example")).status == 403
    assert (await visitor.post("/cart/add", fields, origin="null")).status == 403
    assert (await visitor.post("/cart/add", fields, sec_fetch_site="cross-site")).status == 403


@pytest.mark.promise("D11")
async def test_the_token_of_another_visitor_is_refused(market: Market, visitor: Visitor) -> None:
    path = await product_path(visitor)
    await visitor.get(path)
    other = Visitor(site_of(market))
    await other.get(path)
    assert (await other.post("/cart/add", visitor.form("/cart/add"))).status == 403


@pytest.mark.promise("D4")
@pytest.mark.requirement("S2-093")
async def test_stored_scripts_are_shown_and_do_not_run(market: Market, visitor: Visitor) -> None:
    attack = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
    await market.stock("evil", 3, title=attack[:100], description=attack)
    page = await visitor.get("/all")
    assert "<script>alert" not in page.text
    assert "<img src=x" not in page.text
    assert "&lt;script&gt;alert" in page.text
    search = await visitor.get("/search?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in search.text


@pytest.mark.promise("D11")
@pytest.mark.requirement("S2-093")
async def test_every_page_forbids_foreign_content_and_being_framed(visitor: Visitor) -> None:
    page = await visitor.get("/")
    policy = page.header("content-security-policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.header("x-content-type-options") == "nosniff"
    assert page.header("strict-transport-security").startswith("max-age=")
    assert page.header("referrer-policy") == "same-origin"


@pytest.mark.promise("D11")
async def test_personal_pages_are_not_kept_and_public_ones_are_asked_for_by_their_tag(visitor: Visitor) -> None:
    path = await product_path(visitor)
    await visitor.get(path)
    await visitor.send("/cart/add")
    assert visitor.page.header("cache-control") == "no-store"
    await visitor.get(path)  # Says once that it is in the cart.
    page = await visitor.get(path)
    tag = page.header("etag")
    again = await visitor.get(path, if_none_match=tag)
    assert (again.status, again.text, again.header("etag")) == (304, "", tag)
    assert (await visitor.get("/all")).header("etag")


@pytest.mark.promise("D11")
async def test_cookies_are_host_bound_http_only_and_secure(visitor: Visitor) -> None:
    page = await visitor.get("/login")
    cookies = [value for name, value in page.headers if name == "set-cookie"]
    assert cookies
    for cookie in cookies:
        assert cookie.startswith("__Host-")
        assert {"HttpOnly", "Secure", "Path=/"} <= set(cookie.split("; "))


@pytest.mark.requirement("S0-125")
@pytest.mark.parametrize(
    ("target", "accepted", "lang", "direction"),
    [
        ("/ko", "en", "ko", "ltr"), ("/zh/all", "en", "zh-CN", "ltr"), ("/ar", "en", "ar", "rtl"),
        ("/", "zh-CN,zh;q=0.9,en;q=0.8", "zh-CN", "ltr"), ("/", "fr", "en", "ltr"),
    ],
)  # fmt: skip
async def test_the_address_decides_the_language_then_the_browser(
    market: Market, target: str, accepted: str, lang: str, direction: str
) -> None:
    page = await Visitor(site_of(market), accepted).get(target)
    assert f'<html lang="{lang}" dir="{direction}"' in page.text


async def test_the_language_that_was_chosen_is_kept(visitor: Visitor) -> None:
    await visitor.get("/ko")
    assert '<html lang="ko"' in (await visitor.get("/all")).text


async def test_unknown_addresses_have_a_page_and_wrong_methods_are_said(visitor: Visitor) -> None:
    missing = await visitor.get("/nothing/here")
    assert missing.status == 404
    assert "There is nothing at this address." in missing.words
    assert (await visitor.get("/c/nothing")).status == 404
    wrong = await visitor.post("/all", {})
    assert (wrong.status, wrong.header("allow")) == (405, "GET")


async def test_what_no_database_can_keep_is_refused(visitor: Visitor) -> None:
    await visitor.get(await product_path(visitor))
    fields = visitor.form("/cart/add")
    assert (await visitor.post("/cart/add", fields)).status == 303
    assert (await visitor.get("/orders/%00")).status == 404
    assert (await visitor.get("/search?q=a%00b")).status == 400
    assert (await visitor.get("/all?cursor=nonsense")).status == 400
    await visitor.get("/login")
    wrong = {**visitor.form("/login"), "login": "a\0b", "password": "x"}
    assert (await visitor.post("/login", wrong)).status == 303
    broken = await visitor.post("/login", {}, content_type="multipart/form-data; boundary=x")
    assert broken.status in (303, 403)


async def test_who_must_sign_in_is_asked_to_and_comes_back(visitor: Visitor) -> None:
    answer = await visitor.get("/me/points")
    assert (answer.status, answer.location) == (303, "/login?next=%2Fme%2Fpoints")


@pytest.mark.parametrize(
    ("asked", "goes"),
    [
        ("/me?x=1", "/me?x=1"), ("//evil.example", "/"), ("https://evil.example", "/"), ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"), ("", "/"), ("/a\r\nSet-Cookie: x", "/"),
    ],
)  # fmt: skip
def test_signing_in_leads_within_the_site_only(asked: str, goes: str) -> None:
    assert safe_next(asked) == goes


@pytest.mark.requirement("S0-125")
@pytest.mark.parametrize(
    ("header", "code"), [("ko-KR,ko;q=0.9", "ko"), ("en;q=0.3, zh;q=0.8", "zh"), ("fr,de", None), ("ko;q=x,ar", "ar")]
)
def test_the_browsers_wish_is_read_by_its_weights(header: str, code: str | None) -> None:
    assert preferred(header) == code


def test_files_have_their_hash_in_the_address_and_may_be_kept(tmp_path) -> None:
    (tmp_path / "a.svg").write_text("<svg/>")
    (tmp_path / "b.css").write_text('x{background:url("a.svg")} y{src:url("none.woff2")}')
    assets = Assets([tmp_path])
    style = assets.answer(assets.url("b.css"))
    assert "immutable" in style.headers["cache-control"]
    assert assets.url("a.svg") in style.body.decode()
    assert "none.woff2" not in style.body.decode()
    assert assets.answer("/static/000000000000/a.svg").status_code == 404


def test_a_folder_that_is_called_like_a_style_sheet_is_one(tmp_path) -> None:
    (tmp_path / "a.svg").write_text("<svg/>")
    (tmp_path / "all.css").mkdir()
    for name, text in (("20_b", "b{}"), ("10_a", 'a{background:url("a.svg")}')):
        (tmp_path / "all.css" / f"{name}.css").write_text(text + "\n")
    assets = Assets([tmp_path])
    assert (
        assets.answer(assets.url("all.css")).body.decode() == f'a{{background:url("{assets.url("a.svg")}")}}\n\nb{{}}\n'
    )
    assert not assets.has("all.css/10_a.css")


def test_long_texts_are_sent_packed_to_who_can_unpack_them(tmp_path) -> None:
    (tmp_path / "long.js").write_text("let same = 1;\n" * 200)
    assets = Assets([tmp_path])
    plain, packed = (assets.answer(assets.url("long.js"), accepted) for accepted in ("", "br, gzip"))
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
