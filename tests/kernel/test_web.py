"""Requests and answers over the ASGI interface, with the toy domain on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from kernel.toy_web import Shop, open_shop
from postgres import TestDatabase


@pytest_asyncio.fixture
async def shop(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path) as opened:
        admin = opened.token("root", "admin")
        assert (await opened.ask("POST", "/shelves/a", 10, token=admin)).status == 204
        yield opened


async def take(shop: Shop, things: int = 2, key: str | None = "k1", basket: UUID | None = None, **more: object):
    body = {"shelf": "a", "things": things, **more}
    return await shop.ask("POST", f"/baskets/{basket or uuid4()}", body, token=shop.token(), key=key)


async def test_a_write_is_done_and_answered(shop: Shop) -> None:
    basket = uuid4()
    answer = await take(shop, basket=basket)
    assert (answer.status, answer.json) == (201, {"state": "picked", "things": 2})
    assert "x-pasar-position" in answer.headers
    seen = await shop.ask("GET", f"/baskets/{basket}", token=shop.token())
    assert seen.json == {"state": "picked", "things": 2}
    assert (await shop.ask("GET", "/shelves/a")).json == {"shelf": "a", "things": 8}


@pytest.mark.promise("A6")
@pytest.mark.requirement("S1-211")
async def test_a_repeat_gets_the_same_bytes_and_does_nothing(shop: Shop) -> None:
    basket = uuid4()
    first = await take(shop, basket=basket)
    again = await take(shop, basket=basket)
    assert (first.status, first.body) == (again.status, again.body)
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (await shop.ask("GET", "/shelves/a")).json["things"] == 8


async def test_a_refusal_is_answered_again_even_when_it_would_succeed_now(shop: Shop) -> None:
    basket = uuid4()
    first = await take(shop, things=11, basket=basket)
    assert (first.status, first.json["name"]) == (409, "TOO_FEW")
    await shop.ask("POST", "/shelves/a", 10, token=shop.token("root", "admin"))
    again = await take(shop, things=11, basket=basket)
    assert (again.status, again.body) == (409, first.body)
    assert again.headers["content-type"] == "application/problem+json"
    assert again.headers["x-request-id"] != first.json["request_id"]
    fresh = await take(shop, things=11, basket=basket, key="k2")
    assert fresh.status == 201


@pytest.mark.promise("A6")
async def test_a_key_of_another_request_is_refused(shop: Shop) -> None:
    await take(shop)
    other = await take(shop, things=3)
    assert (other.status, other.json["code"]) == (422, 3001)


async def test_keys_of_two_people_have_nothing_to_do_with_each_other(shop: Shop) -> None:
    await take(shop)
    body = {"shelf": "a", "things": 1}
    other = await shop.ask("POST", f"/baskets/{uuid4()}", body, token=shop.token("lee"), key="k1")
    assert other.status == 201


async def test_a_missing_key_is_refused_where_one_is_needed(shop: Shop) -> None:
    answer = await take(shop, key=None)
    assert (answer.status, answer.json["code"], answer.json["name"]) == (400, 3001, "INVALID_IDEMPOTENCY_KEY")
    assert (await shop.ask("POST", f"/baskets/{uuid4()}/keep", token=shop.token())).status == 409


@pytest.mark.parametrize("key", ["", "k" * 256, "k\x01", "ké"])
async def test_a_malformed_key_is_refused(shop: Shop, key: str) -> None:
    headers = [("X-Idempotency-Key", key)]
    body = {"shelf": "a", "things": 1}
    answer = await shop.ask("POST", f"/baskets/{uuid4()}", body, token=shop.token(), headers=headers)
    assert (answer.status, answer.json["code"]) == (400, 3001)


async def test_three_ways_to_say_a_key_mean_the_same(shop: Shop) -> None:
    for headers, body in (
        ([("X-Idempotency-Key", "k")], {"shelf": "a"}),
        ([("Idempotency-Key", "k")], {"shelf": "a"}),
        ([], {"shelf": "a", "idempotency_key": "k"}),
        ([("Idempotency-Key", "k"), ("X-Idempotency-Key", "k")], {"shelf": "a", "idempotency_key": "k"}),
    ):
        answer = await shop.ask("POST", "/keyed", body, headers=headers)
        assert (answer.status, answer.json) == (200, {"text": "k"})
    answer = await shop.ask(
        "POST", "/keyed", {"shelf": "a", "idempotency_key": "k"}, headers=[("Idempotency-Key", "l")]
    )
    assert (answer.status, answer.json["code"]) == (422, 3001)
    in_body = {"shelf": "a", "things": 1, "idempotency_key": "k9"}  # Not a field of this body, and yet a key.
    basket = uuid4()
    first = await shop.ask("POST", f"/baskets/{basket}", in_body, token=shop.token())
    again = await take(shop, things=1, key="k9", basket=basket)
    assert (first.status, again.status, again.headers["idempotency-replayed"]) == (201, 201, "true")


@pytest.mark.promise("A6")
async def test_twins_in_flight_get_one_effect(shop: Shop) -> None:
    basket = uuid4()
    answers = await asyncio.gather(*(take(shop, basket=basket) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7
    busy = next(answer for answer in answers if answer.status == 409)
    assert (busy.json["code"], busy.headers["retry-after"]) == (3002, "1")
    assert (await take(shop, basket=basket)).headers["idempotency-replayed"] == "true"
    assert (await shop.ask("GET", "/shelves/a")).json["things"] == 8


async def test_a_key_left_by_a_bad_request_can_be_used_again(shop: Shop) -> None:
    assert (await take(shop, things=0)).status == 400
    assert (await take(shop, things=1)).status == 201


@pytest.mark.requirement("S1-209")
async def test_ids_are_echoed_or_made(shop: Shop) -> None:
    given = await shop.ask("GET", "/shelves/a", headers=[("X-Request-ID", "r-1"), ("X-Correlation-ID", "c-1")])
    assert (given.headers["x-request-id"], given.headers["x-correlation-id"]) == ("r-1", "c-1")
    made = await shop.ask("GET", "/shelves/a")
    assert made.headers["x-request-id"] == made.headers["x-correlation-id"]
    assert UUID(made.headers["x-request-id"]).version == 7
    bad = await shop.ask("GET", "/shelves/a", headers=[("X-Request-ID", "r 1" * 100)])
    assert (bad.status, bad.json["errors"][0]["field"]) == (400, "X-Request-ID")


async def test_versions_that_are_not_served_are_refused(shop: Shop) -> None:
    for version in ("application/vnd.pasar.v1+json", "application/vnd.company.v1+json"):
        assert (await shop.ask("GET", "/shelves/a", headers=[("Accept-Version", version)])).status == 200
    other = await shop.ask("GET", "/shelves/a", headers=[("Accept-Version", "application/vnd.pasar.v2+json")])
    assert (other.status, other.json["code"]) == (406, 3007)
    assert "application/vnd.pasar.v1+json" in other.json["supported"]


async def test_unknown_paths_and_methods_are_problem_documents(shop: Shop) -> None:
    nowhere = await shop.ask("GET", "/nowhere")
    assert (nowhere.status, nowhere.json["code"], nowhere.headers["content-type"]) == (
        404, 3008, "application/problem+json",
    )  # fmt: skip
    wrong = await shop.ask("DELETE", "/shelves/a")
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    options = await shop.ask("OPTIONS", "/shelves/a")
    assert (options.status, options.headers["allow"], options.body) == (204, "GET, HEAD, OPTIONS, POST", b"")
    assert (await shop.ask("GET", "/shelves/")).status == 404


async def test_head_is_get_without_body(shop: Shop) -> None:
    get, head = await shop.ask("GET", "/shelves/a"), await shop.ask("HEAD", "/shelves/a")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", get.headers["content-length"])


async def test_what_has_not_changed_is_not_sent_again(shop: Shop) -> None:
    first = await shop.ask("GET", "/shelves/a")
    same = await shop.ask("GET", "/shelves/a", headers=[("If-None-Match", first.headers["etag"])])
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", first.headers["etag"])
    await take(shop)
    changed = await shop.ask("GET", "/shelves/a", headers=[("If-None-Match", first.headers["etag"])])
    assert changed.status == 200


async def test_a_list_is_read_page_by_page(shop: Shop) -> None:
    first = (await shop.ask("GET", "/shelves?limit=3&tag=x&tag=y")).json
    second = (await shop.ask("GET", f"/shelves?limit=3&cursor={first['next']}")).json
    assert [one["things"] for one in first["items"] + second["items"]] == list(range(6))
    for cursor in ("garbage!", "bm9uZQ", first["next"] + "A", "%00", "é"):
        answer = await shop.ask("GET", f"/shelves?cursor={cursor}")
        assert answer.status == 400
        assert answer.json["code"] in (3003, 3004)


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("colour=green", "colour"),
     ("what=1", "what"), ("limit=1&limit=2", "limit"), ("limit=99999999999999999999", "limit")],
)  # fmt: skip
async def test_a_wrong_query_says_which_parameter(shop: Shop, query: str, field: str) -> None:
    answer = await shop.ask("GET", f"/shelves?{query}")
    assert (answer.status, answer.json["code"], answer.json["errors"][0]["field"]) == (400, 3003, field)


async def test_all_that_is_wrong_with_a_body_is_said(shop: Shop) -> None:
    body = {"sizes": [{"width": 0, "colour": "green"}, {"colour": "red", "hue": 1}], "weight": "heavy", "x": 1}
    answer = await shop.ask("POST", "/sizes", body)
    errors = {error["field"]: error["detail"] for error in answer.json["errors"]}
    assert answer.status == 400
    assert errors.keys() == {"/sizes/0/width", "/sizes/0/colour", "/sizes/1/width", "/sizes/1/hue", "/weight", "/x"}
    assert errors["/sizes/0/colour"] == "must be one of red, blue"
    assert errors["/sizes/1/width"] == "missing"
    assert errors["/x"] == "unknown field; leave it out"


async def test_texts_come_out_composed(shop: Shop) -> None:
    for body in (b'{"text":"e\xcc\x81"}', b'{"text":"e\\u0301"}'):
        assert (await shop.ask("POST", "/echo", body)).json == {"text": "é"}
    combining_after_escape = '{"text":"a\\n\u0303"}'.encode()
    assert (await shop.ask("POST", "/echo", combining_after_escape)).json == {"text": "a\n\u0303"}


async def test_an_escaped_slash_belongs_to_the_parameter(shop: Shop) -> None:
    assert (await shop.ask("GET", "/shelves/a%2Fb")).json["shelf"] == "a/b"
    assert (await shop.ask("GET", "/shelves/a/b")).status == 404


async def test_nobody_gets_in_without_the_right_token(shop: Shop) -> None:
    nobody = await shop.ask("GET", "/members-only")
    assert (nobody.status, nobody.json["code"]) == (401, 4001)
    assert nobody.headers["www-authenticate"] == 'Bearer realm="pasar"'
    guest = await shop.ask("GET", "/members-only", token=shop.token("g", "guest"))
    assert (guest.status, guest.json["code"]) == (403, 4003)
    assert (await shop.ask("GET", "/members-only", token=shop.token())).json == {"text": "kim"}
    forged = await shop.ask("GET", "/shelves/a", token="x.y.z")
    assert (forged.status, forged.headers["www-authenticate"]) == (401, 'Bearer realm="pasar", error="invalid_token"')


async def test_the_owner_and_admins_see_a_page(shop: Shop) -> None:
    me, other = str(uuid4()), str(uuid4())
    assert (await shop.ask("GET", f"/members/{me}", token=shop.token(me))).status == 200
    assert (await shop.ask("GET", f"/members/{me}", token=shop.token(other))).status == 403
    assert (await shop.ask("GET", f"/members/{me}", token=shop.token("a", "admin"))).status == 200


@pytest.mark.promise("D10")
async def test_headers_about_who_one_is_are_not_believed(shop: Shop) -> None:
    headers = [("X-User-Id", "root"), ("X-Forwarded-For", "10.0.0.1"), ("X-Original-URL", "/shelves/a")]
    assert (await shop.ask("GET", "/members-only", headers=headers)).status == 401


@pytest.mark.promise("D7")
async def test_who_signed_out_is_out_at_once(shop: Shop) -> None:
    token = shop.token("kim", version=3)
    assert (await shop.ask("GET", "/members-only", token=token)).status == 200
    shop.revocations.revoke(1, "kim", 4)
    assert (await shop.ask("GET", "/members-only", token=token)).status == 401
    assert (await shop.ask("GET", "/members-only", token=shop.token("kim", version=4))).status == 200
    shop.age_s = 2.0
    late = await shop.ask("GET", "/members-only", token=shop.token("kim", version=4))
    assert (late.status, late.json["code"]) == (503, 9003)


@pytest.mark.promise("C2")
async def test_a_slow_handler_ends_at_its_deadline(shop: Shop) -> None:
    answer = await shop.ask("GET", "/slow")
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, 9003, "1")


@pytest.mark.promise("C2")
async def test_a_full_lane_refuses_at_once_and_others_go_on(shop: Shop) -> None:
    waiting = [asyncio.create_task(shop.ask("GET", "/slow")) for _ in range(8)]
    await asyncio.sleep(0)
    refused = await shop.ask("GET", "/slow")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert (await shop.ask("GET", "/shelves/a")).status == 200
    await asyncio.gather(*waiting)
    assert shop.web.lanes.running == 0


async def test_a_fault_shows_nothing_but_the_request_id(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    answer = await shop.ask("GET", "/broken")
    assert (answer.status, answer.json["code"]) == (500, 9000)
    assert b"secret" not in answer.body
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.promise("C2")
async def test_a_database_that_is_gone_is_said_to_be_for_a_while(shop: Shop) -> None:
    await shop.core.database.close()
    shop.core.database.dsn = "postgresql://127.0.0.1:1/none"
    answer = await shop.ask("GET", "/shelves/other")
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, 9003, "1")


async def test_a_stream_ends_when_the_client_hangs_up(shop: Shop) -> None:
    answer = await shop.ask("GET", "/stream")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    assert answer.body in (b"", b"data: tick\n\n")


@pytest.mark.promise("D11")
async def test_every_answer_carries_the_safe_headers(shop: Shop) -> None:
    for answer in (await shop.ask("GET", "/shelves"), await shop.ask("GET", "/nowhere"), await take(shop)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers


async def test_a_read_waits_until_the_views_have_what_was_written(database: TestDatabase, tmp_path: Path) -> None:
    asked: list[tuple[int, str]] = []
    there = asyncio.Event()

    async def views_at(tenant: int, position: str) -> None:
        asked.append((tenant, position))
        await there.wait()

    async with open_shop(database, tmp_path, views_at=views_at) as shop:
        behind = await shop.ask("GET", "/shelves/a?after=7.12")
        assert (behind.status, behind.headers["x-pasar-behind"]) == (200, "true")
        there.set()
        fresh = await shop.ask("GET", "/shelves/a", headers=[("X-Pasar-After", "7.12")])
        assert "x-pasar-behind" not in fresh.headers
        assert asked == [(1, "7.12")] * 2
        assert (await shop.ask("GET", "/shelves/a?after=x")).status == 400
        assert (await shop.ask("GET", f"/shelves/a?after={2**64}.1")).status == 400


@pytest.mark.requirement("S1-211")
async def test_a_deployment_may_want_keys_with_every_write(database: TestDatabase, tmp_path: Path) -> None:
    async with open_shop(database, tmp_path, keys_everywhere=True) as shop:
        path = f"/baskets/{uuid4()}/keep"
        without = await shop.ask("POST", path, token=shop.token())
        assert (without.status, without.json["code"]) == (400, 3001)
        assert (await shop.ask("POST", path, token=shop.token(), key="k")).json["name"] == "IS_OVER"
        assert (await shop.ask("POST", "/echo", {"text": "a"})).status == 200  # One that takes none.
