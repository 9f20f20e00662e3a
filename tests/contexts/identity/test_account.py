"""The rules of an account, as pure functions."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from pasar.contexts.identity import contract as c
from pasar.contexts.identity.account import account, claims
from pasar.contexts.identity.password import normalised, weakness
from pasar.kernel.decider import Give, Take
from pasar.kernel.private import Private
from pasar.kernel.testing import scenario
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
from pasar.vocabulary import Address

check = scenario(account)
ME = UUID(int=1)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def sealed(text: str) -> Private[Any]:
    return Private.sealed("key", "event", "field", text)


def joined(*roles: Any) -> c.Registered:
    return c.Registered(
        account=ME,
        login_digest="mail",
        mail=sealed("m"),
        name=sealed("n"),
        mobile=sealed("t"),
        mobile_digest="mobile",
        password_hash=sealed("h"),
        locale="ko",
        consents=(),
        roles=roles or ("member",),
    )


def begin(number: int, days: int = 30) -> c.StartSession:
    return c.StartSession(
        account=ME,
        session=UUID(int=number),
        family_digest=f"f{number}",
        refresh_digest="d0",
        expires_at=NOW + timedelta(days=days),
    )


def begun(number: int, days: int = 30) -> c.SessionStarted:
    wish = begin(number, days)
    return c.SessionStarted(**{name: getattr(wish, name) for name in wish.__struct_fields__})


def refresh(digest: str = "d0", family: str = "f1", now: datetime = NOW, session: int = 1) -> c.RefreshSession:
    return c.RefreshSession(
        account=ME,
        session=UUID(int=session),
        family_digest=family,
        refresh_digest=digest,
        new_digest="d1",
        expires_at=NOW + timedelta(days=31),
        now=now,
    )


def refreshed() -> c.SessionRefreshed:
    return c.SessionRefreshed(
        account=ME, session=UUID(int=1), refresh_digest="d1", expires_at=NOW + timedelta(days=31), at=NOW
    )  # fmt: skip


def ended(number: int, stolen: bool = False) -> c.SessionEnded:
    return c.SessionEnded(account=ME, session=UUID(int=number), stolen=stolen)


def revoked(version: int = 1) -> c.AccessRevoked:
    return c.AccessRevoked(account=ME, token_version=version)


def test_a_guest_begins_with_a_session() -> None:
    check(given=[], when=c.OpenGuest(account=ME, session=begin(1)), then=[c.GuestOpened(account=ME), begun(1)])


def test_an_account_is_opened_once() -> None:
    check(given=[joined()], when=c.OpenGuest(account=ME), then=LoginTaken)


def test_nobody_signs_in_to_an_account_that_does_not_exist() -> None:
    check(given=[], when=begin(1), then=AccountNotFound)


def test_logins_are_taken_when_somebody_joins_and_given_back_when_they_leave() -> None:
    assert claims(joined()) == [Take("login", "mail"), Take("login", "mobile")]
    left = c.AccountErased(account=ME, login_digest="mail", mobile_digest="mobile")
    assert claims(left) == [Give("login", "mail"), Give("login", "mobile")]
    check(given=[joined(), begun(1)], when=c.EraseAccount(account=ME), then=[left, revoked()])


def test_a_refresh_token_is_changed_for_the_next() -> None:
    check(given=[joined(), begun(1)], when=refresh(), then=[refreshed()])


def test_a_token_that_was_used_before_ends_the_session_and_kills_access() -> None:
    given = [joined(), begun(1), begun(2), refreshed()]
    late = NOW + timedelta(seconds=c.REPEAT_S + 1)
    check(given=given, when=refresh("d0", now=late), then=[ended(1, stolen=True), revoked()])


def test_within_a_moment_it_is_a_repeat_but_only_of_the_last_one_and_for_the_same_answer() -> None:
    given = [joined(), begun(1), refreshed()]
    check(given=given, when=refresh("d0", now=NOW + timedelta(seconds=c.REPEAT_S)), then=[])
    stolen = [ended(1, stolen=True), revoked()]
    check(given=given, when=replace(refresh("d0"), new_digest="d9"), then=stolen)
    later = replace(refreshed(), refresh_digest="d2")
    check(given=[*given, later], when=refresh("d0"), then=stolen)
    check(given=[*given, replace(refreshed(), at=None)], when=refresh("d0"), then=stolen)


def test_a_token_that_was_never_given_out_ends_nothing() -> None:
    check(given=[joined(), begun(1)], when=refresh(family="f9"), then=SessionIsOver)
    check(given=[joined(), begun(1)], when=refresh(session=9), then=SessionIsOver)


def test_a_session_is_over_at_its_end() -> None:
    check(given=[joined(), begun(1)], when=refresh(now=NOW + timedelta(days=30)), then=SessionIsOver)


def test_of_too_many_sessions_the_one_that_ends_first_is_ended() -> None:
    given = [joined(), *(begun(n, days=100 - n) for n in range(1, c.MAX_SESSIONS + 1))]
    check(given=given, when=begin(99), then=[ended(c.MAX_SESSIONS), begun(99)])


def test_signing_out_twice_is_signing_out_once() -> None:
    check(given=[joined(), begun(1)], when=c.EndSession(account=ME, session=UUID(int=1)), then=[ended(1), revoked()])
    given = [joined(), begun(1), ended(1), revoked()]
    check(given=given, when=c.EndSession(account=ME, session=UUID(int=1)), then=[])


def test_every_revocation_raises_the_version() -> None:
    given = [joined(), begun(1), ended(1), revoked(1)]
    check(given=given, when=c.EndSessions(account=ME), then=[revoked(2)])


def test_a_new_password_ends_all_sessions_and_begins_one() -> None:
    changed = c.PasswordChanged(account=ME, password_hash=sealed("new"))
    wish = c.ChangePassword(account=ME, password_hash=sealed("new"), session=begin(2))
    check(given=[joined(), begun(1)], when=wish, then=[changed, ended(1), revoked(), begun(2)])


def address(number: int, is_default: bool = False) -> c.AddressAdded:
    where = Address(recipient=sealed("r"), phone=sealed("p"), line1=sealed("l"), country="KR")
    return c.AddressAdded(account=ME, address_id=f"a{number}", address=where, is_default=is_default)


def add(number: int, is_default: bool = False) -> c.AddAddress:
    event = address(number)
    return c.AddAddress(account=ME, address_id=event.address_id, address=event.address, is_default=is_default)


def defaults(*events: c.AddressAdded | c.AddressRemoved) -> dict[str, bool]:
    state = account.fold(account.initial, [joined(), *events])
    return {one.address_id: one.is_default for one in state.addresses}


def test_the_first_address_is_the_default() -> None:
    check(given=[joined()], when=add(1), then=[address(1, is_default=True)])
    check(given=[joined(), address(1, True)], when=add(2), then=[address(2, is_default=False)])


@pytest.mark.requirement("S0-096")
def test_there_is_one_default_address() -> None:
    assert defaults(address(1, True), address(2), address(3, True)) == {"a1": False, "a2": False, "a3": True}
    gone = c.AddressRemoved(account=ME, address_id="a1")
    assert defaults(address(1, True), address(2), gone) == {"a2": True}


def test_an_address_book_has_an_end() -> None:
    full = [joined(), *(address(n, n == 0) for n in range(c.MAX_ADDRESSES))]
    check(given=full, when=add(99), then=TooManyAddresses)
    check(given=full, when=add(1), then=[address(1)])


def test_only_an_address_that_is_there_is_removed() -> None:
    check(given=[joined()], when=c.RemoveAddress(account=ME, address_id="a1"), then=AddressNotFound)


def test_nobody_gives_or_takes_a_staff_role_that_they_do_not_have() -> None:
    def give(*roles: Any, by: Any) -> c.SetRoles:
        return c.SetRoles(account=ME, roles=roles, granted_by=by)

    def now(*roles: Any) -> list[Any]:
        return [c.RolesSet(account=ME, roles=roles, stores=()), revoked()]

    check(given=[joined()], when=give("member", "finance", by=("admin",)), then=RoleNotYours)
    check(given=[joined("finance")], when=give("member", by=("admin",)), then=RoleNotYours)
    check(given=[joined()], when=give("member", "seller", by=("admin",)), then=now("seller", "member"))
    check(given=[joined()], when=give("finance", by=("admin", "finance")), then=now("finance"))
    check(given=[joined()], when=give("admin", by=None), then=now("admin"))
    check(given=[joined()], when=give("member", by=("admin",)), then=[])


def test_a_guest_has_no_roles() -> None:
    check(given=[c.GuestOpened(account=ME)], when=c.SetRoles(account=ME, roles=("admin",)), then=AccountNotFound)


def test_a_verification_is_handed_in_then_decided_and_may_be_handed_in_again_after_a_no() -> None:
    parts = {name: sealed(name) for name in ("business_number", "legal_name", "bank_account")}
    hand_in, handed_in = c.SubmitKyc(account=ME, **parts), c.KycSubmitted(account=ME, **parts)
    yes, no = (c.DecideKyc(account=ME, verified=verified, reason="r") for verified in (True, False))
    accepted = c.KycDecided(account=ME, state="verified", reason="r")
    rejected = c.KycDecided(account=ME, state="rejected", reason="r")
    check(given=[joined()], when=yes, then=KycStateForbids)
    check(given=[joined()], when=hand_in, then=[handed_in])
    check(given=[joined(), handed_in], when=hand_in, then=KycStateForbids)
    check(given=[joined(), handed_in], when=yes, then=[accepted])
    check(given=[joined(), handed_in], when=no, then=[rejected])
    check(given=[joined(), handed_in, accepted], when=yes, then=[])
    check(given=[joined(), handed_in, accepted], when=no, then=KycStateForbids)
    check(given=[joined(), handed_in, rejected], when=hand_in, then=[handed_in])
    check(given=[c.GuestOpened(account=ME)], when=hand_in, then=KycStateForbids)


def test_who_has_left_is_gone() -> None:
    left = [joined(), c.AccountErased(account=ME, login_digest="mail", mobile_digest="mobile"), revoked()]
    check(given=left, when=c.EraseAccount(account=ME), then=[])
    check(given=left, when=begin(1), then=AccountIsErased)
    check(given=left, when=c.OpenGuest(account=ME), then=LoginTaken)
    state = account.fold(account.initial, left)
    assert (state.mail, state.name, state.password_hash, state.addresses, state.token_version) == (None,) * 3 + ((), 1)


@pytest.mark.parametrize(
    ("password", "fine"),
    [
        ("123456789", False),
        ("9876543210", False),
        ("Password!2024", False),
        ("passwordpassword", False),
        ("minji.kim@mail", False),
        ("abababababab", False),
        ("x" * 257, False),
        ("correct horse battery", True),
        ("비밀번호는길게쓰자요", True),
        ("8f2k-99ab-qqz1", True),
    ],
)
def test_passwords(password: str, fine: bool) -> None:
    assert (weakness(normalised(password), "minji.kim@mail.example") is None) is fine


def test_a_look_at_what_is_personal_is_recorded_with_its_reason() -> None:
    look = {"account": ME, "by": UUID(int=99), "reason": "asked for a copy"}
    check(given=[joined()], when=c.NoteReveal(**look), then=[c.PersonRevealed(**look)])
    check(given=[], when=c.NoteReveal(**look), then=AccountNotFound)
