"""Addresses, verification, roles, export and erasure, over HTTP."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from contexts.people import PASSWORD, People
from kernel.running import until
from pasar.contexts.identity import facade
from pasar.contexts.identity.contract import MAX_ADDRESSES, EraseAccount
from pasar.kernel.access import Principal
from pasar.kernel.module import OfPersons
from pasar.kernel.private import Private
from pasar.kernel.tokens import Tokens as Issuer
from pasar.refusals import AddressNotFound

HOME = {
    "recipient": "Kim Minji",
    "phone": "+82 10-1234-5678",
    "line1": "Sejong-daero 110",
    "city": "Seoul",
    "postal_code": "04524",
    "country": "KR",
}
COMPANY = {"business_number": "123-45-67890", "legal_name": "Orchard Co.", "bank_account": "KB 123456-78"}


async def add(people: People, token: str, key: str | None = None, **more: Any) -> Any:
    return await people.ask("POST", "/api/v1/me/addresses", {"address": HOME, **more}, token=token, key=key)


async def test_an_address_book_is_kept(people: People) -> None:
    token = (await people.join())["access_token"]
    first = await add(people, token)
    assert first.status == 201
    (saved,) = first.json["addresses"]
    assert saved["address"]["line1"] == "Sejong-daero 110"
    assert saved["is_default"] is True
    second = await add(people, token, address_id="office", is_default=True)
    assert [(one["address_id"], one["is_default"]) for one in second.json["addresses"]] == [
        (saved["address_id"], False),
        ("office", True),
    ]
    listed = await people.ask("GET", "/api/v1/me/addresses", token=token)
    assert listed.json == second.json["addresses"]
    gone = await people.ask("DELETE", "/api/v1/me/addresses/office", token=token)
    assert [one["is_default"] for one in gone.json["addresses"]] == [True]
    again = await people.ask("DELETE", "/api/v1/me/addresses/office", token=token)
    assert (again.status, again.json["code"]) == (404, 4009)


async def test_a_repeat_with_a_key_adds_one_address_and_shows_it_readable(people: People) -> None:
    token = (await people.join())["access_token"]
    first, again = await add(people, token, "k1"), await add(people, token, "k1")
    assert (first.status, first.body) == (201, again.body)
    assert first.json["addresses"][0]["address"]["recipient"] == "Kim Minji"
    assert again.headers["idempotency-replayed"] == "true"
    assert len((await people.ask("GET", "/api/v1/me/addresses", token=token)).json) == 1


async def test_the_address_book_ends_at_twenty(people: People) -> None:
    token = (await people.join())["access_token"]

    async def insist() -> Any:
        # All write to one stream, and who loses too often in a row is told to come again.
        while (answer := await add(people, token)).status == 503:
            assert "retry-after" in answer.headers
        return answer

    answers = await asyncio.gather(*(insist() for _ in range(MAX_ADDRESSES + 2)))
    assert sorted(answer.status for answer in answers) == [201] * MAX_ADDRESSES + [422] * 2


async def test_an_address_for_an_order_is_sealed_and_of_that_person_only(people: People) -> None:
    kim, lee = await people.join(), await people.join("lee@example.com")
    await add(people, kim["access_token"], address_id="home")
    found = await facade.address(people.db, UUID(kim["account"]), "home")
    assert found.line1.is_sealed
    assert (await people.core.keys.open_all(found)).line1 == Private("Sejong-daero 110")  # type: ignore[attr-defined]
    for person in (UUID(lee["account"]), uuid4()):
        with pytest.raises(AddressNotFound):
            await facade.address(people.db, person, "home")


async def test_an_envelope_from_outside_is_refused(people: People) -> None:
    token = (await people.join())["access_token"]
    envelope = {"key": "k", "event": "e", "field": "f", "box": "b"}
    answer = await people.ask("POST", "/api/v1/me/addresses", {"address": HOME | {"line1": envelope}}, token=token)
    assert (answer.status, answer.json["code"]) == (400, 3003)


@pytest.mark.requirement("S0-122")
async def test_a_seller_is_verified_by_staff(people: People) -> None:
    admin, kim = (await people.admin())["access_token"], await people.join()
    token, account = kim["access_token"], kim["account"]
    early = await people.ask("POST", f"/api/v1/accounts/{account}/kyc-decision", {"verified": True}, token=admin)
    assert (early.status, early.json["code"]) == (409, 4011)
    handed_in = await people.ask("POST", "/api/v1/me/kyc", COMPANY, token=token)
    assert (handed_in.status, handed_in.json["kyc"]) == (201, "submitted")
    shown = await people.ask("GET", f"/api/v1/accounts/{account}/kyc", token=admin)
    assert shown.json == COMPANY
    assert (await people.ask("GET", f"/api/v1/accounts/{account}/kyc", token=token)).status == 403
    mine = await people.ask("POST", f"/api/v1/accounts/{account}/kyc-decision", {"verified": True}, token=token)
    assert mine.status == 403
    waiting = await until(lambda: waits(people, admin))
    assert [one["account"] for one in waiting] == [account]
    done = await people.ask("POST", f"/api/v1/accounts/{account}/kyc-decision", {"verified": True}, token=admin)
    assert (done.status, done.json["kyc"]) == (200, "verified")
    stranger = uuid4()
    assert await facade.kyc(people.db, [UUID(account), stranger]) == {UUID(account): "verified", stranger: "none"}


async def waits(people: People, admin: str) -> Any:
    return (await people.ask("GET", "/api/v1/accounts?kyc=submitted", token=admin)).json["items"]


@pytest.mark.requirement("S0-027", "S0-028", "S0-032")
@pytest.mark.promise("D7")
async def test_roles_act_within_a_second_and_only_staff_gives_them(people: People) -> None:
    admin, kim = (await people.admin())["access_token"], await people.join()
    path = f"/api/v1/accounts/{kim['account']}/roles"
    wish = {"roles": ["seller", "member"], "stores": ["orchard"]}
    assert (await people.ask("PUT", path, wish, token=kim["access_token"])).status == 403
    given = await people.ask("PUT", path, wish, token=admin)
    assert (given.status, given.json["kind"], given.json["stores"]) == (200, "seller", ["orchard"])
    assert await people.dies(kim["access_token"])
    fresh = await people.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": kim["refresh_token"]})
    who = people.core.tool(Issuer).verify(fresh.json["access_token"])
    assert (who.kind, who.roles, who.stores) == ("seller", {"seller", "member"}, {"orchard"})


async def test_the_second_fence_asks_the_log_and_not_the_token(people: People) -> None:
    """A token that claims more than its account has does not help to give it."""
    admin, kim, lee = await people.admin(), await people.join(), await people.join("lee@example.com")
    only_admin = {"roles": ["admin", "member"]}
    path = f"/api/v1/accounts/{kim['account']}/roles"
    assert (await people.ask("PUT", path, only_admin, token=admin["access_token"])).status == 200
    forged = people.core.tool(Issuer).issue(
        Principal(id=kim["account"], kind="admin", roles=frozenset({"admin", "finance"}), version=9)
    )
    path = f"/api/v1/accounts/{lee['account']}/roles"
    answer = await people.ask("PUT", path, {"roles": ["finance"]}, token=forged)
    assert (answer.status, answer.json["code"]) == (403, 4014)


async def test_the_first_administrator_is_made_once(people: People) -> None:
    first = await facade.ensure_admin(people.bus(), "root@example.com", PASSWORD)
    assert await facade.ensure_admin(people.bus(), "ROOT@example.com", "another password of ours") == first
    assert (await people.sign_in("root@example.com")).status == 201


async def test_accounts_are_listed_page_by_page(people: People) -> None:
    admin = (await people.admin())["access_token"]
    made = {(await people.join(f"m{number}@example.com"))["account"] for number in range(4)}

    async def all_five() -> Any:
        found: list[str] = []
        cursor = ""
        while True:
            page = (await people.ask("GET", f"/api/v1/accounts?limit=2{cursor}", token=admin)).json
            found += [one["account"] for one in page["items"]]
            if page["next"] is None:
                return found if len(found) == 5 else None
            cursor = f"&cursor={page['next']}"

    found = await until(all_five)
    assert found == sorted(found)
    assert made < set(found)


@pytest.mark.requirement("S1-062")
async def test_ones_own_data_can_be_exported(people: People) -> None:
    kim = await people.join(mobile="010-1234-5678")
    await add(people, kim["access_token"])
    await people.ask("POST", "/api/v1/me/kyc", COMPANY, token=kim["access_token"])

    async def orders(bus: Any, person: UUID) -> Any:
        return {"of": str(person)}

    people.core.equip(OfPersons({"ordering": orders}, {}))
    found = (await people.ask("GET", "/api/v1/me/export", token=kim["access_token"])).json
    assert (found["me"]["mail"], found["me"]["mobile"]) == ("kim@example.com", "010-1234-5678")
    assert found["me"]["addresses"][0]["address"]["recipient"] == "Kim Minji"
    assert found["verification"] == COMPANY
    assert found["consents"] == [
        {"purpose": "privacy", "version": "2026-01"},
        {"purpose": "terms", "version": "2026-01"},
    ]
    assert len(found["sessions"]) == 1
    assert found["others"] == {"ordering": {"of": kim["account"]}}


@pytest.mark.requirement("S2-127")
@pytest.mark.promise("E2")
async def test_who_leaves_is_unreadable_at_once_and_their_login_is_free(people: People) -> None:
    admin, kim = (await people.admin())["access_token"], await people.join()
    await add(people, kim["access_token"], address_id="home")
    sealed = await facade.address(people.db, UUID(kim["account"]), "home")
    assert (await people.ask("DELETE", "/api/v1/me", token=kim["access_token"])).status == 204
    assert await people.dies(kim["access_token"])
    assert (await people.sign_in("kim@example.com")).status == 401
    gone = await people.ask("GET", f"/api/v1/accounts/{kim['account']}", token=admin)
    assert (gone.status, gone.json["code"]) == (410, 4008)
    assert (await people.core.keys.open_all(sealed)).line1.erased  # type: ignore[attr-defined]
    refresh = await people.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": kim["refresh_token"]})
    assert (refresh.status, refresh.json["code"]) == (401, 4006)
    again = await people.join()
    assert again["account"] != kim["account"]


async def test_an_erasure_that_was_interrupted_is_finished(people: People) -> None:
    kim = await people.join()
    (mail,) = [person.mail for person in (await facade.people(people.db, [UUID(kim["account"])])).values()]
    await people.bus().send(EraseAccount(account=UUID(kim["account"])))  # And here the process dies.

    async def unreadable() -> bool:
        return (await people.core.keys.open_all([mail]))[0].erased  # type: ignore[attr-defined]

    assert await until(unreadable)


async def test_a_profile_is_changed(people: People) -> None:
    token = (await people.join())["access_token"]
    changed = await people.ask("PATCH", "/api/v1/me", {"name": "Kim M.", "locale": "en"}, token=token)
    assert (changed.status, changed.json["name"], changed.json["locale"]) == (200, "Kim M.", "en")
    bad = await people.ask("PATCH", "/api/v1/me", {"name": "a\nb"}, token=token)
    assert (bad.status, bad.json["errors"][0]["field"]) == (400, "/name")
