"""Bank transfers: what the statement shows is booked once, and what does not fit is not booked at all."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from contexts.ordering.market import ANN, Market, item
from contexts.ordering.market import MODULES as MARKET
from contexts.selling import open_shop
from pasar.accounts import clearing, liability
from pasar.contexts.payment.attempt import Attempt
from pasar.contexts.payment.contract import PaymentCaptured, PaymentStarted, RequestRefund
from pasar.contexts.payment.module import module as payment_module
from pasar.contexts.payment.payment import payment
from pasar.contexts.payment.transfers import ReceivePayment, transfer_id
from pasar.kernel.testing import scenario
from pasar.refusals import PaymentStateForbids

NOW = datetime(2025, 9, 6, 12, tzinfo=UTC)
ID = UUID(int=5)
WISH = ReceivePayment(
    payment=ID, order_no="202509060001", buyer=ANN, provider_ref="b/1", amount=Decimal("9.00"), currency="GBP",
    title="Apples", received_at=NOW,
)  # fmt: skip
check = scenario(payment)
STARTED = PaymentStarted(
    payment=ID, order_no="202509060001", buyer=ANN, gateway="offline", amount=Decimal("9.00"), currency="GBP",
    title="Apples", return_url="", expires_at=NOW,
)  # fmt: skip
CAPTURED = PaymentCaptured(
    payment=ID, order_no="202509060001", buyer=ANN, gateway="offline", provider_ref="b/1", amount=Decimal("9.00"),
    currency="GBP", occurred_at=NOW,
)  # fmt: skip


def test_a_transfer_is_opened_and_captured_at_once() -> None:
    check(given=[], when=WISH, then=[STARTED, CAPTURED])


def test_a_transfer_recorded_again_changes_nothing() -> None:
    check(given=[STARTED, CAPTURED], when=WISH, then=[])


def test_another_payment_is_not_taken_over() -> None:
    check(given=[STARTED], when=WISH, then=PaymentStateForbids)
    assert payment.initial == Attempt()


def test_a_line_of_the_statement_and_an_order_are_one_payment() -> None:
    assert transfer_id(1, "202509060001", "b/1") == transfer_id(1, "202509060001", "b/1")
    assert len({transfer_id(t, o, r) for t in (1, 2) for o in ("1", "2") for r in ("b/1", "b/2")}) == 8


@pytest.fixture
async def market(database, tmp_path):
    async with open_shop(database, tmp_path, (*MARKET, payment_module)) as shop:
        await shop.open()
        market = Market(shop)
        await market.open()
        await market.stock("apple", 9, price=1_000)
        yield market


async def transfer(market: Market, order_no: str, amount: int = 4_000, reference: str = "b/1", kind: str = "finance"):
    body = {"reference": reference, "amount": amount, "currency": "KRW"}
    token = market.shop.token(kind)
    return await market.say("POST", f"/api/v1/orders/{order_no}/payments/offline", body, token=token)


async def owed_by_the_bank(market: Market) -> int:
    """Out of the journal: balances of accounts without a floor are rolled up a moment later."""
    account = clearing("offline", unit="KRW")
    return await market.shop.db.fetchval(
        """select coalesce(sum(case debit when $2 then amount else -amount end), 0)::bigint from kernel.transfer
            where tenant = $1 and $2 in (debit, credit) and phase in (2, 4)""",
        *(1, account.id),
    )


async def test_money_and_order_change_together_and_once(market: Market) -> None:
    order_no = (await market.order(item("apple"))).json["order_no"]
    first, again = await transfer(market, order_no), await transfer(market, order_no)
    assert (first.status, first.json["state"], first.json["gateway"]) == (201, "captured", "offline")
    assert again.json["payment"] == first.json["payment"]
    assert (await market.say("GET", f"/api/v1/orders/{order_no}")).json["status"] == "PAID"
    assert await market.shop.db.balance(liability(order_no, unit="KRW")) == 4_000
    assert await owed_by_the_bank(market) == 4_000


async def test_a_line_of_the_statement_pays_one_order(market: Market) -> None:
    one, other = [(await market.order(item("apple"))).json["order_no"] for _ in range(2)]
    assert (await transfer(market, one)).status == 201
    assert (await transfer(market, other)).json["code"] == 2003
    assert (await transfer(market, one, reference="b/2")).json["code"] == 2007
    assert (await transfer(market, other, reference="b/2")).status == 201


async def test_what_does_not_fit_is_refused_and_books_nothing(market: Market) -> None:
    order_no = (await market.order(item("apple"))).json["order_no"]
    assert (await transfer(market, order_no, 3_999)).json["code"] == 2003
    assert (await transfer(market, "209901010001")).json["code"] == 1003
    assert (await transfer(market, order_no, kind="warehouse")).json["code"] == 4003
    await market.say("POST", f"/api/v1/orders/{order_no}/cancel")
    assert (await transfer(market, order_no)).json["code"] == 1004
    assert await owed_by_the_bank(market) == 0


async def test_a_refund_waits_until_staff_have_transferred_it(market: Market) -> None:
    order_no = (await market.order(item("apple"))).json["order_no"]
    paid = UUID((await transfer(market, order_no)).json["payment"])
    await market.shop.bus().send(RequestRefund(payment=paid, refund=ID, amount=Decimal(1_000), reason="bruised"))
    held = await market.shop.db.held(liability(order_no, unit="KRW"))
    assert (held, await market.shop.db.balance(liability(order_no, unit="KRW"))) == (1_000, 3_000)
    target, token = f"/api/v1/payments/{paid}/refunds/{ID}/transferred", market.shop.token("finance")
    answers = [await market.say("POST", target, {"reference": "b/9"}, token=token) for _ in range(2)]
    assert [one.json["refunded"] for one in answers] == [1_000, 1_000]
    assert await market.shop.db.held(liability(order_no, unit="KRW")) == 0
    assert await owed_by_the_bank(market) == 3_000
