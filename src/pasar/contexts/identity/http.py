"""Accounts over HTTP. What answers with tokens takes no idempotency key: secrets are not kept for a repeat."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from pasar.kernel.access import Principal, anyone, signed_in, staff
from pasar.kernel.bus import Bus
from pasar.kernel.free_text import TextBody
from pasar.kernel.messages import Body
from pasar.kernel.private import Private
from pasar.kernel.store import Reader
from pasar.kernel.web import Cursor, Page, Paging, Request, route
from pasar.refusals import (
    AccountIsErased,
    AccountNotFound,
    AddressNotFound,
    BadCredentials,
    ConsentMissing,
    KycStateForbids,
    LoginTaken,
    RoleNotYours,
    SecondFactorNeeded,
    SessionIsOver,
    TooManyAddresses,
    TooManyGuesses,
    WeakPassword,
)
from pasar.vocabulary import Contact, Identity, StoreId

from . import contract, facade, facade_erasure, facade_export
from .contract import Account, Export, KycState, Locale, Me, Role, SubmitKyc, Tokens, Verification

admin = staff("admin")
verifiers = staff("admin", "finance")
EXAMPLE_TOKENS = {
    "account": "7d444840-9dc0-41d1-b245-5ffdce74fad2",
    "access_token": "eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoi…",
    "refresh_token": "7d4448409dc041d1b2455ffdce74fad2.0193….…",
    "expires_in": 600,
    "token_type": "Bearer",
}


class SignIn(Body):
    """`login` is a mail address or a mobile number."""

    login: Private[Contact]
    password: Private[Contact]
    code: Private[Contact] | None = None
    """Of the authenticator app, or a recovery code, where the account has a second factor."""


class RefreshToken(Body):
    refresh_token: Annotated[str, Meta(max_length=400)]


class NewPassword(Body):
    old: Private[Contact]
    new: Private[Contact]


class Profile(TextBody):
    """What is left out stays as it is."""

    free_texts = ("name",)
    name: Private[Contact] | None = None
    locale: Locale | None = None


class HandedIn(Body):
    business_number: Private[Identity]
    legal_name: Private[Identity]
    bank_account: Private[Identity]


class Decision(TextBody):
    """A rejection says why."""

    free_texts = ("reason",)
    verified: bool
    reason: Annotated[str, Meta(max_length=500)] = ""


class Roles(Body):
    """All roles that somebody has from now on, and the stores that they work for."""

    roles: Annotated[tuple[Role, ...], Meta(min_length=1, max_length=6)]
    stores: Annotated[tuple[StoreId, ...], Meta(max_length=100)] = ()


class Accounts(Paging):
    kyc: KycState | None = None


@route("POST", "/api/v1/guests", policy=anyone, status=201, key="none", lane="cart", answer_example=EXAMPLE_TOKENS)
async def open_guest(bus: Bus) -> Tokens:
    """Shop without an account: a guest has a cart and can order."""
    return await facade.guest(bus)


@route(
    "POST",
    "/api/v1/members",
    policy=anyone,
    status=201,
    key="none",
    refuses=[LoginTaken, WeakPassword, ConsentMissing],
    example={
        "mail": "kim@example.com",
        "name": "Kim Minji",
        "password": "orange boats sail at noon",
        "mobile": "+82 10-1234-5678",
        "locale": "ko",
        "consents": ["terms:2026-01", "privacy:2026-01"],
    },
    answer_example=EXAMPLE_TOKENS,
)
async def register(body: contract.NewMember, bus: Bus, who: Principal) -> Tokens:
    """Become a member, and be signed in.

    With a guest's token, what is in the guest's cart comes along."""
    return await facade.register(bus, who, body)


@route(
    "POST",
    "/api/v1/sessions",
    policy=anyone,
    status=201,
    key="none",
    refuses=[BadCredentials, TooManyGuesses, SecondFactorNeeded],
    example={"login": "kim@example.com", "password": "orange boats sail at noon"},
    answer_example=EXAMPLE_TOKENS,
)
async def sign_in(body: SignIn, bus: Bus, who: Principal, request: Request) -> Tokens:
    """Sign in with mail address or mobile number.

    With a guest's token, what is in the guest's cart comes along."""
    code = body.code.plain_text if body.code else None
    return await facade.sign_in(bus, who, body.login.plain_text, body.password.plain_text, request.client, code)


@route(
    "POST",
    "/api/v1/sessions/refresh",
    policy=anyone,
    key="none",
    refuses=[SessionIsOver],
    example={"refresh_token": "7d4448409dc041d1b2455ffdce74fad2.0193….…"},
    answer_example=EXAMPLE_TOKENS,
)
async def refresh(body: RefreshToken, bus: Bus) -> Tokens:
    """The next pair of tokens; a refresh token is good once.

    One that was used before ends its session, since somebody may have stolen it. Only within half a minute it may be
    sent again and gets the same next one, for its answer may have got lost."""
    return await facade.refresh(bus, body.refresh_token)


@route("DELETE", "/api/v1/sessions/current", policy=signed_in, key="none", refuses=[AccountIsErased, AccountNotFound])
async def sign_out(bus: Bus, who: Principal) -> None:
    """Sign out here: the access token is dead within a second."""
    await facade.sign_out(bus, who)


@route("DELETE", "/api/v1/sessions", policy=signed_in, key="none", refuses=[AccountIsErased, AccountNotFound])
async def sign_out_everywhere(bus: Bus, who: Principal) -> None:
    """Sign out everywhere."""
    await facade.sign_out_everywhere(bus, UUID(who.id))


@route("GET", "/api/v1/me", policy=signed_in, refuses=[AccountNotFound, AccountIsErased])
async def read_me(db: Reader, who: Principal) -> Me:
    """One's own account."""
    return await facade.me(db, UUID(who.id))


@route("PATCH", "/api/v1/me", policy=signed_in, refuses=[AccountNotFound, AccountIsErased], example={"locale": "en"})
async def change_me(body: Profile, bus: Bus, who: Principal) -> Me:
    """Change one's name or language."""
    return await facade.change_profile(bus, UUID(who.id), body.name, body.locale)


@route("DELETE", "/api/v1/me", policy=signed_in, key="none", refuses=[AccountNotFound])
async def erase_me(bus: Bus, who: Principal) -> None:
    """Leave for good: everything personal becomes unreadable, and nothing brings it back."""
    await facade_erasure.erase(bus, UUID(who.id))


@route(
    "POST",
    "/api/v1/me/password",
    policy=signed_in,
    key="none",
    refuses=[BadCredentials, WeakPassword, TooManyGuesses, AccountNotFound, AccountIsErased],
    example={"old": "orange boats sail at noon", "new": "seven quiet lamps in a row"},
    answer_example=EXAMPLE_TOKENS,
)
async def change_password(body: NewPassword, bus: Bus, who: Principal, request: Request) -> Tokens:
    """Change the password; every other session ends."""
    old, new = body.old.plain_text, body.new.plain_text
    return await facade.change_password(bus, UUID(who.id), old, new, request.client)


@route("GET", "/api/v1/me/addresses", policy=signed_in, refuses=[AccountNotFound, AccountIsErased])
async def list_addresses(db: Reader, who: Principal) -> list[contract.SavedAddress]:
    """One's address book."""
    return list((await facade.me(db, UUID(who.id))).addresses)


@route(
    "POST",
    "/api/v1/me/addresses",
    policy=signed_in,
    status=201,
    refuses=[TooManyAddresses, AccountNotFound, AccountIsErased],
    example={
        "address": {
            "recipient": "Kim Minji",
            "phone": "+82 10-1234-5678",
            "line1": "Sejong-daero 110",
            "city": "Seoul",
            "postal_code": "04524",
            "country": "KR",
        },
        "is_default": True,
    },
)
async def add_address(body: contract.NewAddress, bus: Bus, who: Principal) -> Me:
    """Add an address; the new one is the last of the account's `addresses`."""
    return await facade.add_address(bus, UUID(who.id), body)


@route(
    "DELETE",
    "/api/v1/me/addresses/{address_id}",
    policy=signed_in,
    refuses=[AddressNotFound, AccountNotFound, AccountIsErased],
)
async def remove_address(address_id: str, bus: Bus, who: Principal) -> Me:
    """Take an address out of the book; orders keep theirs."""
    return await bus.send(contract.RemoveAddress(account=UUID(who.id), address_id=address_id))


@route(
    "POST",
    "/api/v1/me/kyc",
    policy=signed_in,
    status=201,
    refuses=[KycStateForbids, AccountNotFound, AccountIsErased],
    example={
        "business_number": "123-45-67890",
        "legal_name": "Orchard Co., Ltd.",
        "bank_account": "KB 123456-78-901234",
    },
)
async def submit_kyc(body: HandedIn, bus: Bus, who: Principal) -> Me:
    """Hand in what verifies a seller. Who is not verified is not paid."""
    return await bus.send(
        SubmitKyc(
            account=UUID(who.id),
            business_number=body.business_number,
            legal_name=body.legal_name,
            bank_account=body.bank_account,
        )
    )


@route("GET", "/api/v1/me/export", policy=signed_in, refuses=[AccountNotFound, AccountIsErased], lane="reports")
async def export(bus: Bus, who: Principal) -> Export:
    """All that is kept of oneself."""
    return await facade_export.export(bus, UUID(who.id))


@route("GET", "/api/v1/accounts", policy=verifiers)
async def list_accounts(query: Accounts, db: Reader) -> Page[Account]:
    """Accounts that have registered; with `kyc` only those in that state of verification."""
    found = await facade.listed(db, query.limit + 1, query.kyc, Cursor.read(query.cursor, UUID))
    items = found[: query.limit]
    return Page(items=items, next=Cursor.write(items[-1].account) if len(found) > query.limit else None)


@route("GET", "/api/v1/accounts/{id}", policy=admin, refuses=[AccountNotFound, AccountIsErased])
async def read_account(id: UUID, db: Reader) -> Me:
    """Somebody's account."""
    return await facade.me(db, id)


@route(
    "PUT",
    "/api/v1/accounts/{id}/roles",
    policy=admin,
    refuses=[AccountNotFound, AccountIsErased, RoleNotYours],
    example={"roles": ["seller", "member"], "stores": ["orchard"]},
)
async def set_roles(id: UUID, body: Roles, bus: Bus, who: Principal) -> Me:
    """Say what somebody may do. It acts within a second; nobody gives or takes a staff role that they do not have."""
    return await facade.set_roles(bus, who, id, body.roles, body.stores)


@route("GET", "/api/v1/accounts/{id}/kyc", policy=verifiers, refuses=[AccountNotFound, AccountIsErased], lane="reports")
async def read_kyc(id: UUID, db: Reader) -> Verification:
    """What a seller handed in to be verified."""
    return await facade.verification(db, id)


@route(
    "POST",
    "/api/v1/accounts/{id}/kyc-decision",
    policy=verifiers,
    refuses=[KycStateForbids, AccountNotFound, AccountIsErased],
    example={"verified": True},
)
async def decide_kyc(id: UUID, body: Decision, bus: Bus) -> Me:
    """Decide a seller's verification."""
    return await bus.send(contract.DecideKyc(account=id, verified=body.verified, reason=body.reason))
