"""Second factors: RFC 6238 to the letter, good once, needed where the settings say so."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from contexts.people import PASSWORD, People, open_people
from pasar.contexts.identity.contract_factor import (
    BeginSecondFactor,
    ConfirmSecondFactor,
    RemoveSecondFactor,
    SecondFactorBegun,
    SecondFactorConfirmed,
    SecondFactorRemoved,
    SecondFactorUsed,
    UseSecondFactor,
)
from pasar.contexts.identity.second_factor import (
    code_of,
    recovery_digest,
    recovery_number,
    second_factor,
    step_of,
)
from pasar.kernel.private import Private
from pasar.kernel.testing import scenario
from pasar.refusals import BadCredentials, SecondFactorStateForbids
from postgres import TestDatabase

ID = UUID(int=1)
ENVELOPE = {"key": "k", "event": str(UUID(int=9)), "field": "f", "box": "AAAA"}
SEALED: Any = Private.__from_json__(ENVELOPE)
BEGUN = SecondFactorBegun(account=ID, secret=SEALED)
ON = SecondFactorConfirmed(account=ID, step=100, recovery=SEALED)


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"), (1234567890, "89005924"),
        (2000000000, "69279037"), (20000000000, "65353130"),
    ],
)  # fmt: skip
def test_the_codes_are_those_of_rfc_6238(at: int, code: str) -> None:
    """Appendix B, SHA-1; the last six of its eight digits."""
    secret = b"12345678901234567890"
    assert code_of(secret, at // 30) == code[-6:]
    text, now = base64.b32encode(secret).decode(), datetime.fromtimestamp(at, UTC)
    assert step_of(text, code[-6:], now) == at // 30
    assert step_of(text, code[-6:], now + timedelta(seconds=30)) == at // 30
    assert step_of(text, code[-6:], now + timedelta(seconds=90)) is None
    assert step_of(text, "abcdef", now) is None


def test_a_code_is_good_once_and_older_ones_not_at_all() -> None:
    check, use = scenario(second_factor), UseSecondFactor(account=ID, step=101)
    used = SecondFactorUsed(account=ID, step=101)
    check(given=[BEGUN, ON], when=use, then=[used])
    check(given=[BEGUN, ON, used], when=use, then=BadCredentials)
    check(given=[BEGUN, ON], when=UseSecondFactor(account=ID, step=100), then=BadCredentials)
    check(given=[BEGUN], when=use, then=BadCredentials)
    recovery = SecondFactorUsed(account=ID, recovery=3)
    check(given=[BEGUN, ON], when=UseSecondFactor(account=ID, recovery=3), then=[recovery])
    check(given=[BEGUN, ON, recovery], when=UseSecondFactor(account=ID, recovery=3), then=BadCredentials)


def test_it_is_begun_confirmed_and_removed() -> None:
    check, begin = scenario(second_factor), BeginSecondFactor(account=ID, secret=SEALED)
    confirm = ConfirmSecondFactor(account=ID, step=100, recovery=SEALED)
    check(given=[], when=begin, then=[BEGUN])
    check(given=[BEGUN], when=begin, then=[BEGUN])
    check(given=[BEGUN, ON], when=begin, then=SecondFactorStateForbids)
    check(given=[], when=confirm, then=SecondFactorStateForbids)
    check(given=[BEGUN], when=confirm, then=[ON])
    remove = RemoveSecondFactor(account=ID, by="kim")
    check(given=[BEGUN, ON], when=remove, then=[SecondFactorRemoved(account=ID, by="kim")])
    check(given=[], when=remove, then=[])


def test_recovery_codes_are_read_as_people_write_them() -> None:
    digests = " ".join(map(recovery_digest, ("abcd-efgh-ijkl-mnop", "2345-2345-2345-2345")))
    assert recovery_number(digests, " 2345234523452345 ") == 1
    assert recovery_number(digests, "ABCD-EFGH-IJKL-MNOP") == 0
    assert recovery_number(digests, "abcd") is None


class App:
    """An authenticator app that was shown the address of the QR code."""

    def __init__(self, uri: str, people: People) -> None:
        self._secret, self._people = base64.b32decode(parse_qs(urlsplit(uri).query)["secret"][0]), people

    def code(self) -> str:
        return code_of(self._secret, int(self._people.clock.now().timestamp()) // 30)


async def enrolled(people: People, token: str) -> tuple[App, dict[str, Any]]:
    begun = await people.ask("POST", "/api/v1/me/second-factor", {"password": PASSWORD}, token=token)
    assert begun.status == 200, begun.json
    app = App(begun.json["uri"], people)
    confirmed = await people.ask("POST", "/api/v1/me/second-factor/confirm", {"code": app.code()}, token=token)
    assert confirmed.status == 200, confirmed.json
    return app, confirmed.json


async def sign_in(people: People, login: str, code: str | None = None) -> Any:
    body = {"login": login, "password": PASSWORD} | ({"code": code} if code else {})
    return await people.ask("POST", "/api/v1/sessions", body)


@pytest.mark.requirement("S1-196")
async def test_who_has_enrolled_signs_in_with_a_code_that_is_good_once(people: People) -> None:
    kim = await people.join()
    app, confirmed = await enrolled(people, kim["access_token"])
    assert await people.dies(kim["access_token"])
    assert (await people.ask("GET", "/api/v1/me", token=confirmed["access_token"])).status == 200
    needed = await sign_in(people, "kim@example.com")
    assert (needed.status, needed.json["code"]) == (401, 4016)
    assert (await sign_in(people, "kim@example.com", app.code())).status == 401  # It has confirmed the enrolment.
    people.clock.advance(timedelta(minutes=20))
    code = app.code()
    answer = await sign_in(people, "kim@example.com", code)
    assert answer.status == 201
    replay = await sign_in(people, "kim@example.com", code)
    assert (replay.status, replay.json["code"]) == (401, 4005)
    recovery = confirmed["recovery_codes"][4]
    assert (await sign_in(people, "kim@example.com", recovery)).status == 201
    assert (await sign_in(people, "kim@example.com", recovery)).status == 401
    token = answer.json["access_token"]
    shown = await people.ask("GET", "/api/v1/me/second-factor", token=token)
    assert (shown.json["state"], shown.json["recovery_left"]) == ("on", 9)
    people.clock.advance(timedelta(seconds=60))
    gone = {"password": PASSWORD, "code": app.code()}
    assert (await people.ask("POST", "/api/v1/me/second-factor/remove", gone, token=token)).json["state"] == "none"
    assert (await sign_in(people, "kim@example.com")).status == 201


@pytest_asyncio.fixture
async def strict(database: TestDatabase, tmp_path: Path) -> AsyncIterator[People]:
    async with open_people(database, tmp_path, **{"identity.second_factor_for_staff": True}) as opened:
        yield opened


async def test_staff_act_as_such_only_with_a_second_factor_where_the_settings_say_so(strict: People) -> None:
    first = await strict.admin()
    listed = "/api/v1/accounts"
    assert (await strict.ask("GET", listed, token=first["access_token"])).status == 403
    app, confirmed = await enrolled(strict, first["access_token"])
    assert (await strict.ask("GET", listed, token=confirmed["access_token"])).status == 200
    strict.clock.advance(timedelta(seconds=60))
    again = await sign_in(strict, "root@example.com", app.code())
    assert (await strict.ask("GET", listed, token=again.json["access_token"])).status == 200
    refreshed = await strict.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": again.json["refresh_token"]})
    assert (await strict.ask("GET", listed, token=refreshed.json["access_token"])).status == 200
    own = f"/api/v1/accounts/{again.json['account']}/second-factor/reset"
    assert (await strict.ask("POST", own, token=refreshed.json["access_token"])).json["code"] == 4017
    kim = await strict.join()
    other = f"/api/v1/accounts/{kim['account']}/second-factor/reset"
    assert (await strict.ask("POST", other, token=kim["access_token"])).status == 403
    assert (await strict.ask("POST", other, token=refreshed.json["access_token"])).json["state"] == "none"


async def test_wrong_codes_count_as_wrong_guesses(people: People) -> None:
    kim = await people.join()
    await enrolled(people, kim["access_token"])
    seen = [(await sign_in(people, "kim@example.com", "000000")).status for _ in range(3)]
    assert seen == [401] * 3
    owner = await asyncpg.connect(people.database.dsn)
    counted = await owner.fetchval("select max(failures) from kernel.throttle")
    await owner.close()
    assert counted >= 3
