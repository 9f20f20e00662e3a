"""Declarations of routes that are wrong stop the start, with a sentence that says what to change."""

from typing import Any

import pytest

from pasar.kernel.access import Principal, anonymous, anyone, member, own, own_store, signed_in, staff
from pasar.kernel.messages import Body, Value
from pasar.kernel.web import Route, route, routes_in
from pasar.kernel.web_router import Router


class Thing(Body):
    name: str


class Loose(Value):
    name: str


def declared(method: str, path: str, handler: Any, **options: Any) -> Route:
    return route(method, path, **({"policy": anyone} | options))(handler).route


async def get(id: int) -> None:
    """Get it."""


async def post(body: Thing) -> None:
    """Post it."""


async def post_loose(body: Loose) -> None:
    """Post it."""


async def undocumented() -> None:
    pass


async def untyped(id) -> None:  # type: ignore[no-untyped-def]
    """Has no type."""


def no_coroutine() -> None:
    """Is not async."""


@pytest.mark.parametrize(
    ("method", "path", "handler", "options", "sentence"),
    [
        ("GET", "/a/{id}", get, {"policy": None}, "says who may use it"),
        ("GET", "/a", get, {}, "the path names"),
        ("GET", "/a/{id}/{other}", get, {}, "the path names"),
        ("FETCH", "/a/{id}", get, {}, "a method is one of"),
        ("GET", "a/{id}", get, {}, "a path is made of"),
        ("GET", "/a//{id}", get, {}, "a path is made of"),
        ("GET", "/a/{id}", untyped, {}, "has no type"),
        ("GET", "/a", undocumented, {}, "docstring"),
        ("GET", "/a", no_coroutine, {}, "async"),
        ("GET", "/a", post, {}, "has no body"),
        ("POST", "/a", post_loose, {}, "must refuse unknown fields"),
        ("POST", "/a", post, {"example": {"nam": "x"}}, "the example is refused"),
        ("POST", "/a", post, {"raw": True}, "raw"),
        ("GET", "/a/{id}", get, {"key": "required"}, "only writes"),
        ("GET", "/a/{id}", get, {"refuses": [ValueError]}, "is no refusal"),
    ],
)
def test_a_wrong_declaration_is_told(method: str, path: str, handler: Any, options: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        declared(method, path, handler, **options)


def test_two_routes_at_one_place_or_of_one_name_are_told() -> None:
    first = declared("GET", "/a/{id}", get)
    with pytest.raises(TypeError, match="declared twice"):
        Router([first, declared("GET", "/a/{id}", get, operation="other")])
    with pytest.raises(TypeError, match="both called"):
        Router([first, declared("GET", "/b/{id}", get)])


def test_fixed_words_go_before_parameters() -> None:
    async def me() -> None:
        """Me."""

    async def deep(id: int) -> None:
        """Deep."""

    router = Router([declared("GET", "/a/{id}", get), declared("GET", "/a/me", me), declared("GET", "/a/{id}/x", deep)])

    def found(path: str) -> tuple[str, list[str]] | None:
        at = router.find(path, path.encode())
        return None if at is None else (at.methods["GET"].path, at.values)

    assert found("/a/me") == ("/a/me", [])
    assert found("/a/7") == ("/a/{id}", ["7"])
    assert found("/a/me/x") == ("/a/{id}/x", ["me"])  # Back from the word that led nowhere.
    assert found("/a") is None
    assert found("/a/7/y") is None
    assert found("/a/%2F/x") == ("/a/{id}/x", ["/"])


def test_routes_are_found_in_handlers_lists_and_modules() -> None:
    import kernel.toy_web

    assert set(routes_in(kernel.toy_web)) >= {handler.route for handler in kernel.toy_web.ROUTES}
    assert len(routes_in(kernel.toy_web.ROUTES, kernel.toy_web.ROUTES)) == len(kernel.toy_web.ROUTES)
    for nothing in ("get", 7, len):
        with pytest.raises(TypeError, match="declares no route"):
            routes_in(nothing)


def who(kind: str, **more: Any) -> Principal:
    return Principal(id="kim", kind=kind, **more)  # type: ignore[arg-type]


def test_policies_let_in_whom_they_say() -> None:
    nobody = anonymous()
    assert anyone.check(nobody, {})
    assert not any(policy.check(nobody, {"id": "anonymous"}) for policy in (signed_in, member, staff(), own("id")))
    assert staff("finance").check(who("finance"), {})
    assert staff("auditor").check(who("member", roles=frozenset({"auditor"})), {})
    assert not staff("finance").check(who("admin"), {})
    assert not staff().check(who("seller"), {})
    assert own("id").check(who("member"), {"id": "kim"})
    assert not own("id").check(who("member"), {"id": "lee"})
    assert own_store("store").check(who("seller", stores=frozenset({"s"})), {"store": "s"})
    assert not own_store("store").check(who("member", stores=frozenset({"s"})), {"store": "s"})
    either, both = member | staff(), member & own("id")
    assert either.check(who("admin"), {})
    assert not both.check(who("member"), {"id": "lee"})
    assert (either.needs_token, (anyone | member).needs_token, (anyone & member).needs_token) == (True, False, True)
