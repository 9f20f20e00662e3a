"""Payments that were made before a simulator was started: what a shop with a past shares with its providers.

They go through the same rules as those of today, each at its own time, so that they are asked for and given back alike.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from . import toss_rules, wechat_rules
from .keys import Keys, keys
from .storage import Storage
from .toss_rules import Book as TossBook
from .toss_rules import Cancellation, Confirmation, Window
from .wechat_rules import Book as WechatBook
from .wechat_rules import Order, OrderAmount, RefundAmount, RefundWish

NOWHERE = "http://127.0.0.1/"


class PastRefund(msgspec.Struct, frozen=True):
    refund: str
    amount: Decimal


class PastPayment(msgspec.Struct, frozen=True, kw_only=True):
    """Captured at `paid_at`. `reference` is the provider's own name of it; `payment` and `refund` are the shop's."""

    payment: str
    reference: str
    title: str
    amount: Decimal
    currency: str
    paid_at: datetime
    refunds: tuple[PastRefund, ...] = ()


def remember(folder: Path, now: datetime, payments: Iterable[PastPayment]) -> int:
    """Write them into the simulators' data; how many were new. Won are Toss Payments', yuan are WeChat Pay's."""
    merchants, count = keys(folder, now), 0
    at_toss, at_wechat = (
        Storage(folder / "toss.sqlite", toss_rules.SCHEMA),
        Storage(folder / "wechat.sqlite", wechat_rules.SCHEMA),
    )
    try:
        for one in payments:
            if one.currency == "KRW":
                count += _at_toss(at_toss, merchants, one)
            elif one.currency == "CNY":
                count += _at_wechat(at_wechat, merchants, one)
    finally:
        at_toss.close()
        at_wechat.close()
    return count


def _at_toss(storage: Storage, merchants: Keys, one: PastPayment) -> bool:
    if storage.one("select 1 from payment where payment_key = ?", one.reference) is not None:
        return False
    book, amount = TossBook(storage, merchants.toss.merchant_id, lambda: one.paid_at, lambda _: None), int(one.amount)
    window = Window(
        client_key=merchants.toss.client_key, order_id=one.payment, amount=amount, order_name=one.title[:100],
        success_url=NOWHERE, fail_url=NOWHERE,
    )  # fmt: skip
    with storage.change():
        book.agree(book.open_window(window, one.reference), "approve")
        book.confirm(Confirmation(payment_key=one.reference, order_id=one.payment, amount=amount))
        for refund in one.refunds:
            reason = f"refund [{refund.refund}]"
            book.cancel(one.reference, Cancellation(cancel_reason=reason, cancel_amount=int(refund.amount)))
    return True


def _at_wechat(storage: Storage, merchants: Keys, one: PastPayment) -> bool:
    number, total = one.payment.replace("-", ""), _fen(one.amount)
    if storage.one("select 1 from trade where out_trade_no = ?", number) is not None:
        return False
    book = WechatBook(storage, merchants.wechat, lambda: one.paid_at, lambda *_: None)
    order = Order(
        appid=merchants.wechat.appid, mchid=merchants.wechat.merchant_id, description=one.title[:127],
        out_trade_no=number, notify_url=NOWHERE, amount=OrderAmount(total=total),
    )  # fmt: skip
    with storage.change():
        book.order("native", order)
        book.pay(number, "a-buyer", one.reference)
        for refund in one.refunds:
            amount = RefundAmount(refund=_fen(refund.amount), total=total, currency="CNY")
            wish = RefundWish(out_refund_no=refund.refund.replace("-", ""), amount=amount, out_trade_no=number)
            book.refund(wish, "SUCCESS", 0)
    book.ripen("SUCCESS")
    return True


def _fen(amount: Decimal) -> int:
    return int(amount * 100)
