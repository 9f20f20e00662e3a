"""The authorisation matrix, made from the router: every route × every kind of caller × own, other's, missing and other
tenant's object. The expectation stands beside the route: it is the route's own policy, and "what you may not see does
not exist"."""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from pasar.kernel.access import Principal, anonymous
from pasar.kernel.tokens import _unbase64
from pasar.kernel.web import Route

from .evidence import Evidence
from .target import NOBODY, Caller, Reply, Target, order

_PARAMETER = re.compile(r"\{(\w+)\}")
PRIVATE = frozenset({"order_no", "payment", "hold", "address_id", "case", "store", "id", "refund", "run"})
"""Parameters that name what only some may see; the others are public."""
FORMS = {"version": "1", "parcel": "7", "run": "2001-W07-KRW"}
"""Names that are no ids: what they look like."""
_VOLATILE = re.compile(r'"(request_id|instance|correlation_id)":"[^"]*",?')


class Leak(AssertionError):
    """Somebody was told, or could do, what was not theirs."""


class World(NamedTuple):
    """Callers by name, what each is as a principal, and the objects of the owner by the parameter that names them."""

    callers: Mapping[str, Caller]
    principals: Mapping[str, Principal]
    objects: Mapping[str, str]
    marks: tuple[str, ...]
    """Texts that only the owner and staff of the tenant may read."""


def principal_of(caller: Caller) -> Principal:
    """What the token says; the anonymous one where there is none."""
    if not caller.token:
        return anonymous()
    claims = msgspec.json.decode(_unbase64(caller.token.split(".")[1].encode()))
    return Principal(
        id=claims["sub"],
        kind=claims["kind"],
        tenant=claims["tenant"],
        roles=frozenset(claims["roles"]),
        stores=frozenset(claims["stores"]),
    )


async def furnish(target: Target, foreign: Caller | None = None) -> World:
    """An owner with one object of each kind, and everybody who might want them. `foreign`: an administrator of another
    tenant."""
    sku = await target.sell(50)
    owner, mark = await target.member(name="Owner Q7"), f"mark-{uuid.uuid4().hex[:12]}"
    address = {
        "recipient": mark, "phone": "+821012345678", "line1": "1 Sejong-daero", "city": "Seoul",
        "postal_code": "04524", "country": "KR",
    }  # fmt: skip
    added = (await target.ask("POST", "/me/addresses", {"address": address}, owner)).ok()
    placed = await target.placed(owner, sku, address={**address, "recipient": mark})
    payment = await target.begin_payment(owner, placed["order_no"])
    hold = str(uuid.uuid4())
    (await target.ask("PUT", f"/inventory/holds/{hold}", {"sku": sku, "quantity": 1}, owner)).ok()
    callers = {
        "anonymous": NOBODY,
        "owner": owner,
        "guest": await target.guest(),
        "member": await target.member(),
        "seller": await target.staff("farmer"),
        "warehouse": await target.staff("warehouse"),
        "finance": await target.staff("finance"),
        "admin": await target.staff("admin"),
    }
    if foreign is not None:
        callers["foreign admin"] = foreign
    objects = {
        "order_no": placed["order_no"], "payment": payment["payment"], "hold": hold, "store": "volt", "sku": sku,
        "id": owner.id, "address_id": added["addresses"][-1]["address_id"], "channel": "web",
        "code": "icheon", "gateway": "toss", "coupon": "WELCOME10", "version": "1",
    }  # fmt: skip
    principals = {name: principal_of(caller) for name, caller in callers.items()}
    return World(callers, principals, objects, (mark, placed["order_no"], payment["payment"], hold))


def filled(route: Route, objects: Mapping[str, str], *, missing: bool = False) -> str:
    """The path with objects in place; what is not in the world, or is to be missing, is made up."""

    def value(found: "re.Match[str]") -> str:
        name = found[1]
        if name in objects and not (missing and name in PRIVATE):
            return objects[name]
        return made_up(name, objects.get(name, ""))

    return _PARAMETER.sub(value, route.path)


def made_up(name: str, like: str) -> str:
    """A name of the same form that nothing has."""
    if name in ("store", "channel", "coupon", "code", "gateway", "name", "sku"):
        return f"none-{uuid.uuid4().hex[:8]}"
    if name in FORMS:
        return FORMS[name]
    if name == "order_no" and like:
        swapped = {digit: str(9 - int(digit)) for digit in "0123456789"}
        return like[:-6] + "".join(swapped.get(letter, letter) for letter in like[-6:])
    return str(uuid.uuid4())


def body_of(route: Route) -> Any:
    """The body that the route itself gives as an example."""
    return None if route.example is None else route.example


def admitted(route: Route, who: Principal, path: str) -> bool:
    """Whether the route's own policy lets somebody in."""
    names = _PARAMETER.findall(route.path)
    pattern = re.compile(_PARAMETER.sub(r"([^/]+)", route.path) + "$")
    found = pattern.match(path)
    values = dict(zip(names, found.groups() if found else (), strict=True))
    return not (route.policy.needs_token and who.kind == "anonymous") and route.policy.check(who, values)


async def check_doors(target: Target, routes: Iterable[Route], world: World, evidence: Evidence) -> None:
    """Whom the policy does not admit gets 401 or 403, whatever the object is, and nothing else."""
    for route in routes:
        path = filled(route, world.objects)
        for name, caller in world.callers.items():
            who = world.principals[name]
            if admitted(route, who, path):
                continue
            evidence.attempt()
            reply = await target.ask(route.method, path, body_of(route), caller)
            expected = 401 if who.kind == "anonymous" and route.policy.needs_token else 403
            if reply.status != expected:
                raise Leak(f"{route.name} as {name}: {reply.status} instead of {expected}: {reply.body[:300]!r}")
            _nothing_told(route.name, name, reply, world)


NAMED_BY_THE_CLIENT = {"PUT /api/v1/inventory/holds/{hold}"}
"""The client chooses the name, at random; that it is taken cannot be hidden from who takes it too. It is refused."""
STRANGERS = ("guest", "member", "seller", "foreign admin")


async def check_objects(target: Target, routes: Iterable[Route], world: World, evidence: Evidence) -> None:
    """A stranger cannot tell another's object from one that is not there."""
    for route in routes:
        named = set(_PARAMETER.findall(route.path)) & PRIVATE & set(world.objects)
        if not named or route.policy.name == "anyone":
            continue
        for name in STRANGERS:
            if name not in world.callers:
                continue
            there, not_there = filled(route, world.objects), filled(route, world.objects, missing=True)
            who, caller = world.principals[name], world.callers[name]
            if not (admitted(route, who, there) and admitted(route, who, not_there)):
                continue
            evidence.attempt(2)
            foreign = await target.ask(route.method, there, body_of(route), caller)
            missing = await target.ask(route.method, not_there, body_of(route), caller)
            if route.name in NAMED_BY_THE_CLIENT and 400 <= foreign.status < 500:
                _nothing_told(route.name, name, foreign, world)
            elif _plain(foreign, there) != _plain(missing, not_there):
                raise Leak(
                    f"{route.name} as {name}: another's is {foreign.status} {foreign.body[:300]!r}, a missing one is"
                    f" {missing.status} {missing.body[:300]!r}"
                )
            _nothing_told(route.name, name, foreign, world)


async def check_lists(target: Target, routes: Iterable[Route], world: World, evidence: Evidence) -> None:
    """No list shows a stranger what is the owner's; the owner sees it (or nothing would be shown by this)."""
    for route in routes:
        if route.method != "GET" or _PARAMETER.search(route.path):
            continue
        for name in STRANGERS:
            caller = world.callers.get(name)
            if caller is None or not admitted(route, world.principals[name], route.path):
                continue
            evidence.attempt()
            _nothing_told(route.name, name, await target.ask("GET", route.path, who=caller), world)
    for path in ("order_no", "payment", "hold"):
        route = next(r for r in routes if r.method == "GET" and re.fullmatch(rf".*/\{{{path}\}}", r.path))
        evidence.attempt()
        (await target.ask("GET", filled(route, world.objects), who=world.callers["owner"])).ok()


def _nothing_told(route: str, name: str, reply: Reply, world: World) -> None:
    text = reply.body.decode("utf-8", "replace")
    asked = () if reply.status < 400 else world.marks[1:]  # A refusal may repeat the name that was asked for.
    for mark in world.marks:
        if mark in text and mark not in asked:
            raise Leak(f"{route} tells {name} of {mark}: {text[:300]}")


def _plain(reply: Reply, path: str) -> tuple[int, str]:
    """An answer without what differs from request to request."""
    text = _VOLATILE.sub("", reply.body.decode("utf-8", "replace"))
    for part in path.split("/")[3:]:
        if len(part) > 3:
            text = text.replace(part, "…")
    return reply.status, re.sub(r"none-[0-9a-f]{8}", "…", text)


FENCES = {
    "x-content-type-options": lambda value: value == "nosniff",
    "referrer-policy": lambda value: value == "no-referrer",
    "content-security-policy": lambda value: "default-src 'none'" in value and "unsafe" not in value,
    "x-request-id": bool,
}  # fmt: skip


def missing_fences(reply: Reply, *, personal: bool) -> list[str]:
    """Which protecting headers an answer lacks. `personal`: it was given to somebody with a token."""
    lacking = [name for name, good in FENCES.items() if not good(reply.headers.get(name, ""))]
    kept = reply.headers.get("cache-control", "")
    if (
        personal
        and "no-store" not in kept
        and "private" not in kept
        and reply.status < 300
        and "etag" not in reply.headers
    ):
        lacking.append("cache-control")
    for cookie in [value for name, value in reply.headers.items() if name == "set-cookie"]:
        if not cookie.startswith("__Host-") or "Secure" not in cookie or "HttpOnly" not in cookie:
            lacking.append("set-cookie")
    return lacking


async def check_fences(target: Target, routes: Iterable[Route], world: World, evidence: Evidence) -> None:
    """Every route, with a good and with a bad request, answers with all protecting headers."""
    for route in routes:
        path = filled(route, world.objects, missing=True)
        for name in ("anonymous", "member"):
            for method in {route.method, "OPTIONS", "TRACE"}:
                evidence.attempt()
                body = b"{" if method == route.method and route.writes else None
                reply = await target.ask(method, path, body, world.callers[name])
                if lacking := missing_fences(reply, personal=name != "anonymous"):
                    raise Leak(f"{method} {route.path} as {name} ({reply.status}) lacks {', '.join(lacking)}")


EXTRA_FIELDS = (
    "id", "uid_override", "owner_id", "tenant_id", "tenant", "role", "roles", "is_admin", "state", "status", "total",
    "total_amount", "discount", "paid", "version", "created_at", "__proto__", "account_id",
)  # fmt: skip
TRUSTED_HEADERS = {
    "X-User-Id": "1", "X-Role": "admin", "X-Admin": "true", "X-Remote-User": "admin", "X-Tenant-Id": "2",
    "X-Forwarded-User": "admin", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "evil.example",
    "X-Original-URL": "/api/v1/accounts", "X-Rewrite-URL": "/api/v1/accounts", "X-HTTP-Method-Override": "DELETE",
    "X-WCPAY-PLATFORM-CHECKOUT-USER": "1", "Forwarded": "for=127.0.0.1;host=evil.example",
}  # fmt: skip


def writes_with(routes: Iterable[Route], world: World) -> Iterator[tuple[Route, str, Caller, dict[str, Any]]]:
    """Each write that takes a body, somebody whom it admits, and a body that it takes."""
    for route in routes:
        if not route.writes or route.plan.body is None or not isinstance(body_of(route), dict):
            continue
        path = filled(route, world.objects, missing=True)
        for name in ("owner", "admin", "finance"):
            if admitted(route, world.principals[name], path):
                yield route, path, world.callers[name], body_of(route)
                break


async def check_extra_fields(
    target: Target, routes: Iterable[Route], world: World, evidence: Evidence, fields: Iterable[str] = EXTRA_FIELDS
) -> None:
    """A field that the operation does not know is refused, so that it cannot set anything; at any depth."""
    fields = tuple(fields)
    for route, path, caller, body in writes_with(routes, world):
        for field in fields:
            if field in body or field in getattr(route.plan.body, "__struct_fields__", ()):
                continue
            evidence.attempt()
            reply = await target.ask(route.method, path, {**body, field: 1}, caller)
            if reply.status != 400:
                raise Leak(f"{route.name} with {field}: {reply.status} {reply.body[:300]!r}")


async def check_headers(
    target: Target,
    routes: Iterable[Route],
    world: World,
    evidence: Evidence,
    headers: Mapping[str, str] = TRUSTED_HEADERS,
) -> None:
    """Headers that some proxies are trusted with change neither who somebody is nor what they may."""
    for route in routes:
        path = filled(route, world.objects)
        for name in ("anonymous", "guest"):
            if admitted(route, world.principals[name], path):
                continue
            evidence.attempt(len(headers))
            reply = await target.ask(route.method, path, body_of(route), world.callers[name], **headers)
            if reply.status not in (401, 403):
                raise Leak(f"{route.name} as {name} with trusted headers: {reply.status} {reply.body[:300]!r}")
    member = world.callers["member"]
    before = (await target.ask("GET", "/me", who=member)).ok()
    for header, value in headers.items():
        evidence.attempt()
        if (await target.ask("GET", "/me", who=member, **{header: value})).ok() != before:
            raise Leak(f"{header} changes who somebody is")


async def check_prices(target: Target, evidence: Evidence) -> None:
    """What a client says about prices changes nothing: an honest order and a lying one cost the same, or it is
    refused."""
    who, sku = await target.guest(), await target.sell(20, price=13_000)
    honest = await target.placed(who, sku)
    for lie in ({"total": 1}, {"discount": 12_999}, {"items": [{"sku_id": sku, "qty": 1, "price": 1}]}):
        evidence.attempt()
        reply = await target.ask("POST", "/orders/create", {**order(who, sku), **lie}, who)
        if reply.status != 400:
            raise Leak(f"an order with {lie}: {reply.status} {reply.body[:300]!r}")
    for quantity in (0, -5, 2**31, "1", 1.5):
        evidence.attempt()
        body = {**order(who, sku), "items": [{"sku_id": sku, "qty": quantity}]}
        reply = await target.ask("POST", "/orders/create", body, who)
        if reply.status != 400:
            raise Leak(f"an order of {quantity!r}: {reply.status} {reply.body[:300]!r}")
    snapshot = {**order(who, sku), "items": [{"sku_id": sku, "qty": 1, "price_snapshot": 1}]}
    reply = await target.ask("POST", "/orders/create", snapshot, who)
    evidence.attempt()
    if (reply.status, reply.code) != (409, 1002):
        raise Leak(f"a price of 1 that the buyer claims to have seen: {reply.status} {reply.body[:300]!r}")
    again = await target.placed(who, sku)
    if again["total"] != honest["total"]:
        raise Leak(f"the same order costs {honest['total']} and {again['total']}")


Check = Callable[[Target, list[Route], World, Evidence], Any]
CHECKS: dict[str, Check] = {
    "doors": check_doors,
    "objects": check_objects,
    "lists": check_lists,
    "fences": check_fences,
    "fields": check_extra_fields,
    "headers": check_headers,
}
