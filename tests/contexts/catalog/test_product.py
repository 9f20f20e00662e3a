"""Rules of a product's life, without any I/O."""

from datetime import UTC, datetime
from itertools import product as combinations
from typing import Any
from uuid import UUID

import pytest

from contexts.selling import SHIRT
from pasar.contexts.catalog.category import category
from pasar.contexts.catalog.contract import (
    AddMedia,
    AddSku,
    CategoryCreated,
    ChangeProduct,
    CreateCategory,
    CreateProduct,
    Media,
    Option,
    ProductChanged,
    ProductCreated,
    ProductStateSet,
    SetProductState,
    SkuAdded,
    SkuSpec,
)
from pasar.contexts.catalog.product import NEXT_STATES, product, sku_codes
from pasar.kernel.messages import convert
from pasar.kernel.testing import scenario
from pasar.refusals import (
    CategoryExists,
    MediaRefused,
    OptionsDoNotFit,
    ProductNotFound,
    ProductStateForbids,
    TooManyMedia,
)

ID = UUID(int=1)
AT = datetime(2025, 9, 6, tzinfo=UTC)
check = scenario(product)
FIELDS: dict[str, Any] = {
    "store": "s1", "title": "Shirt", "titles": {}, "description": "", "descriptions": {}, "category": None,
    "media": (), "attributes": {}, "state": "draft",
}  # fmt: skip


def create(**changes: Any) -> CreateProduct:
    return CreateProduct(product=ID, **FIELDS | SHIRT | changes)


def created(**changes: Any) -> ProductCreated:
    return ProductCreated(product=ID, **FIELDS | SHIRT | changes)


def changed(**changes: Any) -> ProductChanged:
    kept = {name: value for name, value in FIELDS.items() if name not in ("store", "state")}
    return ProductChanged(product=ID, **kept | changes)


@pytest.mark.requirement("S2-014")
def test_two_colours_and_three_sizes_make_six_skus() -> None:
    check(given=[], when=create(), then=[created()])
    assert {spec.options for spec in SHIRT["skus"]} == set(combinations(("red", "blue"), ("S", "M", "L")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"skus": (SkuSpec(sku="a", options=("red",)),)},
        {"skus": (SkuSpec(sku="a", options=("red", "XL")),)},
        {"skus": (SkuSpec(sku="a", options=("red", "S")), SkuSpec(sku="b", options=("red", "S")))},
        {"skus": (SkuSpec(sku="a", options=("red", "S")), SkuSpec(sku="a", options=("red", "M")))},
        {"options": (), "skus": (SkuSpec(sku="a"), SkuSpec(sku="b"))},
        {"options": (Option(name="x", values=("1", "1")),), "skus": (SkuSpec(sku="a", options=("1",)),)},
        {"options": (Option(name="x", values=("1",)),) * 2, "skus": (SkuSpec(sku="a", options=("1", "1")),)},
    ],
)
def test_each_sku_has_one_value_of_each_option_and_no_two_the_same(wrong: dict[str, Any]) -> None:
    check(given=[], when=create(**wrong), then=OptionsDoNotFit)


def test_a_repeat_changes_nothing_and_another_content_is_refused() -> None:
    check(given=[created()], when=create(), then=[])
    check(given=[created()], when=create(title="Other"), then=ProductStateForbids)


def test_nothing_happens_to_what_was_not_created() -> None:
    for command in (
        ChangeProduct(product=ID, title="x"), SetProductState(product=ID, state="on_sale"),
        AddSku(product=ID, sku=SkuSpec(sku="a")),
    ):  # fmt: skip
        check(given=[], when=command, then=ProductNotFound)


HISTORY: dict[str, list[Any]] = {
    "draft": [],
    "on_sale": [ProductStateSet(product=ID, state="on_sale")],
    "paused": [ProductStateSet(product=ID, state="on_sale"), ProductStateSet(product=ID, state="paused")],
    "discontinued": [ProductStateSet(product=ID, state="discontinued")],
}


@pytest.mark.requirement("S0-037", "S0-039", "S2-015")
@pytest.mark.parametrize("before", HISTORY)
@pytest.mark.parametrize("after", HISTORY)
def test_only_the_listed_transitions_succeed(before: Any, after: Any) -> None:
    then: Any = ProductStateForbids
    if after in NEXT_STATES[before]:
        then = [ProductStateSet(product=ID, state=after)]
    elif after == before:
        then = []
    check(given=[created(), *HISTORY[before]], when=SetProductState(product=ID, state=after), then=then)


def test_a_product_does_not_begin_paused_or_discontinued() -> None:
    check(given=[], when=create(state="paused"), then=ProductStateForbids)
    check(given=[], when=create(state="discontinued"), then=ProductStateForbids)


def test_a_change_says_the_whole_and_no_change_says_nothing() -> None:
    check(given=[created()], when=ChangeProduct(product=ID, title="New"), then=[changed(title="New")])
    check(given=[created()], when=ChangeProduct(product=ID, title="Shirt"), then=[])


def test_what_is_discontinued_stays_as_it_is() -> None:
    over = [created(), *HISTORY["discontinued"]]
    check(given=over, when=ChangeProduct(product=ID, title="New"), then=ProductStateForbids)
    check(given=over, when=AddSku(product=ID, sku=SkuSpec(sku="x", options=("red", "S"))), then=ProductStateForbids)


def test_a_sku_that_is_added_fits_the_options_and_is_claimed() -> None:
    two = created(skus=SHIRT["skus"][:2])
    spec = SHIRT["skus"][2]
    check(given=[two], when=AddSku(product=ID, sku=spec), then=[SkuAdded(product=ID, sku=spec)])
    check(given=[created()], when=AddSku(product=ID, sku=spec), then=[])
    check(given=[two], when=AddSku(product=ID, sku=SkuSpec(sku="x", options=("red", "S"))), then=OptionsDoNotFit)
    assert product.claims is not None
    assert product.claims(SkuAdded(product=ID, sku=spec)) == [sku_codes.take(spec.sku)]
    assert product.claims(created()) == [sku_codes.take(one.sku) for one in SHIRT["skus"]]


@pytest.mark.requirement("S2-017")
def test_the_eleventh_picture_is_refused() -> None:
    ten = tuple(Media(url=f"https://example.com/{n}.jpg") for n in range(10))
    check(given=[created(media=ten[:9])], when=AddMedia(product=ID, media=ten[9]), then=[changed(media=ten)])
    eleventh = Media(url="https://example.com/10.jpg")
    check(given=[created(media=ten)], when=AddMedia(product=ID, media=eleventh), then=TooManyMedia)
    check(given=[created(media=ten)], when=AddMedia(product=ID, media=ten[3]), then=[])


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//evil"])
def test_a_picture_lies_where_browsers_fetch_pictures(url: str) -> None:
    check(given=[], when=create(media=(Media(url=url),)), then=MediaRefused)


@pytest.mark.requirement("S2-016")
def test_a_name_has_100_characters_not_bytes() -> None:
    data = {"product": str(ID), "store": "s1", "skus": [{"sku": "a"}]}
    assert convert({**data, "title": "사" * 100}, CreateProduct).title == "사" * 100
    with pytest.raises(ValueError, match="length <= 100"):
        convert({**data, "title": "사" * 101}, CreateProduct)


def test_a_category_is_made_once_and_is_not_its_own_parent() -> None:
    root = {"parent": None, "name": "Fruit", "names": {}, "position": 0}
    check = scenario(category)
    wish, fact = CreateCategory(category="fruit", **root), CategoryCreated(category="fruit", **root)
    check(given=[], when=wish, then=[fact])
    check(given=[fact], when=wish, then=[])
    check(given=[fact], when=CreateCategory(category="fruit", **{**root, "name": "Other"}), then=CategoryExists)
    check(given=[], when=CreateCategory(category="fruit", **{**root, "parent": "fruit"}), then=CategoryExists)
