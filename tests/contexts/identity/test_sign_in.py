"""Joining, signing in and out, over HTTP."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from contexts.people import PASSWORD, People, member
from kernel.running import until
from pasar.contexts.checkout import facade as checkout
from pasar.contexts.checkout.contract import Cart, PutInCart
from pasar.contexts.identity import facade


@pytest.mark.requirement("S0-015", "S0-020", "S1-006", "S0-138")
async def test_a_member_joins_and_signs_in_by_mail_or_mobile(people: People) -> None:
    joined = await people.join(mobile="+82 10-1234-5678")
    assert UUID(joined["account"]).version == 4
    for login in ("kim@example.com", "KIM@Example.com", "+821012345678", "+82 (10) 1234 5678"):
        answer = await people.sign_in(login)
        assert answer.status == 201, (login, answer.json)
        assert answer.json["account"] == joined["account"]
        assert answer.headers["cache-control"] == "no-store"
    me = await people.ask("GET", "/api/v1/me", token=joined["access_token"])
    assert me.json["name"] == "Kim Minji"
    assert me.json["mail"] == "kim@example.com"
    assert (me.json["kind"], me.json["roles"], me.json["kyc"]) == ("member", ["member"], "none")


@pytest.mark.requirement("S0-020")
async def test_a_login_belongs_to_one_account(people: People) -> None:
    await people.join(mobile="010-1234-5678")
    same_mail = await people.ask("POST", "/api/v1/members", member("KIM@example.com"))
    same_mobile = await people.ask("POST", "/api/v1/members", member("lee@example.com", mobile="01012345678"))
    assert [(a.status, a.json["code"]) for a in (same_mail, same_mobile)] == [(409, 4004)] * 2


async def test_twenty_who_want_one_login_get_one_account(people: People) -> None:
    asked = (people.ask("POST", "/api/v1/members", member("one@example.com", name=f"N{n}")) for n in range(20))
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status for answer in answers) == [201] + [409] * 19


@pytest.mark.promise("D8")
@pytest.mark.requirement("S0-140", "S0-141")
async def test_wrong_credentials_say_nothing_about_what_was_wrong(people: People) -> None:
    await people.join()
    wrong = await people.sign_in("kim@example.com", "some other password")
    unknown = await people.sign_in("nobody@example.com", "some other password")
    assert (wrong.status, wrong.json["code"], unknown.status) == (401, 4005, 401)
    for name in ("detail", "title", "errors", "type"):
        assert wrong.json[name] == unknown.json[name]


@pytest.mark.parametrize(
    ("password", "fine"),
    [
        ("short", False),
        ("password12345", False),
        ("1234567890", False),
        ("aaaaaaaaaaaaa", False),
        ("kim@example.com", False),
        ("qwertyuiop", False),
        (PASSWORD, True),
        ("다섯개의등불이켜진밤길", True),
    ],
)
@pytest.mark.requirement("S0-022")
async def test_a_password_is_long_and_not_what_everybody_tries(people: People, password: str, fine: bool) -> None:
    answer = await people.ask("POST", "/api/v1/members", member(password=password))
    assert (answer.status, answer.json.get("code")) == ((201, None) if fine else (422, 4010))


async def test_terms_and_privacy_must_be_accepted_in_their_version(people: People) -> None:
    for consents in ([], ["terms:2026-01"], ["terms:2025-01", "privacy:2026-01"]):
        answer = await people.ask("POST", "/api/v1/members", member(consents=consents))
        assert (answer.status, answer.json["code"]) == (422, 4012)
        assert answer.json["needed"] == ["terms:2026-01", "privacy:2026-01"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"mail": "no address"},
        {"mail": "kim@example.com\r\nBcc: all@example.com"},
        {"name": ""},
        {"name": "Kim\nMinji"},
        {"mobile": "call me"},
        {"mail": {"key": "k", "event": "e", "field": "f", "box": "b"}},
        {"roles": ["admin"]},
    ],
)
async def test_what_is_malformed_is_refused_by_its_field(people: People, wrong: dict[str, object]) -> None:
    answer = await people.ask("POST", "/api/v1/members", member(**wrong))  # type: ignore[arg-type]
    assert (answer.status, answer.json["code"]) == (400, 3003)
    assert next(iter(wrong)) in answer.json["errors"][0]["field"]


async def filled_cart(people: People, account: str) -> Cart:
    """The cart of somebody, as soon as something has come into it."""

    async def is_filled() -> bool:
        return bool((await checkout.cart(people.db, UUID(account))).lines)

    await until(is_filled)
    return await checkout.cart(people.db, UUID(account))


@pytest.mark.requirement("S0-016")
async def test_a_guests_cart_comes_along_at_sign_in(people: People) -> None:
    joined = await people.join()
    guest = (await people.ask("POST", "/api/v1/guests")).json
    put = PutInCart(
        owner=UUID(guest["account"]), channel="web", sku="apple", quantity=2, price_seen=Decimal(1000)
    )  # fmt: skip
    await people.bus().send(put)
    assert (await people.ask("GET", "/api/v1/me", token=guest["access_token"])).json["kind"] == "guest"
    answer = await people.sign_in("kim@example.com", token=guest["access_token"])
    assert answer.status == 201
    theirs = await filled_cart(people, joined["account"])
    left = await checkout.cart(people.db, UUID(guest["account"]))
    assert [(line.sku, line.quantity) for line in theirs.lines] == [("apple", 2)]
    assert left.lines == ()


async def test_a_guests_cart_comes_along_when_they_join(people: People) -> None:
    guest = (await people.ask("POST", "/api/v1/guests")).json
    await people.bus().send(PutInCart(owner=UUID(guest["account"]), channel="web", sku="pear", quantity=1))
    joined = await people.join(token=guest["access_token"])
    theirs = await filled_cart(people, joined["account"])
    assert [line.sku for line in theirs.lines] == ["pear"]


@pytest.mark.requirement("S0-139")
@pytest.mark.promise("D7")
async def test_a_refresh_token_is_good_once(people: People) -> None:
    joined = await people.join()
    first = await people.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": joined["refresh_token"]})
    assert first.status == 200
    second = await people.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": first.json["refresh_token"]})
    assert second.status == 200
    assert len({joined["refresh_token"], first.json["refresh_token"], second.json["refresh_token"]}) == 3
    people.clock.set(people.clock.now() + timedelta(minutes=1))
    stolen = await people.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": first.json["refresh_token"]})
    assert (stolen.status, stolen.json.get("code")) == (401, 4006)
    after = await people.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": second.json["refresh_token"]})
    assert (after.status, after.json["code"]) == (401, 4006)
    assert await people.dies(second.json["access_token"])


async def test_two_at_once_and_one_whose_answer_got_lost_get_the_same_next_token(people: People) -> None:
    joined = await people.join()
    wish = {"refresh_token": joined["refresh_token"]}
    answers = await asyncio.gather(*(people.ask("POST", "/api/v1/sessions/refresh", wish) for _ in range(5)))
    answers.append(await people.ask("POST", "/api/v1/sessions/refresh", wish))
    assert [answer.status for answer in answers] == [200] * 6
    assert len({answer.json["refresh_token"] for answer in answers}) == 1
    following = {"refresh_token": answers[0].json["refresh_token"]}
    assert (await people.ask("POST", "/api/v1/sessions/refresh", following)).status == 200
    assert (await people.ask("POST", "/api/v1/sessions/refresh", wish)).json["code"] == 4006


async def test_a_made_up_refresh_token_ends_nothing(people: People) -> None:
    joined = await people.join()
    account, session, family, secret = joined["refresh_token"].split(".")
    for made_up in (f"{account}.{session}.x.{secret}", f"{account}.{account}.{family}.{secret}", "x", "a.b.c.d", ""):
        answer = await people.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": made_up})
        assert (answer.status, answer.json["code"]) == (401, 4006)
    mine = await people.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": joined["refresh_token"]})
    assert mine.status == 200


async def test_a_session_ends_by_itself(people: People) -> None:
    joined = await people.join()
    people.clock.set(people.clock.now() + timedelta(days=31))
    answer = await people.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": joined["refresh_token"]})
    assert (answer.status, answer.json["code"]) == (401, 4006)


@pytest.mark.requirement("S0-141")
async def test_signing_out_ends_this_session_only(people: People) -> None:
    here = await people.join()
    there = (await people.sign_in("kim@example.com")).json
    assert (await people.ask("DELETE", "/api/v1/sessions/current", token=here["access_token"])).status == 204
    assert await people.dies(here["access_token"])
    gone = await people.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": here["refresh_token"]})
    assert gone.status == 401
    fresh = await people.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": there["refresh_token"]})
    assert fresh.status == 200
    assert (await people.ask("GET", "/api/v1/me", token=fresh.json["access_token"])).status == 200


@pytest.mark.promise("D7")
async def test_signing_out_everywhere_ends_all(people: People) -> None:
    here = await people.join()
    there = (await people.sign_in("kim@example.com")).json
    assert (await people.ask("DELETE", "/api/v1/sessions", token=here["access_token"])).status == 204
    assert await people.dies(there["access_token"])
    for tokens in (here, there):
        answer = await people.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": tokens["refresh_token"]})
        assert answer.status == 401


@pytest.mark.requirement("S0-022")
async def test_a_new_password_ends_every_other_session(people: People) -> None:
    here = await people.join()
    there = (await people.sign_in("kim@example.com")).json
    new = "seven quiet lamps in a row"
    wrong = await people.ask(
        "POST", "/api/v1/me/password", {"old": "not my password", "new": new}, token=here["access_token"]
    )
    assert (wrong.status, wrong.json["code"]) == (401, 4005)
    body = {"old": PASSWORD, "new": new}
    changed = await people.ask("POST", "/api/v1/me/password", body, token=here["access_token"])
    assert changed.status == 200
    assert await people.dies(there["access_token"])
    assert (await people.ask("GET", "/api/v1/me", token=changed.json["access_token"])).status == 200
    assert (await people.sign_in("kim@example.com")).status == 401
    assert (await people.sign_in("kim@example.com", new)).status == 201


async def test_an_api_that_starts_later_knows_who_was_revoked(people: People) -> None:
    joined = await people.join()
    await people.ask("DELETE", "/api/v1/sessions", token=joined["access_token"])
    assert await facade.recently_revoked(people.core) == [(1, joined["account"], 1)]
    people.clock.set(people.clock.now() + timedelta(hours=1))
    assert await facade.recently_revoked(people.core) == []


async def test_nothing_personal_and_no_secret_is_in_the_log(people: People) -> None:
    joined = await people.join(mobile="+82 10-1234-5678")
    rows = await people.core.database.kernel.fetch(
        """select data::text as text from kernel.event union all select state::text from kernel.stream
           union all select convert_from(body, 'UTF8') from kernel.answer"""
    )
    for text in (row["text"] for row in rows):
        for secret in ("kim@example", "Kim Minji", "argon2", PASSWORD, joined["refresh_token"].split(".")[3]):
            assert secret.casefold() not in text.casefold(), (secret, text)
