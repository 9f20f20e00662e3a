"""The rules of the simulated WeChat Pay: orders and refunds. No HTTP in here.

Codes are the provider's; the HTTP status that belongs to each is documented for some only.
"""

import hashlib
import re
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from . import chance
from .keys import WechatMerchant
from .storage import Storage

BEIJING = timezone(timedelta(hours=8))
ORDER_LASTS = timedelta(hours=2)
STATES = {"SUCCESS": "支付成功", "REFUND": "转入退款", "NOTPAY": "订单未支付", "CLOSED": "订单已关闭"}

SCHEMA = """
create table if not exists trade (
    out_trade_no text primary key, kind text not null, wish text not null, fingerprint text not null,
    total integer not null check (total > 0), state text not null, code text not null unique,
    transaction_id text unique, paid_at text, payer text, expires real not null
);
create table if not exists refund (
    out_refund_no text primary key, out_trade_no text not null references trade, refund_id text not null,
    amount integer not null check (amount > 0), wish text not null, state text not null,
    created_at text not null, success_at text, ripe real
);
create index if not exists refund_trade on refund (out_trade_no);
create index if not exists refund_ripe on refund (ripe) where ripe is not null;
"""


class Problem(Exception):
    def __init__(self, status: int, code: str, message: str, detail: dict[str, Any] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.detail = status, code, message, detail


class OrderAmount(msgspec.Struct):
    total: int
    currency: str = "CNY"


class Payer(msgspec.Struct):
    openid: str


class H5Info(msgspec.Struct):
    type: str


class Scene(msgspec.Struct):
    payer_client_ip: str
    h5_info: H5Info | None = None


class Order(msgspec.Struct):
    appid: str
    mchid: str
    description: str
    out_trade_no: str
    notify_url: str
    amount: OrderAmount
    time_expire: datetime | None = None
    attach: str | None = None
    payer: Payer | None = None
    scene_info: Scene | None = None


class RefundAmount(msgspec.Struct):
    refund: int
    total: int
    currency: str


class RefundWish(msgspec.Struct):
    out_refund_no: str
    amount: RefundAmount
    out_trade_no: str | None = None
    transaction_id: str | None = None
    reason: str | None = None
    notify_url: str | None = None


class Book:
    """All orders of the merchant. `tell` sends a notice: address, event, name of the resource, resource."""

    def __init__(
        self,
        storage: Storage,
        merchant: WechatMerchant,
        now: Callable[[], datetime],
        tell: Callable[[str, str, str, dict[str, Any]], None],
    ) -> None:
        self.storage, self.merchant, self.now, self.tell = storage, merchant, now, tell

    def order(self, kind: str, order: Order) -> str:
        """The code of the order (in its QR text, page or prepay id). A repeat gets the same one."""
        self._check(kind, order)
        fingerprint = hashlib.sha256(msgspec.json.encode((kind, order))).hexdigest()
        known = self.storage.one("select * from trade where out_trade_no = ?", order.out_trade_no)
        if known is not None:
            state = self.state(known)
            if state in ("SUCCESS", "REFUND"):
                raise Problem(400, "ORDERPAID", "该订单已支付")
            if state == "CLOSED":
                raise Problem(400, "ORDER_CLOSED", "该订单已关闭")
            if known["fingerprint"] != fingerprint:
                raise Problem(403, "OUT_TRADE_NO_USED", "商户订单号重复，且请求参数不一致")
            return known["code"]
        now = self.now()
        expires = order.time_expire or now + ORDER_LASTS
        if expires <= now:
            raise parameter("time_expire", "支付截止时间早于当前时间")
        code = chance.token(18)
        self.storage.run(
            "insert into trade (out_trade_no, kind, wish, fingerprint, total, state, code, expires)"
            " values (?, ?, ?, ?, ?, 'NOTPAY', ?, ?)",
            *(order.out_trade_no, kind, _text(order), fingerprint, order.amount.total, code, expires.timestamp()),
        )
        return code

    def pay(self, out_trade_no: str, openid: str, transaction_id: str | None = None) -> None:
        """The buyer pays. `transaction_id`: as it is called where that is known."""
        row = self.trade(out_trade_no)
        state = self.state(row)
        if state != "NOTPAY":
            raise Problem(400, "ORDERPAID" if state != "CLOSED" else "ORDER_CLOSED", STATES[state])
        self.storage.run(
            "update trade set state = 'SUCCESS', transaction_id = ?, paid_at = ?, payer = ? where out_trade_no = ?",
            *(transaction_id or f"42000{chance.digits(23)}", self._time(), openid, out_trade_no),
        )
        trade = self.shown(self.trade(out_trade_no))
        wish = msgspec.json.decode(row["wish"], type=Order)
        self.tell(wish.notify_url, "TRANSACTION.SUCCESS", "transaction", trade)

    def close(self, out_trade_no: str) -> None:
        state = self.state(self.trade(out_trade_no))
        if state in ("SUCCESS", "REFUND"):
            raise Problem(400, "ORDERPAID", "该订单已支付")
        self.storage.run("update trade set state = 'CLOSED' where out_trade_no = ?", out_trade_no)

    def trade(self, out_trade_no: str) -> sqlite3.Row:
        row = self.storage.one("select * from trade where out_trade_no = ?", out_trade_no)
        if row is None:
            raise Problem(404, "ORDER_NOT_EXIST", "订单不存在")
        return row

    def trade_by_transaction(self, transaction_id: str) -> sqlite3.Row:
        row = self.storage.one("select * from trade where transaction_id = ?", transaction_id)
        if row is None:
            raise Problem(404, "ORDER_NOT_EXIST", "订单不存在")
        return row

    def state(self, row: sqlite3.Row) -> str:
        """An order that nobody paid in time is closed."""
        if row["state"] == "NOTPAY" and row["expires"] <= self.now().timestamp():
            return "CLOSED"
        return row["state"]

    def shown(self, row: sqlite3.Row) -> dict[str, Any]:
        state, wish = self.state(row), msgspec.json.decode(row["wish"], type=Order)
        amount: dict[str, Any] = {"total": row["total"], "currency": "CNY"}
        trade: dict[str, Any] = {
            "appid": wish.appid,
            "mchid": wish.mchid,
            "out_trade_no": row["out_trade_no"],
            "trade_state": state,
            "trade_state_desc": STATES[state],
            "amount": amount,
            "promotion_detail": [],
        }
        if wish.attach is not None:
            trade["attach"] = wish.attach
        if row["transaction_id"]:
            amount |= {"payer_total": row["total"], "payer_currency": "CNY"}
            trade |= {
                "transaction_id": row["transaction_id"],
                "trade_type": {"native": "NATIVE", "h5": "MWEB", "jsapi": "JSAPI", "app": "APP"}[row["kind"]],
                "bank_type": "OTHERS",
                "success_time": row["paid_at"],
                "payer": {"openid": row["payer"]},
            }
        return trade

    def refund(self, wish: RefundWish, result: str, delay_ms: int) -> dict[str, Any]:
        """Accepted at once, done later by `ripen`. The same number with the same wish is the same refund."""
        _check_number("out_refund_no", wish.out_refund_no, r"[0-9A-Za-z_\-|*@]{1,64}")
        if wish.transaction_id:
            trade = self.trade_by_transaction(wish.transaction_id)
        else:
            trade = self.trade(wish.out_trade_no or "")
        known = self.storage.one("select * from refund where out_refund_no = ?", wish.out_refund_no)
        if known is not None:
            if (known["out_trade_no"], known["amount"]) != (trade["out_trade_no"], wish.amount.refund):
                raise Problem(400, "INVALID_REQUEST", "退款单号重复，且请求参数不一致")
            return self.shown_refund(known)
        if trade["transaction_id"] is None:
            raise Problem(400, "INVALID_REQUEST", "订单未支付，不能退款")
        if wish.amount.total != trade["total"] or wish.amount.currency != "CNY":
            raise Problem(400, "INVALID_REQUEST", "订单金额或币种与之前请求不一致，请核实后再试")
        row = self.storage.one(
            "select coalesce(sum(amount), 0) from refund where out_trade_no = ? and state != 'CLOSED'",
            trade["out_trade_no"],
        )
        if wish.amount.refund <= 0 or wish.amount.refund > trade["total"] - (row[0] if row else 0):
            raise Problem(400, "INVALID_REQUEST", "申请退款金额超过可退金额")
        ripe = None if result == "PROCESSING" else self.now().timestamp() + delay_ms / 1000
        self.storage.run(
            "insert into refund (out_refund_no, out_trade_no, refund_id, amount, wish, state, created_at, ripe)"
            " values (?, ?, ?, ?, ?, 'PROCESSING', ?, ?)",
            wish.out_refund_no,
            trade["out_trade_no"],
            f"50300{chance.digits(23)}",
            wish.amount.refund,
            _text(wish),
            self._time(),
            ripe,
        )
        self.storage.run("update trade set state = 'REFUND' where out_trade_no = ?", trade["out_trade_no"])
        return self.refund_by_number(wish.out_refund_no)

    def refund_by_number(self, out_refund_no: str) -> dict[str, Any]:
        row = self.storage.one("select * from refund where out_refund_no = ?", out_refund_no)
        if row is None:
            raise Problem(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
        return self.shown_refund(row)

    def ripen(self, result: str) -> None:
        """Ends the refunds whose time has come, each in a change of its own."""
        for row in self.storage.all("select * from refund where ripe <= ?", self.now().timestamp()):
            with self.storage.change():
                self._end(row, result)

    def _end(self, row: sqlite3.Row, result: str) -> None:
        self.storage.run(
            "update refund set state = ?, success_at = ?, ripe = null where out_refund_no = ?",
            *(result, self._time() if result == "SUCCESS" else None, row["out_refund_no"]),
        )
        wish = msgspec.json.decode(row["wish"], type=RefundWish)
        order = msgspec.json.decode(self.trade(row["out_trade_no"])["wish"], type=Order)
        done = self.refund_by_number(row["out_refund_no"])
        amount = done["amount"]
        notice = {
            "mchid": order.mchid,
            "refund_status": done["status"],
            "amount": {name: amount[name] for name in ("total", "refund", "payer_total", "payer_refund")},
        }
        same = ("out_trade_no", "transaction_id", "out_refund_no", "refund_id", "user_received_account")
        notice |= {name: done[name] for name in same}
        if "success_time" in done:
            notice["success_time"] = done["success_time"]
        if wish.notify_url:  # The real side falls back to an address in its console, if there is one.
            self.tell(wish.notify_url, f"REFUND.{result}", "refund", notice)

    def shown_refund(self, row: sqlite3.Row) -> dict[str, Any]:
        trade = self.trade(row["out_trade_no"])
        refund = {
            "refund_id": row["refund_id"],
            "out_refund_no": row["out_refund_no"],
            "transaction_id": trade["transaction_id"],
            "out_trade_no": row["out_trade_no"],
            "channel": "ORIGINAL",
            "user_received_account": "支付用户零钱",
            "create_time": row["created_at"],
            "status": row["state"],
            "funds_account": "AVAILABLE",
            "amount": {
                "total": trade["total"],
                "refund": row["amount"],
                "payer_total": trade["total"],
                "payer_refund": row["amount"],
                "settlement_total": trade["total"],
                "settlement_refund": row["amount"],
                "discount_refund": 0,
                "currency": "CNY",
            },
            "promotion_detail": [],
        }
        return refund | ({"success_time": row["success_at"]} if row["success_at"] else {})

    def _check(self, kind: str, order: Order) -> None:
        if order.mchid != self.merchant.merchant_id or order.appid != self.merchant.appid:
            raise Problem(400, "APPID_MCHID_NOT_MATCH", "AppID和商户号不匹配")
        _check_number("out_trade_no", order.out_trade_no, r"[0-9A-Za-z_\-|*]{6,32}")
        if not 1 <= len(order.description) <= 127:
            raise parameter("description", "长度应为1到127个字符")
        if order.amount.total <= 0:
            raise parameter(
                "amount.total", "输入源“/body/amount/total”映射到数值字段“总金额”规则校验失败，值低于最小值 1"
            )
        if order.amount.currency != "CNY":
            raise parameter("amount.currency", "只支持CNY")
        if not re.fullmatch(r"https?://[^\s?#]{1,250}", order.notify_url):
            raise parameter("notify_url", "通知地址必须为完整的URL，不能携带参数")
        if kind == "jsapi" and order.payer is None:
            raise parameter("payer.openid", "JSAPI支付必须传openid")
        if kind == "h5" and (order.scene_info is None or order.scene_info.h5_info is None):
            raise parameter("scene_info.h5_info", "H5支付必须传场景信息")

    def _time(self) -> str:
        return self.now().astimezone(BEIJING).isoformat(timespec="seconds")


def parameter(field: str, issue: str) -> Problem:
    return Problem(400, "PARAM_ERROR", "参数错误", {"location": "body", "field": f"/{field}", "issue": issue})


def _check_number(field: str, value: str, pattern: str) -> None:
    if not re.fullmatch(pattern, value):
        raise parameter(field, "字符或长度不合法")


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
