"""What is sold: products and their SKUs. What may be said to catalog, heard from it, and read in it."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from pasar.kernel.messages import Answer, Command, Event, Value
from pasar.vocabulary import ChannelCode, Code, Sku, StoreId, Text, Title

ProductId = UUID
ProductState = Literal["draft", "on_sale", "paused", "discontinued"]
"""`discontinued` is final. Sold out is derived from stock and never overwrites what the seller chose."""
Texts = dict[Literal["ko", "en", "zh", "ar"], Annotated[str, Meta(max_length=10_000)]]
"""One text in several languages."""


class Option(Value):
    """A choice, such as colour, and its values in the order in which they are shown."""

    name: Annotated[str, Meta(min_length=1, max_length=40)]
    values: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=40)], ...], Meta(min_length=1, max_length=100)]


class SkuSpec(Value):
    """A SKU of a product: one value of each option, in the order of the options."""

    sku: Sku
    options: tuple[str, ...] = ()
    barcode: Annotated[str, Meta(max_length=32)] = ""
    weight_g: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    is_digital: bool = False


class Media(Value):
    """A picture: where it is, what it shows, in which order."""

    url: Annotated[str, Meta(max_length=500)]
    alt: Annotated[str, Meta(max_length=200)] = ""


class CreateProduct(Command):
    opens = True
    product: ProductId
    store: StoreId
    title: Title
    titles: Texts = {}
    description: Text = ""
    descriptions: Texts = {}
    category: Code | None = None
    options: tuple[Option, ...] = ()
    skus: Annotated[tuple[SkuSpec, ...], Meta(min_length=1, max_length=500)]
    media: Annotated[tuple[Media, ...], Meta(max_length=10)] = ()
    attributes: dict[str, Any] = {}
    state: ProductState = "draft"


class ChangeProduct(Command):
    """What is None stays as it is."""

    product: ProductId
    title: Title | None = None
    titles: Texts | None = None
    description: Text | None = None
    descriptions: Texts | None = None
    category: Code | None = None
    media: Annotated[tuple[Media, ...], Meta(max_length=10)] | None = None
    attributes: dict[str, Any] | None = None


class AddSku(Command):
    product: ProductId
    sku: SkuSpec


class AddMedia(Command):
    """Show one more picture, last. Refused (5008) when there are ten."""

    product: ProductId
    media: Media


class SetProductState(Command):
    product: ProductId
    state: ProductState


class ProductCreated(Event):
    product: ProductId
    store: StoreId
    title: str
    titles: Texts
    description: str
    descriptions: Texts
    category: str | None
    options: tuple[Option, ...]
    skus: tuple[SkuSpec, ...]
    media: tuple[Media, ...]
    attributes: dict[str, Any]
    state: ProductState


class ProductChanged(Event):
    """The whole of what can change, as it is from now on: a snapshot, as every version of the stream is."""

    product: ProductId
    title: str
    titles: Texts
    description: str
    descriptions: Texts
    category: str | None
    media: tuple[Media, ...]
    attributes: dict[str, Any]


class SkuAdded(Event):
    product: ProductId
    sku: SkuSpec


class ProductStateSet(Event):
    product: ProductId
    state: ProductState


class CreateCategory(Command):
    opens = True
    category: Code
    parent: Code | None = None
    name: Title
    names: Texts = {}
    position: Annotated[int, Meta(ge=0, le=100_000)] = 0


class CategoryCreated(Event):
    category: Code
    parent: Code | None
    name: str
    names: Texts
    position: int


class Category(Answer):
    """A node of the tree; None as parent: a root."""

    category: Code
    parent: Code | None = None
    name: str
    names: Texts = {}
    position: int = 0


class Product(Answer):
    """A product as it is stored; `version` counts its changes, and each can be read again."""

    product: ProductId
    store: StoreId
    title: str
    titles: Texts = {}
    description: str = ""
    descriptions: Texts = {}
    category: str | None = None
    options: tuple[Option, ...] = ()
    skus: tuple[SkuSpec, ...] = ()
    media: tuple[Media, ...] = ()
    attributes: dict[str, Any] = {}
    state: ProductState = "draft"


class SkuOnSale(Value):
    """What others need to know of a SKU to sell it. From the stream rows: right at once, never from a cache."""

    sku: Sku
    product: ProductId
    store: StoreId
    title: str
    """The product's title with the SKU's option values."""
    state: ProductState
    weight_g: int = 0
    is_digital: bool = False


class Listed(Answer):
    """A line of a product list: price per channel is the lowest of its SKUs."""

    product: ProductId
    store: StoreId
    title: str
    category: str | None = None
    picture: str | None = None
    price: Decimal | None = None
    currency: str | None = None
    state: str = "on_sale"
    sold_out: bool = False


class SkuOffer(Value):
    """A SKU on a product page: what it costs in the channel, and how many may still be sold."""

    sku: Sku
    options: tuple[str, ...] = ()
    price: Decimal | None = None
    currency: str | None = None
    compare_at: Decimal | None = None
    available: int = 0


class ProductPage(Answer):
    """A product as shoppers see it."""

    product: Product
    version: int
    skus: tuple[SkuOffer, ...]
    sold_out: bool


class GridQuestion(Value):
    """Which products a seller looks for: of these stores (None: all), in a state, with these words in a title or as the
    beginning of a SKU."""

    stores: frozenset[str] | None = None
    words: Annotated[str, Meta(max_length=100)] = ""
    state: ProductState | None = None
    category: Code | None = None


class GridRow(Answer):
    """A product in the list of those who sell it: what its SKUs cost in the channel, and what is left of all."""

    product: ProductId
    store: StoreId
    title: str
    titles: Texts = {}
    category: str | None = None
    picture: str | None = None
    state: ProductState
    skus: tuple[str, ...]
    price: Decimal | None = None
    dearest: Decimal | None = None
    currency: str | None = None
    available: int = 0


class SkuRow(Answer):
    """A SKU with what may still be sold of it and what carts and orders hold."""

    sku: Sku
    product: ProductId
    store: StoreId
    title: str
    state: ProductState
    available: int
    held: int


class Snapshot(Answer):
    """A product as one of its changes left it: who did it, and when."""

    version: int
    at: datetime
    by: str
    product: Product


class Difference(Value):
    """A field that differs between two snapshots."""

    field: str
    before: Any
    after: Any


Sort = Literal["best", "new", "cheap", "dear"]
"""`best`: what fits the words; without words the newest first."""


class ShelfQuestion(Value):
    """What a shopper looks for. `chosen`: groups of `name=value`, of each group one must be true of a product."""

    channel: ChannelCode
    words: Annotated[str, Meta(max_length=100)] = ""
    unfinished: bool = False
    """The last word is still being typed."""
    category: Code | None = None
    store: StoreId | None = None
    chosen: tuple[tuple[str, ...], ...] = ()
    price_from: Decimal | None = None
    price_to: Decimal | None = None
    in_stock: bool = False
    sort: Sort = "best"


class ShelfItem(Answer):
    """A product in a shopper's list: the lowest price of its SKUs in the channel."""

    product: ProductId
    store: StoreId
    category: str | None
    title: str
    titles: Texts
    picture: str | None
    price: Decimal
    compare_at: Decimal | None
    currency: str
    dearest: Decimal
    sold_out: bool
    units_left: int
    """Of the SKU that has most of them."""
    choices: tuple[str, ...] = ()


class Facet(Value):
    """Something that can be chosen, and of how many products it is true. Groups: a name; `store`."""

    name: str
    value: str
    products: int


class Shelf(Answer):
    """A page of what was found. `facets` are those of all that fits words, category and store."""

    items: tuple[ShelfItem, ...]
    total: int
    next: str | None = None
    facets: tuple[Facet, ...] = ()
