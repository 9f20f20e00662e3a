"""Members: found by the whole of their login, shown masked, revealed with a reason that is recorded."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark
from pasar.apps.pages.visit import Visit
from pasar.contexts.identity import facade as identity
from pasar.contexts.identity.contract import DecideKyc, Me, NoteReveal, SetRoles
from pasar.contexts.ordering import facade as ordering
from pasar.kernel.access import staff
from pasar.kernel.web import Cursor
from pasar.refusals import AccountIsErased, AccountNotFound

from .desk import ROLES, admin, checked, mall_of, masked, plain
from .sign_in import ask_again

PAGE = 30
KYC = ("none", "submitted", "verified", "rejected")
verifiers = staff("admin", "finance")
GIVABLE = ("member", "seller", "manager", "warehouse", "finance", "admin")


class MembersQuery(msgspec.Struct):
    q: Annotated[str, Meta(max_length=100)] = ""
    kyc: Annotated[str, Meta(max_length=20)] = ""
    cursor: Annotated[str, Meta(max_length=1024)] | None = None


@page("GET", "/console/members", policy=verifiers, lane="reports")
async def members(visit: Visit) -> Response:
    """Accounts that have registered: nothing personal. A whole mail address or number finds its account."""
    asked = visit.query(MembersQuery)
    if asked.q and visit.who.has("admin"):
        found = await identity.find(visit.bus(), asked.q)
        if found is not None:
            return visit.go(f"/console/members/{found}")
    kyc: Any = asked.kyc if asked.kyc in KYC else None
    after = Cursor.read(asked.cursor, UUID)
    accounts = await identity.listed(visit.db, PAGE + 1, kyc, after)
    shown = accounts[:PAGE]
    return visit.render(
        "console/members.html",
        members=shown,
        next=Cursor.write(shown[-1].account) if len(accounts) > PAGE else None,
        asked=asked,
        kyc=KYC,
        role_names=ROLES,
    )


def shown(me: Me, *, in_clear: bool) -> list[tuple[str, str]]:
    """What is personal, label by label; masked unless it was revealed."""
    show = plain if in_clear else lambda private: masked(plain(private))
    found = [(mark("Name"), show(me.name)), (mark("Mail address"), show(me.mail)), (mark("Mobile"), show(me.mobile))]
    for saved in me.addresses:
        address = saved.address
        lines = [show(address.recipient), show(address.phone), show(address.line1), address.city, address.country]
        found.append((mark("Address"), " · ".join(line for line in lines if line)))
    return [(label, text) for label, text in found if text]


@page("GET", "/console/members/{account:uuid}", policy=verifiers)
async def member(visit: Visit) -> Response:
    """An account, what is personal masked."""
    me = await visit.opened(await identity.me(visit.db, visit.path["account"]))
    return await _show(visit, me, in_clear=False)


async def _show(visit: Visit, me: Me, *, in_clear: bool) -> Response:
    verification = None
    if me.kyc != "none":
        verification = await _verification(visit, me.account, in_clear)
    wish = {"buyer": str(me.account), "limit": 10, "vocabulary": "canonical"}
    orders = (await ordering.find_orders(visit.bus(), visit.who, checked(wish, ordering.FindOrders))).items
    return visit.render(
        "console/member.html", me=me, personal=shown(me, in_clear=in_clear), in_clear=in_clear,
        verification=verification, orders=orders, role_names=ROLES, givable=GIVABLE,
        stores=list(mall_of(visit).stores.values()),
    )  # fmt: skip


async def _verification(visit: Visit, account: UUID, in_clear: bool) -> list[tuple[str, str]]:
    try:
        found = await visit.opened(await identity.verification(visit.db, account))
    except (AccountNotFound, AccountIsErased):
        return []
    show = plain if in_clear else lambda private: masked(plain(private))
    return [
        (mark("Legal name"), show(found.legal_name)),
        (mark("Business number"), show(found.business_number)),
        (mark("Bank account"), show(found.bank_account)),
    ]


@page("POST", "/console/members/{account:uuid}/reveal", policy=verifiers)
async def reveal(visit: Visit) -> Response:
    """Show what is personal, once. Who looked and why stands in the audit trail for ever."""
    account = visit.path["account"]
    wish = {"account": str(account), "by": visit.who.id, "reason": visit.text("reason")}
    reason = checked(wish, NoteReveal).reason
    me = await visit.opened(await identity.reveal(visit.bus(), visit.who, account, reason))
    return await _show(visit, me, in_clear=True)


@page("POST", "/console/members/{account:uuid}/roles", policy=admin)
async def set_roles(visit: Visit) -> Response:
    """What somebody may do from now on."""
    account = visit.path["account"]
    roles = [str(role) for role in visit.fields.getlist("role") if role in GIVABLE] or ["member"]
    stores = [str(store) for store in visit.fields.getlist("store") if isinstance(store, str)]
    command = checked({"account": str(account), "roles": roles, "stores": stores}, SetRoles)
    act, consequence = (
        mark("Change what somebody may do"),
        mark("It acts within a second, also where they are signed in."),
    )
    if (asked := await ask_again(visit, visit.language.say(act), consequence)) is not None:
        return asked
    await identity.set_roles(visit.bus(), visit.who, account, command.roles, command.stores)
    visit.say(mark("The roles are set."))
    return visit.go(f"/console/members/{account}")


@page("POST", "/console/members/{account:uuid}/verification", policy=verifiers)
async def decide(visit: Visit) -> Response:
    """Accept or decline what a seller has handed in."""
    account, verified = visit.path["account"], visit.text("act") == "accept"
    wish = {"account": str(account), "verified": verified, "reason": visit.text("reason")[:500]}
    await visit.bus().send(checked(wish, DecideKyc))
    visit.say(mark("The seller is verified.") if verified else mark("The verification is declined."))
    return visit.go(f"/console/members/{account}")
