"""From confirmation to payout, with refunds in between: through HTTP, processes and PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from contexts.finance.mall import WEEK, Mall, open_mall
from contexts.ordering.market import item
from contexts.selling import OWNER
from kernel.running import until
from pasar.accounts import debt_open, liability, payable, pool
from pasar.contexts.finance import facade
from pasar.contexts.finance.contract import PaySeller, RecognizeRevenue, Share, TakeBackRevenue
from pasar.contexts.identity.contract import DecideKyc
from pasar.contexts.payment.contract import Capture, StartPayment
from pasar.contexts.platform.contract import OpenStore
from pasar.contexts.pricing.contract import CreateCoupon
from pasar.kernel.process import stuck_processes
from pasar.refusals import AlreadySettled
from postgres import TestDatabase


@pytest_asyncio.fixture
async def mall(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Mall]:
    async with open_mall(database, tmp_path) as opened:
        yield opened
        assert await stuck_processes(opened.shop.core.database.kernel) == []


async def runs(mall: Mall) -> list[Any]:
    return (await mall.staff("GET", "/api/v1/finance/runs", kind="finance")).json["items"]


async def run_of(mall: Mall, name: str) -> Any:
    return (await mall.staff("GET", f"/api/v1/finance/runs/{name}", kind="finance")).json


async def monday(mall: Mall) -> Any:
    """The run that the calendar proposes next."""
    known = len(await runs(mall))
    await mall.to_monday()

    async def proposed() -> Any:
        found = await runs(mall)
        return found[0] if len(found) > known else None

    return await until(proposed)


async def pay(mall: Mall, name: str) -> Any:
    assert (await mall.staff("POST", f"/api/v1/finance/runs/{name}/approve", kind="finance")).status == 200
    await mall.settled_down()
    return await run_of(mall, name)


async def due(mall: Mall, no: str) -> int:
    return await mall.shop.db.balance(payable("s1", no, unit="KRW"))


@pytest.mark.requirement("S2-062", "S2-063", "S2-066")
async def test_a_confirmed_order_is_paid_to_its_seller_by_the_first_monday_after_seven_days(mall: Mall) -> None:
    await mall.seller()
    no = await mall.confirmed(2)  # Saturday: 20,000 and 3,000 freight, which bears no commission.
    assert await due(mall, no) == 22_000
    early = await monday(mall)
    assert (early["run"], early["sellers"], early["amount"]) == ("2025-W37-KRW", 0, 0)
    late = await monday(mall)
    assert (late["run"], late["sellers"], late["amount"]) == ("2025-W38-KRW", 1, 22_000)
    paid = await pay(mall, late["run"])
    assert paid["state"] == "paid"
    assert await due(mall, no) == 0
    assert [one["run"] for one in await runs(mall)] == ["2025-W38-KRW", "2025-W37-KRW"]
    seller = mall.shop.token("seller", "s1", id=OWNER)
    (row,) = (await mall.say("GET", "/api/v1/stores/s1/statement", token=seller)).json["items"]
    assert (row["amount"], row["commission"], row["settled_run"], row["paid"]) == (22_000, 1_000, late["run"], 22_000)
    assert (await mall.say("GET", "/api/v1/stores/s2/statement", token=seller)).status == 403
    balance = (await mall.say("GET", "/api/v1/stores/s1/balance", token=seller)).json
    assert (balance["payable"], balance["debt"]) == (0, 0)
    settlement = (await mall.say("GET", f"/api/v1/stores/s1/settlements/{late['run']}", token=seller)).json
    assert settlement["amount"] == 22_000


@pytest.mark.requirement("S2-026")
async def test_an_order_that_its_buyer_does_not_confirm_is_confirmed_after_the_term(mall: Mall) -> None:
    no = await mall.delivered(item("apple", 2))

    async def status() -> str:
        return (await mall.say("GET", f"/api/v1/orders/{no}")).json["status"]

    async def confirmed() -> bool:
        return await status() == "CONFIRMED"

    mall.shop.clock.advance(WEEK - timedelta(minutes=1))
    await mall.settled_down()
    assert (await status(), await due(mall, no)) == ("DELIVERED", 0)
    mall.shop.clock.advance(timedelta(minutes=2))
    await until(confirmed)
    await mall.settled_down()
    assert await due(mall, no) == 22_000


async def test_the_payout_file_names_whom_the_bank_pays_and_who_took_it_is_recorded(mall: Mall) -> None:
    await mall.seller()
    await mall.confirmed(2)
    await monday(mall)
    name = (await monday(mall))["run"]
    where = f"/api/v1/finance/runs/{name}/payout-file"
    assert (await mall.staff("GET", where, kind="finance")).json["code"] == 7003
    await pay(mall, name)
    assert (await mall.staff("GET", where)).status == 403
    file = await mall.staff("GET", where, kind="finance")
    assert file.headers["cache-control"] == "no-store"
    assert b"110-234-567890" in file.body
    assert b'<InstdAmt Ccy="KRW">22000</InstdAmt>' in file.body
    rows = (await mall.staff("GET", f"{where}?format=csv", kind="finance")).body.decode("utf-8-sig").splitlines()
    assert rows[1] == f"{name}:s1,s1,Kim & Co,110-234-567890,22000,KRW"
    taken = await mall.shop.core.database.kernel.fetch(
        "select meta ->> 'by' as by from kernel.event where type = 'finance.PayoutFileTaken'"
    )
    assert len(taken) == 2
    log = await mall.shop.core.database.kernel.fetchval("select string_agg(data::text, '') from kernel.event")
    assert "110-234-567890" not in log


async def test_who_proposes_a_run_does_not_approve_it_and_a_rejected_one_can_be_proposed_again(mall: Mall) -> None:
    await mall.seller()
    await mall.confirmed(2)
    await monday(mall)
    by_calendar = await run_of(mall, (await monday(mall))["run"])
    where = f"/api/v1/finance/runs/{by_calendar['run']}"
    assert (await mall.staff("POST", "/api/v1/finance/runs", {}, kind="finance", by=1)).json == by_calendar
    assert (await mall.staff("POST", f"{where}/approve", kind="seller", by=3)).status == 403
    rejected = await mall.staff("POST", f"{where}/reject", {"reason": "check"}, kind="finance", by=2)
    assert rejected.json["state"] == "rejected"
    again = (await mall.staff("POST", "/api/v1/finance/runs", {}, kind="finance", by=1)).json
    assert again["run"] == f"{by_calendar['run']}-2"
    assert again["settlements"] == by_calendar["settlements"]
    where = f"/api/v1/finance/runs/{again['run']}"
    assert (await mall.staff("POST", f"{where}/approve", kind="finance", by=1)).json["code"] == 7004
    assert (await mall.staff("POST", f"{where}/approve", kind="finance", by=2)).json["state"] == "approved"


@pytest.mark.requirement("S2-067")
async def test_small_sums_and_unverified_sellers_wait(mall: Mall) -> None:
    await mall.seller(verified=False)
    no = await mall.confirmed(2)
    await monday(mall)
    name = (await monday(mall))["run"]
    (held,) = (await run_of(mall, name))["settlements"]
    assert held["held_back"] == "kyc"
    assert await due(mall, no) == 22_000
    await mall.shop.bus().send(DecideKyc(account=OWNER, verified=True))
    again = (await mall.staff("POST", "/api/v1/finance/runs", {}, kind="finance", by=1)).json
    assert (again["run"], again["state"]) == (f"{name}-2", "proposed")
    assert (await pay(mall, again["run"]))["state"] == "paid"
    assert await due(mall, no) == 0


async def test_a_run_that_pays_nobody_waits_for_nobody(mall: Mall) -> None:
    await mall.seller(verified=False)
    await mall.confirmed(2)
    for held in (0, 1):  # No lines at all; one that is held back.
        found = await monday(mall)
        run = await run_of(mall, found["run"])
        assert (found["state"], run["state"], len(run["settlements"])) == ("empty", "empty", held)
        for act, body in (("approve", ()), ("reject", ({"reason": "no"},))):
            answer = await mall.staff("POST", f"/api/v1/finance/runs/{run['run']}/{act}", *body, kind="finance")
            assert (answer.status, answer.json["detail"]) == (409, f"run {run['run']} is empty")
        again = (await mall.staff("POST", "/api/v1/finance/runs", {}, kind="finance", by=1)).json
        assert again == run  # Nothing has changed since.
    waiting = await mall.staff("GET", "/api/v1/finance/runs?state=proposed", kind="finance")
    assert waiting.json["items"] == []


@pytest.mark.requirement("S0-045")
async def test_goods_that_come_back_are_refunded_and_on_the_shelf_again(mall: Mall) -> None:
    no = await mall.delivered(item("apple", 2))
    left = await mall.left("apple")
    case = await mall.returned(no, 1)
    assert (case["state"], case["refund"], case["freight_refund"]) == ("REFUNDED", 10_000, 0)
    assert await mall.left("apple") == left + 1
    order = (await mall.say("GET", f"/api/v1/orders/{no}")).json
    assert (order["status"], order["refunded"]) == ("PARTIAL_REFUNDED", 10_000)
    assert (await mall.ask_back(no, 2)).json["code"] == 8006
    rest = await mall.returned(no, 1)
    assert (rest["refund"], rest["freight_refund"]) == (13_000, 3_000)
    assert (await mall.say("GET", f"/api/v1/orders/{no}")).json["status"] == "REFUNDED"
    assert await mall.shop.db.balance(liability(no, unit="KRW")) == 0


@pytest.mark.requirement("S1-098")
async def test_a_refund_that_the_provider_refuses_is_tried_again(mall: Mall) -> None:
    no = await mall.delivered(item("apple", 1))
    case = (await mall.ask_back(no, 1, kind="refund_only")).json["case"]
    where = f"/api/v1/staff/returns/{case}"
    assert (await mall.staff("POST", f"{where}/approve")).json["state"] == "REFUND_PROCESSING"
    await mall.settled_down()
    await mall.provider(no, case, fails=True)
    assert (await mall.say("GET", f"/api/v1/returns/{case}")).json["state"] == "REFUND_FAILED"
    assert (await mall.staff("POST", f"{where}/retry")).json["state"] == "REFUND_PROCESSING"
    await mall.settled_down()
    await mall.provider(no, case)
    assert (await mall.say("GET", f"/api/v1/returns/{case}")).json["state"] == "REFUNDED"


async def test_a_paid_order_that_has_not_left_is_cancelled_whole(mall: Mall) -> None:
    before = await mall.left("apple")
    no = await mall.paid(item("apple", 2))
    assert (await mall.ask_back(no, 1)).json["code"] == 8005
    assert (await mall.say("POST", f"/api/v1/orders/{no}/cancel")).json["status"] == "CANCELED"
    await mall.settled_down()
    assert await mall.shop.db.balance(pool("apple")) == before
    assert await mall.shop.db.balance(liability(no, unit="KRW")) == 0  # Held for the provider.
    sent = await mall.delivered(item("apple", 1))
    assert (await mall.say("POST", f"/api/v1/orders/{sent}/cancel")).json["code"] == 1004


async def test_a_refund_after_the_payout_is_a_debt_that_the_next_run_nets(mall: Mall) -> None:
    await mall.seller()
    no = await mall.confirmed(2)
    await monday(mall)
    await pay(mall, (await monday(mall))["run"])
    assert (await mall.returned(no, 1))["state"] == "REFUNDED"
    assert await mall.shop.db.balance(debt_open("s1", unit="KRW")) == 9_500
    second = await mall.confirmed(3)
    await monday(mall)
    name = (await monday(mall))["run"]
    (one,) = (await run_of(mall, name))["settlements"]
    assert (one["amount"], one["debt_netted"]) == (31_500 - 9_500, 9_500)
    await pay(mall, name)
    assert await mall.shop.db.balance(debt_open("s1", unit="KRW")) == 0
    assert await due(mall, second) == 0


@pytest.mark.promise("A10")
async def test_a_refund_between_proposal_and_payment_keeps_the_order_out_of_that_run_only(mall: Mall) -> None:
    await mall.seller()
    no, other = await mall.confirmed(2), await mall.confirmed(2)
    await monday(mall)
    first = await monday(mall)
    assert first["amount"] == 44_000
    assert (await mall.returned(no, 1))["state"] == "REFUNDED"
    assert (await pay(mall, first["run"]))["state"] == "paid"
    assert [await due(mall, each) for each in (no, other)] == [12_500, 22_000]
    second = await monday(mall)
    assert second["amount"] == 34_500
    await pay(mall, second["run"])
    assert [await due(mall, each) for each in (no, other)] == [0, 0]


@pytest.mark.promise("A10")
async def test_an_order_is_settled_once_whatever_run_asks(mall: Mall) -> None:
    await mall.seller()
    await mall.confirmed(2)
    await monday(mall)
    run = await facade.run_of(mall.shop.db, (await monday(mall))["run"])
    await pay(mall, run.run)
    (one,) = run.settlements
    twice = {"run": "2025-W39-KRW", "store": one.store, "seller": one.seller, "currency": "KRW"}
    with pytest.raises(AlreadySettled):
        await mall.shop.bus().send(
            PaySeller(
                settlement="2025-W39-KRW:s1", amount=one.amount, debt_netted=one.debt_netted, orders=one.orders, **twice
            )
        )


async def test_many_sellers_whose_money_was_taken_back_do_not_keep_the_others_from_theirs(mall: Mall) -> None:
    bus, shop, stores = mall.shop.bus(), mall.shop, [f"t{number:02d}" for number in range(30)]
    await mall.seller()
    for number, store in enumerate(stores):
        no = f"20250906{number + 9000}"
        await bus.send(OpenStore(store=store, name=store, owner=OWNER))
        payment, what = UUID(int=7_000 + number), {"amount": Decimal(20_000), "currency": "KRW", "gateway": "toss"}
        until = shop.clock.now() + timedelta(minutes=10)
        buyer = UUID(int=1)
        await bus.send(StartPayment(payment=payment, order_no=no, buyer=buyer, title="order", expires_at=until, **what))
        await bus.send(Capture(payment=payment, provider_ref=f"ref-{no}", **what))
        share = Share(store=store, gross=Decimal(20_000), commission=Decimal(1_000), seller=Decimal(19_000))
        await bus.send(RecognizeRevenue(order_no=no, currency="KRW", shares=(share,), confirmed_at=shop.clock.now()))
    await mall.settled_down()
    await monday(mall)
    run = await monday(mall)
    assert run["sellers"] == 30
    for number in range(25):
        one = Share(store=stores[number], gross=Decimal(20_000), commission=Decimal(1_000), seller=Decimal(19_000))
        taken = {"shares": (one,), "from_payable": (Decimal(19_000),)}
        await bus.send(TakeBackRevenue(order_no=f"20250906{number + 9000}", case=UUID(int=number), **taken))
    assert (await pay(mall, run["run"]))["state"] == "paid"
    paid = await shop.core.database.kernel.fetch("select stream from kernel.event where type = 'finance.SellerSettled'")
    assert sorted(row["stream"] for row in paid) == [f"{run['run']}:{store}" for store in stores[25:]]


async def test_what_the_platform_paid_goes_back_to_it_when_a_confirmed_order_comes_back(mall: Mall) -> None:
    coupon = CreateCoupon(coupon="SPRING", kind="amount", value=Decimal(1_001), currency="KRW")
    await mall.shop.bus().send(coupon)
    no = await mall.confirmed(3, coupon_ids=["SPRING"])
    assert await due(mall, no) == 31_500
    first = await mall.returned(no, 2)
    assert first["refund"] == 19_332
    assert await due(mall, no) == 12_500  # Of 31,500, less 19,332 + 667 of goods without the 999 of commission.
    last = await mall.returned(no, 1)
    assert (last["state"], first["refund"] + last["refund"]) == ("REFUNDED", 33_000 - 1_001)
    assert await due(mall, no) == 0
    assert await mall.shop.db.balance(liability(no, unit="KRW")) == 0
    assert (await mall.say("GET", f"/api/v1/orders/{no}")).json["status"] == "REFUNDED"
