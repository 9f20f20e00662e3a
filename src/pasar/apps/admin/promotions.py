"""Coupons: what there is, a builder that shows what a coupon would come to on real goods, and closing one."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark, sentence
from pasar.apps.pages.visit import Visit, wrong_fields
from pasar.contexts.ordering import facade as ordering
from pasar.contexts.pricing import facade as pricing
from pasar.contexts.pricing.contract import CreateCoupon, QuoteFor
from pasar.kernel.messages import Refused
from pasar.kernel.web import Cursor
from pasar.kernel.web_refusals import InvalidRequest
from pasar.refusals import StoreNotFound

from .desk import checked, mall_of, own_stores, scope, sellers
from .sign_in import ask_again

PAGE = 40
KINDS = {
    "percent": mark("A percentage"),
    "amount": mark("An amount"),
    "free_freight": mark("Free delivery"),
}
FIELDS = (
    "coupon", "kind", "value", "currency", "min_amount", "max_discount", "total_limit", "per_person", "store",
    "channel", "starts_on", "ends_on", "stackable", "basket", "of_order",
)  # fmt: skip
EMPTY = dict.fromkeys(FIELDS, "") | {"kind": "percent", "value": "10", "per_person": "1"}


class PromotionsQuery(msgspec.Struct):
    cursor: Annotated[str, Meta(max_length=1024)] | None = None


@page("GET", "/console/promotions", policy=sellers, lane="reports")
async def promotions(visit: Visit) -> Response:
    """Coupons by code; sellers see those of their stores."""
    after = Cursor.read(visit.query(PromotionsQuery).cursor, str)
    found = await pricing.all_coupons(visit.db, PAGE + 1, after, scope(visit.who))
    shown = found[:PAGE]
    return visit.render(
        "console/promotions.html",
        coupons=shown,
        next=Cursor.write(shown[-1].coupon) if len(found) > PAGE else None,
        left=await pricing.tickets_left(visit.db, shown),
        kinds=KINDS,
    )


def _read(visit: Visit) -> dict[str, str]:
    return {name: visit.text(name)[:500] for name in FIELDS}


def _command(visit: Visit, form: dict[str, str]) -> CreateCoupon:
    """The coupon of the form. Days are those of the shop's calendar, the last one included by its end."""
    channel = mall_of(visit).channels.get(form["channel"])
    currency = form["currency"] or (channel.currency if channel else "KRW")
    wish: dict[str, Any] = {
        "coupon": form["coupon"], "kind": form["kind"], "currency": currency,
        "value": "0" if form["kind"] == "free_freight" else form["value"] or "0",
        "min_amount": form["min_amount"] or "0", "store": form["store"] or None,
        "channels": [channel.channel] if channel else [], "stackable": form["stackable"] == "true",
        "period": {
            "starts_at": f"{form['starts_on']}T00:00:00Z" if form["starts_on"] else None,
            "ends_at": f"{form['ends_on']}T23:59:59Z" if form["ends_on"] else None,
        },
    }  # fmt: skip
    wish |= {name: form[name] for name in ("max_discount", "total_limit", "per_person") if form[name]}
    command = checked(wish, CreateCoupon)
    stores = scope(visit.who)
    if stores is not None and command.store not in stores:
        raise StoreNotFound("a coupon of yours is for one of your stores")
    return command


async def _basket(visit: Visit, form: dict[str, str]) -> QuoteFor:
    """The goods to try it on: those of a real order, or `sku × units` as typed."""
    channel = form["channel"] or visit.core.settings.section("ordering").default_channel
    if form["of_order"]:
        seen = await ordering.seen(visit.bus(), visit.who, form["of_order"], None)
        wanted = [{"sku": line.sku, "quantity": line.quantity} for line in seen.lines]
        channel = seen.channel
    else:
        cells = [line.replace("×", " ").replace(",", " ").split() for line in form["basket"].splitlines()]
        wanted = [{"sku": cell[0], "quantity": cell[1] if len(cell) > 1 else "1"} for cell in cells if cell]
    return checked({"channel": channel, "wanted": wanted, "person": visit.who.id}, QuoteFor)


async def _render(
    visit: Visit, form: dict[str, str], wrong: dict[str, str], shown: Any = None, status: int = 200
) -> Response:
    latest = await ordering.find_orders(visit.bus(), visit.who, checked({"limit": 8}, ordering.FindOrders))
    return visit.render(
        "console/promotion_new.html", status=status, form=form, wrong=wrong, shown=shown, kinds=KINDS,
        stores=own_stores(visit), channels=list(mall_of(visit).channels.values()), orders=latest.items,
        intent=visit.new_intent(),
    )  # fmt: skip


@page("GET", "/console/promotions/new", policy=sellers)
async def new(visit: Visit) -> Response:
    """The builder."""
    return await _render(visit, dict(EMPTY), {})


@page("POST", "/console/promotions/new", policy=sellers)
async def create(visit: Visit) -> Response:
    """Try the coupon on goods, or create it."""
    form = _read(visit)
    try:
        command = _command(visit, form)
        if visit.text("act") == "create":
            await pricing.create_coupon(visit.bus(key=visit.intent), command)
            visit.say(mark("The coupon can be used from now on."))
            return visit.go("/console/promotions")
        settings = visit.core.settings.section(pricing.PricingSettings)
        question = await _basket(visit, form)
        shown = await pricing.preview(visit.db, question, command, visit.core.clock.now(), settings)
    except InvalidRequest as refused:
        return await _render(visit, form, wrong_fields(refused), status=422)
    except Refused as refused:
        text = f"{sentence(refused, visit.language.texts.gettext)} ({refused.detail})"
        return await _render(visit, form, {"": text}, status=422)
    return await _render(visit, form, {}, shown)


@page("POST", "/console/promotions/{coupon}/close", policy=sellers)
async def close(visit: Visit) -> Response:
    """No order can use it from now on; those that did keep it."""
    coupon = await pricing.own_coupon(visit.db, visit.path["coupon"], scope(visit.who))
    act = visit.language.say("Close the coupon %(code)s", code=coupon.coupon)
    if (asked := await ask_again(visit, act, mark("Nobody can use it any more."))) is not None:
        return asked
    await pricing.close_coupon(visit.bus(), coupon.coupon, scope(visit.who))
    visit.say(mark("The coupon is closed."))
    return visit.go("/console/promotions")
