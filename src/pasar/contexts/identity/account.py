"""Whoever acts: a guest, a member, a seller, staff; their sessions, addresses and verification, until they leave."""

from datetime import datetime, timedelta
from typing import Literal, assert_never
from uuid import UUID

from msgspec.structs import replace

from pasar.kernel.decider import Decider, Give, Take, Unique
from pasar.kernel.messages import Value
from pasar.kernel.private import Private
from pasar.refusals import (
    AccountIsErased,
    AccountNotFound,
    AddressNotFound,
    KycStateForbids,
    LoginTaken,
    RoleNotYours,
    SessionIsOver,
    TooManyAddresses,
)
from pasar.vocabulary import AccountId, Contact, StoreId

from .contract import (
    MAX_ADDRESSES,
    MAX_SESSIONS,
    REPEAT_S,
    AccessRevoked,
    AccountErased,
    AddAddress,
    AddressAdded,
    AddressRemoved,
    ChangePassword,
    ChangeProfile,
    DecideKyc,
    EndSession,
    EndSessions,
    EraseAccount,
    GuestOpened,
    Kind,
    KycDecided,
    KycState,
    KycSubmitted,
    Locale,
    Me,
    NoteReveal,
    OpenGuest,
    PasswordChanged,
    PersonRevealed,
    ProfileChanged,
    RefreshSession,
    Register,
    Registered,
    RemoveAddress,
    Role,
    RolesSet,
    SavedAddress,
    SessionEnded,
    SessionRefreshed,
    SessionStarted,
    SetRoles,
    StartSession,
    SubmitKyc,
    Verification,
)

AccountCommand = (
    OpenGuest | Register | ChangeProfile | ChangePassword | StartSession | RefreshSession | EndSession | EndSessions
    | SetRoles | AddAddress | RemoveAddress | SubmitKyc | DecideKyc | NoteReveal | EraseAccount
)  # fmt: skip
AccountEvent = (
    GuestOpened | Registered | ProfileChanged | PasswordChanged | SessionStarted | SessionRefreshed | SessionEnded
    | AccessRevoked | RolesSet | AddressAdded | AddressRemoved | KycSubmitted | KycDecided | PersonRevealed
    | AccountErased
)  # fmt: skip
STAFF: tuple[Role, ...] = ("admin", "finance", "warehouse", "manager")
_BY_WEIGHT: tuple[Role, ...] = (*STAFF, "seller", "member")
logins = Unique("login", LoginTaken)


class Session(Value):
    session: UUID
    family: str
    digest: str
    expires_at: datetime
    before: str | None = None
    """The digest of the token that was good before, and when it was changed."""
    turned_at: datetime | None = None


class Account(Value):
    """`token_version`: access tokens with a lower one are dead."""

    state: Literal["new", "guest", "member", "erased"] = "new"
    account: AccountId | None = None
    mail: Private[Contact] | None = None
    name: Private[Contact] | None = None
    mobile: Private[Contact] | None = None
    password_hash: Private[Contact] | None = None
    login_digest: str | None = None
    mobile_digest: str | None = None
    locale: Locale = "ko"
    consents: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ()
    stores: tuple[StoreId, ...] = ()
    kyc: KycState = "none"
    kyc_reason: str = ""
    verification: Verification | None = None
    addresses: tuple[SavedAddress, ...] = ()
    sessions: tuple[Session, ...] = ()
    token_version: int = 0

    @property
    def kind(self) -> Kind:
        """What the account mainly is: the weightiest of its roles."""
        return min(self.roles, key=_BY_WEIGHT.index) if self.roles else "guest"

    def session(self, id: UUID) -> Session | None:
        return next((one for one in self.sessions if one.session == id), None)


def decide(command: AccountCommand, account: Account) -> list[AccountEvent]:
    if isinstance(command, OpenGuest | Register):
        return _opened(command, account)
    if account.state == "new":
        raise AccountNotFound(f"there is no account {command.account}")
    if account.state == "erased":
        if isinstance(command, EraseAccount):
            return []  # A repeat.
        raise AccountIsErased
    match command:
        case StartSession() | RefreshSession() | EndSession() | EndSessions() | ChangePassword():
            return _of_sessions(command, account)
        case AddAddress() | RemoveAddress():
            return _of_addresses(command, account)
        case SubmitKyc() | DecideKyc():
            return _of_kyc(command, account)
        case SetRoles():
            return _roles(command, account)
        case ChangeProfile(name=name, locale=locale):
            if name is None and locale in (None, account.locale):
                return []
            return [ProfileChanged(account=command.account, name=name, locale=locale)]
        case NoteReveal(account=id, by=by, reason=reason):
            return [PersonRevealed(account=id, by=by, reason=reason)]
        case EraseAccount(account=id):
            erased = AccountErased(account=id, login_digest=account.login_digest, mobile_digest=account.mobile_digest)
            return [erased, _revoked(id, account)]
        case _:
            assert_never(command)


def _opened(command: OpenGuest | Register, account: Account) -> list[AccountEvent]:
    if account.state != "new":
        raise LoginTaken("there is an account with this id")
    session = [] if command.session is None else [_started(command.session)]
    if isinstance(command, OpenGuest):
        return [GuestOpened(account=command.account), *session]
    fields = {name: getattr(command, name) for name in Registered.__struct_fields__}
    return [Registered(**fields), *session]


def _started(command: StartSession) -> SessionStarted:
    return SessionStarted(**{name: getattr(command, name) for name in command.__struct_fields__})


def _revoked(id: AccountId, account: Account) -> AccessRevoked:
    return AccessRevoked(account=id, token_version=account.token_version + 1)


def _ended(id: AccountId, account: Account) -> list[AccountEvent]:
    return [SessionEnded(account=id, session=one.session) for one in account.sessions]


def _of_sessions(
    command: StartSession | RefreshSession | EndSession | EndSessions | ChangePassword, account: Account
) -> list[AccountEvent]:
    id = command.account
    match command:
        case StartSession():
            if account.session(command.session) is not None:
                return []  # A repeat.
            kept = sorted(account.sessions, key=lambda one: one.expires_at)
            surplus = kept[: max(0, len(kept) + 1 - MAX_SESSIONS)]
            return [*(SessionEnded(account=id, session=one.session) for one in surplus), _started(command)]
        case RefreshSession():
            return _refreshed(command, account)
        case EndSession(session=session):
            if account.session(session) is None:
                return []  # A repeat.
            return [SessionEnded(account=id, session=session), _revoked(id, account)]
        case EndSessions():
            return [*_ended(id, account), _revoked(id, account)]
        case ChangePassword(password_hash=password_hash, session=session):
            if account.password_hash is None:
                raise AccountNotFound("a guest has no password")
            begun = [] if session is None else [_started(session)]
            changed = PasswordChanged(account=id, password_hash=password_hash)
            return [changed, *_ended(id, account), _revoked(id, account), *begun]
        case _:
            assert_never(command)


def _refreshed(command: RefreshSession, account: Account) -> list[AccountEvent]:
    session = account.session(command.session)
    if session is None or session.family != command.family_digest or command.now >= session.expires_at:
        raise SessionIsOver
    if session.digest != command.refresh_digest:
        if _is_repeat(command, session):
            return []
        # It has our secret of the family, so we did give it out, and it was used before.
        ended = SessionEnded(account=command.account, session=session.session, stolen=True)
        return [ended, _revoked(command.account, account)]
    return [
        SessionRefreshed(
            account=command.account,
            session=command.session,
            refresh_digest=command.new_digest,
            expires_at=command.expires_at,
            at=command.now,
        )
    ]


def _is_repeat(command: RefreshSession, session: Session) -> bool:
    asked = session.before == command.refresh_digest and session.digest == command.new_digest
    return asked and session.turned_at is not None and command.now - session.turned_at <= timedelta(seconds=REPEAT_S)


def _of_addresses(command: AddAddress | RemoveAddress, account: Account) -> list[AccountEvent]:
    known = next((one for one in account.addresses if one.address_id == command.address_id), None)
    match command:
        case AddAddress(account=id, address_id=address_id, address=address, is_default=is_default):
            if known is None and len(account.addresses) >= MAX_ADDRESSES:
                raise TooManyAddresses(f"an address book takes {MAX_ADDRESSES} addresses")
            first = not account.addresses or (known is not None and known.is_default)
            return [AddressAdded(account=id, address_id=address_id, address=address, is_default=is_default or first)]
        case RemoveAddress(account=id, address_id=address_id):
            if known is None:
                raise AddressNotFound(f"there is no address {address_id}")
            return [AddressRemoved(account=id, address_id=address_id)]
        case _:
            assert_never(command)


def _of_kyc(command: SubmitKyc | DecideKyc, account: Account) -> list[AccountEvent]:
    match command:
        case SubmitKyc():
            if account.state == "guest" or account.kyc not in ("none", "rejected"):
                raise KycStateForbids(f"a verification that is {account.kyc} cannot be handed in")
            return [KycSubmitted(**{name: getattr(command, name) for name in command.__struct_fields__})]
        case DecideKyc(account=id, verified=verified, reason=reason):
            wanted: KycState = "verified" if verified else "rejected"
            if account.kyc == wanted:
                return []  # A repeat.
            if account.kyc != "submitted":
                raise KycStateForbids(f"a verification that is {account.kyc} cannot be decided")
            return [KycDecided(account=id, state=wanted, reason=reason)]
        case _:
            assert_never(command)


def _roles(command: SetRoles, account: Account) -> list[AccountEvent]:
    if account.state == "guest":
        raise AccountNotFound("a guest has no roles; they register first")
    roles = tuple(sorted(set(command.roles), key=_BY_WEIGHT.index))
    stores = tuple(sorted(set(command.stores)))
    if (roles, stores) == (account.roles, account.stores):
        return []
    changed = set(roles) ^ set(account.roles)
    if command.granted_by is not None:
        foreign = sorted(changed & set(STAFF) - set(command.granted_by))
        if foreign:
            raise RoleNotYours(f"you are not {', '.join(foreign)} yourself")
    set_ = RolesSet(account=command.account, roles=roles, stores=stores)
    return [set_, _revoked(command.account, account)]


def evolve(account: Account, event: AccountEvent) -> Account:
    match event:
        case GuestOpened(account=id):
            return Account(state="guest", account=id)
        case Registered():
            fields = {name: getattr(event, name) for name in event.__struct_fields__}
            return Account(state="member", **fields)
        case ProfileChanged(name=name, locale=locale):
            return replace(account, name=name or account.name, locale=locale or account.locale)
        case PasswordChanged(password_hash=password_hash):
            return replace(account, password_hash=password_hash)
        case SessionStarted() | SessionRefreshed() | SessionEnded():
            return replace(account, sessions=_sessions(account, event))
        case AccessRevoked(token_version=version):
            return replace(account, token_version=version)
        case RolesSet(roles=roles, stores=stores):
            return replace(account, roles=roles, stores=stores)
        case AddressAdded() | AddressRemoved():
            return replace(account, addresses=_addresses(account, event))
        case KycSubmitted(business_number=number, legal_name=name, bank_account=bank_account):
            handed_in = Verification(business_number=number, legal_name=name, bank_account=bank_account)
            return replace(account, kyc="submitted", kyc_reason="", verification=handed_in)
        case KycDecided(state=state, reason=reason):
            return replace(account, kyc=state, kyc_reason=reason)
        case PersonRevealed():
            return account
        case AccountErased(account=id):
            return Account(state="erased", account=id, token_version=account.token_version)
        case _:
            assert_never(event)


def _sessions(account: Account, event: SessionStarted | SessionRefreshed | SessionEnded) -> tuple[Session, ...]:
    others = tuple(one for one in account.sessions if one.session != event.session)
    if isinstance(event, SessionEnded):
        return others
    before = account.session(event.session)
    family = event.family_digest if isinstance(event, SessionStarted) else before.family if before else ""
    turned = isinstance(event, SessionRefreshed)
    now = Session(
        session=event.session,
        family=family,
        digest=event.refresh_digest,
        expires_at=event.expires_at,
        before=before.digest if turned and before else None,
        turned_at=event.at if turned else None,
    )
    return (*others, now)


def _addresses(account: Account, event: AddressAdded | AddressRemoved) -> tuple[SavedAddress, ...]:
    """Exactly one is the default, as long as there is any."""
    others = tuple(one for one in account.addresses if one.address_id != event.address_id)
    if isinstance(event, AddressAdded):
        added = SavedAddress(address_id=event.address_id, address=event.address, is_default=event.is_default)
        if event.is_default:
            others = tuple(replace(one, is_default=False) for one in others)
        return (*others, added)
    if others and not any(one.is_default for one in others):
        return (replace(others[0], is_default=True), *others[1:])
    return others


def claims(event: AccountEvent) -> list[Take | Give]:
    match event:
        case Registered(login_digest=digest, mobile_digest=mobile):
            return [logins.take(one) for one in (digest, mobile) if one is not None]
        case AccountErased(login_digest=digest, mobile_digest=mobile):
            return [logins.give(one) for one in (digest, mobile) if one is not None]
        case _:
            return []


def answer(account: Account) -> Me | None:
    if account.account is None or account.state == "erased":
        return None
    shared = set(Me.__struct_fields__) & set(Account.__struct_fields__)
    return Me(kind=account.kind, **{name: getattr(account, name) for name in shared})


account = Decider(
    "identity.account", "account", Account(), decide, evolve, claims=claims, answer=answer, state_schema=2
)
