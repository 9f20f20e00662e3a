"""Access tokens: short-lived JWTs signed with Ed25519 (RFC 7519, RFC 8037, RFC 8725); keys that rotate by command.

The algorithm is fixed, keys come from our own ring by `kid` and nowhere else, and every claim that we write must be
there. Verified tokens are remembered by their hash until they expire, since verifying costs more than all else of a
short request. Refresh tokens are opaque; only their digest is kept.
"""

import base64
import binascii
import contextlib
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .access import Kind, Principal
from .clock import Clock
from .ids import Ids
from .messages import Value
from .web_refusals import Unauthenticated, Unavailable

ALGORITHMS = frozenset({"EdDSA", "Ed25519"})
"""Two names of the same: RFC 8037's, and RFC 9864's, which replaces it."""
TYPE = "at+jwt"
ISSUER = "pasar"
AUDIENCE = "pasar-api"
SKEW_S = 30
LIFETIME_S = 600
OLD_KEY_S = 15 * 60 - SKEW_S
"""How long a key that no longer signs still verifies: its last token has expired by then."""
MAX_BYTES = 4096
_KID = re.compile(r"[0-9a-f]{16}")
_SEGMENT = re.compile(rb"[A-Za-z0-9_-]+")


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing but these three: a token that brings a key along (jwk, jku, x5c) or wants more (crit) is refused."""

    alg: str
    kid: str
    typ: str


class _Claims(Value):
    iss: str
    aud: str
    sub: str
    exp: int
    iat: int
    jti: str
    tenant: int
    kind: Kind
    ver: int
    sid: str = ""
    roles: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()


_headers = msgspec.json.Decoder(_Header)
_claims = msgspec.json.Decoder(_Claims)


@dataclass(frozen=True)
class SigningKey:
    """A key of the ring. `retired_at` (seconds) is when another one took over."""

    kid: str
    private: Ed25519PrivateKey
    made_at: int
    retired_at: int | None = None

    @property
    def public(self) -> Ed25519PublicKey:
        return self.private.public_key()


LOOK_AGAIN_S = 0.2
"""How long a key that is not known is not looked for again."""


class KeyRing:
    """The signing keys of a deployment, a file each (mode 0600) in one folder that all processes share."""

    def __init__(self, folder: Path, clock: Clock, ticks: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock, self._ticks = folder, clock, ticks
        self._looked = ticks()
        self._keys: dict[str, SigningKey] = {}
        self._seen: tuple[tuple[str, int], ...] = ()
        self._reload()
        if not any(key.retired_at is None for key in self._keys.values()):
            self.rotate()

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    def rotate(self) -> str:
        """Sign with a new key from now on. The old ones verify until the last token that they signed has expired."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._reload()
        now = self._now()
        for key in list(self._keys.values()):
            if key.retired_at is None:
                self._write(SigningKey(key.kid, key.private, key.made_at, now))
            elif now - key.retired_at > OLD_KEY_S:
                (self._folder / f"{key.kid}.json").unlink(missing_ok=True)
        private = Ed25519PrivateKey.generate()
        kid = hashlib.sha256(private.public_key().public_bytes_raw()).hexdigest()[:16]
        self._write(SigningKey(kid, private, now))
        self._reload()
        return kid

    def _write(self, key: SigningKey) -> None:
        text = json.dumps(
            {
                "kid": key.kid,
                "seed": base64.b64encode(key.private.private_bytes_raw()).decode(),
                "made_at": key.made_at,
                "retired_at": key.retired_at,
            }
        )
        new = self._folder / f".{key.kid}.{secrets.token_hex(4)}"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._folder / f"{key.kid}.json")

    def _reload(self) -> None:
        files = sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []
        seen = tuple((file.name, file.stat().st_mtime_ns) for file in files)
        if seen == self._seen:
            return
        keys = {}
        for file in files:
            stored = json.loads(file.read_text())
            private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(stored["seed"]))
            keys[stored["kid"]] = SigningKey(stored["kid"], private, stored["made_at"], stored["retired_at"])
        self._keys, self._seen = keys, seen

    def refresh(self) -> bool:
        """Look whether another process has rotated; True when the keys are others than before."""
        before = self._seen
        self._reload()
        return self._seen != before

    def signing(self) -> SigningKey:
        """The key that signs now: the youngest that is not retired."""
        return max((key for key in self._keys.values() if key.retired_at is None), key=lambda key: key.made_at)

    def verifying(self, kid: str) -> SigningKey | None:
        """The key of that id, unless there is none or it is dead."""
        key = self._keys.get(kid)
        if key is None and self._ticks() - self._looked > LOOK_AGAIN_S:
            # Another process may have begun to sign with a new key; whoever makes ids up costs one look in a while.
            self._looked = self._ticks()
            with contextlib.suppress(OSError, ValueError, KeyError):
                self._reload()
            key = self._keys.get(kid)
        if key is None or (key.retired_at is not None and self._now() - key.retired_at > OLD_KEY_S):
            return None
        return key


class Tokens:
    """Makes and verifies access tokens. `refresh_keys` is to be called every few seconds by each process."""

    def __init__(
        self, ring: KeyRing, clock: Clock, ids: Ids, *, lifetime_s: int = LIFETIME_S, remembered: int = 20_000
    ) -> None:
        if lifetime_s + SKEW_S > OLD_KEY_S:
            raise ValueError(f"access tokens may live {OLD_KEY_S - SKEW_S} s at most, so that old keys can die")
        self._ring, self._clock, self._ids, self.lifetime_s = ring, clock, ids, lifetime_s
        self._remembered: dict[bytes, tuple[int, str, Principal]] = {}
        self._capacity = remembered

    def refresh_keys(self) -> None:
        """Take over rotations of other processes; tokens of keys that died are forgotten."""
        if self._ring.refresh():
            self._remembered.clear()

    def issue(self, principal: Principal) -> str:
        """A token for a principal, valid for `lifetime_s`."""
        now = int(self._clock.now().timestamp())
        key = self._ring.signing()
        header = {"alg": "Ed25519", "kid": key.kid, "typ": TYPE}
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": principal.id,
            "iat": now,
            "exp": now + self.lifetime_s,
            "jti": str(self._ids.uuid()),
            "tenant": principal.tenant,
            "kind": principal.kind,
            "roles": sorted(principal.roles),
            "stores": sorted(principal.stores),
            "ver": principal.version,
            "sid": principal.session,
        }
        signed = b".".join(_base64(msgspec.json.encode(part)) for part in (header, claims))
        return (signed + b"." + _base64(key.private.sign(signed))).decode()

    def verify(self, token: str) -> Principal:
        """Who a token speaks for; refuses (4001) whatever is not exactly what `issue` makes, or is out of date."""
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        now = int(self._clock.now().timestamp())
        known = self._remembered.get(digest)
        if known is not None:
            expires, kid, principal = known
            if now < expires + SKEW_S and self._ring.verifying(kid) is not None:
                return principal
            del self._remembered[digest]
            raise Unauthenticated("the access token has expired; take a new one with the refresh token")
        claims, kid = self._check(token, now)
        principal = Principal(
            id=claims.sub,
            kind=claims.kind,
            roles=frozenset(claims.roles),
            stores=frozenset(claims.stores),
            tenant=claims.tenant,
            version=claims.ver,
            token_id=claims.jti,
            session=claims.sid,
        )
        if len(self._remembered) >= self._capacity:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = claims.exp, kid, principal
        return principal

    def _check(self, token: str, now: int) -> tuple[_Claims, str]:
        wrong = Unauthenticated("the access token is not valid")
        try:
            parts = token.encode("ascii").split(b".")
            if len(token) > MAX_BYTES or len(parts) != 3:
                raise wrong
            header = _headers.decode(_unbase64(parts[0]))
            if header.alg not in ALGORITHMS or header.typ != TYPE or not _KID.fullmatch(header.kid):
                raise wrong
            key = self._ring.verifying(header.kid)
            if key is None:
                raise wrong
            key.public.verify(_unbase64(parts[2]), parts[0] + b"." + parts[1])
            claims = _claims.decode(_unbase64(parts[1]))
        except (ValueError, RecursionError, InvalidSignature, binascii.Error, msgspec.MsgspecError):
            raise wrong from None
        if claims.iss != ISSUER or claims.aud != AUDIENCE or claims.kind == "anonymous":
            raise wrong
        if claims.exp - claims.iat > self.lifetime_s or claims.iat > now + SKEW_S:
            raise wrong
        if now >= claims.exp + SKEW_S:
            raise Unauthenticated("the access token has expired; take a new one with the refresh token")
        return claims, header.kid


def new_refresh() -> tuple[str, str]:
    """A refresh token (256 random bits) and the digest under which it is kept."""
    token = secrets.token_urlsafe(32)
    return token, refresh_digest(token)


def refresh_digest(token: str) -> str:
    """What is stored of a refresh token, and looked up when it comes back."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _unbase64(text: bytes) -> bytes:
    """Strict base64url without padding: one text per value, else a token could be changed and stay valid."""
    if not _SEGMENT.fullmatch(text):
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    if _base64(data) != text:
        raise ValueError("not canonical base64url")
    return data


class Revocations:
    """The least token version of each account that ever revoked tokens, fed from the log; asking costs a look-up.

    `age` tells how many seconds old the knowledge is. Knowledge that is too old lets nobody in: a revoked token must
    be dead within a second, also when this process has lost the log.
    """

    def __init__(self, age: Callable[[], float], *, most_s: float = 1.0) -> None:
        self._age, self._most_s = age, most_s
        self._least: dict[tuple[int, str], int] = {}

    def revoke(self, tenant: int, account: str, least: int) -> None:
        """Tokens of the account with a version below `least` are dead from now on. Repeats and old news do nothing."""
        key = tenant, account
        if least > self._least.get(key, 0):
            self._least[key] = least

    def informed(self, spare_s: float = 0.0) -> bool:
        """Whether what is known is new enough, and will be for so long."""
        return self._age() <= self._most_s - spare_s

    def check(self, who: Principal) -> None:
        """Refuse (4001) a principal whose tokens were revoked, and everybody (9003) when nobody can know."""
        if not self.informed():
            raise Unavailable("who has signed out cannot be told just now; repeat the request in a second")
        if who.version < self._least.get((who.tenant, who.id), 0):
            raise Unauthenticated("the access token was revoked; sign in again")


def authenticator(tokens: Tokens, revocations: Revocations) -> Callable[[str], Principal]:
    """What the HTTP side asks with every token."""

    def authenticate(token: str) -> Principal:
        who = tokens.verify(token)
        revocations.check(who)
        return who

    return authenticate
