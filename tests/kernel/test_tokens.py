"""Access tokens: what is accepted is exactly what was issued, for as long as it is good."""

import base64
import hashlib
import hmac
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pasar.kernel.access import Principal
from pasar.kernel.clock import SettableClock
from pasar.kernel.ids import SeededIds
from pasar.kernel.tokens import KeyRing, Revocations, Tokens, new_refresh, refresh_digest
from pasar.kernel.web_refusals import Unauthenticated, Unavailable

KIM = Principal(id="kim", kind="member", roles=frozenset({"tester"}), stores=frozenset({"s1"}), tenant=3, version=2)


class Setup:
    def __init__(self, folder: Path) -> None:
        self.clock = SettableClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.folder = folder
        self.ring = KeyRing(folder, self.clock)
        self.tokens = self.another()

    def another(self) -> Tokens:
        """The tokens of another process with the same folder."""
        return Tokens(KeyRing(self.folder, self.clock), self.clock, SeededIds(1))

    def signed(self, header: dict[str, Any], claims: dict[str, Any], key: Ed25519PrivateKey | None = None) -> str:
        body = encoded(header) + "." + encoded(claims)
        signature = (key or self.ring.signing().private).sign(body.encode())
        return body + "." + base64.urlsafe_b64encode(signature).rstrip(b"=").decode()


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=").decode()


def decoded(part: str) -> dict[str, Any]:
    return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path / "tokens")


def test_a_token_says_who_it_was_issued_to(setup: Setup) -> None:
    who = setup.tokens.verify(setup.tokens.issue(KIM))
    assert msgspec.structs.replace(who, token_id="") == KIM
    assert who.token_id


def test_a_token_dies_in_time(setup: Setup) -> None:
    token = setup.tokens.issue(KIM)
    setup.clock.advance(timedelta(seconds=600 + 29))
    assert setup.tokens.verify(token).id == "kim"
    setup.clock.advance(timedelta(seconds=1))
    for tokens in (setup.tokens, setup.another()):  # One remembers it, one has never seen it.
        with pytest.raises(Unauthenticated):
            tokens.verify(token)


Forge = Callable[[Setup, dict[str, Any], dict[str, Any]], str]


def _hmac_with_public_key(setup: Setup, header: dict[str, Any], claims: dict[str, Any]) -> str:
    body = encoded(header | {"alg": "HS256"}) + "." + encoded(claims)
    secret = setup.ring.signing().public.public_bytes_raw()
    signature = hmac.new(secret, body.encode(), hashlib.sha256).digest()
    return body + "." + base64.urlsafe_b64encode(signature).rstrip(b"=").decode()


def _own_key(setup: Setup, header: dict[str, Any], claims: dict[str, Any]) -> str:
    mine = Ed25519PrivateKey.generate()
    x = base64.urlsafe_b64encode(mine.public_key().public_bytes_raw()).rstrip(b"=").decode()
    return setup.signed(header | {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": x}}, claims, mine)


FORGED: dict[str, Forge] = {
    "alg none": lambda s, h, c: encoded(h | {"alg": "none"}) + "." + encoded(c) + ".",
    "alg None": lambda s, h, c: encoded(h | {"alg": "None"}) + "." + encoded(c) + ".AA",
    "hmac with the public key": _hmac_with_public_key,
    "another's key": lambda s, h, c: s.signed(h, c, Ed25519PrivateKey.generate()),
    "embedded key": _own_key,
    "key by address": lambda s, h, c: s.signed(h | {"jku": "https://example.com/keys"}, c),
    "critical extension": lambda s, h, c: s.signed(h | {"crit": ["exp"]}, c),
    "unknown kid": lambda s, h, c: s.signed(h | {"kid": "0" * 16}, c),
    "kid is a path": lambda s, h, c: s.signed(h | {"kid": "../../etc/passwd"}, c),
    "kid is SQL": lambda s, h, c: s.signed(h | {"kid": "' or 1=1 --"}, c),
    "no kid": lambda s, h, c: s.signed({k: v for k, v in h.items() if k != "kid"}, c),
    "another type": lambda s, h, c: s.signed(h | {"typ": "JWT"}, c),
    "another issuer": lambda s, h, c: s.signed(h, c | {"iss": "evil"}),
    "another audience": lambda s, h, c: s.signed(h, c | {"aud": "other"}),
    "expired": lambda s, h, c: s.signed(h, c | {"iat": c["iat"] - 700, "exp": c["iat"] - 100}),
    "without expiry": lambda s, h, c: s.signed(h, {k: v for k, v in c.items() if k != "exp"}),
    "expiry as text": lambda s, h, c: s.signed(h, c | {"exp": "9999999999"}),
    "lives too long": lambda s, h, c: s.signed(h, c | {"exp": c["iat"] + 100_000}),
    "from the future": lambda s, h, c: s.signed(h, c | {"iat": c["iat"] + 100, "exp": c["exp"] + 100}),
    "unknown kind": lambda s, h, c: s.signed(h, c | {"kind": "god"}),
    "kind anonymous": lambda s, h, c: s.signed(h, c | {"kind": "anonymous"}),
    "claims are a list": lambda s, h, c: s.signed(h, [c]),  # type: ignore[arg-type]
    "deep claims": lambda s, h, c: s.signed(h, c) .replace(".", "." + "W" * 2000, 1),
}  # fmt: skip


@pytest.mark.requirement("S2-092")
@pytest.mark.parametrize("name", FORGED)
@pytest.mark.promise("D7")
def test_forged_tokens_are_refused(setup: Setup, name: str) -> None:
    good = setup.tokens.issue(KIM)
    header, claims = (decoded(part) for part in good.split(".")[:2])
    assert setup.tokens.verify(setup.signed(header, claims)).id == "kim"  # The forger's tools would work.
    with pytest.raises(Unauthenticated):
        setup.tokens.verify(FORGED[name](setup, header, claims))


@pytest.mark.requirement("S2-092")
def test_any_changed_letter_makes_a_token_worthless(setup: Setup) -> None:
    token = setup.tokens.issue(KIM)
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(Unauthenticated):
            setup.tokens.verify(changed)


@pytest.mark.parametrize(
    "token", ["", ".", "..", "...", "a.b.c", "é.é.é", "x" * 10_000, "\x00.\x00.\x00", "e30.e30.e30"]
)
def test_garbage_is_refused(setup: Setup, token: str) -> None:
    with pytest.raises(Unauthenticated):
        setup.tokens.verify(token)


@pytest.mark.promise("D7")
def test_keys_rotate_by_one_command_and_the_old_one_dies_within_a_quarter_of_an_hour(setup: Setup) -> None:
    old = setup.tokens.issue(KIM)
    other_process = setup.another()
    assert other_process.verify(old).id == "kim"
    before = setup.ring.signing().kid
    setup.ring.rotate()
    other_process.refresh_keys()
    assert other_process.verify(old).id == "kim"
    assert decoded(other_process.issue(KIM).split(".")[0])["kid"] != before
    header, claims = (decoded(part) for part in old.split(".")[:2])
    setup.clock.advance(timedelta(minutes=15))
    later = int(setup.clock.now().timestamp())
    stolen = next(key for key in setup.ring._keys.values() if key.kid == before).private
    fresh_claims = claims | {"iat": later, "exp": later + 600}
    with pytest.raises(Unauthenticated):
        other_process.verify(setup.signed(header, fresh_claims, stolen))
    setup.ring.rotate()
    assert not (setup.folder / f"{before}.json").exists()


def test_a_key_of_another_process_is_known_at_once_but_not_looked_for_all_the_time(setup: Setup) -> None:
    moment = [0.0]
    here = Tokens(KeyRing(setup.folder, setup.clock, lambda: moment[0]), setup.clock, SeededIds(2))
    setup.ring.rotate()
    moment[0] = 1.0
    assert here.verify(setup.another().issue(KIM)).id == "kim"
    setup.ring.rotate()
    young = setup.another().issue(KIM)
    moment[0] = 1.1
    with pytest.raises(Unauthenticated):
        here.verify(young)
    moment[0] = 1.3
    assert here.verify(young).id == "kim"


def test_keys_are_readable_by_their_owner_only(setup: Setup) -> None:
    assert stat.S_IMODE(setup.folder.stat().st_mode) == 0o700
    files = list(setup.folder.iterdir())
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600]


def test_what_is_remembered_is_bounded(setup: Setup) -> None:
    tokens = Tokens(setup.ring, setup.clock, SeededIds(2), remembered=10)
    issued = [tokens.issue(KIM) for _ in range(30)]
    for token in issued:
        tokens.verify(token)
    assert len(tokens._remembered) == 10
    assert tokens.verify(issued[0]).id == "kim"


def test_revocation_is_by_version_and_never_goes_back() -> None:
    revocations = Revocations(lambda: 0.0)
    revocations.check(KIM)
    revocations.revoke(3, "kim", 3)
    revocations.revoke(3, "kim", 1)
    revocations.revoke(1, "lee", 9)
    with pytest.raises(Unauthenticated):
        revocations.check(KIM)
    revocations.check(msgspec.structs.replace(KIM, version=3))
    revocations.check(msgspec.structs.replace(KIM, id="lee"))  # Another tenant's lee was meant.


def test_who_cannot_know_lets_nobody_in() -> None:
    age_s = 0.9
    revocations = Revocations(lambda: age_s)
    revocations.check(KIM)
    age_s = 1.1
    with pytest.raises(Unavailable):
        revocations.check(KIM)


def test_refresh_tokens_are_random_and_kept_as_digests() -> None:
    made = [new_refresh() for _ in range(100)]
    assert len({token for token, _ in made}) == 100
    assert all(digest == refresh_digest(token) and token not in digest and len(token) >= 43 for token, digest in made)
