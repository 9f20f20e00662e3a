"""One's own second factor: an authenticator app beside the password."""

import segno
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark, sentence
from pasar.apps.pages.visit import Visit
from pasar.contexts.identity import facade_factor as factor
from pasar.contexts.identity import facade_trust as trust
from pasar.contexts.identity.contract import Tokens
from pasar.kernel.access import Policy
from pasar.kernel.messages import Refused

LONGEST = 200
members = Policy("registered", lambda who, at: who.kind not in ("anonymous", "guest"), "members who have signed in")


def _place(visit: Visit) -> str:
    return visit.request.client.host if visit.request.client else ""


async def _show(visit: Visit, problem: str = "", status: int = 200, **values: object) -> Response:
    found = await trust.status(visit.db, visit.account)
    shown = {"enrolment": None, "picture": "", "codes": (), **values}
    return visit.render("console/security.html", status=status, factor=found, problem=problem, **shown)


@page("GET", "/console/security", policy=members)
async def security(visit: Visit) -> Response:
    """Whether there is one, and how to get or remove it. Also for staff who may do nothing else before they have."""
    return await _show(visit)


@page("POST", "/console/security", policy=members)
async def change(visit: Visit) -> Response:
    """Begin with a new app, confirm it by its first code, or remove it."""
    act, code = visit.text("act"), visit.text("code")[:40]
    password = str(visit.fields.get("password", ""))[:LONGEST]
    try:
        if act == "begin":
            enrolment = await factor.begin(visit.bus(), visit.account, password, _place(visit))
            picture = segno.make(enrolment.uri).svg_data_uri(scale=4, border=2)
            return await _show(visit, enrolment=enrolment, picture=picture)
        if act == "confirm":
            done = await factor.confirm(visit.bus(), visit.account, code, _place(visit))
            tokens = Tokens(
                account=visit.account, access_token=done.access_token, refresh_token=done.refresh_token,
                expires_in=done.expires_in,
            )  # fmt: skip
            visit.site.sessions.begin(visit.session, tokens)
            return await _show(visit, codes=done.recovery_codes)
        await factor.remove(visit.bus(), visit.account, password, code, _place(visit))
    except Refused as refused:
        return await _show(visit, sentence(refused, visit.language.texts.gettext), 422)
    visit.say(mark("The second factor is removed."))
    return visit.go("/console/security")
