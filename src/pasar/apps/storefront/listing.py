"""Looking around: the front page, categories, stores, search and its suggestions."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import urlencode

from msgspec import Meta
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.visit import Visit
from pasar.contexts.catalog.contract import Facet, Sort
from pasar.kernel.access import anyone
from pasar.kernel.messages import Value
from pasar.kernel.web_refusals import NotFound
from pasar.vocabulary import Price

from .shop import category_name, facets, plan_of, question, shelf, title_of

PAGE = 24
CORNER = 8
SUGGESTIONS = 6
_GROUPS = ("colour", "size", "origin", "material", "format", "switches", "store")
"""The facets that come first, in this order."""
MOST_OF_A_GROUP = 12


class Wishes(Value):
    """What the address of a list says."""

    q: Annotated[str, Meta(max_length=100)] = ""
    sort: Sort = "best"
    cursor: Annotated[str, Meta(max_length=1024)] | None = None
    pick: Annotated[tuple[Annotated[str, Meta(max_length=120)], ...], Meta(max_length=40)] = ()
    """`name=value`"""
    least: Price | None = None
    most: Price | None = None
    stock: bool = False


@page("GET", "/", policy=anyone)
async def home(visit: Visit) -> Response:
    """The front page: a corner of each part of the shop, and what is new."""
    plan = plan_of(visit)
    roots = plan.below(None)
    newest, *corners = await asyncio.gather(
        shelf(visit, question(visit, sort="new"), CORNER),
        *(shelf(visit, question(visit, category=one.category), CORNER) for one in roots),
    )
    filled = [(root, corner) for root, corner in zip(roots, corners, strict=True) if corner.items]
    return visit.render("store/home.html", validated=True, newest=newest, corners=filled, **_words(visit))


@page("GET", "/c/{category}", policy=anyone)
async def in_category(visit: Visit) -> Response:
    """The products of a category and of those below it."""
    plan = plan_of(visit)
    category = plan.category(visit.path["category"])
    if category is None:
        raise NotFound
    trail = plan.trail(category.category)
    below = plan.below(category.category) or (plan.below(category.parent) if category.parent else [])
    name = category_name(visit, category)
    return await _list(visit, name, {"category": category.category}, trail=trail, below=below, category=category)


@page("GET", "/s/{store}", policy=anyone)
async def in_store(visit: Visit) -> Response:
    """Everything of one store."""
    store = plan_of(visit).stores.get(visit.path["store"])
    if store is None:
        raise NotFound
    return await _list(visit, store.name, {"store": store.store})


@page("GET", "/all", policy=anyone)
async def everything(visit: Visit) -> Response:
    """All that is on sale."""
    return await _list(visit, visit.language.say("Everything"), {}, below=plan_of(visit).below(None))


@page("GET", "/search", policy=anyone)
async def search(visit: Visit) -> Response:
    """What fits some words, also where a letter is wrong."""
    return await _list(visit, visit.language.say("Search"), {}, is_search=True)


@page("GET", "/suggest", policy=anyone)
async def suggest(visit: Visit) -> Response:
    """What somebody may be looking for who has typed this much: a part of a page."""
    wishes = visit.query(Wishes)
    items: Sequence[object] = ()
    if wishes.q:
        wanted = question(visit, words=wishes.q, unfinished=True)
        items = (await shelf(visit, wanted, SUGGESTIONS)).items
    return visit.render("store/suggest.html", items=items, q=wishes.q, **_words(visit))


async def _list(visit: Visit, name: str, within: dict[str, str], **more: Any) -> Response:
    wishes = visit.query(Wishes)
    asked = question(
        visit,
        words=wishes.q,
        chosen=_by_group(wishes.pick),
        price_from=wishes.least,
        price_to=wishes.most,
        in_stock=wishes.stock,
        sort=wishes.sort,
        **within,
    )
    found, choices = await asyncio.gather(shelf(visit, asked, PAGE, wishes.cursor), facets(visit, asked))
    values = {"trail": [], "below": [], "category": None, "is_search": False, **more, **_words(visit)}
    return visit.render(
        "store/listing.html",
        validated=True,
        name=name,
        wishes=wishes,
        shelf=found,
        groups=_grouped(choices, wishes.pick),
        here=visit.request.scope["pasar.path"],
        next_query=_query(wishes, found.next),
        is_narrowed=bool(wishes.pick or wishes.stock or wishes.least is not None or wishes.most is not None),
        **values,
    )


def _words(visit: Visit) -> dict[str, Any]:
    return {
        "title_of": lambda shown: title_of(visit, shown),
        "category_name": lambda category: category_name(visit, category),
    }


def _by_group(picked: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    groups: dict[str, list[str]] = {}
    for one in picked:
        groups.setdefault(one.partition("=")[0], []).append(one)
    return tuple(tuple(group) for group in groups.values())


def _grouped(facets: Sequence[Facet], picked: Sequence[str]) -> list[tuple[str, list[tuple[Facet, bool]]]]:
    """The facets by name, those first that shoppers ask for first; a name with one value only helps nobody."""
    groups: dict[str, list[tuple[Facet, bool]]] = {}
    for facet in facets:
        chosen = f"{facet.name}={facet.value}" in picked
        group = groups.setdefault(facet.name, [])
        if len(group) < MOST_OF_A_GROUP or chosen:
            group.append((facet, chosen))
    names = sorted(groups, key=lambda name: (_GROUPS.index(name) if name in _GROUPS else len(_GROUPS), name))
    return [(name, groups[name]) for name in names if len(groups[name]) > 1 or groups[name][0][1]]


def _query(wishes: Wishes, cursor: str | None) -> str:
    """The address of the next page: the same wishes, and where it begins."""
    pairs: list[tuple[str, object]] = [("pick", one) for one in wishes.pick]
    amounts: dict[str, Decimal | None] = {"least": wishes.least, "most": wishes.most}
    pairs += [(name, value) for name, value in amounts.items() if value is not None]
    pairs += [("q", wishes.q)] if wishes.q else []
    pairs += [("stock", "true")] if wishes.stock else []
    pairs += [("sort", wishes.sort)] if wishes.sort != "best" else []
    return urlencode([*pairs, ("cursor", cursor or "")])
