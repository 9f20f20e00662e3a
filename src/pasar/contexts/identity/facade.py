"""Accounts: to join, to sign in and out, to change one's own, to verify sellers, to leave. For others: `person` (how to
reach somebody), `address`, `kyc`; for who wires an API: `REVOKING` and `recently_revoked`."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus
from pasar.kernel.messages import FieldError
from pasar.kernel.passwords import Passwords
from pasar.kernel.private import Private
from pasar.kernel.settings_kernel import TokensSettings
from pasar.kernel.store import Reader
from pasar.kernel.throttle import Throttle
from pasar.kernel.tokens import Tokens as Issuer
from pasar.kernel.tokens import new_refresh, refresh_digest
from pasar.kernel.web_refusals import InvalidRequest
from pasar.refusals import (
    AccountIsErased,
    AccountNotFound,
    AddressNotFound,
    BadCredentials,
    ConsentMissing,
    LoginTaken,
    SessionIsOver,
    WeakPassword,
)
from pasar.vocabulary import Address

from . import contract, forms, password
from .account import STAFF, Account
from .account import account as accounts
from .account import answer as me_of
from .contract import AccessRevoked, KycState, Me, Person, Role, Tokens, Verification
from .facade_trust import trusted, use
from .guesses import Guesses
from .policies import recently_revoked, revoked_by
from .sessions import Refresh, new_account_id
from .settings import IdentitySettings

__all__ = ["REVOKING", "recently_revoked"]

REVOKING = {AccessRevoked: revoked_by}
"""For `apps.api.Parts.revoking`. Lost roles, new passwords and erasure revoke too, by this same event."""


# Joining and signing in.


async def guest(bus: Bus) -> Tokens:
    """An account for somebody who has not said who they are."""
    id = new_account_id(bus.ids)
    session, refresh = new_session(bus, id)
    await bus.send(contract.OpenGuest(account=id, session=session))
    return tokens(bus, Account(state="guest", account=id), refresh)


async def register(bus: Bus, who: Principal, body: contract.NewMember) -> Tokens:
    """A new member, signed in. What a guest had in the cart comes along."""
    _check_consents(bus, body.consents)
    id = new_account_id(bus.ids)
    session, refresh = new_session(bus, id, who)
    command = await _registration(bus, id, body, ("member",), session)
    try:
        await bus.send(command)
    except LoginTaken:
        raise LoginTaken from None  # The commit's own sentence names the digest, which is nobody's business.
    return tokens(bus, Account(state="member", account=id, roles=command.roles), refresh)


async def _registration(
    bus: Bus, id: UUID, body: contract.NewMember, roles: tuple[Role, ...], session: contract.StartSession | None
) -> contract.Register:
    mail, name = body.mail.plain_text.strip(), body.name.plain_text.strip()
    mobile = body.mobile.plain_text.strip() if body.mobile else None
    _check_forms(mail=mail, name=name, mobile=mobile)
    return contract.Register(
        account=id,
        login_digest=_digest(bus, mail),
        mail=Private(mail),
        name=Private(name),
        mobile=Private(mobile) if mobile else None,
        mobile_digest=_digest(bus, mobile) if mobile else None,
        password_hash=await _hashed(bus, body.password.plain_text, mail, name, mobile or ""),
        locale=body.locale,
        consents=tuple(sorted(set(body.consents))),
        roles=roles,
        session=session,
    )


def _check_forms(**texts: str | None) -> None:
    errors = tuple(FieldError(field=f"/{field}", detail=detail) for field, detail in forms.wrong(texts))
    if errors:
        raise InvalidRequest(errors=errors)


def _check_consents(bus: Bus, given: Iterable[str]) -> None:
    settings = bus.settings.section(IdentitySettings)
    needed = [f"terms:{settings.terms_version}", f"privacy:{settings.privacy_version}"]
    if missing := sorted(set(needed) - set(given)):
        raise ConsentMissing(f"these consents are needed: {', '.join(missing)}", needed=needed)


def _digest(bus: Bus, login: str) -> str:
    return bus.keys.digest("mail" if "@" in login else "mobile", login, tenant=bus.context.tenant)


def _passwords(bus: Bus) -> Passwords:
    settings = bus.settings.section(IdentitySettings)
    return bus.tool(Passwords, lambda: Passwords(threads=settings.hash_threads, queue=settings.hash_queue))


async def _hashed(bus: Bus, plain: str, *about: str) -> Private[Any]:
    new = password.normalised(plain)
    if (weakness := password.weakness(new, *about)) is not None:
        raise WeakPassword(weakness)
    return Private(await _passwords(bus).hash(new))


async def sign_in(bus: Bus, who: Principal, login: str, plain: str, place: str, code: str | None = None) -> Tokens:
    """By mail address or mobile number. An unknown login costs the same time, and gets the same refusal (4005). Whose
    account has a second factor needs a `code` (4016), which is spent with the session that it begins."""
    digest = _digest(bus, login)
    async with guesses(bus).one(bus.context.tenant, digest, place):
        known = await bus.db.claimed("login", [digest])
        account = await bus.db.state(accounts, known.get(digest, "nobody"))
        if not await is_right(bus, account, plain):
            raise BadCredentials
        assert account is not None
        assert account.account is not None
        session, refresh = new_session(bus, account.account, who)
        spent = await use(bus, account.account, code)
        await bus.send_together(session, *([spent] if spent else []))
    return tokens(bus, await trusted(bus, account, _demanded(bus)), refresh)


def _demanded(bus: Bus) -> bool:
    return bus.settings.section(IdentitySettings).second_factor_for_staff


def guesses(bus: Bus) -> Guesses:
    """Of this process; their counts are those of all processes."""
    return bus.tool(Guesses, lambda: Guesses(bus.tool(Throttle)))


async def is_right(bus: Bus, account: Account | None, plain: str) -> bool:
    """Whether the password is; as slow for somebody who is not there."""
    kept = None if account is None or account.password_hash is None else await bus.keys.open(account.password_hash)
    return await _passwords(bus).verify(kept or None, password.normalised(plain))


async def refresh(bus: Bus, token: str) -> Tokens:
    """The next pair of tokens; asked again within a moment, the same refresh token. One that was used before ends its
    session (4006) and kills the access tokens."""
    old = Refresh.read(token)
    family_digest, digest = refresh_digest(old.family), refresh_digest(old.secret)
    # Only we can tell what follows a token, and always the same: so a repeat does not end the session.
    secret = bus.keys.digest("refresh", f"{old.family}.{old.secret}", tenant=bus.context.tenant)
    try:
        await bus.send(
            contract.RefreshSession(
                account=old.account,
                session=old.session,
                family_digest=family_digest,
                refresh_digest=digest,
                new_digest=refresh_digest(secret),
                expires_at=bus.now() + timedelta(days=bus.settings.section(TokensSettings).refresh_days),
                now=bus.now(),
            )
        )
    except (AccountNotFound, AccountIsErased):
        raise SessionIsOver from None
    account = await bus.db.state(accounts, old.account)
    session = account and account.session(old.session)
    if account is None or session is None or session.digest != refresh_digest(secret):
        raise SessionIsOver("the refresh token was used before; sign in again")
    return tokens(bus, await trusted(bus, account, _demanded(bus)), old._replace(secret=secret))


async def sign_out(bus: Bus, who: Principal) -> None:
    """Ends the session that the access token came from; all access tokens of the account die, the other sessions take
    new ones with their refresh tokens."""
    if who.session:
        await bus.send(contract.EndSession(account=UUID(who.id), session=UUID(who.session)))


async def sign_out_everywhere(bus: Bus, account: UUID) -> None:
    await bus.send(contract.EndSessions(account=account))


def new_session(bus: Bus, account: UUID, before: Principal | None = None) -> tuple[contract.StartSession, Refresh]:
    """The command that begins a session, and the refresh token that the client gets. `before` is who signs in."""
    family, family_digest = new_refresh()
    secret, digest = new_refresh()
    session = bus.ids.uuid()
    command = contract.StartSession(
        account=account,
        session=session,
        family_digest=family_digest,
        refresh_digest=digest,
        expires_at=bus.now() + timedelta(days=bus.settings.section(TokensSettings).refresh_days),
        guest=UUID(before.id) if before is not None and before.kind == "guest" else None,
    )
    return command, Refresh(account, session, family, secret)


def principal(account: Account, tenant: int, session: UUID | None = None) -> Principal:
    """Who an account is, for its tokens."""
    return Principal(
        id=str(account.account),
        kind=account.kind,
        roles=frozenset(account.roles),
        stores=frozenset(account.stores),
        tenant=tenant,
        version=account.token_version,
        session=str(session or ""),
    )


def tokens(bus: Bus, account: Account, refresh: Refresh) -> Tokens:
    """What the client gets: a short-lived token to act with, and a long-lived one to get the next with."""
    issuer = bus.tool(Issuer)
    return Tokens(
        account=refresh.account,
        access_token=issuer.issue(principal(account, bus.context.tenant, refresh.session)),
        refresh_token=str(refresh),
        expires_in=issuer.lifetime_s,
    )


# One's own account.


async def account_of(db: Reader, id: UUID) -> Account:
    found = await db.state(accounts, id)
    if found is None:
        raise AccountNotFound(f"there is no account {id}")
    if found.state == "erased":
        raise AccountIsErased
    return found


async def me(db: Reader, id: UUID) -> Me:
    found = me_of(await account_of(db, id))
    assert found is not None
    return found


async def change_password(bus: Bus, id: UUID, old: str, new: str, place: str) -> Tokens:
    """Ends every session and begins a new one."""
    await check_password(bus, id, old, place)
    account = await account_of(bus.db, id)
    known = await bus.keys.open_all([one for one in (account.mail, account.name, account.mobile) if one])
    hashed = await _hashed(bus, new, *(one.plain_text for one in known))
    session, refresh = new_session(bus, id)
    await bus.send(contract.ChangePassword(account=id, password_hash=hashed, session=session))
    return tokens(bus, await trusted(bus, await account_of(bus.db, id), _demanded(bus)), refresh)


async def check_password(bus: Bus, id: UUID, plain: str, place: str) -> None:
    """Refuses (4005) a password that is not the account's; guesses are counted."""
    account = await account_of(bus.db, id)
    async with guesses(bus).one(bus.context.tenant, str(id), place):
        if not await is_right(bus, account, plain):
            raise BadCredentials


async def change_profile(bus: Bus, id: UUID, name: Private[Any] | None, locale: contract.Locale | None) -> Me:
    if name is not None:
        _check_forms(name=name.plain_text.strip())
    return await bus.send(contract.ChangeProfile(account=id, name=name, locale=locale))


async def add_address(bus: Bus, id: UUID, body: contract.NewAddress) -> Me:
    """A new entry of the address book, or an old one with other content where the client names its id."""
    return await bus.send(
        contract.AddAddress(
            account=id,
            address_id=body.address_id or str(bus.ids.uuid()),
            address=body.address,
            is_default=body.is_default,
        )
    )


# Staff.


async def set_roles(bus: Bus, who: Principal, id: UUID, roles: tuple[Role, ...], stores: tuple[str, ...] = ()) -> Me:
    """What somebody may do, within a second. What the giver has is read from the log, not from their token."""
    giver = await account_of(bus.db, UUID(who.id))
    return await bus.send(contract.SetRoles(account=id, roles=roles, stores=stores, granted_by=giver.roles))


async def find(bus: Bus, login: str) -> UUID | None:
    """Whose login this mail address or mobile number is; by its keyed digest, so it must be the whole of it."""
    digest = _digest(bus, login)
    owner = (await bus.db.claimed("login", [digest])).get(digest)
    return None if owner is None else UUID(owner)


async def reveal(bus: Bus, who: Principal, id: UUID, reason: str) -> Me:
    """Somebody's account for a colleague who must see what is personal; who it was and why is recorded first."""
    await account_of(bus.db, id)
    await bus.send(contract.NoteReveal(account=id, by=UUID(who.id), reason=reason))
    return await me(bus.db, id)


async def verification(db: Reader, id: UUID) -> Verification:
    """What a seller handed in."""
    found = (await account_of(db, id)).verification
    if found is None:
        raise AccountNotFound(f"the account {id} has handed in nothing")
    return found


async def listed(
    db: Reader, limit: int, kyc: KycState | None = None, after: UUID | None = None
) -> list[contract.Account]:
    """Accounts that have registered, by id; those with a state of verification only, where one is named."""
    return await db.all(
        contract.Account,
        """select account, kind, roles, stores, kyc, erased, opened_at from identity.accounts
            where tenant = $1 and ($2::text is null or kyc = $2) and account > $3 order by account limit $4""",
        *(db.tenant, kyc, after or UUID(int=0), limit),
    )


async def ensure_admin(bus: Bus, mail: str, plain: str) -> UUID:
    """The first account of staff, with every staff role, so that it can give each of them."""
    return await ensure_account(bus, mail, plain, "Administrator", (*STAFF, "member"))


async def ensure_account(bus: Bus, mail: str, plain: str, name: str, roles: tuple[Role, ...]) -> UUID:
    """An account that a deployment begins with. Made once: when the login exists, that account is returned as it is."""
    known = await bus.db.claimed("login", [digest := _digest(bus, mail)])
    if digest in known:
        return UUID(known[digest])
    id = new_account_id(bus.ids)
    body = contract.NewMember(mail=Private(mail), name=Private(name), password=Private(plain))
    await bus.send(await _registration(bus, id, body, roles, None))
    return id


# For other contexts.


async def address(db: Reader, id: UUID, address_id: str) -> Address:
    """An entry of somebody's address book, sealed. It may go into events of the same person as it is: an envelope names
    the event that it was sealed for, so a copy opens wherever it stands, and dies with the person's key."""
    account = await db.state(accounts, id)
    found = next((one for one in account.addresses if one.address_id == address_id), None) if account else None
    if found is None:
        raise AddressNotFound(f"there is no address {address_id}")
    return found.address


async def people(db: Reader, ids: Iterable[UUID]) -> Mapping[UUID, Person]:
    """How to reach these, sealed; those that there are. The erased are among them, without anything."""
    found: dict[str, Account] = await db.states(accounts, ids)
    return {
        UUID(id): Person(
            account=UUID(id), mail=one.mail, name=one.name, locale=one.locale, erased=one.state == "erased"
        )
        for id, one in found.items()
    }


async def kyc(db: Reader, ids: Iterable[UUID]) -> Mapping[UUID, KycState]:
    """How far the verification of each is; who is unknown has none."""
    ids = list(ids)
    found: dict[str, Account] = await db.states(accounts, ids)
    return {id: found[str(id)].kyc if str(id) in found else "none" for id in ids}
