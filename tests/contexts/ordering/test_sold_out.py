"""What is gone is refused by one look at the ledger, and sold again the moment a unit comes back."""

import asyncio

import pytest

from contexts.ordering.market import BOB, HOME, Market, counted, item
from pasar.contexts.ordering.contract import CancelOrder

SHORT = {"sku": "apple", "wanted": 1, "available": 0}


async def sell_out(market: Market) -> str:
    """The last unit, and somebody who comes too late; the number of the order."""
    await market.stock("apple", 1)
    placed = await market.order(item("apple"), key="the last one")
    late = await market.order(item("apple"), who=BOB)
    assert (late.status, late.json["code"], late.json["short"]) == (409, 1001, [SHORT])
    return placed.json["order_no"]


async def test_a_crowd_costs_a_look_and_its_answers(market: Market) -> None:
    await sell_out(market)
    with counted() as said:
        answers = await asyncio.gather(*(market.order(item("apple"), key=f"k{n}") for n in range(8)))
    assert [(answer.status, answer.json["code"], answer.json["short"]) for answer in answers] == [
        (409, 1001, [SHORT])
    ] * 8
    commits = [one for one in said if one == "commit"]
    assert len(commits) == 8, "each refusal is stored under its key, and nothing else is tried"
    assert len(said) - len(commits) <= 8, said


@pytest.mark.requirement("S1-089")
async def test_a_unit_that_comes_back_is_sold_at_once(market: Market) -> None:
    order_no = await sell_out(market)
    assert (await market.order(item("apple"), who=BOB)).json["code"] == 1001
    await market.shop.bus().send(CancelOrder(order_no=order_no, reason="buyer"))
    assert (await market.order(item("apple"), who=BOB)).status == 200


async def test_who_repeats_a_key_hears_the_first_answer(market: Market) -> None:
    order_no = await sell_out(market)
    again = await market.order(item("apple"), key="the last one")
    assert (again.status, again.json["order_no"]) == (200, order_no)


async def test_an_order_of_something_else_too_names_every_line(market: Market) -> None:
    await sell_out(market)
    await market.stock("pear", 1)
    answer = await market.order(item("apple"), item("pear", 2), who=BOB)
    assert [one["sku"] for one in answer.json["short"]] == ["apple", "pear"]


async def test_who_has_the_last_unit_in_the_cart_gets_it(holding_market: Market) -> None:
    market = holding_market
    await market.stock("apple", 1)
    put = await market.say("POST", "/api/v1/cart/items", {"sku": "apple", "quantity": 1})
    assert put.status == 200, put.body
    assert (await market.order(item("apple"), who=BOB)).json["short"] == [SHORT]
    assert (await market.say("POST", "/api/v1/cart/submit", {"address": HOME})).status == 200
