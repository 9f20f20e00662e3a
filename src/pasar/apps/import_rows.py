"""Reading product files of any size row by row, and making of rows what is to be written.

A row has the fields `id title sku price compare_at currency channel store category parent description barcode weight
stock warehouse attributes options skus` and `option.<name>`. In CSV, adjacent rows of one `id` are the SKUs of one
product, told apart by `option.<name>` columns. In JSON lines, `options` ([{"name", "values"}] or [{"name", "value"}])
and `skus` ([{"sku", "options", "price", "stock", "barcode", "weight"}]) may be lists within one row.
"""

import csv
import gzip
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID, uuid5

import msgspec
from msgspec import structs

from pasar.apps.cells import plain_cell
from pasar.contexts.catalog.contract import Option, SkuSpec
from pasar.kernel.messages import convert
from pasar.vocabulary import Sku

FIELDS = frozenset(
    "id title sku price compare_at currency channel store category parent description barcode weight stock warehouse "
    "attributes options skus".split()
)
LONGEST_ROW = 1 << 20
_NAMESPACE = UUID("5f0c1a52-6a4e-5d0b-9c43-0d9f5f1f7a11")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffd]")
_json = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class CannotImport(Exception):
    """A sentence about the file as a whole: it cannot be read, or a column is missing."""


class BadRow(Exception):
    """What is wrong with a row."""


@dataclass
class Row:
    """A row as it was read, its columns under the names of fields; `problem` when it could not be read."""

    line: int
    values: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


@dataclass
class DraftSku:
    spec: SkuSpec
    price: Decimal | None
    compare_at: Decimal | None
    stock: int | None


@dataclass
class Draft:
    """A product as the file wants it. What is None the file does not say."""

    lines: list[int]
    external: str
    product: UUID
    title: str
    store: str
    channel: str | None
    currency: str | None
    warehouse: str | None
    category: str | None
    category_name: str | None
    parent_name: str | None
    description: str | None
    attributes: dict[str, Any] | None
    options: tuple[Option, ...]
    skus: list[DraftSku]


def parse_map(texts: Sequence[str]) -> dict[str, str]:
    """`field=column`, several with commas, to field → column."""
    found: dict[str, str] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, equals, column = part.partition("=")
        if not equals or not column or not _is_field(name):
            raise CannotImport(
                f"--map takes field=column, not {part!r}; fields: {', '.join(sorted(FIELDS))}, option.<name>"
            )
        found[name] = column
    return found


def _is_field(name: str) -> bool:
    return name in FIELDS or (name.startswith("option.") and len(name) > len("option."))


def product_id(tenant: int, external_id: str) -> UUID:
    """The same product for the same id, however often its file is imported."""
    return uuid5(_NAMESPACE, f"product\x1f{tenant}\x1f{external_id}")


def receipt_id(tenant: int, reference: str, sku: str) -> UUID:
    """Stock of a SKU is received once for a reference."""
    return uuid5(_NAMESPACE, f"receipt\x1f{tenant}\x1f{reference}\x1f{sku}")


def category_code(name: str) -> str:
    """A category's code: its name where that can be one, else made of it."""
    return name if _CODE.fullmatch(name) else f"c-{blake2b(name.encode(), digest_size=8).hexdigest()}"


def read_rows(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    """Every row of a .csv or .jsonl file, packed (.gz) or not. Raises `CannotImport` where reading cannot go on."""
    kind = next((s for s in reversed(path.suffixes) if s != ".gz"), "")
    if kind not in (".csv", ".jsonl"):
        raise CannotImport(f"{path} is neither .csv nor .jsonl, nor one of them with .gz")
    line = 0
    try:
        opener: Any = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as file:
            for row in (_csv if kind == ".csv" else _jsonl)(file, columns):
                line = row.line
                yield row
    except (OSError, EOFError) as error:
        raise CannotImport(f"{path} cannot be read after line {line}: {error}") from None


def _csv(file: TextIO, columns: Mapping[str, str]) -> Iterator[Row]:
    header_line = file.readline(LONGEST_ROW)
    delimiter = max(",;\t", key=header_line.count)
    header = next(csv.reader([header_line], delimiter=delimiter), [])
    header = [name.strip() for name in header]
    missing = sorted(set(columns.values()) - set(header))
    if missing:
        raise CannotImport(f"there is no column {', '.join(missing)}; the file has: {', '.join(header)}")
    names = {column: name for name, column in columns.items()}
    targets = [names.get(column, column if _is_field(column) and column not in columns else None) for column in header]
    reader = csv.reader(iter(lambda: file.readline(LONGEST_ROW), ""), delimiter=delimiter)
    while True:
        line = reader.line_num + 2
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Row(line, problem=f"not a row of CSV: {error}")
            continue
        if cells is None:
            return
        if not cells:
            continue
        if len(cells) != len(header):
            yield Row(line, problem=f"{len(cells)} columns, the header has {len(header)}")
            continue
        found = zip(targets, map(plain_cell, cells), strict=True)
        yield Row(line, {name: cell for name, cell in found if name and cell.strip()})


def _jsonl(file: TextIO, columns: Mapping[str, str]) -> Iterator[Row]:
    line = 0
    while text := file.readline(LONGEST_ROW):
        line += 1
        if len(text) >= LONGEST_ROW and not text.endswith("\n"):
            while (rest := file.readline(LONGEST_ROW)) and not rest.endswith("\n"):
                pass
            yield Row(line, problem=f"longer than {LONGEST_ROW} characters")
            continue
        if not text.strip():
            continue
        try:
            found = _json.decode(text)
        except (msgspec.MsgspecError, RecursionError) as error:
            yield Row(line, problem=f"not a JSON object: {error}")
            continue
        taken = set(columns.values())
        values = {
            name: value for name, value in found.items() if _is_field(name) and name not in taken | columns.keys()
        }
        values |= {name: found[column] for name, column in columns.items() if column in found}
        yield Row(line, {name: value for name, value in values.items() if value is not None and value != ""})


class Drafting:
    """Rows to drafts: defaults filled in, texts cleaned, numbers read, adjacent rows of one product joined."""

    def __init__(self, tenant: int, defaults: Mapping[str, str]) -> None:
        self._tenant, self._defaults = tenant, dict(defaults)
        unknown = [name for name in defaults if not _is_field(name)]
        if unknown:
            raise CannotImport(f"there is no field {', '.join(unknown)}")

    def key(self, row: Row) -> str:
        """The external id: of the product that the row belongs to."""
        found = row.values.get("id", row.values.get("sku"))
        return "" if found is None else str(found).strip()

    def draft(self, rows: Sequence[Row]) -> Draft:
        """One product of its rows. Raises `BadRow`."""
        first = self._defaults | rows[0].values
        external = self.key(rows[0])
        if not external:
            raise BadRow("`id` is missing")
        titles = {text_of(row.values["title"], "title") for row in rows if "title" in row.values}
        if len(titles) > 1:
            raise BadRow(f"one `id` with several titles: {', '.join(sorted(map(str, titles)))}"[:300])
        store = text_of(first.get("store"), "store")
        if not titles or store is None:
            raise BadRow("`title` is missing" if not titles else "`store` is missing")
        options, skus = self._skus(rows, external)
        category, parent = text_of(first.get("category"), "category"), text_of(first.get("parent"), "parent")
        attributes = first.get("attributes")
        if attributes is not None and not isinstance(attributes, dict):
            raise BadRow("`attributes` is an object of JSON")
        if attributes is not None:
            _check_texts(attributes)
        return Draft(
            lines=[row.line for row in rows],
            external=external,
            product=product_id(self._tenant, external),
            title=titles.pop() or "",
            store=store,
            channel=text_of(first.get("channel"), "channel"),
            currency=text_of(first.get("currency"), "currency"),
            warehouse=text_of(first.get("warehouse"), "warehouse"),
            category=None if category is None else category_code(category),
            category_name=category,
            parent_name=parent,
            description=text_of(first.get("description"), "description"),
            attributes=attributes,
            options=options,
            skus=skus,
        )

    def _skus(self, rows: Sequence[Row], external: str) -> tuple[tuple[Option, ...], list[DraftSku]]:
        first = self._defaults | rows[0].values
        if "skus" in first:
            if not isinstance(first["skus"], list) or not all(isinstance(each, dict) for each in first["skus"]):
                raise BadRow("`skus` is a list of objects")
            kept = {
                name: first[name] for name in ("price", "compare_at", "stock", "weight", "barcode") if name in first
            }
            parts = [kept | each for each in first["skus"]]
            return _options(first.get("options"), parts), [self._sku(part, part.get("options") or ()) for part in parts]
        names = list(dict.fromkeys(n for row in rows for n in row.values if n.startswith("option.")))
        parts, values = [], []
        for row in rows:
            parts.append(
                {"sku": external} | self._defaults | row.values if len(rows) == 1 else self._defaults | row.values
            )
            values.append([text_of(row.values.get(name), name) or "" for name in names])
            if "" in values[-1]:
                raise BadRow(f"line {row.line}: `{names[values[-1].index('')]}` is missing")
        columns = [tuple(dict.fromkeys(column)) for column in zip(*values, strict=True)] if names else []
        options = tuple(_made(Option, name=n.partition(".")[2], values=v) for n, v in zip(names, columns, strict=True))
        return options, [self._sku(part, value) for part, value in zip(parts, values, strict=True)]

    def _sku(self, part: Mapping[str, Any], options: Sequence[Any]) -> DraftSku:
        code = part.get("sku", part.get("sku_id"))
        if code is None:
            raise BadRow("`sku` is missing")
        weight, stock = _number(part.get("weight"), "weight"), _number(part.get("stock"), "stock")
        spec = _made(
            SkuSpec,
            sku=_made(Sku, text_of(code, "sku")),
            options=tuple(text_of(value, "options") or "" for value in options),
            barcode=text_of(part.get("barcode"), "barcode") or "",
            weight_g=_whole(weight, "weight") or 0,
        )
        price, compare_at = _number(part.get("price"), "price"), _number(part.get("compare_at"), "compare_at")
        return DraftSku(spec, price, compare_at, _whole(stock, "stock"))


def _options(given: Any, skus: Sequence[Mapping[str, Any]]) -> tuple[Option, ...]:
    """Options as lists of values, or as pairs of name and value."""
    if not given or not any(sku.get("options") for sku in skus):
        return ()
    values: dict[str, list[str]] = {}
    try:
        for each in given:
            more = each["values"] if "values" in each else [each["value"]]
            values.setdefault(text_of(each["name"], "options") or "", []).extend(
                text_of(v, "options") or "" for v in more
            )
    except (TypeError, KeyError):
        raise BadRow('`options` is a list of {"name": …, "values": [...]}') from None
    return tuple(_made(Option, name=name, values=tuple(dict.fromkeys(some))) for name, some in values.items())


def _made(kind: Any, value: Any = None, /, **fields: Any) -> Any:
    """A checked value, or what is wrong with it."""
    try:
        return convert(fields or value, kind, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise BadRow(str(error)) from None


def text_of(value: Any, name: str) -> str | None:
    """A text without blanks around it, its letters composed; None where there is none."""
    if value is None:
        return None
    if isinstance(value, dict | list | bool):
        raise BadRow(f"`{name}` is a text")
    text = unicodedata.normalize("NFC", str(value).replace("\ufeff", "")).strip()
    if _CONTROL.search(text):
        raise BadRow(f"`{name}` has characters that are no text (wrong encoding?)")
    return text or None


def says_the_same(wanted: Any, has: Any) -> bool:
    """Whether a file says what is there, but for what it cannot tell: blanks at the ends, how letters are composed."""
    return wanted == (text_of(has, "text") if isinstance(has, str) else has)


def cleaned(spec: SkuSpec) -> SkuSpec:
    """A SKU that is there, as a file would say it."""
    options = tuple(text_of(value, "options") or "" for value in spec.options)
    return structs.replace(spec, options=options, barcode=text_of(spec.barcode, "barcode") or "")


def in_order(spec: SkuSpec, given: Sequence[Option], wanted: Sequence[Option]) -> SkuSpec:
    """Its option values in the order of the product's options: columns stand in the order of the whole file."""
    names, order = [option.name for option in given], [option.name.strip() for option in wanted]
    if sorted(names) != sorted(order):
        return spec
    return structs.replace(spec, options=tuple(spec.options[names.index(name)] for name in order))


def _check_texts(value: Any) -> None:
    if isinstance(value, str) and _CONTROL.search(value):
        raise BadRow("`attributes` has characters that are no text")
    for each in (
        [*value.keys(), *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        _check_texts(each)


def _number(value: Any, name: str) -> Decimal | None:
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value).strip()) if not isinstance(value, bool | dict | list) else Decimal("nan")
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or number < 0:
        raise BadRow(f"`{name}` is {str(value)[:40]!r}, not a number of 0 or above, like 12.50")
    return number


def _whole(number: Decimal | None, name: str) -> int | None:
    if number is None:
        return None
    if number != number.to_integral_value() or number > 1_000_000_000:
        raise BadRow(f"`{name}` is {number}, not a whole number up to 1000000000")
    return int(number)
