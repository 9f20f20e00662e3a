"""The ASGI application: one request from its first byte to its answer.

The order is: name the request · its address's share · find the route · take a place in its lane · its turn · version ·
who asks · path · policy · the person's share · body · query · key · handler · answer. Whatever is refused is refused
as early as it can be.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from .access import Principal, anonymous
from .bus import Bus, Context, Core
from .messages import FieldError, Refusal, Refused
from .settings_kernel import LimitsSettings
from .web import Route, routes_in
from .web_answers import JSON, Headers, Reply, problem
from .web_early import EarlyRefusals
from .web_encode import answered, position_header, stored_reply
from .web_failures import failed_reply, refused_reply
from .web_fair import Fairness
from .web_input import json_body, path_values, query_value
from .web_keys import STORED, InFlight, Twin, key_of, missing_key, request_hash
from .web_lanes import Deadlines, Lanes, Turns
from .web_refusals import (
    Forbidden,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Unauthenticated,
    UnsupportedVersion,
)
from .web_request import ClientGone, Request
from .web_router import Router
from .web_send import Sender

VERSIONS = (b"application/vnd.pasar.v1+json", b"application/vnd.company.v1+json")
"""The second is the name that requirement S1 gives to the same version."""
WAIT_S = 0.3
"""How long a read waits for the views to have what the client wrote before."""
_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_POSITION = re.compile(r"[0-9]{1,18}\.[0-9]{1,18}")  # Within 64 bits, as the database has them.
Authenticate = Callable[[str], Principal]
ViewsAt = Callable[[int, str], Awaitable[Any]]
Observe = Callable[[str, int, float], None]


class Web:
    """Serves routes. `authenticate` turns an access token into a principal or refuses; `views_at(tenant, position)`
    returns when the views have got there; `observe(route, status, seconds)` is told of every answer; `mounts` are
    ASGI applications by the start of their path, `pages` the one for addresses that no route has, outside `/api/`.
    `hsts`: this deployment is reached by TLS only; `informed`: whether it is known who has signed out;
    `keys_everywhere`: every write needs an idempotency key, but those that take none."""

    def __init__(
        self,
        core: Core,
        routes: Sequence[Any],
        *,
        authenticate: Authenticate,
        views_at: ViewsAt | None = None,
        observe: Observe | None = None,
        lanes: Lanes | None = None,
        mounts: Mapping[str, Any] | None = None,
        pages: Any = None,
        tenant: int = 1,
        hsts: bool = False,
        keys_everywhere: bool = False,
        fairness: Fairness | None = None,
        informed: Callable[[], bool] = lambda: True,
    ) -> None:
        self._keys_everywhere = keys_everywhere
        self._fairness = fairness or Fairness(LimitsSettings())
        self.core, self.routes = core, routes_in(*routes)
        self._router = Router(self.routes)
        self._authenticate, self._views_at, self._observe = authenticate, views_at, observe
        self.lanes = lanes or Lanes()
        self._mounts = dict(mounts or {})
        self.pages = pages
        self._anonymous = anonymous(tenant)
        self._in_flight = InFlight()
        self._deadlines, self._turns = Deadlines(), Turns(informed)
        self._sender = Sender(hsts=hsts)
        self.early = EarlyRefusals(self.lanes, self._router, self._sender.common, self._new_id, observe)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        for prefix, mounted in self._mounts.items():
            if scope["path"].startswith(prefix):
                await mounted(scope, receive, send)
                return
        if self.pages is not None and self._is_page(scope):
            await self.pages(scope, receive, send)
            return
        started = perf_counter()
        request = Request(scope)
        try:
            reply = await self._reply(request, receive)
            await self._sender.send(reply, request, send, receive)
            status = reply.status
        except ClientGone:
            status = 499
        if self._observe is not None:
            self._observe(request.label, status, perf_counter() - started)

    def _is_page(self, scope: dict[str, Any]) -> bool:
        path = scope["path"]
        return not path.startswith("/api/") and self._router.find(path, scope.get("raw_path")) is None

    async def _reply(self, request: Request, receive: Any) -> Reply:
        """The answer, whatever happens."""
        try:
            self._name(request)
            await self._fairness.address(request.client)
            found = self._router.find(request.path, request.scope.get("raw_path"))
            if found is None:
                raise NotFound()
            route = found.methods.get("GET" if request.method == "HEAD" else request.method)
            if route is None:
                return _other_method(found.methods, request)
            request.label = route.name
            return await self._in_time(route, found.values, request, receive)
        except Refused as error:
            return refused_reply(error, request)
        except ClientGone:
            raise
        except Exception as error:
            return failed_reply(error, request)

    async def _in_time(self, route: Route, texts: list[str], request: Request, receive: Any) -> Reply:
        """Within the lane of the route and the time that it has."""
        gate = self.lanes.gates[route.lane]
        self.lanes.enter(gate)
        loop = asyncio.get_running_loop()
        began, task = loop.time(), self._deadlines.begin(route.timeout_s)
        try:
            await self._turns.take(urgent=route.lane == "checkout")
            return await self._serve(route, texts, request, receive)
        except asyncio.CancelledError:
            if self._deadlines.was_late(task):
                raise TimeoutError from None
            raise
        finally:
            self._deadlines.end(task)
            self.lanes.leave(gate)
            now = loop.time()
            self.lanes.took(now, now - began, gauge=route.gauge)

    def _name(self, request: Request) -> None:
        """Take over the client's ids, or make them."""
        headers = request.headers
        request_id = headers.get(b"x-request-id")
        request.request_id = request_id if request_id and _ID.fullmatch(request_id) else self._new_id()
        correlation_id = headers.get(b"x-correlation-id")
        request.correlation_id = correlation_id or request.request_id
        for name, given in (("X-Request-ID", request_id), ("X-Correlation-ID", correlation_id)):
            if given is not None and not _ID.fullmatch(given):
                request.correlation_id = request.request_id
                problem = FieldError(field=name, detail="1 to 128 printable ASCII characters without spaces")
                raise InvalidRequest(errors=(problem,))
        request.check_headers()

    def _new_id(self) -> bytes:
        return str(self.core.ids.uuid()).encode()

    async def _serve(self, route: Route, texts: list[str], request: Request, receive: Any) -> Reply:
        version = request.headers.get(b"accept-version")
        if version is not None and version.strip().lower() not in VERSIONS:
            raise UnsupportedVersion(supported=[one.decode() for one in VERSIONS])
        who = self._who(request)
        if route.policy.needs_token and who.kind == "anonymous":
            raise Unauthenticated()
        values = path_values(route.plan, texts) if texts else {}
        if not route.policy.check(who, values):
            raise Forbidden(f"this is for {route.policy.description}")
        self._fairness.person(who)
        with self._fairness.place(route.lane, self.lanes.gates[route.lane], who):
            if route.writes:
                return await self._write(route, values, who, request, receive)
            return await self._read(route, values, who, request)

    def _who(self, request: Request) -> Principal:
        authorization = request.headers.get(b"authorization")
        if authorization is None:
            return self._anonymous
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise Unauthenticated("send the access token as: Authorization: Bearer <token>")
        try:
            return self._authenticate(token.decode("ascii"))
        except UnicodeDecodeError:
            raise Unauthenticated() from None

    async def _read(self, route: Route, values: dict[str, Any], who: Principal, request: Request) -> Reply:
        query, after = query_value(route.plan, request.query_string, "after")
        extra = await self._wait(who.tenant, after, request)
        if route.plan.wants:
            self._provide(route, values, who, request, None, query)
        return await answered(route, await route.handler(**values), request, self.core.keys, extra)

    async def _wait(self, tenant: int, after: str | None, request: Request) -> Headers:
        """Let the views get to what the client wrote before; say so when they did not in time."""
        if after is None:
            header_value = request.headers.get(b"x-pasar-after")
            if header_value is None:
                return ()
            after = header_value.decode("latin-1")
        if not _POSITION.fullmatch(after):
            detail = "a position as X-Pasar-Position gave it"
            raise InvalidRequest(errors=(FieldError(field="after", detail=detail),))
        if self._views_at is None:
            return ()
        try:
            async with asyncio.timeout(WAIT_S):
                await self._views_at(tenant, after)
        except TimeoutError:
            return ((b"x-pasar-behind", b"true"),)
        return ()

    async def _write(
        self, route: Route, values: dict[str, Any], who: Principal, request: Request, receive: Any
    ) -> Reply:
        plan = route.plan
        await request.read(receive, route.body_limit)
        body, key = None, None
        if plan.body is not None:
            body, key = json_body(plan, request, route.key != "none")
        elif request.body and not route.raw:
            raise InvalidRequest("this operation takes no body")
        query, _ = query_value(plan, request.query_string)
        key = key_of(request, key)
        if route.key == "none":
            key = None
        if key is None and (route.key == "required" or (self._keys_everywhere and route.key == "optional")):
            raise missing_key()
        bus = self.core.bus(_context(route, who, request, key))
        self._provide(route, values, who, request, bus, query, body)
        if key is None:
            answer = await route.handler(**values)
            return await answered(route, answer, request, self.core.keys, position_header(bus))
        twin = Twin(who.tenant, who.id, route.name, key)
        self._in_flight.enter(twin)
        try:
            return await self._keyed(route, values, bus, request)
        finally:
            self._in_flight.leave(twin)

    async def _keyed(self, route: Route, values: dict[str, Any], bus: Bus, request: Request) -> Reply:
        """With a key the stored bytes are what is sent, the first time too: so a repeat gets the very same."""
        try:
            answer = await route.handler(**values)
        except Refused as error:
            return await _refused_with_key(error, bus, route, request)
        stored = bus.reply
        if stored is None or (not stored.body and answer is not None):
            return await answered(route, answer, request, self.core.keys, position_header(bus))
        return await stored_reply(bus, route)

    def _provide(
        self,
        route: Route,
        values: dict[str, Any],
        who: Principal,
        request: Request,
        bus: Bus | None,
        query: Any,
        body: Any = None,
    ) -> None:
        wants = route.plan.wants
        if "body" in wants:
            values["body"] = body
        if "bus" in wants:
            values["bus"] = bus or self.core.bus(_context(route, who, request, None))
        if "db" in wants:
            values["db"] = self.core.database.reader(who.tenant)
        if "query" in wants:
            values["query"] = query
        if "who" in wants:
            values["who"] = who
        if "request" in wants:
            values["request"] = request


def _other_method(methods: dict[str, Route], request: Request) -> Reply:
    allowed = sorted({*methods, "OPTIONS", *(("HEAD",) if "GET" in methods else ())})
    if request.method == "OPTIONS":
        return Reply(204, b"", JSON, ((b"allow", ", ".join(allowed).encode()),))
    raise MethodNotAllowed(allow=allowed)


def _context(route: Route, who: Principal, request: Request, key: str | None) -> Context:
    return Context(
        tenant=who.tenant,
        principal=who.id,
        roles=who.roles,
        request_id=request.request_id.decode(),
        correlation_id=request.correlation_id.decode(),
        route=route.name,
        key=key,
        request_hash=b"" if key is None else request_hash(request),
        success_status=route.status,
        deadline=asyncio.get_running_loop().time() + route.timeout_s,
    )


async def _refused_with_key(error: Refused, bus: Bus, route: Route, request: Request) -> Reply:
    """The first answer of this key again, if there was one; else this refusal is stored as its answer, so that a late
    repeat of "sold out" cannot succeed. What may be put right under the same key (400, 401, 403, 429) is not stored."""
    refusal = Refusal.of(error)
    if not bus.replayed:
        if refusal.status in STORED:
            await bus.remember(refusal.status, problem(refusal, request.request_id.decode()))
        elif await bus.recall() is None:
            return refused_reply(error, request)
    return await stored_reply(bus, route)
