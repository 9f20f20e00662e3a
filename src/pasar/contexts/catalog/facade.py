"""Products and their SKUs: what others ask catalog, and what its routes do."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

from msgspec import Meta

from pasar.contexts.platform import facade as platform
from pasar.kernel.bus import Bus
from pasar.kernel.cache import cache_of
from pasar.kernel.messages import decode_event
from pasar.kernel.settings import Section
from pasar.kernel.store import Reader
from pasar.refusals import CategoryNotFound, ProductNotFound, StoreIsClosed, TooManyMedia, VersionNotFound

from .category import category as category_decider
from .contract import (
    AddMedia,
    AddSku,
    Category,
    ChangeProduct,
    CreateCategory,
    CreateProduct,
    Difference,
    Listed,
    Media,
    Product,
    ProductPage,
    SetProductState,
    SkuOffer,
    SkuOnSale,
    SkuSpec,
    Snapshot,
)
from .facade_known import may_exist as may_exist
from .facade_known import now_known
from .gateway import Folder, Pictures, clean
from .product import MAX_MEDIA, Life, check_media, check_options
from .product import product as product_decider
from .views import BELOW, LEFT
from .views import grid as grid  # What sellers look through: asked by the console.
from .views import shelf_facets as shelf_facets  # What shoppers look through: asked by the storefront.
from .views import shelf_page as shelf_page
from .views import stock_list as stock_list


class CatalogSettings(Section, frozen=True):
    """What may be shown, and how fresh a list is."""

    picture_max_bytes: Annotated[int, Meta(ge=1024, le=20 << 20, description="Largest picture that is taken.")] = (
        5 << 20
    )
    picture_max_pixels: Annotated[int, Meta(ge=1, le=200_000_000, description="Most pixels of a picture.")] = 40_000_000
    picture_max_side: Annotated[int, Meta(ge=1, le=65_000, description="Longest side of a picture, in pixels.")] = (
        12_000
    )
    listing_fresh_ms: Annotated[
        int, Meta(ge=0, le=1000, description="How old a product list may be that is answered from memory; 0: none.")
    ] = 500


class _Sku:
    """What a process remembers of a SKU: whose it is never changes; the rest is checked against the product's state."""

    __slots__ = ("life", "product", "shown", "store")

    def __init__(self, product: str) -> None:
        self.product = product
        self.store: str | None = None
        self.life: Life | None = None
        self.shown: SkuOnSale | None = None


_MOST_SKUS = 200_000
_known: "WeakKeyDictionary[Reader, dict[str, _Sku]]" = WeakKeyDictionary()


async def for_sale(db: Reader, skus: Iterable[str]) -> dict[str, SkuOnSale]:
    """What can be said of these SKUs, as of now; unknown ones are left out. `state` tells whether they are on sale.

    A SKU stays with its product for ever, so only its first use asks for the claim; products come by their streams,
    in one statement with whatever else is loaded in the same turn.
    """
    known = _known.setdefault(db, {})
    wanted = list(dict.fromkeys(skus))
    missing = [sku for sku in wanted if sku not in known]
    if missing:
        if len(known) > _MOST_SKUS:
            known.clear()
            missing = wanted
        for sku, owner in (await db.claimed("sku", missing)).items():
            known[sku] = _Sku(owner)
    entries = [(sku, known[sku]) for sku in wanted if sku in known]
    lives: dict[str, Life] = await db.states(product_decider, {entry.product: None for _, entry in entries})
    found: dict[str, SkuOnSale] = {}
    for sku, entry in entries:
        life = lives.get(entry.product)
        if life is not None and life is not entry.life:
            entry.life, entry.shown = life, _shown(life, sku)
            entry.store = entry.shown and entry.shown.store
        if life is not None and entry.shown is not None:
            found[sku] = entry.shown
    return found


def stores_known(db: Reader, skus: Iterable[str]) -> set[str]:
    """The stores of those SKUs that this process has met: to load them along, not to rely on."""
    known = _known.get(db, {})
    return {entry.store for sku in skus if (entry := known.get(sku)) is not None and entry.store is not None}


def _shown(life: Life, sku: str) -> SkuOnSale | None:
    product = life.product
    spec = next((spec for spec in product.skus if spec.sku == sku), None) if product else None
    if product is None or spec is None:
        return None
    title = f"{product.title} ({', '.join(spec.options)})" if spec.options else product.title
    return SkuOnSale(
        sku=sku,
        product=product.product,
        store=product.store,
        title=title,
        state=product.state,
        weight_g=spec.weight_g,
        is_digital=spec.is_digital,
    )


async def product(db: Reader, id: UUID) -> Product:
    life = await db.state(product_decider, id)
    if life is None or life.product is None:
        raise ProductNotFound(f"there is no product {id}")
    return life.product


async def products(db: Reader, ids: Iterable[UUID]) -> dict[UUID, Product]:
    """Those that exist, as of now."""
    lives: dict[str, Life] = await db.states(product_decider, ids)
    return {life.product.product: life.product for life in lives.values() if life.product is not None}


async def own_product(db: Reader, id: UUID, stores: frozenset[str] | None) -> Product:
    """A product of one of these stores (None: all); a foreign one looks like a missing one."""
    found = await product(db, id)
    if stores is not None and found.store not in stores:
        raise ProductNotFound(f"there is no product {id}")
    return found


def check(command: CreateProduct) -> None:
    """What a new product must fit, checked before anything is written."""
    check_options(command.options, command.skus)
    check_media(command.media)


def check_skus(product: Product, added: Sequence[SkuSpec]) -> None:
    """Whether SKUs fit a product that is there."""
    if added:
        check_options(product.options, (*product.skus, *added))


async def create(bus: Bus, command: CreateProduct) -> Product:
    """A new product of an open store, in a category that exists."""
    store = await platform.store(bus.db, command.store)
    if not store.is_open:
        raise StoreIsClosed(f"the store {command.store} is closed")
    await _check_category(bus.db, command.category)
    created = await bus.send(command)
    now_known(bus, created)
    return created


async def change(bus: Bus, command: ChangeProduct) -> Product:
    await _check_category(bus.db, command.category)
    return await bus.send(command)


async def add_sku(bus: Bus, id: UUID, sku: SkuSpec) -> Product:
    changed = await bus.send(AddSku(product=id, sku=sku))
    now_known(bus, changed)
    return changed


async def set_state(bus: Bus, id: UUID, state: Any) -> Product:
    return await bus.send(SetProductState(product=id, state=state))


def pictures(bus: Bus) -> Pictures:
    """Where this deployment keeps its pictures."""
    return Folder(Path(bus.settings.general.data_dir).absolute() / "media")


async def add_picture(bus: Bus, pictures: Pictures, id: UUID, data: bytes, alt: str) -> Product:
    """Keep a picture and show it last; the same one twice stays one."""
    settings = bus.settings.section(CatalogSettings)
    shown = await product(bus.db, id)
    if len(shown.media) >= MAX_MEDIA:
        raise TooManyMedia(f"a product has {MAX_MEDIA} pictures at most")
    picture = await clean(
        data,
        max_bytes=settings.picture_max_bytes,
        max_pixels=settings.picture_max_pixels,
        max_side=settings.picture_max_side,
    )
    url = f"/media/{picture.name}"
    if any(media.url == url for media in shown.media):
        return shown
    await pictures.put(picture)
    return await bus.send(AddMedia(product=id, media=Media(url=url, alt=alt)))


async def create_category(bus: Bus, command: CreateCategory) -> Category:
    await _check_category(bus.db, command.parent)
    return await bus.send(command)


async def existing_categories(db: Reader, codes: Iterable[str]) -> set[str]:
    """Those of the codes that are categories, as of now."""
    return set(await db.states(category_decider, codes))


async def categories(db: Reader, limit: int = 1000) -> Sequence[Category]:
    """The whole tree, parents by their codes, siblings in their order."""
    return await db.all(
        Category,
        """select category, parent, name, names::text, position from catalog.category where tenant = $1
            order by parent nulls first, position, category limit $2""",
        *(db.tenant, limit),
    )


async def _check_category(db: Reader, code: str | None) -> None:
    if code is not None and await db.state(category_decider, code) is None:
        raise CategoryNotFound(f"there is no category {code}")


class ListQuestion(NamedTuple):
    """Which products: those with a price in the channel, of a store, in a category or below it, in a state."""

    channel: str | None = None
    store: str | None = None
    category: str | None = None
    state: str | None = "on_sale"


_LIST = f"""
    select l.rank, l.product, l.store, l.title, l.category, l.picture, l.state, p.price, p.currency,
           coalesce(p.available, 0) <= 0 as sold_out
      from catalog.listing l
     cross join lateral (
            select min(t.price) as price, min(t.currency) as currency, max(a.balance) as available
              from unnest(l.skus) s (sku)
              left join catalog.listed_price t on t.tenant = $1 and t.sku = s.sku and t.channel = $2::text
              left join lateral {LEFT} a on true) p
     where l.tenant = $1 and l.rank < $3 {{}}
     order by l.rank desc limit $4"""
NEWEST = 2**62


async def product_list(
    db: Reader, question: ListQuestion, limit: int, before: int | None = None
) -> tuple[list[Listed], int | None]:
    """A page of the list, the newest first, and where the next begins. Sold out is what the pools say now."""
    arguments: list[Any] = [db.tenant, question.channel, NEWEST if before is None else before, limit + 1]
    narrow = "and p.price is not null" if question.channel is not None else ""
    for column, value in (("state", question.state), ("store", question.store)):
        if value is not None:
            arguments.append(value)
            narrow += f" and l.{column} = ${len(arguments)}"
    if question.category is not None:
        arguments.append(question.category)
        narrow += BELOW.format(len(arguments))
    rows = await db.fetch(_LIST.format(narrow), *arguments)
    items = [Listed(**dict(list(row.items())[1:])) for row in rows[:limit]]
    return items, rows[limit - 1]["rank"] if len(rows) > limit else None


async def page(db: Reader, id: UUID, channel: str | None) -> ProductPage:
    """A product with what its SKUs cost in the channel and how many are left; for browsing."""
    stored = await db.stored(product_decider, id)
    shown = stored.state.product
    if shown is None:
        raise ProductNotFound(f"there is no product {id}")
    rows = await db.fetch(
        f"""select s.sku, t.price, t.currency, t.compare_at, coalesce(a.balance, 0)::bigint as available
              from unnest($3::text[]) with ordinality s (sku, no)
              left join catalog.listed_price t on t.tenant = $1 and t.sku = s.sku and t.channel = $2::text
              left join lateral {LEFT} a on true
             order by s.no""",
        *(db.tenant, channel, [spec.sku for spec in shown.skus]),
    )
    offers = tuple(SkuOffer(options=spec.options, **dict(row)) for spec, row in zip(shown.skus, rows, strict=True))
    sold_out = all(offer.available <= 0 for offer in offers)
    return ProductPage(product=shown, version=stored.version, skus=offers, sold_out=sold_out)


async def page_for_shoppers(bus: Bus, id: UUID, channel: str | None) -> ProductPage:
    """The same, as it was a moment ago. Made-up ids are refused without asking, and remembered."""
    if not may_exist(bus, "product", str(id)):
        raise ProductNotFound(f"there is no product {id}")

    async def make() -> ProductPage | None:
        try:
            return await page(bus.db, id, channel)
        except ProductNotFound:
            return None

    found = await cache_of(bus).get("product", f"{bus.context.tenant}:{id}", ProductPage, make, channel or "")
    if found is None:
        raise ProductNotFound(f"there is no product {id}")
    return found


async def history(db: Reader, id: UUID, limit: int, after: int = 0) -> list[Snapshot]:
    """The snapshots of a product, the first first: one for its creation and one for every change."""
    found = await _snapshots(db, id, up_to=after + limit)
    return found[after:]


async def snapshot(db: Reader, id: UUID, *, version: int | None = None, at: datetime | None = None) -> Snapshot:
    """A product as it was: at a version, or at an instant."""
    found = await _snapshots(db, id, up_to=version, until=at)
    if not found:
        await product(db, id)  # Refuses an unknown product.
        raise VersionNotFound(f"the product {id} was not there yet")
    if version is not None and found[-1].version != version:
        raise VersionNotFound(f"the product {id} has no version {version}")
    return found[-1]


async def _snapshots(
    db: Reader, id: UUID, *, up_to: int | None = None, until: datetime | None = None
) -> list[Snapshot]:
    rows = await db.fetch(
        """select version, at, meta ->> 'by' as by, type, data::text as data from kernel.event
            where (tenant, kind, stream) = ($1, $2, $3) and version <= coalesce($4, version) and at <= coalesce($5, at)
            order by version""",
        *(db.tenant, product_decider.kind, str(id), up_to, until),
    )
    life, found = product_decider.initial, []
    for row in rows:
        life = product_decider.evolve(life, decode_event(row["type"], row["data"]))
        assert life.product is not None
        found.append(Snapshot(version=row["version"], at=row["at"], by=row["by"] or "", product=life.product))
    return found


async def differences(db: Reader, id: UUID, before: int, after: int) -> list[Difference]:
    """What differs between two versions of a product, field by field."""
    old = (await snapshot(db, id, version=before)).product
    new = (await snapshot(db, id, version=after)).product
    return [
        Difference(field=name, before=getattr(old, name), after=getattr(new, name))
        for name in old.__struct_fields__
        if getattr(old, name) != getattr(new, name)
    ]
