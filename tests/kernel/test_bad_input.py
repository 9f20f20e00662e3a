"""Bad requests of every kind: the catalogue's refusal, never a 5xx, nothing done."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from kernel.toy_web import Shop, open_shop
from pasar.kernel.messages import decode_untrusted
from pasar.kernel.web_input import clean, json_body
from pasar.kernel.web_refusals import InvalidRequest
from pasar.kernel.web_request import Request
from pasar.kernel.web_signature import plan_of
from postgres import TestDatabase

BASKET = "0198c5a0-3f5e-7c44-9b1e-5a2f0d1c7e88"
GOOD = b'{"shelf":"a","things":1}'
BODIES: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"shelf=a",
    "cut off": b'{"shelf":"a","thin',
    "two values": GOOD + GOOD,
    "a list": b"[]",
    "null": b"null",
    "a text": b'"a"',
    "wrong type": b'{"shelf":"a","things":"1"}',
    "a number for a text": b'{"shelf":1,"things":1}',
    "a fraction for units": b'{"shelf":"a","things":1.5}',
    "a truth for units": b'{"shelf":"a","things":true}',
    "zero units": b'{"shelf":"a","things":0}',
    "negative units": b'{"shelf":"a","things":-1}',
    "too many units": b'{"shelf":"a","things":1001}',
    "a huge number": b'{"shelf":"a","things":' + b"9" * 400 + b"}",
    "an endless number": b'{"shelf":"a","things":1e400}',
    "an exponent beyond all numbers": b'{"shelf":"a","things":1e999999999999999999999}',
    "NaN": b'{"shelf":"a","things":NaN}',
    "infinity": b'{"shelf":"a","things":Infinity}',
    "unknown field": b'{"shelf":"a","things":1,"price":0}',
    "missing field": b'{"shelf":"a"}',
    "a bad name": b'{"shelf":"A B","things":1}',
    "NUL": b'{"shelf":"a","things":1,"name":"x\\u0000y"}',
    "raw NUL": b'{"shelf":"a","things":1,"name":"x\x00y"}',
    "NUL in a field's name": b'{"shelf":"a","things":1,"\\u0000":1}',
    "a lone surrogate": b'{"shelf":"a","things":1,"name":"\\ud800"}',
    "surrogates the wrong way round": b'{"shelf":"a","things":1,"name":"\\udc00\\ud800"}',
    "no UTF-8": b'{"shelf":"a","things":1,"name":"\xff"}',
    "a surrogate in UTF-8": b'{"shelf":"a","things":1,"name":"\xed\xa0\x80"}',
    "UTF-16": GOOD.decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "deep inside": b'{"shelf":' + b"[" * 5000 + b"]" * 5000 + b',"things":1}',
    "key of a wrong type": b'{"shelf":"a","things":1,"idempotency_key":7}',
    "a long name": b'{"shelf":"a","things":1,"name":"' + b"x" * 101 + b'"}',
}


@pytest_asyncio.fixture
async def shop(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path) as opened:
        await opened.ask("POST", "/shelves/a", 100, token=opened.token("root", "admin"))
        yield opened


async def nothing_was_done(shop: Shop) -> bool:
    events = await shop.core.database.kernel.fetchval("select count(*) from kernel.event")
    return events == 1  # Filling the shelf.


async def test_every_bad_body_is_refused_with_what_to_change(shop: Shop) -> None:
    for name, body in BODIES.items():
        headers = [("Content-Type", "application/json")]
        answer = await shop.ask("POST", f"/baskets/{BASKET}", body, token=shop.token(), key="k", headers=headers)
        assert (answer.status, answer.json["code"]) == (400, 3003), name
        assert answer.json["errors"] or answer.json["detail"], name
        assert answer.headers["content-type"] == "application/problem+json"
    assert await nothing_was_done(shop)
    assert (await shop.ask("POST", f"/baskets/{BASKET}", GOOD, token=shop.token(), key="k")).status == 201


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "", "json"]
)
async def test_a_body_of_another_kind_is_refused(shop: Shop, media_type: str) -> None:
    headers = [("Content-Type", media_type)]
    answer = await shop.ask("POST", f"/baskets/{BASKET}", GOOD, token=shop.token(), key="k", headers=headers)
    assert (answer.status, answer.json["code"]) == (415, 3006)


async def test_json_by_other_names_is_taken(shop: Shop) -> None:
    for media_type in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.pasar.v1+json"):
        answer = await shop.ask("POST", "/echo", b'{"text":"a"}', headers=[("Content-Type", media_type)])
        assert answer.status == 200


@pytest.mark.promise("D12")
async def test_too_large_a_body_is_refused_before_it_is_read(shop: Shop) -> None:
    announced = await shop.ask("POST", "/raw", b"", headers=[("Content-Length", "1001")], chunks=[b"", b"x" * 1001])
    assert (announced.status, announced.json["code"], announced.headers["connection"]) == (413, 3005, "close")
    for length in ("-1", "x", "9" * 30, "1e3", " 5"):
        assert (await shop.ask("POST", "/raw", b"", headers=[("Content-Length", length)])).status == 413
    chunked = await shop.ask("POST", "/raw", b"", chunks=[b"x" * 400] * 3 + [b"never read"] * 100)
    assert chunked.status == 413
    assert (await shop.ask("POST", "/raw", b"", chunks=[b"x" * 400] * 2)).body == b"x" * 800
    big = b'{"shelf":"a","things":1,"name":"' + b"x" * (1 << 20) + b'"}'
    assert (await shop.ask("POST", f"/baskets/{BASKET}", big, token=shop.token(), key="k")).status == 413


@pytest.mark.parametrize(
    "path",
    ["/baskets/1", "/baskets/%00", "/baskets/%FF", "/baskets/..%2F..", "/baskets/' or 1=1", "/numbers/x",
     "/numbers/1.5",
     "/numbers/99999999999999999999", "/numbers/%EF%BC%91x", "/numbers/ 1", "/shelves/A", "/shelves/%00",
     "/shelves/" + "a" * 5000, "/shelves/%ED%A0%80", "//", "/numbers/true", "/numbers/0x10"],
)  # fmt: skip
async def test_a_bad_path_is_refused(shop: Shop, path: str) -> None:
    answer = await shop.ask("GET", path, token=shop.token())
    assert answer.status in (400, 404)
    assert answer.json["code"] in (3003, 3008)


@pytest.mark.parametrize(
    "query",
    ["%00", "a=%FF", "limit=%00", "tag=%ED%A0%80", "&".join("tag=x" for _ in range(101)), "é=1",
     "cursor=" + "x" * 2000],
)  # fmt: skip
async def test_a_bad_query_is_refused(shop: Shop, query: str) -> None:
    from kernel.toy_web import exchange

    scope_query = query.encode().decode("latin-1")
    answer = await exchange(shop.web, "GET", "/shelves", scope_query, [], [b""])
    assert (answer.status, answer.json["code"]) == (400, 3003)


@pytest.mark.parametrize(
    "name", ["Authorization", "X-Idempotency-Key", "Content-Type", "Content-Length", "X-Request-ID", "Accept-Version"]
)
async def test_a_header_that_may_come_once_comes_once(shop: Shop, name: str) -> None:
    headers = [(name, "1"), (name, "1")]
    answer = await shop.ask("POST", "/raw", b"", headers=headers)
    assert (answer.status, answer.json["code"], answer.json["errors"][0]["field"]) == (400, 3003, name.lower())


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic a2ltOmtpbQ==", "Bearer a b", "Bearer é", "bearer x", "Bearer " + "x" * 9000, "x"],
)
async def test_a_bad_token_is_refused_also_where_none_is_needed(shop: Shop, authorization: str) -> None:
    answer = await shop.ask("GET", "/shelves/a", headers=[("Authorization", authorization)])
    assert (answer.status, answer.json["code"]) == (401, 4001)


async def test_a_body_where_none_is_taken_is_refused(shop: Shop) -> None:
    answer = await shop.ask("POST", f"/baskets/{BASKET}/keep", b"{}", token=shop.token())
    assert (answer.status, answer.json["code"]) == (400, 3003)


async def test_random_requests_never_break_it(shop: Shop) -> None:
    chance = random.Random(7)
    pieces = [
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"\\u",
        b"\\",
        b"d800",
        b"0000",
        b"1e9",
        b"NaN",
        b"shelf",
        b"\xff",
        b"things",
    ]
    pieces += [b"null", b"true", b'"a"', b"9" * 20, b"\x00", "é".encode(), b"e\xcc\x81", b" "]
    for _ in range(600):
        body = b"".join(chance.choice(pieces) for _ in range(chance.randrange(1, 20)))
        if chance.random() < 0.5:
            body = b'{"text":' + body + b"}"
        method = chance.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "X"])
        path = chance.choice(
            ["/echo", "/sizes", f"/baskets/{uuid4()}", "/keyed", "/shelves/a", "/errors/1", "/", "/raw"]
        )
        answer = await shop.ask(method, path, body, token=shop.token(), key=chance.choice([None, "k", "l"]))
        assert answer.status < 500, (method, path, body)


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    text: str


async def _handler(body: _Body) -> None:
    """For its plan only."""


_PLAN = plan_of("POST", "/x", _handler)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.text(some.characters(codec=None, categories=None), max_size=20), some.booleans())
def test_every_text_that_passes_can_be_stored_and_is_composed(text: str, escaped: bool) -> None:
    import json
    import unicodedata

    data = json.dumps({"text": text}, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    request = Request({"method": "POST", "path": "/x", "query_string": b"", "headers": []})
    request.headers[b"content-type"] = b"application/json"
    request.body = data
    storable = "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
    try:
        value: Any = json_body(_PLAN, request, False)[0]
    except InvalidRequest:
        assert not storable
        return
    if storable:
        assert value.text == unicodedata.normalize("NFC", text)
    # Two halves that a client wrote as two escapes are one whole letter.
    value.text.encode()
    assert "\x00" not in value.text
    assert clean(value.text) == value.text
    assert decode_untrusted(msgspec.json.encode(value), _Body) == value
