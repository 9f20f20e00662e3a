"""Who signs in, and what they may do: what may be said to identity, heard from it, and read in it.

Logins are compared by keyed digests that the facade makes; the log holds no mail address or number in clear. Password
hashes are private too: a stolen copy of the database, without the key store, offers nothing to guess at.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from pasar.kernel.free_text import TextBody
from pasar.kernel.messages import Answer, Command, Event
from pasar.kernel.private import Private
from pasar.vocabulary import AccountId, Address, Contact, Identity, Language, StoreId

Kind = Literal["guest", "member", "seller", "manager", "admin", "finance", "warehouse"]
Role = Literal["member", "seller", "manager", "admin", "finance", "warehouse"]
KycState = Literal["none", "submitted", "verified", "rejected"]
Locale = Language
MAX_ADDRESSES = 20
MAX_SESSIONS = 20
"""A further sign-in ends the one that would have ended first."""


class StartSession(Command):
    """`family_digest` stays for the session's life, `refresh_digest` is that of the token that is good next. `guest` is
    who signed in: what they did as a guest comes along."""

    account: AccountId
    session: UUID
    family_digest: str
    refresh_digest: str
    expires_at: datetime
    guest: AccountId | None = None


class OpenGuest(Command):
    """Somebody who has not said who they are; a guest has a cart and can order."""

    opens = True
    account: AccountId
    session: StartSession | None = None


class Register(Command):
    """A new member, signed in at once where `session` is given. The digests are taken as claims; `consents` name a
    purpose and a version each, `terms:2026-01`."""

    opens = True
    account: AccountId
    login_digest: str
    mail: Private[Contact]
    name: Private[Contact]
    mobile: Private[Contact] | None = None
    mobile_digest: str | None = None
    password_hash: Private[Contact]
    locale: Locale = "ko"
    consents: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ("member",)
    session: StartSession | None = None


class ChangeProfile(Command):
    """What is None stays as it is."""

    account: AccountId
    name: Private[Contact] | None = None
    locale: Locale | None = None


class ChangePassword(Command):
    """Ends all sessions; the one given begins."""

    account: AccountId
    password_hash: Private[Contact]
    session: StartSession | None = None


REPEAT_S = 30
"""How long the answer to a refresh token can be had again."""


class RefreshSession(Command):
    """A refresh token is good once, and repeated within `REPEAT_S` it gets the same next one: a reply may get lost, and
    two pages may ask at once. One of this family that was used before ends the session: it was stolen. One that was
    never given out is refused and ends nothing. `new_digest` follows from the old token."""

    account: AccountId
    session: UUID
    family_digest: str
    refresh_digest: str
    new_digest: str
    expires_at: datetime
    now: datetime


class EndSession(Command):
    account: AccountId
    session: UUID


class EndSessions(Command):
    """Everywhere."""

    account: AccountId


class SetRoles(Command):
    """`granted_by` are the roles of who does it: nobody gives or takes a staff role that they do not have. None: the
    system itself."""

    account: AccountId
    roles: Annotated[tuple[Role, ...], Meta(min_length=1, max_length=6)]
    stores: Annotated[tuple[StoreId, ...], Meta(max_length=100)] = ()
    granted_by: tuple[Role, ...] | None = None


class AddAddress(Command):
    account: AccountId
    address_id: str
    address: Address
    is_default: bool = False


class RemoveAddress(Command):
    account: AccountId
    address_id: str


class SubmitKyc(Command):
    """Who is to be paid says who they are. After a rejection it may be handed in again."""

    account: AccountId
    business_number: Private[Identity]
    legal_name: Private[Identity]
    bank_account: Private[Identity]


class DecideKyc(Command):
    account: AccountId
    verified: bool
    reason: str = ""


class NoteReveal(Command):
    """A colleague looks at what is personal of somebody, and says why."""

    account: AccountId
    by: AccountId
    reason: Annotated[str, Meta(min_length=3, max_length=500)]


class EraseAccount(Command):
    """The person leaves. Logins are given back, sessions end; the facade then destroys the person's keys."""

    account: AccountId


class GuestOpened(Event):
    account: AccountId


class Registered(Event):
    account: AccountId
    login_digest: str
    mail: Private[Contact]
    name: Private[Contact]
    mobile: Private[Contact] | None
    mobile_digest: str | None
    password_hash: Private[Contact]
    locale: Locale
    consents: tuple[str, ...]
    roles: tuple[Role, ...]

    @property
    def person(self) -> UUID:
        return self.account


class ProfileChanged(Event):
    account: AccountId
    name: Private[Contact] | None
    locale: Locale | None

    @property
    def person(self) -> UUID:
        return self.account


class PasswordChanged(Event):
    account: AccountId
    password_hash: Private[Contact]

    @property
    def person(self) -> UUID:
        return self.account


class SessionStarted(Event):
    account: AccountId
    session: UUID
    family_digest: str
    refresh_digest: str
    expires_at: datetime
    guest: AccountId | None = None


class SessionRefreshed(Event):
    account: AccountId
    session: UUID
    refresh_digest: str
    expires_at: datetime
    at: datetime | None = None


class SessionEnded(Event):
    account: AccountId
    session: UUID
    stolen: bool = False


class AccessRevoked(Event):
    """Access tokens below this version are dead; processes hear it within a second."""

    account: AccountId
    token_version: int


class RolesSet(Event):
    account: AccountId
    roles: tuple[Role, ...]
    stores: tuple[StoreId, ...]


class AddressAdded(Event):
    account: AccountId
    address_id: str
    address: Address
    is_default: bool

    @property
    def person(self) -> UUID:
        return self.account


class AddressRemoved(Event):
    account: AccountId
    address_id: str


class KycSubmitted(Event):
    account: AccountId
    business_number: Private[Identity]
    legal_name: Private[Identity]
    bank_account: Private[Identity]

    @property
    def person(self) -> UUID:
        return self.account


class KycDecided(Event):
    account: AccountId
    state: KycState
    reason: str


class PersonRevealed(Event):
    """`by` saw name, addresses and numbers of the account in clear."""

    account: AccountId
    by: AccountId
    reason: str


class AccountErased(Event):
    account: AccountId
    login_digest: str | None
    mobile_digest: str | None = None


Consent = Annotated[str, Meta(pattern=r"^[a-z_]{1,40}:[A-Za-z0-9._-]{1,40}$", examples=["terms:2026-01"])]


class NewMember(TextBody):
    """Who joins. `consents`: purpose and version of each; terms and privacy are needed."""

    free_texts = ("name",)
    mail: Private[Contact]
    name: Private[Contact]
    password: Private[Contact]
    mobile: Private[Contact] | None = None
    locale: Locale = "ko"
    consents: Annotated[tuple[Consent, ...], Meta(max_length=20)] = ()


class NewAddress(TextBody):
    """With the id of an entry that there is, it takes its place."""

    free_texts = ("address",)
    address: Address
    address_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    is_default: bool = False


class SavedAddress(Answer):
    address_id: Annotated[str, Meta(max_length=64)]
    address: Address
    is_default: bool = False


class Me(Answer):
    """An account as its owner and staff see it."""

    account: AccountId
    kind: Kind
    mail: Private[Contact] | None = None
    name: Private[Contact] | None = None
    mobile: Private[Contact] | None = None
    locale: Locale = "ko"
    roles: tuple[Role, ...] = ()
    stores: tuple[StoreId, ...] = ()
    kyc: KycState = "none"
    kyc_reason: str = ""
    addresses: tuple[SavedAddress, ...] = ()


class Person(Answer):
    """How somebody is reached; sealed until the key store opens it."""

    account: AccountId
    mail: Private[Contact] | None = None
    name: Private[Contact] | None = None
    locale: Locale = "ko"
    erased: bool = False


class Account(Answer):
    """An account in the list of staff: nothing personal."""

    account: AccountId
    kind: Kind
    roles: tuple[Role, ...] = ()
    stores: tuple[StoreId, ...] = ()
    kyc: KycState = "none"
    erased: bool = False
    opened_at: datetime


class OpenSession(Answer):
    session: UUID
    expires_at: datetime


class Verification(Answer):
    """What a seller handed in for the KYC."""

    business_number: Private[Identity]
    legal_name: Private[Identity]
    bank_account: Private[Identity]


class GivenConsent(Answer):
    """What somebody agreed to: for which purpose, and which version of its text."""

    purpose: str
    version: str


class ToldBefore(Answer):
    """One thing that a person once said of themselves: when, by which event, in which field."""

    at: datetime
    what: str
    field: str
    value: Private[Contact]


class Export(Answer):
    """All that is kept of a person: identity's own part, and under `others` what each other context has."""

    me: Me
    consents: tuple[GivenConsent, ...] = ()
    sessions: tuple[OpenSession, ...] = ()
    verification: Verification | None = None
    told: tuple[ToldBefore, ...] = ()
    """All that the person ever said of themselves, oldest first, changed since or not."""
    others: dict[str, Any] = {}


class Tokens(Answer):
    """What a sign-in gives. `expires_in` in seconds, of the access token."""

    account: AccountId
    access_token: str
    refresh_token: str
    expires_in: int
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
