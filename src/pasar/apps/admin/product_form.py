"""Creating and changing a product. A new one is made in two steps that also work without scripts: first what it is and
which options it has, then the matrix of SKUs that follows from the options."""

import itertools
import re
from typing import NamedTuple

from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark, sentence
from pasar.apps.pages.visit import Visit, wrong_fields
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.catalog.contract import AddSku, ChangeProduct, CreateProduct
from pasar.contexts.pricing import facade as pricing
from pasar.contexts.pricing.contract import SetPrice
from pasar.kernel.messages import Refused
from pasar.kernel.web_refusals import InvalidRequest
from pasar.refusals import StoreNotFound

from .desk import checked, mall_of, own_stores, scope, sellers
from .products import own, show

OPTIONS = 3
MOST_SKUS = 200
LANGUAGES = ("ko", "en", "zh")
_UNFIT = re.compile(r"[^A-Za-z0-9]+")


class Row(NamedTuple):
    """A SKU of the matrix, as the form has it. `prices`: channel → text."""

    options: tuple[str, ...]
    sku: str
    barcode: str
    weight_g: str
    prices: dict[str, str]


class Draft(NamedTuple):
    """What the form says so far, as texts."""

    fields: dict[str, str]
    options: list[tuple[str, str]]
    rows: list[Row]


FIELDS = (
    *("store", "category", "prefix", "weight_g", "state", "is_digital"),
    *(f"{name}_{code}" for name in ("title", "description") for code in LANGUAGES),
)


def read(visit: Visit) -> Draft:
    """The form as texts; the matrix where it was shown already."""
    fields = {name: visit.text(name)[:10_000] for name in FIELDS}
    options = [(visit.text(f"option_{n}")[:40], visit.text(f"values_{n}")[:2_000]) for n in range(1, OPTIONS + 1)]
    channels = mall_of(visit).channels
    rows = []
    for number in range(MOST_SKUS):
        if f"sku_{number}" not in visit.fields:
            break
        prices = {channel: visit.text(f"price_{number}_{channel}") for channel in channels}
        chosen = tuple(str(one) for one in visit.fields.getlist(f"of_{number}") if isinstance(one, str))
        sku, barcode, weight = (visit.text(f"{name}_{number}") for name in ("sku", "barcode", "weight"))
        rows.append(Row(chosen, sku, barcode, weight, prices))
    return Draft(fields, options, rows)


def values_of(text: str) -> tuple[str, ...]:
    """Values as people write them, apart by commas, each once."""
    parts = (part.strip()[:40] for part in re.split(r"[,，、;\n]", text))
    return tuple(dict.fromkeys(part for part in parts if part))


def options_of(draft: Draft) -> list[tuple[str, tuple[str, ...]]]:
    """The options that have a name and values."""
    return [(name, values_of(text)) for name, text in draft.options if name and values_of(text)]


def matrix(draft: Draft, channels: list[str], base: dict[str, str]) -> list[Row]:
    """One row for each combination of option values. What was typed for one stays when options change."""
    known = {row.options: row for row in draft.rows}
    options = options_of(draft)
    prefix = _UNFIT.sub("-", draft.fields["prefix"]).strip("-") or "sku"
    rows = []
    combinations = itertools.islice(itertools.product(*(values for _, values in options)), MOST_SKUS)
    for number, combination in enumerate(combinations, 1):
        parts = [_UNFIT.sub("", value).lower() or str(number) for value in combination]
        made = Row(
            combination, "-".join((prefix, *parts))[:64], "", draft.fields["weight_g"],
            {channel: base.get(channel, "") for channel in channels},
        )  # fmt: skip
        rows.append(known.get(combination, made))
    return rows


def _render(visit: Visit, draft: Draft, wrong: dict[str, str], step: int, status: int = 200) -> Response:
    return visit.render(
        "console/product_new.html",
        status=status,
        draft=draft,
        wrong=wrong,
        step=step,
        channels=list(mall_of(visit).channels.values()),
        stores=own_stores(visit),
        categories=visit.view["categories"],
        intent=visit.new_intent(),
    )


@page("GET", "/console/products/new", policy=sellers)
async def new(visit: Visit) -> Response:
    """The first step: what it is."""
    visit.view["categories"] = await catalog.categories(visit.db)
    fields = dict.fromkeys(FIELDS, "") | {"state": "on_sale", "weight_g": "0"}
    return _render(visit, Draft(fields, [("", "")] * OPTIONS, []), {}, 1)


@page("POST", "/console/products/new", policy=sellers, body_limit=1 << 20, timeout_s=30)
async def create(visit: Visit) -> Response:
    """The second step, the matrix; or, from there, the product with its prices."""
    visit.view["categories"] = await catalog.categories(visit.db)
    draft = read(visit)
    base = {channel: visit.text(f"base_{channel}") for channel in mall_of(visit).channels}
    wrong = _wrong(visit, draft)
    if wrong:
        return _render(visit, draft, wrong, 1, 422)
    if visit.text("act") != "create":
        rows = matrix(draft, list(mall_of(visit).channels), base)
        return _render(visit, draft._replace(rows=rows), {}, 2)
    if draft.fields["state"] == "on_sale" and not all(any(row.prices.values()) for row in draft.rows):
        missing = visit.language.say("Give every SKU a price in at least one channel, or keep the product as a draft.")
        return _render(visit, draft, {"": missing}, 2, 422)
    try:
        commands = _commands(visit, draft)
        await _write(visit, *commands)
    except Refused as refused:
        named = wrong_fields(refused) if isinstance(refused, InvalidRequest) else {}
        found = named or {"": sentence(refused, visit.language.texts.gettext) + f" ({refused.detail})"}
        return _render(visit, draft, found, 2, 422)
    visit.say(mark("The product is created. Receive stock, and it can be bought."))
    return visit.go(f"/console/products/{commands[0].product}")


def _wrong(visit: Visit, draft: Draft) -> dict[str, str]:
    """What is missing in the first step."""
    say, wrong = visit.language.say, dict[str, str]()
    if draft.fields["store"] not in {store.store for store in own_stores(visit)}:
        wrong["store"] = say("Choose one of your stores.")
    if not any(draft.fields[f"title_{code}"] for code in LANGUAGES):
        wrong["title_ko"] = say("Give it a title in at least one language.")
    for number, (name, text) in enumerate(draft.options, 1):
        if bool(name) != bool(values_of(text)):
            wrong[f"option_{number}"] = say("An option has a name and at least one value.")
    return wrong


def _texts(draft: Draft, name: str) -> dict[str, str]:
    return {code: text for code in LANGUAGES if (text := draft.fields[f"{name}_{code}"])}


def _first(texts: dict[str, str]) -> str:
    return next(iter(texts.values()), "")


def _commands(visit: Visit, draft: Draft) -> tuple[CreateProduct, list[SetPrice]]:
    """Checked as if they came from a client."""
    titles, descriptions = _texts(draft, "title"), _texts(draft, "description")
    options, fields = options_of(draft), draft.fields
    skus = [
        {
            "sku": row.sku, "options": row.options, "barcode": row.barcode, "weight_g": row.weight_g or "0",
            "is_digital": fields["is_digital"] == "true",
        }
        for row in draft.rows
    ]  # fmt: skip
    wish = {
        "product": str(visit.core.ids.uuid()), "store": fields["store"], "title": _first(titles), "titles": titles,
        "description": _first(descriptions), "descriptions": descriptions, "category": fields["category"] or None,
        "options": [{"name": name, "values": values} for name, values in options], "skus": skus,
        "state": "on_sale" if fields["state"] == "on_sale" else "draft",
    }  # fmt: skip
    prices = [
        {"sku": row.sku, "channel": channel, "currency": mall_of(visit).channels[channel].currency,
         "price": text.replace(",", "")}
        for row in draft.rows for channel, text in row.prices.items() if text
    ]  # fmt: skip
    command = checked(wish, CreateProduct)
    catalog.check(command)
    return command, [checked(price, SetPrice) for price in prices]


async def _write(visit: Visit, command: CreateProduct, prices: list[SetPrice]) -> None:
    stores = scope(visit.who)
    if stores is not None and command.store not in stores:
        raise StoreNotFound(f"there is no store {command.store}")
    await catalog.create(visit.bus(key=visit.intent), command)
    for price in prices:
        await pricing.set_price(visit.bus(), price, stores)


@page("POST", "/console/products/{product:uuid}", policy=sellers, body_limit=1 << 20)
async def change(visit: Visit) -> Response:
    """Change titles, descriptions, category and attributes; every change can be read again as a version."""
    found = await own(visit)
    titles = {code: text for code in (*LANGUAGES, "ar") if (text := visit.text(f"title_{code}")[:1_000])}
    descriptions = {code: text for code in (*LANGUAGES, "ar") if (text := visit.text(f"description_{code}"))}
    wish = {
        "product": str(found.product), "title": visit.text("title"), "titles": titles,
        "description": visit.text("description"), "descriptions": descriptions,
        "category": visit.text("category") or None, "attributes": _attributes(visit.text("attributes")),
    }  # fmt: skip
    try:
        await catalog.change(visit.bus(), checked(wish, ChangeProduct))
    except InvalidRequest as refused:
        return await show(visit, found, wrong_fields(refused), 422)
    visit.say(mark("Saved."))
    return visit.go(f"/console/products/{found.product}")


def _attributes(text: str) -> dict[str, str]:
    """A line for each: `name: value`."""
    pairs = (line.partition(":") for line in text.splitlines()[:100])
    return {name.strip()[:100]: value.strip()[:500] for name, _, value in pairs if name.strip() and value.strip()}


@page("POST", "/console/products/{product:uuid}/skus", policy=sellers)
async def add_sku(visit: Visit) -> Response:
    """One more combination of the options."""
    found = await own(visit)
    spec = {
        "sku": visit.text("sku"), "options": [visit.text(f"of_{number}") for number in range(len(found.options))],
        "weight_g": visit.text("weight_g") or "0", "barcode": visit.text("barcode"),
    }  # fmt: skip
    command = checked({"product": str(found.product), "sku": spec}, AddSku)
    await catalog.add_sku(visit.bus(), found.product, command.sku)
    visit.say(mark("The SKU is added."))
    return visit.go(f"/console/products/{found.product}")
