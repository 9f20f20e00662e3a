"""The second factor of a sign-in: an authenticator app that shows a code every 30 seconds (TOTP, RFC 6238)."""

from typing import Literal
from uuid import UUID

from pasar.kernel.messages import Answer, Body, Command, Event
from pasar.kernel.private import Private
from pasar.vocabulary import AccountId, Contact


class BeginSecondFactor(Command):
    """Enrol: the app gets this secret. Until a code has confirmed it, it may be begun again and is not asked for."""

    opens = True
    account: AccountId
    secret: Private[Contact]


class ConfirmSecondFactor(Command):
    """The app showed a right code, that of `step`. `recovery` are the digests of the codes for the day it is lost."""

    account: AccountId
    step: int
    recovery: Private[Contact]


class UseSecondFactor(Command):
    """A right code, that of `step`, or recovery code number `recovery`. Each is good once."""

    account: AccountId
    step: int | None = None
    recovery: int | None = None


class RemoveSecondFactor(Command):
    account: AccountId
    by: str


class SecondFactorBegun(Event):
    account: AccountId
    secret: Private[Contact]

    @property
    def person(self) -> UUID:
        return self.account


class SecondFactorConfirmed(Event):
    account: AccountId
    step: int
    recovery: Private[Contact]

    @property
    def person(self) -> UUID:
        return self.account


class SecondFactorUsed(Event):
    account: AccountId
    step: int | None = None
    recovery: int | None = None


class SecondFactorRemoved(Event):
    account: AccountId
    by: str


class SecondFactorStatus(Answer):
    account: AccountId
    state: Literal["none", "begun", "on"]
    recovery_left: int = 0


class Enrolment(Answer):
    """What the authenticator app needs, as text and as an address to show as a QR code. Shown once."""

    secret: str
    uri: str


class Confirmed(Answer):
    """Recovery codes, each good once instead of a code of the app; shown once. All other sessions have ended."""

    recovery_codes: tuple[str, ...]
    access_token: str
    refresh_token: str
    expires_in: int


class Password(Body):
    """Who enrols says once more who they are."""

    password: Private[Contact]


class Code(Body):
    """Six digits of the app."""

    code: Private[Contact]


class PasswordAndCode(Body):
    password: Private[Contact]
    code: Private[Contact]
