"""Products from and into files: an import that first says what it would do, and an export in the same columns."""

import asyncio
import re
from hashlib import blake2b
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.responses import Response

from pasar.apps.import_products import CannotImport, Options, Report, check_products, import_products
from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark
from pasar.apps.pages.visit import Visit
from pasar.contexts.catalog import facade as catalog

from .desk import channel_of, scope, sellers
from .products import ProductsQuery, question_of
from .tables import as_csv

LARGEST = 8 << 20
EXPORTED = 2_000
_NAME = re.compile(r"[0-9a-f]{32}")
COLUMNS = (
    "id title sku price compare_at currency channel store category description barcode weight stock warehouse".split()
)
EXAMPLE = (
    "id,title,sku,price,channel,store,category,option.Colour,stock,warehouse\n"
    "wool-scarf,Wool scarf,scarf-red,39000,web,{store},scarves,red,20,icheon\n"
    "wool-scarf,Wool scarf,scarf-grey,39000,web,{store},scarves,grey,12,icheon\n"
)


def _folder(visit: Visit) -> Path:
    """Files wait here between preview and import, each person's by themselves."""
    return Path(visit.core.settings.general.data_dir).absolute() / "imports" / visit.who.id


@page("GET", "/console/products/import", policy=sellers)
async def form(visit: Visit) -> Response:
    """Choose a file."""
    store = visit.view["own_stores"][0].store if visit.view["own_stores"] else "store"
    return visit.render("console/import.html", report=None, name="", problem="", example=EXAMPLE.format(store=store))


@page("POST", "/console/products/import", policy=sellers, lane="jobs", body_limit=LARGEST + (1 << 16), timeout_s=120)
async def upload(visit: Visit) -> Response:
    """Look at a file and say what it would do, line by line; or import one that was looked at."""
    name = visit.text("name")
    if visit.text("act") == "import" and _NAME.fullmatch(name):
        file = _folder(visit) / f"{name}.csv"
        if not await asyncio.to_thread(file.exists):
            visit.say(mark("The file is gone; choose it again."), good=False)
            return visit.go("/console/products/import")
        return await _report(visit, file, name, writes=True)
    sent = visit.fields.get("file")
    data = await sent.read(LARGEST + 1) if isinstance(sent, UploadFile) and sent.filename else b""
    if not data or len(data) > LARGEST:
        visit.say(mark("Choose a CSV file of 8 MB at most."), good=False)
        return visit.go("/console/products/import")
    name = blake2b(data, digest_size=16).hexdigest()
    file = _folder(visit) / f"{name}.csv"
    await asyncio.to_thread(_keep, file, data)
    return await _report(visit, file, name, writes=False)


def _keep(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    for old in file.parent.glob("*.csv"):
        old.unlink()  # One file waits at a time.
    file.write_bytes(data)


async def _report(visit: Visit, file: Path, name: str, *, writes: bool) -> Response:
    options = Options(file=file, stores=scope(visit.who), by=visit.who.id, reference=f"import-{name[:12]}")
    report: Report | None = None
    problem = ""
    try:
        report = await (import_products if writes else check_products)(visit.core, options)
    except CannotImport as cannot:
        problem = str(cannot)
    status = 422 if problem else 200
    return visit.render("console/import.html", status=status, report=report, name=name, problem=problem, example="")


@page("GET", "/console/products/export", policy=sellers, lane="reports", timeout_s=60)
async def export(visit: Visit) -> Response:
    """The products of the list in the columns that an import reads."""
    asked, channel = visit.query(ProductsQuery), channel_of(visit)
    code = channel.channel if channel else None
    rows, cursor = list[dict[str, Any]](), None
    while len(rows) < EXPORTED:
        found, cursor = await catalog.grid(visit.db, question_of(visit, asked), code, 100, cursor)
        for one in found:
            rows += await _rows(visit, one.product, code)
        if cursor is None:
            break
    options = list(dict.fromkeys(name for row in rows for name in row if name.startswith("option.")))
    header = [*COLUMNS, *options]
    return as_csv("products", header, [[row.get(name, "") for name in header] for row in rows])


async def _rows(visit: Visit, id: Any, channel: str | None) -> list[dict[str, Any]]:
    page = await catalog.page(visit.db, id, channel)
    shown, rows = page.product, []
    for spec, offer in zip(shown.skus, page.skus, strict=True):
        row = {
            "id": str(shown.product), "title": shown.title, "sku": spec.sku, "price": offer.price,
            "compare_at": offer.compare_at,
            "currency": offer.currency, "channel": channel, "store": shown.store, "category": shown.category,
            "description": shown.description, "barcode": spec.barcode, "weight": spec.weight_g,
        }  # fmt: skip
        for option, value in zip(shown.options, spec.options, strict=True):
            row[f"option.{option.name}"] = value
        rows.append(row)
    return rows
