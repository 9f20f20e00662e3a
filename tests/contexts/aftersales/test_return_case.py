"""Cases: given … when … then …"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from pasar.accounts import returnable, returned
from pasar.contexts.aftersales.contract import (
    ApproveReturn,
    CaseRefunded,
    CaseRefundFailed,
    NoteRefunded,
    NoteRefundFailed,
    PricedReturnLine,
    ReceiveReturn,
    RefundDue,
    RejectReturn,
    RequestReturn,
    RetryCase,
    ReturnApproved,
    ReturnReceived,
    ReturnRejected,
    ReturnRequested,
    ReturnWithdrawn,
    WithdrawReturn,
)
from pasar.contexts.aftersales.return_case import Case, CaseEvent, return_case
from pasar.kernel.decider import Take
from pasar.kernel.testing import scenario
from pasar.refusals import ReturnAboveBought, ReturnNotFound, ReturnStateForbids

CASE, ANN, PAYMENT = UUID(int=1), UUID(int=2), UUID(int=3)
NO = "202603010001"
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
check = scenario(return_case)


def line(quantity: int = 2, bought: int = 3) -> PricedReturnLine:
    return PricedReturnLine(
        line_id="1", sku="apple", store="s1", quantity=quantity, refund=Decimal(66), platform_part=Decimal(6), points=3,
        bought=bought,
    )  # fmt: skip


def request(kind: Any = "return", **more: Any) -> RequestReturn:
    fields = {"lines": (line(),), "freight_refund": Decimal(4)} | more
    return RequestReturn(
        case=CASE, order_no=NO, buyer=ANN, kind=kind, payment=PAYMENT, currency="KRW", reason="rotten",
        reason_code="damaged", number=1, at=NOON, **fields,
    )  # fmt: skip


def requested(kind: Any = "return") -> ReturnRequested:
    return ReturnRequested(
        case=CASE, order_no=NO, buyer=ANN, kind=kind, payment=PAYMENT, currency="KRW", lines=(line(),),
        freight_refund=Decimal(4), refund=Decimal(70), points=3, reason="rotten", settled=False,
        platform_part=Decimal(6), reason_code="damaged", number=1, at=NOON,
    )  # fmt: skip


def due(kind: Any = "return", *, settled: bool = False, attempt: int = 1) -> RefundDue:
    return RefundDue(
        case=CASE, order_no=NO, buyer=ANN, kind=kind, payment=PAYMENT, currency="KRW", refund=Decimal(70),
        platform_part=Decimal(6), points=3, lines=(line(),), freight_refund=Decimal(4), settled=settled,
        attempt=attempt,
    )  # fmt: skip


ORDER = {"case": CASE, "order_no": NO, "buyer": ANN}
APPROVED = ReturnApproved(case=CASE, order_no=NO, by="staff", at=NOON)
RECEIVED = ReturnReceived(case=CASE, order_no=NO, warehouse="w1", restock=True, lines=(line(),))
REFUNDED = CaseRefunded(**ORDER, currency="KRW", refund=Decimal(70), points=3, lines=(line(),))
FAILED = CaseRefundFailed(**ORDER, reason="bank")
APPROVE = ApproveReturn(case=CASE, by="staff", at=NOON)
RECEIVE = ReceiveReturn(case=CASE, warehouse="w1", at=NOON)
RETURNING = [requested(), APPROVED, RECEIVED, due()]


def state(*events: CaseEvent) -> str:
    return return_case.fold(Case(), events).state


def test_a_request_holds_the_units_and_takes_its_number() -> None:
    books = check(given=[], when=request(), then=[requested()])
    assert books.balance(returnable(NO, "1", limit=3)) == -2
    assert return_case.claims is not None
    assert return_case.claims(requested()) == [Take("case_of_order", f"{NO}:1")]
    check(given=[requested()], when=request(), then=[])


def test_the_floor_refuses_more_units_than_were_bought_whoever_asks() -> None:
    open_ = {returnable(NO, "1", limit=3): -2}
    scenario(return_case, open_)(given=[], when=request(), then=ReturnAboveBought)
    one = request(lines=(line(quantity=1),))
    assert scenario(return_case, open_)(given=[], when=one, then=[_one()]).balance(returnable(NO, "1", limit=3)) == -3


def _one() -> ReturnRequested:
    events = return_case.decide(request(lines=(line(quantity=1),)), Case())
    assert isinstance(events[0], ReturnRequested)
    return events[0]


@pytest.mark.requirement("S1-098")
def test_goods_come_back_before_the_money_goes_back() -> None:
    check(given=[requested()], when=APPROVE, then=[APPROVED])
    check(given=[requested()], when=RECEIVE, then=ReturnStateForbids)
    check(given=[requested(), APPROVED], when=RECEIVE, then=[RECEIVED, due()])
    books = check(given=RETURNING, when=NoteRefunded(case=CASE), then=[REFUNDED])
    assert books.balance(returned(NO)) == 2
    states = [state(*RETURNING[:n]) for n in (1, 2, 4)]
    assert states == ["REFUND_REQUESTED", "REFUND_APPROVED", "REFUND_PROCESSING"]
    assert state(*RETURNING, REFUNDED) == "REFUNDED"


def test_where_goods_need_not_come_approval_starts_the_refund() -> None:
    approve = ApproveReturn(case=CASE, by="staff", settled=True, at=NOON)
    then = [APPROVED, due("refund_only", settled=True)]
    check(given=[requested("refund_only")], when=approve, then=then)
    check(given=[requested("refund_only"), *then], when=approve, then=[])
    check(given=[requested("refund_only"), *then], when=RECEIVE, then=ReturnStateForbids)


@pytest.mark.requirement("S1-098")
def test_a_failed_refund_can_be_tried_again() -> None:
    check(given=RETURNING, when=NoteRefundFailed(case=CASE, reason="bank"), then=[FAILED])
    assert state(*RETURNING, FAILED) == "REFUND_FAILED"
    check(given=[*RETURNING, FAILED], when=RetryCase(case=CASE), then=[due(attempt=2)])
    check(given=[*RETURNING, FAILED, due(attempt=2)], when=RetryCase(case=CASE), then=[])
    check(given=[*RETURNING, FAILED], when=NoteRefunded(case=CASE), then=[REFUNDED])
    check(given=[*RETURNING, REFUNDED], when=NoteRefundFailed(case=CASE, reason="late news"), then=[])


def test_rejected_and_withdrawn_cases_give_the_units_back() -> None:
    rejected = ReturnRejected(**ORDER, by="staff", reason="used", line_ids=("1",), at=NOON)
    withdrawn = ReturnWithdrawn(**ORDER, line_ids=("1",), at=NOON)
    reject = RejectReturn(case=CASE, by="staff", reason="used", at=NOON)
    withdraw = WithdrawReturn(case=CASE, at=NOON)
    for given in ([requested()], [requested(), APPROVED]):
        for when, then in ((reject, rejected), (withdraw, withdrawn)):
            books = check(given=given, when=when, then=[then])
            assert books.balance(returnable(NO, "1", limit=3)) == 0
            check(given=[*given, then], when=when, then=[])
            check(given=[*given, then], when=APPROVE, then=ReturnStateForbids)
    check(given=RETURNING, when=reject, then=ReturnStateForbids)
    check(given=RETURNING, when=withdraw, then=ReturnStateForbids)


def test_a_case_that_does_not_exist_takes_no_commands() -> None:
    check(given=[], when=APPROVE, then=ReturnNotFound)


@pytest.mark.requirement("S1-175")
def test_a_case_shows_every_field_of_an_after_sale_ticket() -> None:
    assert return_case.answer is not None
    shown: Any = return_case.answer(return_case.fold(Case(), [*RETURNING, REFUNDED]))
    assert (shown.case, shown.order_no, [one.line_id for one in shown.lines]) == (CASE, NO, ["1"])
    assert (shown.reason_code, shown.state, shown.requested_at, shown.processed_at) == (
        "damaged", "REFUNDED", NOON, NOON,
    )  # fmt: skip
    assert (shown.resolution, shown.refund) == ("refunded", 70)
