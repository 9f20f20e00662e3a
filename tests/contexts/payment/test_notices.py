"""Notices are kept as they came, for a while, with what became of them; what tells of people is sealed."""

import base64
from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from contexts.payment.test_paying import WECHAT_NOTICES, at_toss, confirm, paid
from contexts.payment.till import ANN, Till
from pasar.contexts.payment import facade_export
from pasar.contexts.payment import facade_notices as notices
from pasar.contexts.payment.gateways.config import PaymentSettings
from pasar.contexts.payment.notice import HIDDEN, masked, named_in
from pasar.refusals import PaymentNotFound

TOSS_NOTICES = "/api/v1/payments/callback/toss"
DAYS = PaymentSettings().notices_kept_days
pytestmark = pytest.mark.requirement("S1-215")


async def kept_of(till: Till, payment: UUID) -> notices.Notice:
    """The one that came about a payment; it is kept a moment after it was booked."""

    async def is_kept() -> bool:
        return bool(await notices.of_payment(till.shop.db, payment))

    await till.until(is_kept)
    [kept] = await notices.of_payment(till.shop.db, payment)
    return kept


async def readable(till: Till, notice: notices.Notice) -> str:
    assert notice.body is not None
    return await till.shop.core.keys.open(notice.body)  # type: ignore[attr-defined]


async def test_a_genuine_notice_is_kept_with_what_was_booked(till: Till) -> None:
    _, payment = await paid(till)
    kept = await kept_of(till, payment)
    assert (kept.gateway, kept.verdict, kept.outcome, kept.reason) == ("wechat", "verified", "captured", "")
    assert (kept.payment, kept.person) == (payment, ANN)
    body = await readable(till, kept)
    assert msgspec.json.decode(body)["event_type"] == "TRANSACTION.SUCCESS"
    assert kept.size == len(body.encode())
    rows = await till.shop.core.database.kernel.fetch("select body::text from kernel.notice")
    assert "TRANSACTION" not in rows[0]["body"]  # What is stored is an envelope.
    found = await facade_export.exports(till.shop.bus(), ANN)
    assert [one.notice for one in found.notices] == [kept.notice]


async def test_what_is_not_believed_is_kept_and_says_why(till: Till) -> None:
    order_no, payment, back = await at_toss(till)
    forged = {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"orderId": str(payment), "paymentKey": "invented",
              "status": "DONE", "totalAmount": 49000, "customerName": "Eve"}}  # fmt: skip
    assert (await till.shop.ask("POST", TOSS_NOTICES, forged)).status == 400
    [kept] = await notices.of_payment(till.shop.db, payment)
    assert (kept.verdict, kept.reason) == ("refused", "the provider does not know this payment")
    assert kept.person != ANN  # Whoever wrote it wrote nothing of Ann's.
    assert await till.order_state(order_no) == "PAYMENT_PROCESSING"
    with pytest.raises(PaymentNotFound):
        await notices.of_buyer(till.shop.db, payment, kept.notice)
    assert (await till.shop.ask("POST", WECHAT_NOTICES, {"id": "x"})).status == 400
    assert (await till.shop.ask("POST", "/api/v1/payments/callback/paypal", b"\xff\x00")).status == 400
    page = await notices.find(till.shop.db, notices.FindNotices(limit=2, verdict="refused"))
    assert [one.gateway for one in page.items] == ["unknown", "wechat"]
    rest = await notices.find(till.shop.db, notices.FindNotices(limit=2, verdict="refused", cursor=page.next))
    assert [one.notice for one in rest.items] == [kept.notice]
    assert (await confirm(till, payment, back)).json["state"] == "captured"


async def test_what_cannot_be_booked_yet_is_kept_as_such(till: Till) -> None:
    _, payment, _ = await at_toss(till)
    await till.world.put_chaos("toss", endpoints=[{"status": 500}])
    told = {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"orderId": str(payment), "paymentKey": "key-1"}}
    assert (await till.shop.ask("POST", TOSS_NOTICES, told)).status == 500
    [kept] = await notices.of_payment(till.shop.db, payment)
    assert (kept.verdict, kept.outcome) == ("postponed", "")
    assert kept.reason.startswith("GatewayUnavailable")


async def test_who_sends_nonsense_without_end_does_not_fill_the_house(till: Till) -> None:
    for number in range(notices.STRANGE.burst + 20):
        await till.shop.ask("POST", TOSS_NOTICES, {"n": number})
    kept = await till.shop.core.database.kernel.fetchval("select count(*) from kernel.notice")
    assert notices.STRANGE.burst <= kept < notices.STRANGE.burst + 20


async def test_after_ninety_days_a_notice_is_gone_and_its_key_too(till: Till) -> None:
    shop = till.shop
    _, payment = await paid(till)
    await kept_of(till, payment)
    await shop.ask("POST", TOSS_NOTICES, {"n": 1})
    [strange] = (await notices.find(shop.db, notices.FindNotices(verdict="ignored"))).items
    assert await readable(till, strange) == '{"n":1}'
    shop.clock.advance(timedelta(days=DAYS))
    assert await notices.forget(shop.core) == 0  # The day on which they came is not over by then.
    shop.clock.advance(timedelta(days=1))
    assert await notices.forget(shop.core) == 2
    assert await notices.of_payment(shop.db, payment) == []
    assert await readable(till, strange) == ""  # In a backup, too.
    await shop.ask("POST", TOSS_NOTICES, {"n": 2})
    assert await notices.forget(shop.core) == 0


async def test_erasing_a_person_takes_what_was_told_of_them(till: Till) -> None:
    _, payment = await paid(till)
    kept = await kept_of(till, payment)
    await till.shop.core.keys.erase(1, ANN)  # type: ignore[attr-defined]
    assert await readable(till, kept) == ""
    assert (await till.shop.ask("POST", TOSS_NOTICES, {"n": 1})).status == 200


def test_a_mask_shows_numbers_and_states_and_nothing_of_people() -> None:
    secret = {"orderId": str(UUID(int=1)), "status": "DONE", "totalAmount": 49000, "customerName": "Kim", "vat": None,
              "card": {"number": "4330****1234", "amount": 49000}, "id": "x" * 101, "cancels": [{"cancelAmount": 5,
              "cancelReason": "Kim moved"}], "phone": 821012345678}  # fmt: skip
    shown = msgspec.json.decode(masked(msgspec.json.encode({"eventType": "PAYMENT", "data": secret}).decode()))
    assert shown == {"eventType": "PAYMENT", "data": {
        "orderId": str(UUID(int=1)), "status": "DONE", "totalAmount": 49000, "customerName": HIDDEN, "vat": None,
        "card": {"number": HIDDEN, "amount": 49000}, "id": HIDDEN, "cancels": [{"cancelAmount": 5,
        "cancelReason": HIDDEN}], "phone": HIDDEN}}  # fmt: skip
    for text in ("", "Kim", base64.b64encode(b"Kim").decode(), "[" * 100_000, '"Kim"'):
        assert "Kim" not in masked(text)


def test_the_payment_that_a_notice_names_is_found_wherever_it_stands() -> None:
    id = uuid4()
    assert named_in(msgspec.json.encode({"data": {"orderId": str(id)}})) == id
    assert named_in(msgspec.json.encode({"resource": {"out_trade_no": id.hex}})) == id
    for body in (b"", b"[]", b'{"orderId": 1}', b"\xff", b"{" * 1000, b'{"a":' * 100_000):
        assert named_in(body) is None
