"""Signing in to the console, and saying the password again before something dangerous."""

import hmac

from starlette.datastructures import UploadFile
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark, sentence
from pasar.apps.pages.visit import ORIGIN_FIELD, TOKEN_FIELD, Visit
from pasar.contexts.identity import facade as identity
from pasar.kernel.access import anyone, signed_in
from pasar.kernel.messages import Refused
from pasar.refusals import SecondFactorNeeded

from .desk import everyone

LONGEST = 200
PASSWORD = "again_password"  # noqa: S105 - the name of a field
PROOF = "again_proof"
PROOF_S = 900


def safe_next(text: str) -> str:
    """Where to go after signing in: a page of the console, else its first."""
    inside = text == "/console" or text.startswith(("/console/", "/console?"))
    return text if inside and text.isprintable() and "\\" not in text else "/console"


def _place(visit: Visit) -> str:
    return visit.request.client.host if visit.request.client else ""


def _form(
    visit: Visit, problem: str, target: str, login: str = "", status: int = 200, *, with_code: bool = False
) -> Response:
    return visit.render(
        "console/login.html", status=status, problem=problem, next=safe_next(target), login=login, with_code=with_code
    )


@page("GET", "/console/login", policy=anyone)
async def login(visit: Visit) -> Response:
    """The form to sign in."""
    if everyone.check(visit.who, {}):
        return visit.go("/console")
    return _form(visit, "", visit.request.query_params.get("next", ""))


@page("POST", "/console/login", policy=anyone)
async def sign_in(visit: Visit) -> Response:
    """Sign in; who has no role here is told so and stays outside."""
    name, password = visit.text("login")[:LONGEST], str(visit.fields.get("password", ""))[:LONGEST]
    target, code = visit.text("next"), visit.text("code")[:40] or None
    try:
        tokens = await identity.sign_in(visit.bus(), visit.who, name, password, _place(visit), code)
    except SecondFactorNeeded:
        text = visit.language.say("Say the code of your authenticator app as well.")
        return _form(visit, text, target, name, 422, with_code=True)
    except Refused as refused:
        text = sentence(refused, visit.language.texts.gettext)
        status = refused.status if refused.status != 401 else 422
        return _form(visit, text, target, name, status, with_code=code is not None)
    visit.site.sessions.begin(visit.session, tokens)
    if not everyone.check(visit.who, {}):
        demanded = visit.core.settings.section(identity.IdentitySettings).second_factor_for_staff
        visit.say(mark("This account has no role in the console."), good=False)
        return visit.go("/console/security" if demanded else "/me")
    if visit.site.sessions.cookie(visit.request, "language") is None:
        me = await identity.me(visit.db, visit.account)
        visit.session.cookies["language"] = me.locale, 365 * 24 * 3600
    return visit.go(safe_next(target))


@page("POST", "/console/logout", policy=signed_in)
async def sign_out(visit: Visit) -> Response:
    """Sign out here."""
    await identity.sign_out(visit.bus(), visit.who)
    visit.site.sessions.end(visit.session)
    return visit.go("/console/login")


async def ask_again(visit: Visit, act: str, consequence: str) -> Response | None:
    """None where the form carries the right password of whoever sends it. Else the page that asks for it: it sends the
    same form again, so nothing is kept here, and a session left open is not enough to do harm."""
    given = visit.fields.get(PASSWORD)
    problem = ""
    if _is_proven(visit, visit.text(PROOF)):
        return None
    if isinstance(given, str):
        try:
            await identity.check_password(visit.bus(), visit.account, given[:LONGEST], _place(visit))
        except Refused as refused:
            problem = sentence(refused, visit.language.texts.gettext)
        else:
            return None
    kept = [
        (name, value)
        for name, value in visit.fields.multi_items()
        if name not in (PASSWORD, PROOF, TOKEN_FIELD, ORIGIN_FIELD) and not isinstance(value, UploadFile)
    ]
    kept.append((ORIGIN_FIELD, visit.origin))
    status = 422 if problem else 200
    return visit.render(
        "console/again.html", status=status, act=act, consequence=consequence, kept=kept, problem=problem,
        path=visit.request.scope["path"],
    )  # fmt: skip


def proof_of(visit: Visit) -> str:
    """For a form that goes on with what was agreed to: good for this person, session and address, 15 minutes long."""
    until = int(visit.core.clock.now().timestamp()) + PROOF_S
    return f"{until}.{_signed(visit, until)}"


def _signed(visit: Visit, until: int) -> str:
    what = f"{visit.who.id} {visit.who.session} {visit.request.scope['pasar.path']} {until}"
    return visit.core.keys.digest("again", what)  # type: ignore[attr-defined]


def _is_proven(visit: Visit, proof: str) -> bool:
    until, _, signature = proof.partition(".")
    if not until.isdigit() or len(until) > 12 or int(until) < visit.core.clock.now().timestamp():
        return False
    return hmac.compare_digest(signature.encode(), _signed(visit, int(until)).encode())
