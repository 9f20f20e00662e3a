"""Sales, queues and orders of sales over HTTP, on PostgreSQL."""

import asyncio
import json
from datetime import timedelta
from uuid import UUID

import pytest

from contexts.flash.bazaar import SALES, Bazaar
from contexts.ordering.market import ANN, BOB, HOME
from kernel.running import until
from pasar.contexts.inventory.facade import unbalanced

OPEN = {"queued": False}


@pytest.mark.requirement("S4-026")
async def test_units_of_a_live_session_are_bought_only_there_and_the_rest_returns(bazaar: Bazaar) -> None:
    prepared = await bazaar.prepare(10, kind="live", **OPEN)
    assert prepared.status == 200, prepared.body
    assert await bazaar.units() == (10, 3)
    assert (await bazaar.order({"sku_id": "apple", "qty": 4})).json["code"] == 1001
    placed = await bazaar.take(None, units=2)
    assert (placed.status, placed.json["total"]) == (200, 2 * 900 + 3000)
    assert await bazaar.units() == (8, 3)
    bazaar.shop.clock.advance(timedelta(hours=1))
    await until(lambda: _is(bazaar, (0, 11 + 2)))  # The unpaid order has lapsed, too.
    assert (await bazaar.take(None)).json["code"] == 6104
    assert await unbalanced(bazaar.shop.db) == []


async def _is(bazaar: Bazaar, units: tuple[int, int]) -> bool:
    return await bazaar.units() == units


@pytest.mark.slow
async def test_what_comes_back_goes_to_the_sale_while_it_runs_and_to_the_pool_afterwards(bazaar: Bazaar) -> None:
    await bazaar.prepare(3, **OPEN)
    first, second = [(await bazaar.take(None)).json["order_no"] for _ in range(2)]
    await bazaar.say("POST", f"/api/v1/orders/{first}/cancel")
    assert await bazaar.units() == (2, 3)
    ended = await bazaar.shop.ask("POST", "/api/v1/staff/flash/sales/noon/end", token=bazaar.shop.token("admin"))
    assert ended.json["is_ended"]
    await until(lambda: _is(bazaar, (0, 5)))
    await bazaar.say("POST", f"/api/v1/orders/{second}/cancel")
    await until(lambda: _is(bazaar, (0, 6)))
    assert await unbalanced(bazaar.shop.db) == []
    assert (await bazaar.status())["phase"] == "ended"


async def test_limits_bind_member_device_and_address(bazaar: Bazaar) -> None:
    limits = {"per_member": 2, "per_device": 2, "per_address": 3}
    await bazaar.prepare(10, limits=limits, **OPEN)
    assert (await bazaar.take(None)).json["code"] == 6109
    ann, bob = [("X-Device-Id", "a")], [("X-Device-Id", "b")]
    assert (await bazaar.take(None, units=2, headers=ann)).status == 200
    assert (await bazaar.take(None, headers=[("X-Device-Id", "c")])).json["code"] == 6105  # The member.
    elsewhere = {**HOME, "line1": "Road 7"}
    assert (await bazaar.take(None, BOB, headers=ann, address=elsewhere)).json["code"] == 6105  # The device.
    spelt = {**HOME, "line1": " ROAD, 1 ", "recipient": "Somebody else"}
    assert (await bazaar.take(None, BOB, units=2, headers=bob, address=spelt)).json["code"] == 6105  # The address.
    assert (await bazaar.take(None, BOB, headers=bob, address=spelt)).status == 200
    assert await bazaar.units() == (7, 3)


@pytest.mark.slow
async def test_a_sale_says_what_is_wrong_with_it(bazaar: Bazaar) -> None:
    assert (await bazaar.prepare(10)).status == 200
    assert (await bazaar.prepare(10, currency="CNY", sale="other")).json["code"] == 6103
    assert (await bazaar.prepare(10, sale="late", ends_at="2020-01-01T00:00:00Z")).json["code"] == 6103
    many = [{"sku": "apple", "price": 900, "units": 1000}]
    assert (await bazaar.prepare(1, sale="many", items=many)).json["code"] == 1001
    assert (await bazaar.prepare(1, sale="what", items=[{**many[0], "sku": "pear"}])).json["code"] == 5004
    assert (await bazaar.prepare(1, sale="x", items=[{**many[0], "colour": "red"}])).json["code"] == 3003
    foreign = await bazaar.shop.ask("GET", "/api/v1/staff/flash/sales", token=bazaar.token())
    assert foreign.status == 403
    listed = await bazaar.shop.ask("GET", "/api/v1/staff/flash/sales?limit=1", token=bazaar.shop.token("admin"))
    assert [sale["sale"] for sale in listed.json["items"]] == ["noon"]


async def test_a_ticket_is_bound_to_member_and_sale_and_good_once(bazaar: Bazaar) -> None:
    await bazaar.prepare(10)
    assert (await bazaar.take(None)).json["code"] == 6106
    place = (await bazaar.join()).json
    assert (place["state"], place["position"]) == ("admitted", 0)
    assert (await bazaar.join()).json == place
    ticket = place["ticket"]
    assert (await bazaar.take(ticket, BOB)).json["code"] == 6106
    assert (await bazaar.take(ticket, units=2)).json["code"] == 6106
    body, _, mac = ticket.partition(".")
    more = json.loads(bytes.fromhex(body)) | {"units": 5}
    forged = json.dumps(more).encode().hex() + "." + mac
    assert (await bazaar.take(forged, units=5)).json["code"] == 6106
    assert (await bazaar.take("nonsense")).json["code"] == 6106
    placed = await bazaar.take(ticket, key="k")
    assert placed.status == 200, placed.body
    assert (await bazaar.take(ticket)).json["code"] == 6107
    assert (await bazaar.take(ticket, key="k")).body == placed.body
    assert await bazaar.units() == (9, 3)


async def test_a_ticket_has_a_short_life_and_its_unit_goes_to_the_next(bazaar: Bazaar) -> None:
    await bazaar.prepare(1)
    ticket = (await bazaar.join()).json["ticket"]
    waiting = (await bazaar.join(BOB)).json
    assert (waiting["state"], waiting["position"]) == ("waiting", 1)
    assert waiting["expected_wait_s"] > 0
    third = (await bazaar.join(UUID(int=7))).json  # One unit, one in the queue: no place for more.
    assert (third["state"], third["position"], third["ask_again_s"]) == ("full", 0, 5)
    for _ in range(3):
        bazaar.shop.clock.advance(timedelta(seconds=21))
        place = (await bazaar.place(BOB)).json
    assert place["state"] == "admitted"
    assert (await bazaar.take(ticket)).json["code"] == 6106
    assert (await bazaar.take(place["ticket"], BOB)).status == 200
    assert (await bazaar.place(ANN)).json["code"] == 6108


@pytest.mark.slow
async def test_an_answer_may_wait_until_it_is_final(bazaar: Bazaar) -> None:
    """One buyer has the ticket, one waits for it, one finds the queue full; then the unit is sold, or given back."""
    await bazaar.prepare(1)
    ticket = (await bazaar.join()).json["ticket"]
    others = [asyncio.create_task(bazaar.join(UUID(int=n), query="?wait_s=20")) for n in (7, 8)]
    assert not (await asyncio.wait(others, timeout=0.7))[0]
    order = (await bazaar.take(ticket)).json["order_no"]
    answers = [(await other).json for other in others]
    assert [(place["state"], place["position"]) for place in answers] == [("sold_out", 1), ("sold_out", 0)]
    assert (await bazaar.join(BOB, query="?wait_s=1")).json["state"] == "sold_out"
    await bazaar.say("POST", f"/api/v1/orders/{order}/cancel")
    await until(lambda: _admitted(bazaar, UUID(int=7)))
    short = (await bazaar.join(UUID(int=9), query="?wait_s=1")).json
    assert (short["state"], short["position"]) == ("waiting", 1)


async def _admitted(bazaar: Bazaar, who: UUID) -> bool:
    return (await bazaar.join(who, query="?wait_s=1")).json["state"] == "admitted"


async def test_a_queue_opens_with_its_sale(bazaar: Bazaar) -> None:
    soon = bazaar.shop.clock.now() + timedelta(minutes=5)
    await bazaar.prepare(3, starts_at=soon.isoformat())
    early = await bazaar.join()
    assert (early.json["code"], early.headers["retry-after"]) == (6104, "301")
    assert (await bazaar.status())["phase"] == "upcoming"
    bazaar.shop.clock.advance(timedelta(minutes=5))
    assert (await bazaar.join()).json["state"] == "admitted"
    assert (await bazaar.join(sale="unknown")).json["code"] == 6101
    assert (await bazaar.join(sku="pear")).json["code"] == 1012


@pytest.mark.slow
async def test_who_joins_too_often_waits(bazaar: Bazaar) -> None:
    await bazaar.prepare(3)
    answers = [await bazaar.join() for _ in range(70)]
    assert {answer.status for answer in answers[:60]} == {200}
    late = answers[-1]
    assert (late.status, late.json["code"]) == (429, 4029)
    assert int(late.headers["retry-after"]) >= 1
    assert (await bazaar.join(BOB)).status == 200


@pytest.mark.slow
async def test_the_place_comes_as_events_until_it_is_final(bazaar: Bazaar) -> None:
    await bazaar.prepare(1)
    await bazaar.join()
    assert (await bazaar.shop.ask("GET", f"{SALES}/noon/queue/apple/events", token=bazaar.token(BOB))).status == 404
    answer = await bazaar.shop.ask("GET", f"{SALES}/noon/queue/apple/events", token=bazaar.token())
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.body.startswith(b'data: {"state":"admitted"')


@pytest.mark.slow
async def test_an_order_that_is_handed_in_without_a_broker_is_placed_at_once(bazaar: Bazaar) -> None:
    await bazaar.prepare(2)
    await bazaar.live_at("home")
    ticket = (await bazaar.join()).json["ticket"]
    first = (await bazaar.hand_in(ticket)).json
    assert first["state"] == "placed"
    assert (await bazaar.hand_in(ticket)).json == first
    assert await bazaar.result(first["ticket_id"]) == first
    assert (await bazaar.result(first["ticket_id"], BOB))["state"] == "pending"
    assert await bazaar.placed() == [first["order"]["order_no"]]


@pytest.mark.requirement("S1-246")
@pytest.mark.promise("A1")
async def test_two_hundred_buyers_of_twenty_units(bazaar: Bazaar) -> None:
    await bazaar.prepare(20, limits={"per_member": 1})
    buyers = [UUID(int=1000 + n) for n in range(200)]

    async def buy(who: UUID) -> str:
        place = (await bazaar.join(who)).json
        if place["state"] != "admitted":
            return place["state"]
        placed = await bazaar.take(place["ticket"], who)
        assert placed.status == 200, placed.body
        again = await bazaar.take(place["ticket"], who)
        assert again.json["code"] == 6107
        return placed.json["order_no"]

    outcomes = await asyncio.gather(*(buy(who) for who in buyers))
    won = sorted(outcome for outcome in outcomes if outcome.isdigit())
    assert len(won) == 20
    assert await bazaar.placed() == won
    assert await bazaar.units() == (0, 3)
    assert outcomes.count("waiting") <= 20
    assert outcomes.count("sold_out") + outcomes.count("full") >= 160

    async def everybody_knows() -> bool:
        late = [(await bazaar.join(who)).json for who in buyers[-20:]]
        return {(place["state"], place.get("ask_again_s")) for place in late} == {("sold_out", None)}

    await until(everybody_knows)
    assert (await bazaar.status())["phase"] == "sold_out"
    assert await unbalanced(bazaar.shop.db) == []
