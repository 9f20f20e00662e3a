"""Revenue, runs, settlements, calendar, payout files: given … when … then …"""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

import msgspec
import pytest

from pasar.accounts import bank, commission, debt_open, liability, payable, seller_debt
from pasar.contexts.finance.calendar import calendar
from pasar.contexts.finance.claw_back import Returned, taken_back
from pasar.contexts.finance.contract import (
    ApproveRun,
    CalendarStarted,
    CloseRun,
    PaySeller,
    ProposedSettlement,
    ProposeRun,
    RecognizeRevenue,
    RejectRun,
    RevenueRecognized,
    RevenueTakenBack,
    RunApproved,
    RunLapsed,
    RunPaid,
    RunProposed,
    SellerSettled,
    SettledOrder,
    Share,
    StartCalendar,
    TakeBackRevenue,
    TurnWeek,
    WeekTurned,
)
from pasar.contexts.finance.payout_file import NAMESPACE, Payer, Payout, as_csv, as_pain001, is_iban
from pasar.contexts.finance.proposal import Seller, proposed
from pasar.contexts.finance.revenue import revenue
from pasar.contexts.finance.run import run
from pasar.contexts.finance.settlement import settlement
from pasar.contexts.finance.weeks import monday_after, monday_before, name_of_run
from pasar.kernel.decider import Set, Take
from pasar.kernel.testing import scenario
from pasar.refusals import (
    AlreadyRecognized,
    AlreadySettled,
    PayableTooSmall,
    RefundAboveCaptured,
    SecondPersonNeeded,
    SettlementNotFound,
    SettlementStateForbids,
)

NO, CASE, OWNER = "202603010001", UUID(int=1), UUID(int=2)
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
ORDER = liability(NO, unit="KRW")
DUE = payable("s1", NO, unit="KRW")


def won(amount: int) -> Decimal:
    return Decimal(amount)


def share(gross: int = 100_000, part: int = 5_000, store: str = "s1", base: int | None = None) -> Share:
    base_ = None if base is None else won(base)
    return Share(store=store, gross=won(gross), commission=won(part), seller=won(gross - part), base=base_)


RECOGNIZE = RecognizeRevenue(order_no=NO, currency="KRW", shares=(share(),), confirmed_at=NOON)
RECOGNIZED = RevenueRecognized(order_no=NO, currency="KRW", shares=(share(),), confirmed_at=NOON)


@pytest.mark.requirement("S2-063", "S0-003")
def test_of_a_sale_of_a_hundred_thousand_the_seller_is_due_95_percent() -> None:
    check = scenario(revenue, {ORDER: 100_000})
    books = check(given=[], when=RECOGNIZE, then=[RECOGNIZED])
    assert (books.balance(DUE), books.balance(commission("s1", unit="KRW")), books.balance(ORDER)) == (95_000, 5_000, 0)
    check(given=[RECOGNIZED], when=RECOGNIZE, then=[])
    other = RecognizeRevenue(order_no=NO, currency="KRW", shares=(share(part=0),), confirmed_at=NOON)
    check(given=[RECOGNIZED], when=other, then=AlreadyRecognized)


def test_no_more_is_shared_out_than_was_paid() -> None:
    scenario(revenue, {ORDER: 99_999})(given=[], when=RECOGNIZE, then=RefundAboveCaptured)


def take(from_payable: int, *shares: Share) -> TakeBackRevenue:
    shares = shares or (share(50_000, 2_500),)
    return TakeBackRevenue(order_no=NO, case=CASE, shares=shares, from_payable=(won(from_payable),))


def taken(from_payable: int) -> RevenueTakenBack:
    return RevenueTakenBack(
        order_no=NO, case=CASE, currency="KRW", shares=(share(50_000, 2_500),), from_payable=(won(from_payable),)
    )


def test_a_refund_is_taken_back_from_what_the_seller_is_due_and_from_our_commission() -> None:
    check = scenario(revenue, {ORDER: 100_000})
    books = check(given=[RECOGNIZED], when=take(47_500), then=[taken(47_500)])
    assert (books.balance(DUE), books.balance(commission("s1", unit="KRW")), books.balance(ORDER)) == (
        47_500, 2_500, 50_000,
    )  # fmt: skip
    check(given=[RECOGNIZED, taken(47_500)], when=take(47_500), then=[])
    check(given=[RECOGNIZED], when=take(0, share(100_001, 5_001)), then=RefundAboveCaptured)
    check(given=[RECOGNIZED], when=take(0, share(1, 0, store="s2")), then=RefundAboveCaptured)
    check(given=[], when=take(0), then=SettlementNotFound)


def test_what_was_paid_out_becomes_a_debt_and_the_payable_refuses_a_stale_split() -> None:
    books = scenario(revenue, {ORDER: 100_000})(given=[RECOGNIZED], when=take(20_000), then=[taken(20_000)])
    assert books.balance(seller_debt("s1", unit="KRW")) == -27_500
    assert books.balance(debt_open("s1", unit="KRW")) == 27_500
    paid_out = {ORDER: 100_000, DUE: -95_000}
    scenario(revenue, paid_out)(given=[RECOGNIZED], when=take(47_500), then=PayableTooSmall)
    scenario(revenue, paid_out)(given=[RECOGNIZED], when=take(0), then=[taken(0)])


def test_a_refund_is_borne_by_the_stores_whose_goods_come_back_to_the_last_unit() -> None:
    left = (share(103, 5, "s1", base=100), share(200, 10, "s2"))
    goods = {"s1": Returned(gross=won(33), base=won(33))}
    (one,) = taken_back(left, goods, won(33), "KRW")
    assert (one.store, one.gross, one.commission, one.seller) == ("s1", 33, 1, 32)
    all_ = taken_back(left, {"s1": Returned(gross=won(100), base=won(100))}, won(303), "KRW")
    assert [(each.gross, each.commission) for each in all_] == [(103, 5), (200, 10)]
    more = taken_back(left, {"s1": Returned(gross=won(104), base=won(104))}, won(104), "KRW")
    assert [(each.store, each.gross) for each in more] == [("s1", 103), ("s2", 1)]
    with pytest.raises(RefundAboveCaptured):
        taken_back(left, goods, won(304), "KRW")


def pay(amount: int = 95_000, netted: int = 0, *orders: tuple[str, int]) -> PaySeller:
    lines = tuple(SettledOrder(order_no=no, amount=won(n)) for no, n in orders or ((NO, 95_000),))
    return PaySeller(
        settlement="2026-W11-KRW:s1", run="2026-W11-KRW", store="s1", seller=OWNER, currency="KRW",
        amount=won(amount), debt_netted=won(netted), orders=lines,
    )  # fmt: skip


def settled(command: PaySeller) -> SellerSettled:
    return SellerSettled(**{name: getattr(command, name) for name in SellerSettled.__struct_fields__})


@pytest.mark.requirement("S2-064")
def test_a_seller_is_paid_once_out_of_what_their_orders_are_due() -> None:
    check = scenario(settlement, {DUE: 95_000})
    books = check(given=[], when=pay(), then=[settled(pay())])
    assert (books.balance(DUE), books.balance(bank(unit="KRW"))) == (0, 95_000)
    assert settlement.claims is not None
    assert settlement.claims(settled(pay())) == [Take("settled", f"{NO}:s1")]
    check(given=[settled(pay())], when=pay(), then=[])
    other = pay(94_999, 0, (NO, 94_999))
    check(given=[settled(pay())], when=other, then=AlreadySettled)
    check(given=[], when=pay(94_999), then=SettlementStateForbids)
    scenario(settlement, {DUE: 94_999})(given=[], when=pay(), then=PayableTooSmall)


def test_a_debt_is_netted_before_anything_is_paid_and_never_twice() -> None:
    second, command = (
        payable("s1", "202603010002", unit="KRW"),
        pay(75_000, 30_000, (NO, 95_000), ("202603010002", 10_000)),
    )
    start = {DUE: 95_000, second: 10_000, debt_open("s1", unit="KRW"): 30_000, seller_debt("s1", unit="KRW"): -30_000}
    books = scenario(settlement, start)(given=[], when=command, then=[settled(command)])
    assert books.balance(bank(unit="KRW")) == 75_000
    left = [DUE, second, debt_open("s1", unit="KRW"), seller_debt("s1", unit="KRW")]
    assert [books.balance(account) for account in left] == [0, 0, 0, 0]
    start[debt_open("s1", unit="KRW")] = 29_999
    scenario(settlement, start)(given=[], when=command, then=PayableTooSmall)


@pytest.mark.requirement("S2-067")
def test_below_the_minimum_a_sum_carries_over() -> None:
    def verdict(amount: int, kyc: str = "verified", debt: int = 0) -> str:
        due = {"s1": [SettledOrder(order_no=NO, amount=won(amount))]}
        (one,) = proposed(due, {"s1": won(debt)}, {"s1": Seller(account=OWNER, kyc=kyc)}, won(10_000))
        assert one.amount + one.debt_netted == amount
        return one.held_back

    assert verdict(9_999) == "below_minimum"
    assert verdict(10_000) == ""
    assert verdict(10_000, kyc="submitted") == "kyc"
    assert verdict(20_000, debt=10_001) == "below_minimum"
    assert verdict(20_000, debt=20_001) == "debt"


PAYS = ProposedSettlement(
    store="s1", seller=OWNER, amount=Decimal(10_000), debt_netted=Decimal(0), orders=(), kyc="verified"
)
HELD = msgspec.structs.replace(PAYS, held_back="kyc")
PROPOSE = ProposeRun(run="2026-W11-KRW", currency="KRW", cut_off=NOON, settlements=(PAYS, HELD), proposed_by="ann")
PROPOSED = RunProposed(run="2026-W11-KRW", currency="KRW", cut_off=NOON, settlements=(PAYS, HELD), proposed_by="ann")
APPROVED = RunApproved(run="2026-W11-KRW", currency="KRW", approved_by="bob", settlements=(PAYS, HELD))


def approve(by: str) -> ApproveRun:
    return ApproveRun(run="2026-W11-KRW", approved_by=by)


def test_a_run_needs_a_second_person() -> None:
    check, reject = scenario(run), RejectRun(run="2026-W11-KRW", rejected_by="bob", reason="no")
    close, paid = CloseRun(run="2026-W11-KRW"), RunPaid(run="2026-W11-KRW")
    check(given=[], when=PROPOSE, then=[PROPOSED])
    check(given=[PROPOSED], when=PROPOSE, then=[])
    check(given=[PROPOSED], when=approve("ann"), then=SecondPersonNeeded)
    check(given=[PROPOSED], when=approve("bob"), then=[APPROVED])
    check(given=[PROPOSED, APPROVED], when=approve("bob"), then=[])
    check(given=[PROPOSED, APPROVED], when=reject, then=SettlementStateForbids)
    check(given=[PROPOSED, APPROVED], when=close, then=[paid])
    check(given=[PROPOSED], when=close, then=SettlementStateForbids)
    check(given=[], when=approve("bob"), then=SettlementNotFound)


@pytest.mark.parametrize("settlements", [(), (HELD,)])
def test_a_run_that_pays_nobody_ends_at_once(settlements: tuple[ProposedSettlement, ...]) -> None:
    check, propose = scenario(run), msgspec.structs.replace(PROPOSE, settlements=settlements)
    proposed_ = msgspec.structs.replace(PROPOSED, settlements=settlements)
    ended = [proposed_, RunLapsed(run="2026-W11-KRW")]
    check(given=[], when=propose, then=ended)
    check(given=ended, when=propose, then=[])
    check(given=ended, when=approve("bob"), then=SettlementStateForbids)


@pytest.mark.requirement("S2-066")
def test_the_calendar_turns_every_monday_at_midnight_of_its_place() -> None:
    seoul, first = "Asia/Seoul", datetime(2026, 3, 8, 15, tzinfo=UTC)
    check = scenario(calendar)
    started = CalendarStarted(calendar="KRW", time_zone=seoul, next_at=first)
    check(given=[], when=StartCalendar(calendar="KRW", time_zone=seoul, at=NOON), then=[started])
    check(given=[started], when=StartCalendar(calendar="KRW", time_zone=seoul, at=NOON), then=[])
    turned = WeekTurned(calendar="KRW", cut_off=first, next_at=first + timedelta(days=7))
    check(given=[started], when=TurnWeek(calendar="KRW", due=first), then=[turned])
    check(given=[started, turned], when=TurnWeek(calendar="KRW", due=first), then=[])
    assert calendar.timers is not None
    again = TurnWeek(calendar="KRW", due=first + timedelta(days=7))
    assert calendar.timers(turned) == [Set("monday", first + timedelta(days=7), again)]


def test_weeks_keep_to_midnight_when_clocks_change() -> None:
    before = monday_after(datetime(2026, 3, 25, tzinfo=UTC), "Europe/Berlin")
    assert before == datetime(2026, 3, 29, 22, tzinfo=UTC)  # Summer time began on the 29th.
    assert monday_before(before, "Europe/Berlin") == before
    assert monday_before(before - timedelta(seconds=1), "Europe/Berlin") == datetime(2026, 3, 22, 23, tzinfo=UTC)
    assert name_of_run(before, "Europe/Berlin", "EUR") == "2026-W14-EUR"
    assert name_of_run(before, "Europe/Berlin", "EUR", before=1) == "2026-W14-EUR-2"


PAYOUTS = [
    Payout("2026-W11-KRW:s1", "s1", "=Kim & <Sons>\x07", "110-234-567890", won(95_000)),
    Payout("2026-W11-KRW:s2", "s2", "Lee", "DE89 3704 0044 0532 0130 00", won(5_000)),
]


def test_the_payout_file_of_a_bank_adds_up_and_is_well_formed() -> None:
    payer = Payer("Pasar", "1002-1", "")
    root = ElementTree.fromstring(as_pain001("2026-W11-KRW", PAYOUTS, "KRW", payer, NOON, NOON))
    ns: Any = {"p": NAMESPACE}
    assert [one.text for one in root.iterfind(".//p:CtrlSum", ns)] == ["100000", "100000"]
    assert [one.text for one in root.iterfind(".//p:InstdAmt", ns)] == ["95000", "5000"]
    assert {one.get("Ccy") for one in root.iterfind(".//p:InstdAmt", ns)} == {"KRW"}
    assert [one.text for one in root.iterfind(".//p:Cdtr/p:Nm", ns)] == ["=Kim & <Sons>", "Lee"]
    assert root.findtext(".//p:CdtrAcct/p:Id/p:Othr/p:Id", None, ns) == "110-234-567890"
    assert root.findtext(".//p:CdtrAcct/p:Id/p:IBAN", None, ns) == "DE89370400440532013000"
    assert all(len(one.text or "") <= 35 for one in root.iterfind(".//p:EndToEndId", ns))


def test_the_csv_has_no_formulas_and_the_digits_of_its_currency() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(PAYOUTS, "KRW").decode("utf-8-sig"))))
    assert [(row["name"], row["amount"]) for row in rows] == [("'=Kim & <Sons>", "95000"), ("Lee", "5000")]
    assert b"95000.00" in as_csv(PAYOUTS, "CNY")
    assert is_iban("DE89 3704 0044 0532 0130 00")
    assert not is_iban("DE88 3704 0044 0532 0130 00")
