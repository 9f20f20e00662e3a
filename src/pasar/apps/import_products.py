"""Importing products: every row is checked, the good ones are written, the bad ones reported with line and reason.

A repeat changes nothing: a product's id is made of its external id, what differs becomes a change or a new price, and
stock is received once for a SKU and a reference. Each product is one small change through the bus, many at a time, so
that no writing transaction is long.
"""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from pasar.apps.import_report import SHOWN, BadLine, Options, Report
from pasar.apps.import_rows import (
    BadRow,
    CannotImport,
    Draft,
    Drafting,
    Row,
    category_code,
    cleaned,
    in_order,
    parse_map,
    read_rows,
    receipt_id,
    says_the_same,
)
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.catalog.contract import (
    AddSku,
    ChangeProduct,
    CreateCategory,
    CreateProduct,
    Product,
)
from pasar.contexts.inventory import facade as inventory
from pasar.contexts.inventory.contract import ReceivedLine, ReceiveStock
from pasar.contexts.platform import facade as platform
from pasar.contexts.platform.contract import Channel, Store
from pasar.contexts.pricing import facade as pricing
from pasar.contexts.pricing.contract import PriceTag, SetPrice
from pasar.kernel.bus import Bus, Context, Core
from pasar.kernel.messages import Command, Refused, convert
from pasar.kernel.store import Reader

__all__ = ["BadLine", "CannotImport", "Options", "Report", "check_products", "import_products", "parse_map"]

_OWN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TOGETHER = 50
"""Commands in one change: 50 prices are a few milliseconds of one transaction."""


async def import_products(core: Core, options: Options) -> Report:
    """Import a file. Raises `CannotImport` when the file as a whole cannot be read."""
    if options.all_or_nothing:
        checked = await check_products(core, options)
        if checked.bad:  # What it would do is not what it did.
            checked.created = checked.changed = checked.unchanged = 0
            return checked
    return await _Import(core, options, writes=True).run()


async def check_products(core: Core, options: Options) -> Report:
    """What an import of the file would do. Nothing is written."""
    return await _Import(core, options, writes=False).run()


class _Import:
    def __init__(self, core: Core, options: Options, *, writes: bool) -> None:
        self._core, self._options, self._writes = core, options, writes
        parse_map([f"{name}={column}" for name, column in options.columns.items()])  # Refuses unknown fields.
        self._db: Reader = core.database.reader(options.tenant)
        self._drafting = Drafting(options.tenant, options.defaults)
        self._report = Report(written=writes)
        self._stores: dict[str, Store] = {}
        self._channels: dict[str, Channel] = {}
        self._categories: set[str] = set()
        self._warehouses: set[str] = set()
        self._owners: dict[str, UUID] = {}
        self._at_once = asyncio.Semaphore(options.concurrency)
        self._bad: TextIO | None = None

    async def run(self) -> Report:
        loop, options = asyncio.get_running_loop(), self._options
        started = loop.time()
        groups = self._groups(read_rows(options.file, options.columns))
        try:
            while chunk := await asyncio.to_thread(self._next_chunk, groups):
                await self._chunk(chunk)
                self._report.seconds = loop.time() - started
                if options.progress is not None:
                    options.progress(self._report)
        finally:
            if self._bad is not None:
                self._bad.close()
        self._report.seconds = loop.time() - started
        return self._report

    def _groups(self, rows: Iterator[Row]) -> Iterator[list[Row]]:
        """Adjacent rows of one product."""
        group: list[Row] = []
        for row in rows:
            self._report.rows += 1
            if row.problem is not None:
                self._is_bad([row.line], row.problem)
                continue
            if group and (self._drafting.key(row) != self._drafting.key(group[0]) or len(group) >= 500):
                yield group
                group = []
            group.append(row)
        if group:
            yield group

    def _next_chunk(self, groups: Iterator[list[Row]]) -> list[Draft]:
        """The next products, none of them twice."""
        chunk: dict[UUID, Draft] = {}
        for group in groups:
            try:
                draft = self._drafting.draft(group)
            except BadRow as wrong:
                self._is_bad([row.line for row in group], str(wrong))
                continue
            if draft.product in chunk:
                self._is_bad(draft.lines, "its product stands above already: put the rows of one `id` together")
                continue
            chunk[draft.product] = draft
            if len(chunk) >= self._options.chunk:
                break
        return list(chunk.values())

    def _is_bad(self, lines: Sequence[int], reason: str) -> None:
        report = self._report
        report.bad += len(lines)
        if self._bad is None:
            report.file = self._options.report or self._default_report()
            report.file.parent.mkdir(parents=True, exist_ok=True)
            self._bad = open(report.file, "w", encoding="utf-8")  # noqa: SIM115 closed by `run`
        for line in lines:
            if len(report.first_bad) < SHOWN:
                report.first_bad.append(BadLine(line, reason))
            self._bad.write(json.dumps({"line": line, "reason": reason}, ensure_ascii=False) + "\n")

    def _default_report(self) -> Path:
        folder = Path(self._core.settings.general.data_dir).absolute()
        return folder / "imports" / f"{self._options.file.name}.bad.jsonl"

    async def _named_by_us(self, drafts: Sequence[Draft]) -> list[Draft]:
        """A file that was exported here names products as we do: such an id is the product itself, if there is one."""
        ids = {draft.external: UUID(draft.external) for draft in drafts if _OWN_ID.fullmatch(draft.external)}
        known, allowed = await catalog.products(self._db, list(ids.values())), self._options.stores
        found: dict[UUID, Draft] = {}
        for draft in drafts:
            product = known.get(ids.get(draft.external, draft.product))
            if product is not None and (allowed is None or product.store in allowed):
                draft.product = product.product
            if found.setdefault(draft.product, draft) is not draft:
                self._is_bad(draft.lines, "its product stands above already, under another `id`")
        return list(found.values())

    async def _chunk(self, drafts: list[Draft]) -> None:
        db = self._db
        drafts = await self._named_by_us(drafts)
        skus = [sku.spec.sku for draft in drafts for sku in draft.skus]
        known, prices, owners, _ = await asyncio.gather(
            catalog.products(db, [draft.product for draft in drafts]),
            pricing.prices_of(db, skus),
            db.claimed("sku", skus),
            self._meet(drafts),
        )
        self._owners.update((sku, UUID(owner)) for sku, owner in owners.items())
        received = await self._received(drafts)
        planned: list[tuple[Draft, Product | None, list[Command]]] = []
        for draft in drafts:
            try:
                self._check(draft)
                product = known.get(draft.product)
                tags = {sku: found.channels.get(draft.channel or "") for sku, found in prices.items()}
                planned.append((draft, product, self._commands(draft, product, tags, received)))
            except (BadRow, Refused, ValueError) as wrong:
                self._is_bad(draft.lines, str(wrong))
        if self._writes:
            moved = [draft for draft, product, _ in planned if product is None or product.category != draft.category]
            await self._make_categories(moved)
            await asyncio.gather(*(self._write(*one) for one in planned))
        else:
            for _, product, commands in planned:
                self._tell(product, commands)

    async def _meet(self, drafts: Sequence[Draft]) -> None:
        """Load stores, channels and categories that this import has not met yet."""
        stores = {draft.store for draft in drafts} - self._stores.keys()
        channels = {draft.channel for draft in drafts if draft.channel is not None} - self._channels.keys()
        categories = {draft.category for draft in drafts if draft.category is not None} - self._categories
        found = await asyncio.gather(
            platform.stores(self._db, stores),
            platform.channels(self._db, channels),
            catalog.existing_categories(self._db, categories),
        )
        self._stores |= found[0]
        self._channels |= found[1]
        self._categories |= found[2]

    async def _received(self, drafts: Sequence[Draft]) -> set[UUID]:
        """The receipts of these SKUs that were booked before."""
        ids = [self._receipt(sku.spec.sku) for draft in drafts for sku in draft.skus if sku.stock]
        if not ids:
            return set()
        decider = self._core.routes.get(ReceiveStock)
        if decider is None:
            raise CannotImport("this deployment keeps no stock; leave the column `stock` out")
        warehouses = {draft.warehouse for draft in drafts if draft.warehouse is not None} - self._warehouses
        self._warehouses |= set(await self._db.states(self._core.deciders["inventory.warehouse"], warehouses))
        return {UUID(id) for id in await self._db.states(decider, ids)}

    def _receipt(self, sku: str) -> UUID:
        return receipt_id(self._options.tenant, self._options.reference, sku)

    def _check(self, draft: Draft) -> None:
        """What a row must fit: an open store, a channel with its currency, SKUs that nobody else has."""
        store = self._stores.get(draft.store)
        allowed = self._options.stores
        if store is None or not store.is_open or (allowed is not None and draft.store not in allowed):
            raise BadRow(f"there is no open store {draft.store}")
        for sku in draft.skus:
            owner = self._owners.setdefault(sku.spec.sku, draft.product)
            if owner != draft.product:
                raise BadRow(f"another product has the SKU {sku.spec.sku}")
            if sku.stock and draft.warehouse not in self._warehouses:
                raise BadRow(
                    f"there is no warehouse {draft.warehouse}" if draft.warehouse else "`warehouse` is missing"
                )
            if sku.price is None:
                continue
            channel = self._channels.get(draft.channel or "")
            if channel is None:
                raise BadRow(f"there is no channel {draft.channel}" if draft.channel else "`channel` is missing")
            if draft.currency not in (None, channel.currency):
                raise BadRow(f"prices in {channel.channel} are in {channel.currency}, not {draft.currency}")

    def _commands(
        self, draft: Draft, product: Product | None, tags: Mapping[str, PriceTag | None], received: set[UUID]
    ) -> list[Command]:
        """What brings the shop to what the file says; nothing where it is so already. Checked as if from a client."""
        commands = [self._create(draft)] if product is None else self._changes(draft, product)
        for sku in draft.skus:
            if sku.price is not None:
                currency = self._channels[draft.channel or ""].currency
                tag = tags.get(sku.spec.sku)
                if tag is None or (tag.price, tag.compare_at, tag.currency) != (sku.price, sku.compare_at, currency):
                    wanted = {"sku": sku.spec.sku, "channel": draft.channel, "currency": currency, "price": sku.price}
                    commands.append(convert(wanted | {"compare_at": sku.compare_at}, SetPrice))
            receipt = self._receipt(sku.spec.sku)
            if sku.stock and receipt not in received:
                line = ReceivedLine(sku=sku.spec.sku, quantity=sku.stock)
                reference = self._options.reference
                commands.append(
                    ReceiveStock(receipt=receipt, warehouse=draft.warehouse or "", lines=(line,), reference=reference)
                )
        return commands

    def _create(self, draft: Draft) -> Command:
        has_price = all(sku.price is not None for sku in draft.skus)
        fields: dict[str, Any] = {
            "product": draft.product,
            "store": draft.store,
            "title": draft.title,
            "description": draft.description or "",
            "category": draft.category,
            "options": draft.options,
            "skus": tuple(sku.spec for sku in draft.skus),
            "attributes": draft.attributes or {},
            "state": self._options.state if has_price else "draft",
        }
        command = convert({**fields, "options": _plain(draft.options), "skus": _plain(fields["skus"])}, CreateProduct)
        catalog.check(command)
        return command

    @staticmethod
    def _changes(draft: Draft, product: Product) -> list[Command]:
        if product.store != draft.store:
            raise BadRow(f"the product is of the store {product.store}")
        wanted = {name: getattr(draft, name) for name in ("title", "description", "category", "attributes")}
        new = {
            name: value
            for name, value in wanted.items()
            if value is not None and not says_the_same(value, getattr(product, name))
        }
        commands: list[Command] = []
        if new:
            commands.append(convert({"product": draft.product, **new}, ChangeProduct))
        has = {spec.sku: spec for spec in product.skus}
        specs = [in_order(sku.spec, draft.options, product.options) for sku in draft.skus]
        catalog.check_skus(product, [spec for spec in specs if spec.sku not in has])
        for spec in specs:
            if spec.sku not in has:
                commands.append(AddSku(product=draft.product, sku=spec))
            elif cleaned(has[spec.sku]) != spec:
                raise BadRow(f"{spec.sku} is there with another barcode, weight or options, which do not change")
        if commands and product.state == "discontinued":
            raise BadRow("the product is discontinued and stays as it is")
        return commands

    async def _make_categories(self, drafts: Sequence[Draft]) -> None:
        """Categories that are missing, each below its parent; one that is there stays where it is."""
        for draft in drafts:
            if draft.category is None or draft.category in self._categories:
                continue
            parent = None
            if draft.parent_name is not None and (parent := category_code(draft.parent_name)) not in self._categories:
                if not await catalog.existing_categories(self._db, [parent]):
                    await self._make_category(parent, draft.parent_name, None)
                self._categories.add(parent)
            await self._make_category(draft.category, draft.category_name or draft.category, parent)
            self._categories.add(draft.category)

    async def _make_category(self, code: str, name: str, parent: str | None) -> None:
        await catalog.create_category(self._bus(), CreateCategory(category=code, name=name[:100], parent=parent))

    def _bus(self) -> Bus:
        return self._core.bus(Context(tenant=self._options.tenant, principal=self._options.by))

    async def _write(self, draft: Draft, product: Product | None, commands: list[Command]) -> None:
        """Commands of one stream follow each other, those of different streams go together."""
        async with self._at_once:
            try:
                for batch in _batches(commands, is_new=product is None):
                    if product is not None and isinstance(batch[0], ReceiveStock):
                        await self._receive(batch[0])
                    else:
                        await self._bus().send_together(*batch)
                    for command in batch:
                        self._count(command)
            except Refused as refused:
                self._is_bad(draft.lines, f"{refused.name}: {refused.detail}")
                return
        self._tell(product, commands)

    def _tell(self, product: Product | None, commands: list[Command]) -> None:
        if product is None:
            self._report.created += 1
        elif commands:
            self._report.changed += 1
        else:
            self._report.unchanged += 1

    async def _receive(self, command: ReceiveStock) -> None:
        """Of a SKU that was sold before, goods first fill what is short."""
        await inventory.receive(
            self._bus(), command.receipt, command.warehouse, command.lines, reference=command.reference
        )

    def _count(self, command: Command) -> None:
        report = self._report
        match command:
            case CreateProduct():
                report.skus += len(command.skus)
            case AddSku():
                report.skus += 1
            case SetPrice():
                report.prices += 1
            case ReceiveStock():
                report.received += 1
                report.units += sum(line.quantity for line in command.lines)


def _plain(values: Sequence[Any]) -> list[dict[str, Any]]:
    return [{name: getattr(value, name) for name in value.__struct_fields__} for value in values]


def _batches(commands: Sequence[Command], *, is_new: bool) -> Iterator[list[Command]]:
    """Changes of at most `TOGETHER` commands, in their order, with one of the product at most in each; a receipt of a
    product that was there goes alone."""
    batch: list[Command] = []
    for command in commands:
        is_alone = isinstance(command, CreateProduct | ChangeProduct | AddSku) or (
            isinstance(command, ReceiveStock) and not is_new
        )
        if batch and (len(batch) >= TOGETHER or is_alone or isinstance(batch[0], ReceiveStock)):
            yield batch
            batch = []
        batch.append(command)
    if batch:
        yield batch
