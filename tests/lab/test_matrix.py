"""Every route × every kind of caller × own, other's, missing and other tenant's objects."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from journeys.town import Town
from pasar.apps.lab import matrix
from pasar.apps.lab.evidence import Evidence
from pasar.apps.lab.matrix import Leak, World
from pasar.apps.lab.own import own_routes
from pasar.apps.lab.target import Caller, Reply, Target
from pasar.kernel.access import Principal, anyone
from pasar.kernel.clock import SystemClock
from pasar.kernel.ids import SystemIds
from pasar.kernel.tokens import KeyRing, Tokens
from pasar.kernel.web import Route

ROUTES = own_routes()


@pytest_asyncio.fixture
async def world(town: Town, target: Target) -> AsyncIterator[World]:
    tokens = Tokens(KeyRing(town.folder / "tokens", SystemClock()), SystemClock(), SystemIds())
    who = Principal(id="01900000-0000-7000-8000-000000000002", kind="admin", roles=frozenset({"admin"}), tenant=2)
    yield await matrix.furnish(target, Caller(who.id, tokens.issue(who)))


@pytest.mark.requirement("S0-115")
@pytest.mark.promise("D2")
async def test_nobody_gets_what_is_another_s(target: Target, world: World, proof: Evidence) -> None:
    await matrix.check_doors(target, ROUTES, world, proof)
    await matrix.check_objects(target, ROUTES, world, proof)
    await matrix.check_lists(target, ROUTES, world, proof)
    proof.figure("routes", len(ROUTES))
    proof.figure("callers", len(world.callers))


@pytest.mark.promise("D11")
async def test_every_answer_carries_its_fences(target: Target, world: World, proof: Evidence) -> None:
    await matrix.check_fences(target, ROUTES, world, proof)


@pytest.mark.promise("D10")
async def test_extra_fields_and_headers_change_nothing(target: Target, world: World, proof: Evidence) -> None:
    await matrix.check_extra_fields(target, ROUTES, world, proof)
    await matrix.check_headers(target, ROUTES, world, proof)
    await matrix.check_prices(target, proof)


class Careless:
    """A deployment that forgets something: it answers `reply` to whatever contains `where`."""

    def __init__(self, target: Target, where: str, reply: Reply) -> None:
        self._target, self._where, self._reply = target, where, reply

    async def ask(self, method: str, path: str, *more: Any, **headers: Any) -> Reply:
        if self._where in path:
            return self._reply
        return await self._target.ask(method, path, *more, **headers)


def named(path: str, method: str = "GET") -> list[Route]:
    return [route for route in ROUTES if (route.method, route.path) == (method, path)]


ORDER = "/api/v1/orders/{order_no}"


async def test_a_forgotten_owner_check_is_found(target: Target, world: World) -> None:
    shown = Reply(200, {}, b'{"order_no":"' + world.objects["order_no"].encode() + b'"}')
    careless: Any = Careless(target, world.objects["order_no"], shown)
    with pytest.raises(Leak, match="another's is 200"):
        await matrix.check_objects(careless, named(ORDER), world, Evidence("twin", ()))


async def test_a_refusal_that_says_that_something_is_there_is_found(target: Target, world: World) -> None:
    careless: Any = Careless(target, world.objects["order_no"], Reply(403, {}, b"{}"))
    with pytest.raises(Leak, match="another's is 403"):
        await matrix.check_objects(careless, named(ORDER), world, Evidence("twin", ()))


async def test_a_door_without_a_policy_is_found(target: Target, world: World) -> None:
    careless: Any = Careless(target, "/accounts", Reply(200, {}, b"[]"))
    with pytest.raises(Leak, match="200 instead of"):
        await matrix.check_doors(careless, named("/api/v1/accounts"), world, Evidence("twin", ()))


async def test_a_list_of_all_tenants_is_found(target: Target, world: World) -> None:
    careless: Any = Careless(target, "/staff/orders", Reply(200, {}, world.marks[0].encode()))
    with pytest.raises(Leak, match="tells seller"):
        await matrix.check_lists(careless, named("/api/v1/staff/orders"), world, Evidence("twin", ()))


async def test_a_field_that_is_swallowed_and_a_header_that_is_believed_are_found(target: Target, world: World) -> None:
    careless: Any = Careless(target, "/api/v1", Reply(200, {}, b"{}"))
    with pytest.raises(Leak):
        await matrix.check_extra_fields(careless, ROUTES, world, Evidence("twin", ()))
    with pytest.raises(Leak):
        await matrix.check_headers(careless, named("/api/v1/accounts"), world, Evidence("twin", ()))


def test_an_answer_without_fences_is_found() -> None:
    assert matrix.missing_fences(Reply(200, {}, b""), personal=True)
    loose = {"content-security-policy": "default-src 'none'; script-src 'unsafe-inline'"}
    assert "content-security-policy" in matrix.missing_fences(Reply(200, loose, b""), personal=False)


def test_the_expectation_is_the_policy_of_the_route() -> None:
    (route,) = named("/api/v1/accounts")
    guest = Principal(id="x", kind="guest")
    assert not matrix.admitted(route, guest, route.path)
    assert matrix.admitted(replace(route, policy=anyone), guest, route.path)
