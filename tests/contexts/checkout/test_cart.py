"""The cart's rules: given what was put in, when something is wished, then what happens."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from pasar.contexts.checkout.cart import InCart, cart, decide, key
from pasar.contexts.checkout.contract import (
    MAX_LINES,
    CartChanged,
    CartEmptied,
    CartLine,
    CartsMerged,
    EmptyCart,
    MergeCarts,
    PutInCart,
    RemoveFromCart,
)
from pasar.kernel.messages import Refused, decode, encode
from pasar.kernel.testing import scenario
from pasar.refusals import CartIsFull, LineNotInCart

ANN = UUID(int=1)
check = scenario(cart)


def put(sku: str, units: int = 1, **more: Any) -> PutInCart:
    return PutInCart(owner=ANN, channel="web", sku=sku, quantity=units, **more)


def changed(sku: str, units: int, batch: str | None = None, seen: Decimal | None = None) -> CartChanged:
    return CartChanged(owner=ANN, channel="web", sku=sku, quantity=units, batch=batch, price_seen=seen)


def one(sku: str, units: int, batch: str | None = None, seen: Decimal | None = None) -> CartLine:
    return CartLine(sku=sku, quantity=units, batch=batch, price_seen=seen)


def lines(*events: Any) -> tuple[CartLine, ...]:
    return cart.fold(InCart(), events).lines


def test_units_are_added_up_or_set() -> None:
    check(given=[], when=put("apple", 2), then=[changed("apple", 2)])
    check(given=[changed("apple", 2)], when=put("apple", 3), then=[changed("apple", 5)])
    check(given=[changed("apple", 2)], when=put("apple", 3, add=False), then=[changed("apple", 3)])
    check(given=[changed("apple", 2)], when=put("apple", 2, add=False), then=[])
    check(given=[changed("apple", 1_000_000_000)], when=put("apple"), then=CartIsFull)


def test_batches_are_lines_of_their_own() -> None:
    assert lines(changed("apple", 1), changed("apple", 2, "b1")) == (one("apple", 1), one("apple", 2, "b1"))
    check(given=[changed("apple", 1, "b1")], when=RemoveFromCart(owner=ANN, sku="apple"), then=LineNotInCart)


def test_the_price_that_was_seen_last_counts() -> None:
    old, new = Decimal(10), Decimal(12)
    check(given=[changed("apple", 1, seen=old)], when=put("apple"), then=[changed("apple", 2, seen=old)])
    check(
        given=[changed("apple", 1, seen=old)], when=put("apple", price_seen=new), then=[changed("apple", 2, seen=new)]
    )


def test_a_cart_has_a_hundred_lines_and_a_full_one_still_changes() -> None:
    full = [changed(f"sku-{n}", 1) for n in range(MAX_LINES)]
    check(given=full, when=put("another"), then=CartIsFull)
    check(given=full, when=put("sku-7"), then=[changed("sku-7", 2)])


def test_what_is_taken_out_is_gone_and_lines_keep_their_order() -> None:
    events = [changed("apple", 1), changed("pear", 1), changed("plum", 1), changed("pear", 0), changed("apple", 4)]
    assert [line.sku for line in lines(*events)] == ["apple", "plum"]
    check(given=events[:3], when=RemoveFromCart(owner=ANN, sku="pear"), then=[changed("pear", 0)])


def test_a_guests_lines_are_added_to_the_members() -> None:
    guests = (one("apple", 2, seen=Decimal(9)), one("plum", 1))
    merged = CartsMerged(owner=ANN, channel="web", lines=(one("apple", 5, seen=Decimal(9)), one("plum", 1)))
    merge = MergeCarts(owner=ANN, lines=guests, channel="web")
    check(given=[changed("apple", 3), changed("pear", 1)], when=merge, then=[merged])
    assert lines(changed("apple", 3), changed("pear", 1), merged) == (
        one("apple", 5, seen=Decimal(9)), one("pear", 1), one("plum", 1),
    )  # fmt: skip
    check(given=[], when=MergeCarts(owner=ANN, lines=(), channel="web"), then=[])


def test_what_does_not_fit_is_not_merged() -> None:
    full = [changed(f"sku-{n}", 1) for n in range(MAX_LINES)]
    check(given=full, when=MergeCarts(owner=ANN, lines=(one("new", 1),), channel="web"), then=CartIsFull)


def test_what_was_ordered_leaves_the_cart_and_what_came_in_meanwhile_stays() -> None:
    given = [changed("apple", 3), changed("pear", 1), changed("plum", 2)]
    empty = EmptyCart(owner=ANN, ordered_as="1", taken=(one("apple", 2), one("pear", 1)))
    emptied = CartEmptied(owner=ANN, ordered_as="1", skus=("apple", "pear"), left=(one("apple", 1),))
    check(given=given, when=empty, then=[emptied])
    assert lines(*given, emptied) == (one("apple", 1), one("plum", 2))
    check(given=[*given, emptied], when=empty, then=LineNotInCart)


def test_all_or_some_of_a_cart_is_emptied_once() -> None:
    given = [changed("apple", 1), changed("pear", 1, "b1")]
    everything = CartEmptied(owner=ANN, ordered_as=None, skus=None)
    check(given=given, when=EmptyCart(owner=ANN), then=[everything])
    check(given=[*given, everything], when=EmptyCart(owner=ANN), then=[])
    some = CartEmptied(owner=ANN, ordered_as=None, skus=("pear@b1",))
    check(given=given, when=EmptyCart(owner=ANN, skus=("pear@b1", "fig")), then=[some])
    assert lines(*given, some) == (one("apple", 1),)


SKUS = st.sampled_from(["a", "b", "c"])
WISHES = st.one_of(
    st.builds(put, SKUS, st.integers(1, 5), batch=st.sampled_from([None, "b1"]), add=st.booleans()),
    st.builds(lambda sku: RemoveFromCart(owner=ANN, sku=sku), SKUS),
    st.builds(lambda sku, n: MergeCarts(owner=ANN, lines=(one(sku, n),), channel="web"), SKUS, st.integers(1, 5)),
    st.builds(lambda sku, n: EmptyCart(owner=ANN, taken=(one(sku, n),)), SKUS, st.integers(1, 5)),
    st.just(EmptyCart(owner=ANN)),
)


@pytest.mark.requirement("S3-003", "S0-059")
@for_all(st.lists(WISHES, max_size=30))
def test_a_cart_is_a_count_of_units(wishes: list[Any]) -> None:
    state, model = InCart(), {}
    for wish in wishes:
        try:
            events = decide(wish, state)
        except Refused:
            match wish:
                case RemoveFromCart(sku=sku):
                    assert sku not in model
                case EmptyCart(taken=(line,)):
                    assert model.get(line.sku, 0) < line.quantity
                case _:
                    pytest.fail(f"{wish} was refused")
            continue
        state = cart.fold(state, events)
        match wish:
            case PutInCart(sku=sku, batch=batch, quantity=units, add=add):
                name = sku if batch is None else f"{sku}@{batch}"
                model[name] = units + (model.get(name, 0) if add else 0)
            case RemoveFromCart(sku=sku):
                del model[sku]
            case MergeCarts(lines=(line,)):
                model[line.sku] = model.get(line.sku, 0) + line.quantity
            case EmptyCart(taken=(line,)):
                model[line.sku] = model.get(line.sku, 0) - line.quantity
            case _:
                model = {}
        model = {name: units for name, units in model.items() if units > 0}
        assert {key(line): line.quantity for line in state.lines} == model
        assert decode(encode(state), InCart) == state
