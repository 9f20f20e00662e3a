"""Search over everything that somebody may see: pages, orders, products, SKUs, members, payments, coupons, runs."""

from typing import Annotated, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Meta
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark
from pasar.apps.pages.visit import Visit
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.catalog.contract import GridQuestion
from pasar.contexts.identity import facade as identity
from pasar.contexts.ordering import facade as ordering
from pasar.contexts.payment import facade as payment
from pasar.contexts.pricing import facade as pricing
from pasar.kernel.messages import Refused

from .desk import checked, everyone, scope

FEW = 5


class Hit(NamedTuple):
    """Something that was found: what kind, how it is called, what else is said of it, where it is."""

    kind: str
    title: str
    detail: str
    path: str


class SearchQuery(msgspec.Struct):
    q: Annotated[str, Meta(max_length=100)] = ""


@page("GET", "/console/search", policy=everyone, lane="reports")
async def search(visit: Visit) -> Response:
    """All that fits a few words, the best kinds first."""
    words = visit.query(SearchQuery).q.strip()
    hits = await found(visit, words) if words else _pages(visit, "")
    template = "console/hits.html" if visit.request.headers.get("hx-request") else "console/search.html"
    return visit.render(template, hits=hits, words=words)


async def found(visit: Visit, words: str) -> list[Hit]:
    """Hits of each kind that this person may see."""
    hits = _pages(visit, words)
    if words.isdigit():
        hits += await _orders(visit, words)
    hits += await _identified(visit, words)
    if visit.who.has("seller", "manager", "admin", "warehouse"):
        stores = None if visit.who.has("warehouse") else scope(visit.who)
        question = GridQuestion(stores=stores, words=words)
        if visit.who.has("seller", "manager", "admin"):
            products, _ = await catalog.grid(visit.db, question, None, FEW, None)
            hits += [
                Hit(mark("Product"), visit.view["words"](one.titles, one.title), one.store,
                    f"/console/products/{one.product}")
                for one in products
            ]  # fmt: skip
        skus, _ = await catalog.stock_list(visit.db, question, at_most=None, limit=FEW, cursor=None)
        hits += [Hit("SKU", one.sku, one.title, f"/console/inventory/skus/{one.sku}") for one in skus]
    if visit.who.has("admin") and ("@" in words or words.startswith("+")):
        account = await identity.find(visit.bus(), words)
        hits += [Hit(mark("Member"), str(account), "", f"/console/members/{account}")] if account else []
    if visit.who.has("seller", "manager", "admin"):
        coupons = await pricing.all_coupons(visit.db, 200, None, scope(visit.who))
        fitting = [one for one in coupons if words.lower() in one.coupon.lower()][:FEW]
        hits += [Hit(mark("Coupon"), one.coupon, one.store or "", "/console/promotions") for one in fitting]
    return hits


def _pages(visit: Visit, words: str) -> list[Hit]:
    say = visit.language.texts.gettext
    entries = [entry for group in visit.view["groups"] for entry in group.entries]
    return [
        Hit(mark("Page"), say(one.label), "", one.path) for one in entries if words.lower() in say(one.label).lower()
    ]


async def _orders(visit: Visit, words: str) -> list[Hit]:
    wish = checked({"order_no": words[:20], "limit": FEW, "vocabulary": "canonical"}, ordering.FindOrders)
    orders = (await ordering.find_orders(visit.bus(), visit.who, wish)).items
    money = visit.language.money
    return [
        Hit(mark("Order"), one.order_no, money(one.total, one.currency), f"/console/orders/{one.order_no}")
        for one in orders
    ]


async def _identified(visit: Visit, words: str) -> list[Hit]:
    """Something with an id: a payment, an account."""
    try:
        id = UUID(words)
    except ValueError:
        return []
    hits = []
    if visit.who.has("finance", "admin"):
        try:
            one = await payment.show(visit.db, visit.who, id)
            hits.append(Hit(mark("Payment"), one.order_no, one.gateway, f"/console/payments/{id}"))
        except Refused:
            pass
        people = await identity.people(visit.db, [id])
        hits += [Hit(mark("Member"), words, "", f"/console/members/{id}")] if id in people else []
    return hits
