"""Products: the grid, one of them, its states and pictures, its versions, and what they differ in."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.datastructures import UploadFile
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark, sentence
from pasar.apps.pages.visit import Visit
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.catalog.contract import ChangeProduct, GridQuestion, Product
from pasar.contexts.pricing import facade as pricing
from pasar.contexts.pricing.contract import SetPrice
from pasar.kernel.messages import Refused

from .desk import channel_of, checked, mall_of, scope, sellers
from .sign_in import PROOF, ask_again, proof_of
from .tables import Outcome, bulk_page, next_part

PAGE = 24
STATES = ("draft", "on_sale", "paused", "discontinued")
MOST_PICTURES = 10
PICTURE_BYTES = 5 << 20
UPLOAD_BYTES = MOST_PICTURES * PICTURE_BYTES + (1 << 20)
VERSIONS = 50


class ProductsQuery(msgspec.Struct):
    q: Annotated[str, Meta(max_length=100)] = ""
    state: Annotated[str, Meta(max_length=20)] = ""
    store: Annotated[str, Meta(max_length=64)] = ""
    category: Annotated[str, Meta(max_length=64)] = ""
    channel: Annotated[str, Meta(max_length=64)] = ""
    cursor: Annotated[str, Meta(max_length=1024)] | None = None

    def kept(self) -> dict[str, str]:
        """As a query of an address, without where one is in the list."""
        names = ("q", "state", "store", "category", "channel")
        return {name: value for name in names if (value := getattr(self, name))}


def question_of(visit: Visit, asked: ProductsQuery) -> GridQuestion:
    """What is asked for, within what somebody may see."""
    stores = scope(visit.who)
    if asked.store:
        stores = frozenset({asked.store} if stores is None or asked.store in stores else ())
    state = asked.state if asked.state in STATES else None
    return GridQuestion(stores=stores, words=asked.q, state=state, category=asked.category or None)  # type: ignore[arg-type]


async def own(visit: Visit) -> Product:
    """The product of the address, of one's own stores; another is as if it were not there."""
    return await catalog.own_product(visit.db, visit.path["product"], scope(visit.who))


@page("GET", "/console/products", policy=sellers, lane="reports")
async def products(visit: Visit) -> Response:
    """Products of one's stores, the newest first, with price and what is left."""
    asked, channel = visit.query(ProductsQuery), channel_of(visit)
    code = channel.channel if channel else None
    found, following = await catalog.grid(visit.db, question_of(visit, asked), code, PAGE, asked.cursor)
    return visit.render(
        "console/products.html",
        products=found,
        next=following,
        asked=asked,
        kept=asked.kept(),
        states=STATES,
        channel=channel,
        categories=await catalog.categories(visit.db),
    )


@page("POST", "/console/products/bulk", policy=sellers, lane="jobs", timeout_s=60)
async def bulk(visit: Visit) -> Response:
    """Put many products on sale, pause or discontinue them, part by part."""
    state = visit.text("act")
    chosen = [str(one) for one in visit.fields.getlist("id") if isinstance(one, str)][:2_000]
    if not chosen or state not in STATES:
        visit.say(mark("Choose at least one product first."), good=False)
        return visit.back("/console/products")
    if state == "discontinued":
        many = visit.language.say("Discontinue %(count)s products", count=len(chosen))
        if (asked := await ask_again(visit, many, mark("A discontinued product never comes back."))) is not None:
            return asked
    part = next_part(visit, chosen)
    outcomes = [await _set_state(visit, id, state) for id in part.todo]
    kept = [("act", state), *([(PROOF, proof_of(visit))] if state == "discontinued" else [])]
    return bulk_page(visit, part, outcomes, title=mark("Changing products"), back="/console/products", kept=kept)


async def _set_state(visit: Visit, id: str, state: str) -> Outcome:
    title = id[:36]
    try:
        wanted = checked({"product": id}, ChangeProduct).product
        found = await catalog.own_product(visit.db, wanted, scope(visit.who))
        title = found.title
        await catalog.set_state(visit.bus(), found.product, state)
    except Refused as refused:
        return Outcome(title, False, sentence(refused, visit.language.texts.gettext))
    return Outcome(title, True, "")


@page("GET", "/console/products/{product:uuid}", policy=sellers)
async def product(visit: Visit) -> Response:
    """A product: everything that can be changed, and its SKUs with prices and stock."""
    return await show(visit, await own(visit))


async def show(visit: Visit, found: Product, wrong: dict[str, str] | None = None, status: int = 200) -> Response:
    """The page of a product, with what is wrong in the form that was sent."""
    shown = await catalog.page(visit.db, found.product, None)
    return visit.render(
        "console/product.html",
        status=status,
        product=found,
        version=shown.version,
        offers=shown.skus,
        prices=await prices_of(visit, found),
        channels=list(mall_of(visit).channels.values()),
        categories=await catalog.categories(visit.db),
        states=[state for state in STATES if state not in (found.state, "draft")],
        wrong=wrong or {},
        most=MOST_PICTURES,
    )


async def prices_of(visit: Visit, found: Product) -> dict[tuple[str, str], Any]:
    """(SKU, channel) → price tag."""
    lists = await pricing.prices_of(visit.db, [spec.sku for spec in found.skus])
    return {(sku, channel): tag for sku, prices in lists.items() for channel, tag in prices.channels.items()}


@page("POST", "/console/products/{product:uuid}/state", policy=sellers)
async def set_state(visit: Visit) -> Response:
    """Put on sale, pause, or discontinue, which is for ever."""
    found, state = await own(visit), visit.text("state")
    if state not in STATES:
        return visit.go(f"/console/products/{found.product}")
    if state == "discontinued":
        act = visit.language.say("Discontinue %(title)s", title=found.title)
        if (asked := await ask_again(visit, act, mark("A discontinued product never comes back."))) is not None:
            return asked
    await catalog.set_state(visit.bus(), found.product, state)
    visit.say(mark("Saved."))
    return visit.go(f"/console/products/{found.product}")


@page("POST", "/console/products/{product:uuid}/prices", policy=sellers)
async def set_prices(visit: Visit) -> Response:
    """What each SKU costs in each channel from now on; empty cells stay as they are."""
    found, bus = await own(visit), visit.bus()
    before, changed = await prices_of(visit, found), 0
    for spec in found.skus:
        for channel in mall_of(visit).channels.values():
            text = visit.text(f"price:{spec.sku}:{channel.channel}").replace(",", "")
            tag = before.get((spec.sku, channel.channel))
            if not text or (tag is not None and f"{tag.price:f}" == text):
                continue
            wish = {"sku": spec.sku, "channel": channel.channel, "currency": channel.currency, "price": text}
            compare_at = None if tag is None or tag.compare_at is None else tag.compare_at
            command = checked({**wish, "compare_at": compare_at}, SetPrice)
            await pricing.set_price(bus, command, scope(visit.who))
            changed += 1
    visit.say(mark("%(count)s prices are set."), count=changed)
    return visit.go(f"/console/products/{found.product}")


@page("POST", "/console/products/{product:uuid}/pictures", policy=sellers, body_limit=UPLOAD_BYTES, timeout_s=60)
async def add_pictures(visit: Visit) -> Response:
    """Up to ten pictures of 5 MB each; what is wrong with one leaves the others alone."""
    found = await own(visit)
    files = [one for one in visit.fields.getlist("pictures") if isinstance(one, UploadFile) and one.filename]
    added, refused_names = 0, list[str]()
    for file in files:
        try:
            data = await file.read(PICTURE_BYTES + 1)
            pictures = catalog.pictures(visit.bus())
            await catalog.add_picture(visit.bus(), pictures, found.product, data, visit.text("alt")[:200])
            added += 1
        except Refused as refused:
            refused_names.append(f"{str(file.filename)[:40]} ({sentence(refused, visit.language.texts.gettext)})")
    if refused_names:
        visit.say(mark("Not taken: %(names)s"), good=False, names="; ".join(refused_names[:3]))
    elif added:
        visit.say(mark("The pictures are added."))
    return visit.go(f"/console/products/{found.product}")


@page("POST", "/console/products/{product:uuid}/pictures/order", policy=sellers)
async def arrange_pictures(visit: Visit) -> Response:
    """Take a picture away, show it first, or say what it shows."""
    found, url, act = await own(visit), visit.text("url"), visit.text("act")
    chosen = next((one for one in found.media if one.url == url), None)
    if chosen is not None:
        others = tuple(one for one in found.media if one.url != url)
        media = {
            "remove": others,
            "first": (chosen, *others),
        }.get(act) or tuple(
            msgspec.structs.replace(one, alt=visit.text("alt")[:200]) if one.url == url else one for one in found.media
        )
        if act == "remove" or media:
            await catalog.change(visit.bus(), ChangeProduct(product=found.product, media=media))
            visit.say(mark("Saved."))
    return visit.go(f"/console/products/{found.product}")


@page("GET", "/console/products/{product:uuid}/versions", policy=sellers)
async def versions(visit: Visit) -> Response:
    """Every version of a product, who made it, and what it changed; out of the log."""
    found = await own(visit)
    history = await catalog.history(visit.db, found.product, VERSIONS)
    changes = [
        (after, differing(before.product if before else None, after.product))
        for before, after in zip([None, *history], history, strict=False)
    ]
    return visit.render("console/versions.html", product=found, changes=list(reversed(changes)))


def differing(before: Product | None, after: Product) -> list[tuple[str, Any, Any]]:
    """Fields that differ, with both values. The first version differs from nothing."""
    if before is None:
        return []
    return [
        (name, getattr(before, name), getattr(after, name))
        for name in after.__struct_fields__
        if getattr(before, name) != getattr(after, name)
    ]
