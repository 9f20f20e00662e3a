"""A product: pictures, options that narrow its SKUs, price, stock, when it would come."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Meta
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.visit import Visit
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.catalog.contract import Product, ProductPage, SkuOffer
from pasar.contexts.fulfillment.facade import FulfillmentSettings
from pasar.kernel.access import anyone
from pasar.kernel.messages import Value
from pasar.refusals import ProductNotFound

from .estimates import expected
from .shop import category_name, channel_code, in_words, plan_of, question, shelf, title_of

FEW = 5
MOST_AT_ONCE = 99
ALSO = 4


class Picked(Value):
    """Which option values the address says, in the order of the options: `name=value`."""

    pick: Annotated[tuple[Annotated[str, Meta(max_length=120)], ...], Meta(max_length=20)] = ()


class Choice(NamedTuple):
    """An option value: whether it is chosen, whether it can be had with what else is chosen, and the picks that it
    leads to."""

    value: str
    chosen: bool
    available: bool
    picks: tuple[str, ...]


@page("GET", "/p/{product:uuid}", policy=anyone)
async def product(visit: Visit) -> Response:
    """The product's page; its price and stock are those of the channel, now."""
    found = await catalog.page(visit.db, visit.path["product"], channel_code(visit))
    if found.product.state not in ("on_sale", "paused"):
        raise ProductNotFound
    values = await product_values(visit, found, visit.query(Picked).pick)
    return visit.render("store/product.html", validated=True, **values)


async def product_values(visit: Visit, found: ProductPage, picks: Sequence[str]) -> dict[str, Any]:
    shown = found.product
    picked = _picked(shown, picks)
    offers = [offer for offer in found.skus if offer.price is not None]
    offer = _offer(shown, offers, picked)
    country = {"ko": "KR", "zh": "CN"}.get(visit.view["channel"].locale if visit.view["channel"] else "ko", "KR")
    settings = visit.core.settings
    zone = ZoneInfo(settings.section("ordering").time_zone)
    also: Sequence[Any] = ()
    if shown.category is not None:
        more = await shelf(visit, question(visit, category=shown.category), ALSO + 1)
        also = [one for one in more.items if one.product != shown.product][:ALSO]
    plan = plan_of(visit)
    return {
        "product": shown,
        "title": title_of(visit, shown),
        "description": in_words(visit, shown.descriptions, shown.description),
        "offer": offer,
        "offers": offers,
        "options": [(option.name, _choices(shown, offers, picked, at)) for at, option in enumerate(shown.options)],
        "on_sale": shown.state == "on_sale" and bool(offers),
        "is_digital": all(spec.is_digital for spec in shown.skus),
        "most": 0 if offer is None else min(MOST_AT_ONCE, max(0, offer.available)),
        "few": FEW,
        "arrives": expected(visit.core.clock.now().astimezone(zone), country, settings.section(FulfillmentSettings)),
        "return_days": settings.section("aftersales").withdrawal_days,
        "also": also,
        "store": plan.stores.get(shown.store),
        "trail": plan.trail(shown.category),
        "title_of": lambda one: title_of(visit, one),
        "category_name": lambda category: category_name(visit, category),
    }


def _picked(shown: Product, picks: Sequence[str]) -> list[str | None]:
    """The chosen value of each option, None where none is."""
    given = dict(one.split("=", 1) for one in picks if "=" in one)
    chosen = ((option, given.get(option.name)) for option in shown.options)
    return [value if value in option.values else None for option, value in chosen]


def _fits(offer: SkuOffer, picked: Sequence[str | None]) -> bool:
    return all(value is None or value == its for value, its in zip(picked, offer.options, strict=True))


def _offer(shown: Product, offers: Sequence[SkuOffer], picked: Sequence[str | None]) -> SkuOffer | None:
    """The SKU that the choices lead to; None while they leave more than one."""
    fitting = [offer for offer in offers if _fits(offer, picked)]
    if len(fitting) == 1 and (None not in picked or len(offers) == 1):
        return fitting[0]
    return fitting[0] if len(offers) == 1 and not shown.options else None


def _choices(shown: Product, offers: Sequence[SkuOffer], picked: Sequence[str | None], at: int) -> list[Choice]:
    found = []
    for value in shown.options[at].values:
        wish = [*picked[:at], value, *picked[at + 1 :]]
        there = any(offer.available > 0 and _fits(offer, wish) for offer in offers)
        names = (option.name for option in shown.options)
        picks = tuple(f"{name}={one}" for name, one in zip(names, wish, strict=True) if one is not None)
        found.append(Choice(value, picked[at] == value, there, picks))
    return found
