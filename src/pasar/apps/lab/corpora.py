"""Hostile texts sent to a deployment, judged by what they effect: no server error, no delay, no header or row that was
not meant, and what is stored comes back letter for letter. Each family has a control that must pass, or a deployment
that refuses everything would look perfect."""

import base64
import json
import unicodedata
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from pasar.kernel.tokens import _base64, _unbase64

from .evidence import Evidence
from .target import NOBODY, Caller, NotAsExpected, Reply, Target

FAMILIES = ("sqli", "nosql", "command-injection", "ssti", "crlf", "path-traversal", "naughty-strings", "xss")
SLOW_S = 4.0
"""Time-based attacks ask for five seconds and more."""
CONTROL = "Lee Soo-jin, 이수진 O'Neil 100% & <3"


class Effect(AssertionError):
    """A hostile text did something."""


class NoCorpora(Exception):
    """The path holds no corpora."""


def families(path: Path) -> dict[str, list[str]]:
    """Texts by family: `.txt` files one a line, `.json` files lists of texts. Raises `NoCorpora`."""
    found = {family: list(_texts(path / family)) for family in FAMILIES if (path / family).is_dir()}
    found = {family: texts for family, texts in found.items() if texts}
    if not found:
        raise NoCorpora(f"{path} holds no corpora: folders {', '.join(FAMILIES)} with .txt or .json files")
    return found


def _texts(folder: Path) -> Iterator[str]:
    for file in sorted(folder.glob("*.txt")):
        yield from (line for line in file.read_bytes().decode("latin-1").split("\n") if line.strip())
    for file in sorted(folder.glob("*.json")):
        found = json.loads(file.read_text(encoding="utf-8", errors="surrogatepass"))
        yield from (text for text in (found if isinstance(found, list) else []) if isinstance(text, str) and text)


Place = Callable[[Target, Caller, str], Awaitable[Reply]]


async def _in_query(target: Target, who: Caller, text: str) -> Reply:
    return await target.ask("GET", f"/products?cursor={quote(text, safe='', errors='replace')}", who=who)


async def _in_search(target: Target, who: Caller, text: str) -> Reply:
    return await target.ask("GET", f"/inventory/availability?sku={quote(text, safe='', errors='replace')}", who=who)


async def _in_path(target: Target, who: Caller, text: str) -> Reply:
    return await target.ask("GET", f"/orders/{quote(text, safe='', errors='replace')}", who=who)


async def _in_media(target: Target, who: Caller, text: str) -> Reply:
    return await target.ask("GET", f"/media/{quote(text, safe='', errors='replace')}", who=who)


async def _in_header(target: Target, who: Caller, text: str) -> Reply:
    letters = text.encode("utf-8", "replace").decode("latin-1")
    clean = "".join(letter if " " <= letter != "\x7f" else f"%{ord(letter):02x}" for letter in letters)
    return await target.ask("GET", "/products", who=who, **{"Accept-Language": clean, "X-Correlation-ID": "lab"})


async def _in_login(target: Target, who: Caller, text: str) -> Reply:
    body = {"login": text[:200].encode("utf-8", "replace").decode(), "password": "x" * 12}
    return await target.ask(
        "POST", "/pricing/estimates", {"channel": body["login"], "items": [{"sku": "a", "quantity": 1}]}
    )


PLACES: Mapping[str, Place] = {
    "query": _in_query, "search": _in_search, "path": _in_path, "file name": _in_media, "header": _in_header,
    "body": _in_login,
}  # fmt: skip


async def check_payloads(
    target: Target, evidence: Evidence, texts: Sequence[str], fingerprint: Callable[[], Awaitable[Any]]
) -> None:
    """Send each text to every place, and store it. `fingerprint` is of what must not change: tables, roles, counts."""
    who = await target.member()
    before = await fingerprint()
    await _check_stored(target, who, evidence, CONTROL, must_pass=True)
    for text in texts:
        for name, send in PLACES.items():
            evidence.attempt()
            began = monotonic()
            reply = await send(target, who, text)
            _judge(name, text, reply, monotonic() - began)
        await _check_stored(target, who, evidence, text)
    if (after := await fingerprint()) != before:
        raise Effect(f"the database changed: {before} became {after}")


def _judge(place: str, text: str, reply: Reply, took_s: float) -> None:
    if reply.status >= 500 or (place == "file name" and reply.status < 300):
        raise Effect(f"{text!r} in the {place}: {reply.status} {reply.body[:200]!r}")
    if took_s > SLOW_S:
        raise Effect(f"{text!r} in the {place} took {took_s:.1f} s")
    strange = {"set-cookie", "x-injected", "header-test", "crlf"} & set(reply.headers)
    if strange:
        raise Effect(f"{text!r} in the {place} made headers: {strange}")
    if leads_away(location := reply.headers.get("location", "/")):
        raise Effect(f"{text!r} in the {place} leads to {location!r}")


def leads_away(location: str) -> bool:
    """Whether a redirect goes anywhere but to a page of ours, as browsers read it: a backslash is a slash to them, and
    what follows two or more slashes is a host."""
    read = location.replace("\\", "/")
    return not read.startswith("/") or read.startswith("//") or "?" in read


async def _check_stored(target: Target, who: Caller, evidence: Evidence, text: str, *, must_pass: bool = False) -> None:
    """A name of an address book: refused, or read back as it was written (composed, as all texts are)."""
    evidence.attempt()
    name = text[:60].encode("utf-8", "replace").decode()
    address = {
        "recipient": name, "phone": "+821012345678", "line1": "1 Sejong-daero", "city": "Seoul",
        "postal_code": "04524", "country": "KR",
    }  # fmt: skip
    reply = await target.ask("POST", "/me/addresses", {"address": address}, who)
    if reply.status >= 500 or (must_pass and reply.status >= 300):
        raise Effect(f"{text!r} as a name: {reply.status} {reply.body[:200]!r}")
    if reply.status >= 300:
        return
    saved = reply.json["addresses"][-1]
    if saved["address"]["recipient"].strip() != unicodedata.normalize("NFC", name).strip():
        raise Effect(f"{name!r} came back as {saved['address']['recipient']!r}")
    (await target.ask("DELETE", f"/me/addresses/{saved['address_id']}", who=who)).ok()


Forge = Callable[[dict[str, Any], dict[str, Any], bytes], str]


def _packed(header: Any, claims: Any, signature: bytes) -> str:
    parts = (_base64(msgspec.json.encode(header)), _base64(msgspec.json.encode(claims)), _base64(signature))
    return b".".join(parts).decode()


def _text(header: str, claims: dict[str, Any], signature: bytes) -> str:
    head = base64.urlsafe_b64encode(header.encode()).rstrip(b"=")
    return b".".join((head, _base64(msgspec.json.encode(claims)), _base64(signature))).decode()


TOKENS: Mapping[str, Forge] = {
    "alg none": lambda h, c, s: _packed({**h, "alg": "none"}, c, b""),
    "alg NONE": lambda h, c, s: _packed({**h, "alg": "NoNe"}, c, s),
    "alg missing": lambda h, c, s: _packed({k: v for k, v in h.items() if k != "alg"}, c, s),
    "alg null": lambda h, c, s: _packed({**h, "alg": None}, c, s),
    "alg HS256": lambda h, c, s: _packed({**h, "alg": "HS256"}, c, s),
    "jku": lambda h, c, s: _packed({**h, "jku": "http://127.0.0.1/keys"}, c, s),
    "x5u": lambda h, c, s: _packed({**h, "x5u": "http://127.0.0.1/cert"}, c, s),
    "embedded key": lambda h, c, s: _packed({**h, "jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}}, c, s),
    "kid path": lambda h, c, s: _packed({**h, "kid": "../../../../dev/null"}, c, s),
    "kid SQL": lambda h, c, s: _packed({**h, "kid": "x' union select 'k"}, c, s),
    "kid command": lambda h, c, s: _packed({**h, "kid": "key.pem|id"}, c, s),
    "kid unknown": lambda h, c, s: _packed({**h, "kid": "f" * 16}, c, s),
    "kid of another type": lambda h, c, s: _packed({**h, "kid": {}}, c, s),
    "signature stripped": lambda h, c, s: _packed(h, c, b""),
    "signature of zeros": lambda h, c, s: _packed(h, c, bytes(64)),
    "signature padded": lambda h, c, s: _packed(h, c, s) + "==",
    "one part less": lambda h, c, s: _packed(h, c, s).rpartition(".")[0],
    "one part more": lambda h, c, s: _packed(h, c, s) + ".e30",
    "critical extension": lambda h, c, s: _packed({**h, "crit": ["x"]}, c, s),
    "b64 false": lambda h, c, s: _packed({**h, "crit": ["b64"], "b64": False}, c, s),
    "zipped": lambda h, c, s: _packed({**h, "zip": "DEF"}, c, s),
    "huge": lambda h, c, s: _packed({**h, "x": "a" * 60_000}, c, s),
    "nested": lambda h, c, s: _packed({**h, "cty": "JWT"}, c, s),
    "two algs": lambda h, c, s: _text('{"alg":"none",' + json.dumps(h)[1:], c, s),
    "other typ": lambda h, c, s: _packed({**h, "typ": "JWT"}, c, s),
    "other subject": lambda h, c, s: _packed(h, {**c, "sub": str(uuid.uuid4())}, s),
    "subject of another type": lambda h, c, s: _packed(h, {**c, "sub": []}, s),
    "administrator": lambda h, c, s: _packed(h, {**c, "kind": "admin", "roles": ["admin"]}, s),
    "other tenant": lambda h, c, s: _packed(h, {**c, "tenant": 2}, s),
    "never expires": lambda h, c, s: _packed(h, {**c, "exp": 9_999_999_999}, s),
    "no expiry": lambda h, c, s: _packed(h, {k: v for k, v in c.items() if k != "exp"}, s),
    "expiry as text": lambda h, c, s: _packed(h, {**c, "exp": "9999999999"}, s),
    "other issuer": lambda h, c, s: _packed(h, {**c, "iss": "evil"}, s),
    "other audience": lambda h, c, s: _packed(h, {**c, "aud": ["pasar", "other"]}, s),
    "two tokens": lambda h, c, s: _packed(h, c, s) + ", Bearer " + _packed(h, c, s),
    "garbage": lambda h, c, s: "a.b.c",
}  # fmt: skip


async def check_tokens(target: Target, evidence: Evidence) -> None:
    """Every forgery of a good token is refused with 401; a token is dead after logout, and useless anywhere but in its
    header. The good token passes, before and after."""
    who = await target.member()
    head, body, signature = (_unbase64(part.encode()) for part in who.token.split("."))
    header, claims = json.loads(head), json.loads(body)
    (await target.ask("GET", "/me", who=who)).ok()
    for name, forge in TOKENS.items():
        evidence.attempt()
        reply = await target.ask("GET", "/me", who=Caller(who.id, forge(header, claims, signature)))
        if reply.status not in (401, 431):
            raise NotAsExpected(f"a token with {name}: {reply.status} {reply.body[:200]!r}")
    for place in range(len(signature)):
        evidence.attempt()
        turned = bytes(byte ^ (i == place) for i, byte in enumerate(signature))
        if (await target.ask("GET", "/me", who=Caller("", _packed(header, claims, turned)))).status != 401:
            raise NotAsExpected(f"a token whose signature is turned at {place} is good")
    for path, cookie in (("/me?access_token=" + who.token, ""), ("/me", f"access_token={who.token}")):
        evidence.attempt()
        if (await target.ask("GET", path, None, NOBODY, None, Cookie=cookie)).status not in (400, 401):
            raise NotAsExpected("a token is taken from the address or from a cookie")
    (await target.ask("GET", "/me", who=who)).ok()
    (await target.ask("DELETE", "/sessions", who=who)).ok()
    began = monotonic()
    while (await target.ask("GET", "/me", who=who)).status != 401:
        if monotonic() - began > 2:
            raise NotAsExpected("a token is still good two seconds after all sessions were ended")
    evidence.figure("dead after logout, s", f"{monotonic() - began:.2f}")


class Costly(NamedTuple):
    """A request that costs its sender little."""

    name: str
    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = {}


def costly_requests() -> list[Costly]:
    """Each is to be refused, and soon."""
    orders, wide = "/api/v1/orders/create", b"{" + b",".join(b'"k%d":1' % i for i in range(60_000)) + b"}"
    items = b'{"uid":"x","items":[' + b",".join([b'{"sku_id":"a","qty":1}'] * 20_000) + b"]}"
    return [
        Costly("deep lists", "POST", orders, b"[" * 100_000 + b"]" * 100_000),
        Costly("deep objects", "POST", orders, b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        Costly("wide object", "POST", orders, wide),
        Costly("long number", "POST", orders, b'{"uid":' + b"9" * 500_000 + b"}"),
        Costly("small number", "POST", orders, b'{"uid":0.' + b"0" * 500_000 + b"1}"),
        Costly("huge exponent", "POST", orders, b'{"uid":1e999999999}'),
        Costly("long text", "POST", orders, b'{"uid":"' + b"a" * 900_000 + b'"}'),
        Costly("above the limit", "POST", orders, b" " * (3 << 20)),
        Costly("many items", "POST", orders, items),
        Costly("broken UTF-8", "POST", orders, b'{"uid":"\xff\xfe\xc0\xaf\xed\xa0\x80"}'),
        Costly("lone surrogate", "POST", orders, b'{"uid":"\\ud800"}'),
        Costly("two keys", "POST", orders, b'{"uid":"a","uid":"b","items":[]}'),
        Costly("gzip", "POST", orders, b"\x1f\x8b\x08\x00", {"Content-Encoding": "gzip"}),
        Costly("multipart", "POST", orders, b"--x\r\n" * 10_000, {"Content-Type": "multipart/form-data; boundary=x"}),
        Costly("page size", "GET", "/api/v1/products?limit=1000000000"),
        Costly("negative page", "GET", "/api/v1/products?limit=-1"),
        Costly("long cursor", "GET", "/api/v1/products?cursor=" + "a" * 7000),
        Costly("same parameter", "GET", "/api/v1/products?" + "&".join(["limit=1"] * 1000)),
        Costly("unknown parameters", "GET", "/api/v1/products?" + "&".join(f"p{i}=1" for i in range(800))),
        Costly("long path", "GET", "/api/v1/orders/" + "a" * 7000),
        Costly("dots", "GET", "/api/v1/orders/" + "%2e%2e%2f" * 500),
        Costly("long password", "POST", "/api/v1/sessions", b'{"login":"a@b.c","password":"' + b"a" * 900_000 + b'"}'),
        Costly("unknown method", "FOO", "/api/v1/products"),
        Costly("TRACE", "TRACE", "/api/v1/products"),
    ]


async def check_costly(
    target: Target, evidence: Evidence, spent_s: Callable[[], float], *, most_s: float = 0.1
) -> None:
    """Each costly request is refused within so much work (`spent_s` counts it), and the next honest one is served."""
    who = await target.guest()
    for one in costly_requests():
        evidence.attempt()
        before = spent_s()
        reply = await target.ask(one.method, one.path, one.body, who, **one.headers)
        spent = spent_s() - before
        if not 400 <= reply.status < 500 and reply.status != 501:
            raise NotAsExpected(f"{one.name}: {reply.status} {reply.body[:200]!r}")
        if spent > most_s:
            raise NotAsExpected(f"{one.name} costs {spent * 1000:.0f} ms")
        (await target.ask("GET", "/products", who=who)).ok()
