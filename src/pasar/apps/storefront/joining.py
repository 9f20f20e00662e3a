"""Signing up, in and out."""

from urllib.parse import urlsplit

from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark, sentence
from pasar.apps.pages.visit import Visit, wrong_fields
from pasar.contexts.checkout import facade as carts
from pasar.contexts.identity import facade as identity
from pasar.contexts.identity.contract import NewMember, Tokens
from pasar.kernel.access import anyone, signed_in
from pasar.kernel.messages import Refused, convert
from pasar.kernel.web_refusals import InvalidRequest

LONGEST = 200
_WRONG = {
    "mail": mark("This is no mail address."),
    "mobile": mark("Digits, please."),
    "name": mark("Please fill this in."),
}


def safe_next(text: str) -> str:
    """Where to go after signing in: an address of this site, else the front page."""
    parts = urlsplit(text)
    inside = text.startswith("/") and not text.startswith("//") and "\\" not in text and not parts.netloc
    return text if inside and text.isprintable() else "/"


@page("GET", "/login", policy=anyone)
async def login(visit: Visit) -> Response:
    """The form to sign in."""
    return _login(visit, "", visit.request.query_params.get("next", "/"))


def _login(visit: Visit, problem: str, target: str, login: str = "", status: int = 200) -> Response:
    target = safe_next(target)
    return visit.render("store/login.html", status=status, problem=problem, next=target, login=login)


@page("POST", "/login", policy=anyone)
async def sign_in(visit: Visit) -> Response:
    """Sign in; what a guest has in the cart comes along."""
    name, password = visit.text("login")[:LONGEST], str(visit.fields.get("password", ""))[:LONGEST]
    place = visit.request.client.host if visit.request.client else ""
    target = safe_next(visit.text("next"))
    try:
        tokens = await identity.sign_in(visit.bus(), visit.who, name, password, place)
    except Refused as refused:
        text = sentence(refused, visit.language.texts.gettext)
        return _login(visit, text, target, name, refused.status if refused.status != 401 else 422)
    await _begin(visit, tokens)
    await _speak_their_language(visit)
    return visit.go(target)


async def _begin(visit: Visit, tokens: Tokens) -> None:
    """The session, and what a guest had in the cart: a reaction brings it along too, but the next page shows it."""
    guest = visit.account if visit.who.kind == "guest" else None
    visit.site.sessions.begin(visit.session, tokens)
    if guest is not None:
        await carts.merge_at_login(visit.bus(), guest, visit.account)


async def _speak_their_language(visit: Visit) -> None:
    """A member's own language, unless this browser has chosen one."""
    if visit.site.sessions.cookie(visit.request, "language") is None:
        me = await identity.me(visit.db, visit.account)
        visit.session.cookies["language"] = me.locale, 365 * 24 * 3600


@page("GET", "/join", policy=anyone)
async def join(visit: Visit) -> Response:
    """The form to become a member."""
    return visit.render(
        "store/join.html", wrong={}, filled={}, next=safe_next(visit.request.query_params.get("next", "/"))
    )


@page("POST", "/join", policy=anyone)
async def register(visit: Visit) -> Response:
    """Become a member, and be signed in."""
    settings = visit.core.settings.section(identity.IdentitySettings)
    consents = [f"{name}:{version}" for name, version in (
        ("terms", settings.terms_version), ("privacy", settings.privacy_version),
    ) if visit.text(name) == "true"]  # fmt: skip
    filled = {name: visit.text(name)[:LONGEST] for name in ("mail", "name", "mobile")}
    wish = {name: text for name, text in filled.items() if text} | {
        "password": str(visit.fields.get("password", ""))[:LONGEST],
        "locale": visit.language.code,
        "consents": consents,
    }
    try:
        body = convert({"mail": "", "name": "", **wish}, NewMember)
        tokens = await identity.register(visit.bus(), visit.who, body)
    except Refused as refused:
        words = visit.language.texts.gettext
        fields = wrong_fields(refused) if isinstance(refused, InvalidRequest) else {}
        wrong = {name: words(_WRONG.get(name, _WRONG["name"])) for name in fields}
        if refused.name == "WEAK_PASSWORD":
            wrong["password"] = sentence(refused, words)
        elif not wrong:
            wrong[""] = sentence(refused, words)
        target = safe_next(visit.text("next"))
        return visit.render("store/join.html", status=422, wrong=wrong, filled=filled, next=target)
    await _begin(visit, tokens)
    visit.say(mark("Welcome. You are signed in."))
    return visit.go(safe_next(visit.text("next")))


@page("POST", "/logout", policy=signed_in)
async def sign_out(visit: Visit) -> Response:
    """Sign out here."""
    await identity.sign_out(visit.bus(), visit.who)
    visit.site.sessions.end(visit.session)
    visit.say(mark("You are signed out."))
    return visit.go("/")
