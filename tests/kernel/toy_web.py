"""The toy domain over HTTP: its routes, and a client that speaks ASGI as a server would."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from kernel.shelf import Fill, InBasket, IsOver, Keep, NameTaken, Pick, TooFew, baskets, filling, shelf
from pasar.kernel.access import Principal, anyone, member, own, signed_in, staff
from pasar.kernel.bus import Bus, Core
from pasar.kernel.clock import SettableClock
from pasar.kernel.ids import SeededIds
from pasar.kernel.messages import Answer, Body
from pasar.kernel.store import Database, Reader
from pasar.kernel.tokens import KeyRing, Revocations, Tokens, authenticator
from pasar.kernel.web import Cached, Cursor, Page, Paging, Raw, Request, route
from pasar.kernel.web_app import Web
from pasar.kernel.web_refusals import NotFound
from pasar.kernel.web_system import observe, system_routes
from postgres import TestDatabase

ShelfName = Annotated[str, Meta(pattern=r"^[a-z0-9/-]{1,40}$")]
START = datetime(2026, 1, 1, tzinfo=UTC)


class NewPick(Body):
    shelf: ShelfName
    things: Annotated[int, Meta(ge=1, le=1000)]
    name: Annotated[str, Meta(max_length=100)] | None = None


class NewKeyed(Body):
    shelf: ShelfName
    idempotency_key: str | None = None


class Size(Body):
    width: Annotated[int, Meta(ge=1)]
    colour: Literal["red", "blue"] = "red"


class Sizes(Body):
    sizes: list[Size]
    weight: msgspec.UnsetType | float = msgspec.UNSET


class OnShelf(Answer):
    shelf: str
    things: int


class Shelves(Paging):
    colour: Literal["red", "blue"] | None = None
    tag: list[str] = []


class Echo(Answer):
    text: str


@route("POST", "/baskets/{basket}", policy=signed_in, refuses=[TooFew, NameTaken], status=201, key="required",
       example={"shelf": "a", "things": 2})  # fmt: skip
async def pick(basket: UUID, body: NewPick, bus: Bus) -> InBasket:
    """Put things into a new basket."""
    return await bus.send(Pick(basket=str(basket), shelf=body.shelf, things=body.things, name=body.name))


@route("POST", "/baskets/{basket}/keep", policy=signed_in, refuses=[IsOver])
async def keep(basket: UUID, bus: Bus) -> InBasket:
    """Keep what is in the basket."""
    return await bus.send(Keep(basket=str(basket)))


@route("GET", "/baskets/{basket}", policy=signed_in, refuses=[NotFound])
async def basket_of(basket: UUID, db: Reader) -> InBasket:
    """What is in the basket."""
    found = await db.state(baskets, basket)
    if found is None:
        raise NotFound("there is no such basket")
    return InBasket(state=found.state, things=found.things)


@route("POST", "/shelves/{name}", policy=staff("admin"), key="none")
async def fill(name: ShelfName, body: Annotated[int, Meta(ge=1, le=1000)], bus: Bus) -> None:
    """Put things on a shelf."""
    await bus.send(Fill(shelf=name, things=body))


@route("GET", "/shelves/{name}", policy=anyone)
async def shelf_of(name: ShelfName, db: Reader) -> Cached[OnShelf]:
    """How many things lie on the shelf."""
    return Cached(OnShelf(shelf=name, things=await db.balance(shelf(name))))


@route("GET", "/shelves", policy=anyone)
async def shelves(query: Shelves) -> Page[OnShelf]:
    """Shelves that are made up, ten thousand of them, by number."""
    first = Cursor.read(query.cursor, int) or 0
    items = [OnShelf(shelf=f"{number}", things=number) for number in range(first, first + query.limit)]
    return Page(items=items, next=Cursor.write(first + query.limit))


@route("POST", "/sizes", policy=anyone, key="none")
async def sizes(body: Sizes) -> Sizes:
    """Say sizes back."""
    return body


@route("POST", "/echo", policy=anyone, key="none")
async def echo(body: dict[str, Any]) -> Echo:
    """Say a text back."""
    return Echo(text=str(body.get("text")))


@route("POST", "/keyed", policy=anyone)
async def keyed(body: NewKeyed, bus: Bus) -> Echo:
    """The key may stand in the body."""
    return Echo(text=str(bus.context.key))


@route("GET", "/members/{member_id}", policy=own("member_id") | staff("admin"))
async def profile(member_id: UUID, who: Principal) -> Echo:
    """One's own page."""
    return Echo(text=who.kind)


@route("GET", "/members-only", policy=member)
async def members_only(who: Principal) -> Echo:
    """For members."""
    return Echo(text=who.id)


@route("POST", "/raw", policy=anyone, raw=True, key="none", body_limit=1000)
async def raw(request: Request) -> Raw:
    """The bytes as they came."""
    return Raw(request.body, content_type=request.header("content-type") or "text/plain")


@route("GET", "/numbers/{number}", policy=anyone)
async def numbers(number: int) -> Echo:
    """A number."""
    return Echo(text=str(number))


@route("GET", "/stream", policy=anyone)
async def stream() -> Raw:
    """Events, for ever."""

    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"data: tick\n\n"
            await asyncio.sleep(0.001)

    return Raw(parts(), content_type="text/event-stream")


@route("GET", "/slow", policy=anyone, timeout_s=0.05, lane="reports")
async def slow() -> Echo:
    """Takes longer than it may."""
    await asyncio.sleep(5)
    return Echo(text="never")


@route("GET", "/broken", policy=anyone)
async def broken() -> Echo:
    """Has a fault."""
    raise ZeroDivisionError("secret")


class NoKeys:
    """Nothing of the toy domain is private."""

    def has_private(self, kind: type) -> bool:
        return False


class Answered(msgspec.Struct):
    """An answer as a client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Shop:
    """The application with everything around it; `ask` is the client."""

    def __init__(self, web: Web, core: Core, tokens: Tokens, revocations: Revocations, clock: SettableClock) -> None:
        self.web, self.core, self.tokens, self.revocations, self.clock = web, core, tokens, revocations, clock
        self.age_s = 0.0
        self.trouble: str | None = None

    def token(self, id: str = "kim", kind: str = "member", **more: Any) -> str:
        return self.tokens.issue(Principal(id=id, kind=kind, **more))  # type: ignore[arg-type]

    async def ask(
        self,
        method: str,
        target: str,
        body: Any = b"",
        *,
        token: str | None = None,
        key: str | None = None,
        headers: Any = (),
        chunks: list[bytes] | None = None,
    ) -> Answered:
        path, _, query = target.partition("?")
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        names = {name for name, _ in sent}
        if data and b"content-type" not in names:
            sent.append((b"content-type", b"application/json"))
        if data and b"content-length" not in names and chunks is None:
            sent.append((b"content-length", str(len(data)).encode()))
        if token is not None:
            sent.append((b"authorization", f"Bearer {token}".encode()))
        if key is not None:
            sent.append((b"x-idempotency-key", key.encode()))
        return await exchange(self.web, method, path, query, sent, chunks or [data])


async def exchange(
    app: Any, method: str, path: str, query: str, headers: list[tuple[bytes, bytes]], chunks: list[bytes]
) -> Answered:
    """One request through the ASGI interface."""
    from urllib.parse import unquote

    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": unquote(path), "raw_path": path.encode(),
        "query_string": query.encode(), "headers": headers, "client": ("127.0.0.1", 1), "server": ("localhost", 80),
        "scheme": "http",
    }  # fmt: skip
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = sent[0]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answered(start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body)


ROUTES = (
    pick, keep, basket_of, fill, shelf_of, shelves, sizes, echo, keyed, profile, members_only, raw, numbers, stream,
    slow, broken,
)  # fmt: skip


@asynccontextmanager
async def open_shop(database: TestDatabase, folder: Path, **options: Any) -> AsyncIterator[Shop]:
    clock, ids = SettableClock(START), SeededIds(1)
    kept = Database(database.app_dsn, size=4)
    await kept.open()
    core = Core(kept, [filling, baskets], clock=clock, ids=ids, keys=NoKeys())  # type: ignore[arg-type]
    tokens = Tokens(KeyRing(folder / "tokens", clock), clock, ids)
    shop: Shop
    revocations = Revocations(lambda: shop.age_s)

    async def toy() -> str | None:
        return shop.trouble

    async def answers() -> str | None:
        return None if await kept.kernel.fetchval("select 1") == 1 else "the database answers nonsense"

    system = system_routes(lambda: shop.web.routes, {"database": answers, "toy": toy})
    web = Web(core, (*ROUTES, *system), authenticate=authenticator(tokens, revocations), observe=observe, **options)
    shop = Shop(web, core, tokens, revocations, clock)
    try:
        yield shop
    finally:
        await kept.close()
