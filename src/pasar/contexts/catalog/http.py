"""Products, their pictures and categories over HTTP. Sellers see and change their own stores' products, admins all."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from weakref import WeakKeyDictionary

from msgspec import Meta

from pasar.kernel.access import Principal, anyone, staff
from pasar.kernel.bus import Bus
from pasar.kernel.cache import cache_of
from pasar.kernel.messages import Body, FieldError, encode_for_client
from pasar.kernel.store import Reader
from pasar.kernel.web import Cached, Cursor, Page, Paging, Raw, Request, route
from pasar.kernel.web_answers import etag_of
from pasar.kernel.web_refusals import InvalidCursor, InvalidRequest, NotFound
from pasar.refusals import (
    CategoryExists,
    CategoryNotFound,
    MediaRefused,
    OptionsDoNotFit,
    ProductNotFound,
    ProductStateForbids,
    SkuTaken,
    StoreIsClosed,
    StoreNotFound,
    TooManyMedia,
    VersionNotFound,
)
from pasar.vocabulary import ChannelCode, Code, Sku, StoreId, Text, Title

from . import facade
from .contract import (
    Category,
    ChangeProduct,
    CreateCategory,
    CreateProduct,
    Difference,
    Listed,
    Media,
    Option,
    Product,
    ProductId,
    ProductPage,
    ProductState,
    SkuSpec,
    Snapshot,
    Texts,
)

sellers = staff("admin", "manager", "seller")
LARGEST_UPLOAD = 20 << 20
_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
Version = Annotated[int, Meta(ge=1, le=1_000_000)]
Pictures = Annotated[tuple[Media, ...], Meta(max_length=10)]


class NewProduct(Body):
    store: StoreId
    title: Title
    titles: Texts = {}
    description: Text = ""
    descriptions: Texts = {}
    category: Code | None = None
    options: Annotated[tuple[Option, ...], Meta(max_length=10)] = ()
    skus: Annotated[tuple[SkuSpec, ...], Meta(min_length=1, max_length=500)]
    media: Pictures = ()
    attributes: dict[str, Any] = {}
    state: ProductState = "draft"


class ChangedProduct(Body):
    """What is left out stays as it is."""

    title: Title | None = None
    titles: Texts | None = None
    description: Text | None = None
    descriptions: Texts | None = None
    category: Code | None = None
    media: Pictures | None = None
    attributes: dict[str, Any] | None = None


class NewSku(Body):
    """A SKU: one value of each option of the product, in their order."""

    sku: Sku
    options: tuple[str, ...] = ()
    barcode: Annotated[str, Meta(max_length=32)] = ""
    weight_g: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    is_digital: bool = False


class WantedState(Body):
    state: ProductState


class ListQuery(Paging):
    channel: ChannelCode | None = None
    store: StoreId | None = None
    category: Code | None = None
    state: ProductState | None = None


class PageQuery(Body):
    channel: ChannelCode | None = None


class At(Body):
    at: datetime


class Versions(Body):
    before: Version
    after: Version


class Alt(Body):
    alt: Annotated[str, Meta(max_length=200)] = ""


class _Recent(NamedTuple):
    """A list that was read a moment ago, as bytes."""

    until: Any
    body: bytes
    etag: str


_MOST_LISTS = 500
_recent: "WeakKeyDictionary[Reader, dict[Any, _Recent | asyncio.Future[_Recent]]]" = WeakKeyDictionary()


def _stores(who: Principal) -> frozenset[str] | None:
    """The stores whose products somebody may change; None: all."""
    return None if who.has("admin") else who.stores


@route("GET", "/api/v1/products", policy=anyone)
async def list_products(query: ListQuery, bus: Bus, who: Principal, request: Request) -> Page[Listed]:
    """The products on sale, the newest first; in other states for those who work for the store.

    With `channel`, those with a price there, and that price. What is read may be as old as
    `catalog.listing_fresh_ms`, unless the request names a position to wait for.
    """
    state: str | None = query.state or "on_sale"
    if state != "on_sale" and not (who.has("admin") or query.store in who.stores):
        return Page(items=[])
    key = (query.channel, query.store, query.category, state, query.limit, query.cursor)
    fresh_ms = bus.settings.section(facade.CatalogSettings).listing_fresh_ms
    if b"x-pasar-after" in request.headers or b"after=" in request.query_string or state != "on_sale":
        fresh_ms = 0
    found = await _list(bus.db, key, fresh_ms)
    headers = {"cache-control": "no-cache"}
    return Raw(found.body, content_type="application/json", etag=found.etag, headers=headers)  # type: ignore[return-value]


async def _list(db: Reader, key: Any, fresh_ms: int) -> _Recent:
    """The list of a question: the one that was just read, or is being read, or a new one."""
    loop = asyncio.get_running_loop()
    recent = _recent.setdefault(db, {})
    known = recent.get(key)
    if fresh_ms and known is not None:
        if isinstance(known, asyncio.Future):
            return await asyncio.shield(known)
        if known.until > loop.time():
            return known
    if not fresh_ms:
        return await _read_list(db, key, loop.time())
    if len(recent) >= _MOST_LISTS:
        recent.clear()
    reading: asyncio.Future[_Recent] = loop.create_future()
    recent[key] = reading
    try:
        made = await _read_list(db, key, loop.time() + fresh_ms / 1000)
    except BaseException as error:
        recent.pop(key, None)
        reading.set_exception(error if isinstance(error, Exception) else ConnectionError("the read was broken off"))
        reading.exception()
        raise
    recent[key] = made
    reading.set_result(made)
    return made


async def _read_list(db: Reader, key: Any, until: Any) -> _Recent:
    *question, limit, cursor = key
    before = Cursor.read(cursor, int)
    if before is not None and not 0 <= before <= facade.NEWEST:
        raise InvalidCursor
    items, next = await facade.product_list(db, facade.ListQuestion(*question), limit, before)
    body = encode_for_client(Page(items=items, next=None if next is None else Cursor.write(next)))
    return _Recent(until, body, etag_of(body))


@route("GET", "/api/v1/products/{product}", policy=anyone, refuses=[ProductNotFound])
async def read_product(product: ProductId, query: PageQuery, bus: Bus, who: Principal, request: Request) -> ProductPage:
    """A product with price and availability of each SKU; one that is not on sale for those who work for its store.

    What shoppers read may be as old as `cache.ttl_strategy` says, unless the request names a position to wait for.
    """
    at_work = who.has("admin") or bool(who.stores)
    if at_work or b"x-pasar-after" in request.headers or b"after=" in request.query_string:
        page = await facade.page(bus.db, product, query.channel)
    else:
        page = await facade.page_for_shoppers(bus, product, query.channel)
    if page.product.state != "on_sale" and not (who.has("admin") or page.product.store in who.stores):
        raise ProductNotFound(f"there is no product {product}")
    max_age_s = 0 if who.signed_in else cache_of(bus).max_age_s("product")
    return Cached(page, max_age_s=max_age_s, public=max_age_s > 0)  # type: ignore[return-value]


@route(
    "POST",
    "/api/v1/products",
    policy=sellers,
    status=201,
    refuses=[
        StoreNotFound,
        StoreIsClosed,
        CategoryNotFound,
        SkuTaken,
        OptionsDoNotFit,
        MediaRefused,
        ProductStateForbids,
    ],
    example={"store": "orchard", "title": "Apples", "skus": [{"sku": "apple-5kg"}]},
)
async def create_product(body: NewProduct, bus: Bus, who: Principal) -> Product:
    """Create a product with its SKUs, as a draft unless it says `on_sale`."""
    stores = _stores(who)
    if stores is not None and body.store not in stores:
        raise StoreNotFound(f"there is no store {body.store}")
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    return await facade.create(bus, CreateProduct(product=bus.ids.uuid(), **fields))


@route(
    "PATCH",
    "/api/v1/products/{product}",
    policy=sellers,
    refuses=[ProductNotFound, CategoryNotFound, ProductStateForbids, MediaRefused, TooManyMedia],
    example={"title": "Red apples"},
)
async def change_product(product: ProductId, body: ChangedProduct, bus: Bus, who: Principal) -> Product:
    """Change a product; every change can be read again as a version."""
    await facade.own_product(bus.db, product, _stores(who))
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    return await facade.change(bus, ChangeProduct(product=product, **fields))


@route(
    "POST",
    "/api/v1/products/{product}/skus",
    policy=sellers,
    refuses=[ProductNotFound, SkuTaken, OptionsDoNotFit, ProductStateForbids],
)
async def add_sku(product: ProductId, body: NewSku, bus: Bus, who: Principal) -> Product:
    """Add a SKU: one value of each option, which no other SKU has together."""
    await facade.own_product(bus.db, product, _stores(who))
    spec = SkuSpec(**{name: getattr(body, name) for name in body.__struct_fields__})
    return await facade.add_sku(bus, product, spec)


@route(
    "PUT",
    "/api/v1/products/{product}/state",
    policy=sellers,
    refuses=[ProductNotFound, ProductStateForbids],
    example={"state": "paused"},
)
async def set_state(product: ProductId, body: WantedState, bus: Bus, who: Principal) -> Product:
    """Put on sale, pause, resume or discontinue; what is discontinued never comes back."""
    await facade.own_product(bus.db, product, _stores(who))
    return await facade.set_state(bus, product, body.state)


@route(
    "POST",
    "/api/v1/products/{product}/media",
    policy=sellers,
    raw=True,
    body_limit=LARGEST_UPLOAD,
    timeout_s=30,
    refuses=[ProductNotFound, MediaRefused, TooManyMedia, ProductStateForbids],
    accepts=("image/jpeg", "image/png", "image/webp", "image/gif"),
)
async def add_picture(product: ProductId, query: Alt, bus: Bus, who: Principal, request: Request) -> Product:
    """Upload a picture (the body is the file): it is checked, encoded anew without metadata, and shown last."""
    await facade.own_product(bus.db, product, _stores(who))
    return await facade.add_picture(bus, facade.pictures(bus), product, request.body, query.alt)


@route("GET", "/media/{name}", policy=anyone, refuses=[NotFound])
async def read_picture(name: Annotated[str, Meta(max_length=64)], bus: Bus) -> Raw:
    """A picture; its name is made of its content, so it never changes."""
    data = await facade.pictures(bus).get(name)
    if data is None:
        raise NotFound("there is no such picture")
    headers = {"cache-control": "public, max-age=31536000, immutable", "content-disposition": "inline"}
    return Raw(data, content_type=_TYPES[name.rpartition(".")[2]], etag=name, headers=headers)


@route("GET", "/api/v1/products/{product}/versions", policy=sellers, refuses=[ProductNotFound])
async def list_versions(product: ProductId, query: Paging, db: Reader, who: Principal) -> Page[Snapshot]:
    """The snapshots of a product: as it was created, and after every change."""
    await facade.own_product(db, product, _stores(who))
    after = Cursor.read(query.cursor, int) or 0
    if not 0 <= after <= 1_000_000:
        raise InvalidCursor
    found = await facade.history(db, product, query.limit + 1, after)
    items = found[: query.limit]
    return Page(items=items, next=Cursor.write(items[-1].version) if len(found) > query.limit else None)


@route(
    "GET", "/api/v1/products/{product}/versions/{version}", policy=sellers, refuses=[ProductNotFound, VersionNotFound]
)
async def read_version(product: ProductId, version: Version, db: Reader, who: Principal) -> Snapshot:
    """A product as one of its changes left it."""
    await facade.own_product(db, product, _stores(who))
    return await facade.snapshot(db, product, version=version)


@route("GET", "/api/v1/products/{product}/snapshot", policy=sellers, refuses=[ProductNotFound, VersionNotFound])
async def read_snapshot(product: ProductId, query: At, db: Reader, who: Principal) -> Snapshot:
    """A product as it was at an instant."""
    if query.at.tzinfo is None:
        raise InvalidRequest(errors=(FieldError(field="at", detail="say the time zone: 2026-01-01T00:00:00Z"),))
    await facade.own_product(db, product, _stores(who))
    return await facade.snapshot(db, product, at=query.at)


@route("GET", "/api/v1/products/{product}/differences", policy=sellers, refuses=[ProductNotFound, VersionNotFound])
async def read_differences(product: ProductId, query: Versions, db: Reader, who: Principal) -> list[Difference]:
    """What differs between two versions of a product."""
    await facade.own_product(db, product, _stores(who))
    return await facade.differences(db, product, query.before, query.after)


@route(
    "POST",
    "/api/v1/categories",
    policy=staff("admin"),
    status=201,
    refuses=[CategoryExists, CategoryNotFound],
    example={"category": "fruit", "name": "Fruit"},
)
async def create_category(body: CreateCategory, bus: Bus) -> Category:
    """Create a category, below one that exists or as a root."""
    return await facade.create_category(bus, body)


@route("GET", "/api/v1/categories", policy=anyone)
async def list_categories(db: Reader) -> list[Category]:
    """The tree of categories: each with its parent, siblings in their order."""
    return Cached(await facade.categories(db))  # type: ignore[return-value]
