"""A product and its SKUs: draft, on sale, paused, discontinued. Every version of its stream is a snapshot."""

from typing import assert_never

from msgspec.structs import replace

from pasar.kernel.decider import Decider, Give, Take, Unique
from pasar.kernel.messages import Value
from pasar.refusals import MediaRefused, OptionsDoNotFit, ProductNotFound, ProductStateForbids, SkuTaken, TooManyMedia

from .contract import (
    AddMedia,
    AddSku,
    ChangeProduct,
    CreateProduct,
    Media,
    Option,
    Product,
    ProductChanged,
    ProductCreated,
    ProductState,
    ProductStateSet,
    SetProductState,
    SkuAdded,
    SkuSpec,
)

MAX_SKUS = 500
MAX_MEDIA = 10
SHOWN_FROM = ("https://", "http://", "/media/")
"""Where pictures may lie: anything else (javascript:, data:, file:) is no address of a picture."""
NEXT_STATES: dict[ProductState, frozenset[ProductState]] = {
    "draft": frozenset({"on_sale", "discontinued"}),
    "on_sale": frozenset({"paused", "discontinued"}),
    "paused": frozenset({"on_sale", "discontinued"}),
    "discontinued": frozenset(),
}
"""The state table: from each state, those that may follow."""
CHANGEABLE = ("title", "titles", "description", "descriptions", "category", "media", "attributes")

sku_codes = Unique("sku", SkuTaken)
"""A SKU is its product's for ever, so that past orders always find it; it is never given back."""

ProductCommand = CreateProduct | ChangeProduct | AddSku | AddMedia | SetProductState
ProductEvent = ProductCreated | ProductChanged | SkuAdded | ProductStateSet


class Life(Value):
    """Nothing yet, or the product as it is."""

    product: Product | None = None


def check_options(options: tuple[Option, ...], skus: tuple[SkuSpec, ...]) -> None:
    """Each SKU has one value of each option; no two have the same values, or the same code."""
    if len({option.name for option in options}) < len(options):
        raise OptionsDoNotFit("two options have the same name")
    allowed = [set(option.values) for option in options]
    for option, values in zip(options, allowed, strict=True):
        if len(values) < len(option.values):
            raise OptionsDoNotFit(f"{option.name} has the same value twice")
    taken: dict[tuple[str, ...], str] = {}
    for spec in skus:
        if len(spec.options) != len(options):
            raise OptionsDoNotFit(
                f"{spec.sku} has {len(spec.options)} option values, the product {len(options)} options"
            )
        for option, values, value in zip(options, allowed, spec.options, strict=True):
            if value not in values:
                raise OptionsDoNotFit(f"{spec.sku}: {option.name} has no value {value}")
        if (other := taken.setdefault(spec.options, spec.sku)) != spec.sku:
            raise OptionsDoNotFit(f"{spec.sku} and {other} have the same option values")
    if len({spec.sku for spec in skus}) < len(skus):
        raise OptionsDoNotFit("the same SKU stands there twice")


def check_media(media: tuple[Media, ...]) -> None:
    """Ten pictures at most, each where a browser may fetch it."""
    if len(media) > MAX_MEDIA:
        raise TooManyMedia(f"a product has {MAX_MEDIA} pictures at most")
    for picture in media:
        if not picture.url.startswith(SHOWN_FROM):
            raise MediaRefused("a picture's address begins with https://, http:// or /media/")


def decide(command: ProductCommand, life: Life) -> list[ProductEvent]:
    product = life.product
    if isinstance(command, CreateProduct):
        return _create(command, product)
    if product is None:
        raise ProductNotFound(f"there is no product {command.product}")
    match command:
        case ChangeProduct():
            return _change(command, product)
        case AddSku(sku=spec):
            return _add(spec, product)
        case AddMedia(media=media):
            if any(shown.url == media.url for shown in product.media):
                return []
            return _change(ChangeProduct(product=product.product, media=(*product.media, media)), product)
        case SetProductState(state=state):
            if state == product.state:
                return []
            if state not in NEXT_STATES[product.state]:
                raise ProductStateForbids(f"a product that is {product.state} cannot become {state}")
            return [ProductStateSet(product=product.product, state=state)]
        case _:
            assert_never(command)


def _create(command: CreateProduct, product: Product | None) -> list[ProductEvent]:
    fields = {name: getattr(command, name) for name in command.__struct_fields__}
    if product is not None:
        if product == Product(**fields):
            return []  # A repeat.
        raise ProductStateForbids(f"the product {command.product} exists, with other content")
    if command.state not in ("draft", "on_sale"):
        raise ProductStateForbids("a product begins as draft or on_sale")
    check_options(command.options, command.skus)
    check_media(command.media)
    return [ProductCreated(**fields)]


def _change(command: ChangeProduct, product: Product) -> list[ProductEvent]:
    wanted = {name: value for name in CHANGEABLE if (value := getattr(command, name)) is not None}
    if all(getattr(product, name) == value for name, value in wanted.items()):
        return []
    _check_alive(product)
    check_media(command.media or ())
    kept = {name: getattr(product, name) for name in CHANGEABLE}
    return [ProductChanged(product=product.product, **kept | wanted)]


def _add(spec: SkuSpec, product: Product) -> list[ProductEvent]:
    if spec in product.skus:
        return []
    _check_alive(product)
    if len(product.skus) >= MAX_SKUS:
        raise OptionsDoNotFit(f"a product has {MAX_SKUS} SKUs at most")
    check_options(product.options, (*product.skus, spec))
    return [SkuAdded(product=product.product, sku=spec)]


def _check_alive(product: Product) -> None:
    if product.state == "discontinued":
        raise ProductStateForbids("a discontinued product stays as it is")


def evolve(life: Life, event: ProductEvent) -> Life:
    if isinstance(event, ProductCreated):
        return Life(product=Product(**{name: getattr(event, name) for name in event.__struct_fields__}))
    assert life.product is not None
    match event:
        case ProductChanged():
            return Life(product=replace(life.product, **{name: getattr(event, name) for name in CHANGEABLE}))
        case SkuAdded(sku=spec):
            return Life(product=replace(life.product, skus=(*life.product.skus, spec)))
        case ProductStateSet(state=state):
            return Life(product=replace(life.product, state=state))
        case _:
            assert_never(event)


def claims(event: ProductEvent) -> list[Take | Give]:
    match event:
        case ProductCreated(skus=skus):
            return [sku_codes.take(spec.sku) for spec in skus]
        case SkuAdded(sku=spec):
            return [sku_codes.take(spec.sku)]
        case ProductChanged() | ProductStateSet():
            return []
        case _:
            assert_never(event)


def answer(life: Life) -> Product | None:
    return life.product


def owner(life: Life) -> str | None:
    """The store whose product it is."""
    return life.product and life.product.store


product = Decider("catalog.product", "product", Life(), decide, evolve, claims=claims, answer=answer, owner=owner)
