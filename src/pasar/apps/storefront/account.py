"""My page: profile, addresses, points, returns, sessions, one's own data."""

from uuid import UUID

import msgspec
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark, sentence
from pasar.apps.pages.visit import Visit
from pasar.contexts.aftersales import facade as aftersales
from pasar.contexts.identity import facade as identity
from pasar.contexts.identity import facade_erasure, facade_export
from pasar.contexts.identity.contract import ChangeProfile, EndSession, NewAddress, RemoveAddress
from pasar.contexts.ordering import facade as ordering
from pasar.contexts.pricing import facade as pricing
from pasar.contexts.wallet import facade as wallet
from pasar.contexts.wallet.contract import FindEntries
from pasar.kernel.access import Policy, signed_in
from pasar.kernel.messages import Refused, convert, encode_for_client
from pasar.kernel.web_refusals import Forbidden

from . import addresses
from .orders import shown_goods
from .shop import channel_code, plan_of

members = Policy("registered", lambda who, at: who.kind not in ("anonymous", "guest"), "members who have signed in")
LAST = 3
PAGE = 20


@page("GET", "/me", policy=signed_in)
async def overview(visit: Visit) -> Response:
    """What a member looks for first: the last orders, points, addresses."""
    if visit.who.kind == "guest":
        return visit.go("/login", next="/me")
    me = await visit.opened(await identity.me(visit.db, visit.account))
    wish = convert({"limit": LAST, "vocabulary": "canonical"}, ordering.OwnOrders)
    orders = (await ordering.own_orders(visit.bus(), visit.who, wish)).items
    goods = await shown_goods(visit, (line.sku for order in orders for line in order.lines))
    points = await wallet.balance(visit.bus(), visit.who)
    return visit.render("store/me.html", me=me, orders=orders, goods=goods, points=points)


@page("GET", "/me/profile", policy=members)
async def profile(visit: Visit) -> Response:
    """Name, language, password."""
    me = await visit.opened(await identity.me(visit.db, visit.account))
    return visit.render("store/profile.html", me=me, wrong={})


@page("POST", "/me/profile", policy=members)
async def change_profile(visit: Visit) -> Response:
    """Change name and language."""
    wish = convert(
        {"account": str(visit.account), "name": visit.text("name")[:100], "locale": visit.text("locale")}, ChangeProfile
    )
    await identity.change_profile(visit.bus(), visit.account, wish.name, wish.locale)
    visit.session.cookies["language"] = wish.locale or "en", 365 * 24 * 3600
    visit.say(mark("Saved."))
    return visit.go("/me/profile")


@page("POST", "/me/password", policy=members)
async def change_password(visit: Visit) -> Response:
    """Change the password; every other session ends."""
    old, new = str(visit.fields.get("old", ""))[:200], str(visit.fields.get("new", ""))[:200]
    place = visit.request.client.host if visit.request.client else ""
    try:
        tokens = await identity.change_password(visit.bus(), visit.account, old, new, place)
    except Refused as refused:
        me = await visit.opened(await identity.me(visit.db, visit.account))
        field = "new" if refused.name == "WEAK_PASSWORD" else "old"
        wrong = {field: sentence(refused, visit.language.texts.gettext)}
        return visit.render("store/profile.html", status=422, me=me, wrong=wrong)
    visit.site.sessions.begin(visit.session, tokens)
    visit.say(mark("The password is changed. You are signed out everywhere else."))
    return visit.go("/me/profile")


@page("GET", "/me/addresses", policy=members)
async def address_book(visit: Visit) -> Response:
    """Where things go."""
    return await _address_book(visit, addresses.country_of(visit.request.query_params.get("country", "")), {}, {})


async def _address_book(
    visit: Visit, country: str, text: dict[str, str], wrong: dict[str, str], status: int = 200
) -> Response:
    me = await visit.opened(await identity.me(visit.db, visit.account))
    countries = [(code, visit.language.locale.territories.get(code, code)) for code in addresses.FORMS]
    return visit.render(
        "store/addresses.html", status=status, me=me, country=country, countries=countries, text=text, wrong=wrong,
        parts=addresses.FORMS[country], intent=visit.new_intent(),
    )  # fmt: skip


@page("POST", "/me/addresses", policy=members)
async def add_address(visit: Visit) -> Response:
    """Add one."""
    country = addresses.country_of(visit.text("country"))
    text = {part.name: visit.text(part.name) for part in addresses.FORMS[country]}
    if visit.text("action") == "country":
        return await _address_book(visit, country, text, {})
    found, wrong = addresses.read(country, text)
    if wrong:
        return await _address_book(visit, country, text, wrong, 422)
    wish = {"address": found, "is_default": visit.text("is_default") == "true"}
    await identity.add_address(visit.bus(key=visit.intent), visit.account, convert(wish, NewAddress))
    visit.say(mark("The address is in your book."))
    return visit.go("/me/addresses")


@page("POST", "/me/addresses/remove", policy=members)
async def remove_address(visit: Visit) -> Response:
    """Take one out; orders keep theirs."""
    await visit.bus().send(RemoveAddress(account=visit.account, address_id=visit.text("address_id")[:64]))
    visit.say(mark("The address is removed."))
    return visit.go("/me/addresses")


@page("GET", "/me/points", policy=members)
async def points(visit: Visit) -> Response:
    """What there is, and where it came from and went."""
    cursor = visit.request.query_params.get("cursor")
    entries = await wallet.statement(visit.db, visit.who, FindEntries(limit=PAGE, cursor=cursor))
    balance = await wallet.balance(visit.bus(), visit.who)
    return visit.render("store/points.html", balance=balance, entries=entries.items, next=entries.next)


@page("GET", "/me/coupons", policy=members)
async def coupons(visit: Visit) -> Response:
    """Which there are for the member in this channel, and how often each may still be used."""
    channel = channel_code(visit)
    own = await pricing.coupons_for(visit.db, visit.account, channel, visit.core.clock.now())
    currency = plan_of(visit).channels[channel].currency if channel in plan_of(visit).channels else None
    own = [one for one in own if one.coupon.currency == currency]
    return visit.render("store/coupons.html", coupons=own, stores=plan_of(visit).stores)


@page("GET", "/me/returns", policy=members)
async def returns(visit: Visit) -> Response:
    """Everything that goes or went back."""
    wish = convert({"limit": PAGE, "cursor": visit.request.query_params.get("cursor")}, aftersales.OwnCases)
    found = await aftersales.own(visit.db, visit.who, wish)
    goods = await shown_goods(visit, (line.sku for case in found.items for line in case.lines))
    return visit.render("store/returns.html", cases=found.items, next=found.next, goods=goods)


@page("GET", "/me/sessions", policy=members)
async def sessions(visit: Visit) -> Response:
    """Where one is signed in."""
    found = await facade_export.sessions(visit.db, visit.account)
    return visit.render("store/sessions.html", sessions=found, here=visit.who.session)


@page("POST", "/me/sessions/end", policy=members)
async def end_session(visit: Visit) -> Response:
    """End one of them, or all."""
    if visit.text("all") == "true":
        await identity.sign_out_everywhere(visit.bus(), visit.account)
        visit.site.sessions.end(visit.session)
        visit.say(mark("You are signed out."))
        return visit.go("/login")
    wanted = convert({"session": visit.text("session")}, _Ended)
    await visit.bus().send(EndSession(account=visit.account, session=wanted.session))
    visit.say(mark("That session is over."))
    return visit.go("/me/sessions")


class _Ended(msgspec.Struct):
    session: UUID


@page("GET", "/me/data", policy=members)
async def own_data(visit: Visit) -> Response:
    """Take one's data along, or leave for good."""
    return visit.render("store/data.html", wrong="")


@page("GET", "/me/data/export", policy=members, lane="reports")
async def export(visit: Visit) -> Response:
    """Everything that is kept of the person, as a file."""
    found = await visit.opened(await facade_export.export(visit.bus(), visit.account))
    day = visit.core.clock.now().date()
    headers = {"Content-Disposition": f'attachment; filename="my-data-{day}.json"', "Cache-Control": "no-store"}
    body = msgspec.json.format(encode_for_client(found), indent=2)
    return Response(body, headers=headers, media_type="application/json")


@page("POST", "/me/data/erase", policy=members)
async def erase(visit: Visit) -> Response:
    """Leave: everything personal becomes unreadable, and nothing brings it back."""
    if visit.text("sure") != "true":
        wrong = visit.language.say("Please confirm that you want this.")
        return visit.render("store/data.html", status=422, wrong=wrong)
    if visit.who.kind not in ("member", "guest"):
        raise Forbidden
    await facade_erasure.erase(visit.bus(), visit.account)
    visit.site.sessions.end(visit.session)
    visit.say(mark("Your account is closed, and your data can be read by nobody any more."))
    return visit.go("/")
