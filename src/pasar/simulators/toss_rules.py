"""The rules of the simulated Toss Payments: sessions, confirmation, cancellation. No HTTP in here.

Codes are the provider's; their HTTP status is documented for some only (docs.tosspayments.com/reference/error-codes).
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from . import chance
from .storage import Storage

SEOUL = timezone(timedelta(hours=9))
AGREEMENT_LASTS = timedelta(minutes=10)  # Between the window and the confirmation.

SCHEMA = """
create table if not exists payment (
    payment_key text primary key, order_id text not null, body text not null,
    success_url text not null, fail_url text not null, agreed_at real, outcome text
);
create index if not exists payment_order on payment (order_id);
"""


class Problem(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class Confirmation(msgspec.Struct, rename="camel"):
    payment_key: str
    order_id: str
    amount: int


class Cancellation(msgspec.Struct, rename="camel"):
    cancel_reason: str
    cancel_amount: int | None = None
    currency: str | None = None
    tax_free_amount: int | None = None
    refund_receive_account: dict[str, str] | None = None


class Window(msgspec.Struct, rename="camel"):
    """What the provider's script is given in the browser."""

    client_key: str
    order_id: str
    amount: int
    order_name: str
    success_url: str
    fail_url: str
    currency: str = "KRW"


def authenticate(header: str | None, secret_key: str) -> None:
    """Basic credentials: the secret key, a colon, no password."""
    scheme, _, encoded = (header or "").partition(" ")
    if not encoded:
        raise Problem(401, "UNAUTHORIZED_KEY", "인증되지 않은 시크릿 키 혹은 클라이언트 키 입니다.")
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user, colon, password = "", "", ""
    if scheme.lower() != "basic" or not colon or password:
        raise Problem(401, "INCORRECT_BASIC_AUTH_FORMAT", "잘못된 요청입니다. ':' 를 포함해 인코딩해주세요.")
    if not hmac.compare_digest(user.encode(), secret_key.encode()):
        raise Problem(401, "UNAUTHORIZED_KEY", "인증되지 않은 시크릿 키 혹은 클라이언트 키 입니다.")


class Book:
    """All payments of the merchant. `changed` is told of every payment whose state changed, inside the change."""

    def __init__(
        self, storage: Storage, merchant_id: str, now: Callable[[], datetime], changed: Callable[[dict[str, Any]], None]
    ) -> None:
        self.storage, self.merchant_id, self.now, self.changed = storage, merchant_id, now, changed

    def open_window(self, window: Window, payment_key: str | None = None) -> dict[str, Any]:
        """The payment that it begins. `payment_key`: as it is called where that is known."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{6,64}", window.order_id):
            raise Problem(400, "INVALID_ORDER_ID", "`orderId`는 영문 대소문자, 숫자, -, _ 6자 이상 64자 이하입니다.")
        if window.amount <= 0 or window.currency != "KRW" or not 1 <= len(window.order_name) <= 100:
            raise Problem(400, "INVALID_REQUEST", "잘못된 요청입니다.")
        now = self._time()
        payment = {
            "version": "2022-11-16",
            "paymentKey": payment_key or f"tviva{now:%Y%m%d%H%M%S}{chance.token(6)}",
            "type": "NORMAL",
            "orderId": window.order_id,
            "orderName": window.order_name,
            "mId": self.merchant_id,
            "currency": window.currency,
            "method": None,
            "totalAmount": window.amount,
            "balanceAmount": window.amount,
            "suppliedAmount": window.amount - window.amount // 11,
            "vat": window.amount // 11,
            "taxFreeAmount": 0,
            "status": "READY",
            "requestedAt": now.isoformat(timespec="seconds"),
            "approvedAt": None,
            "useEscrow": False,
            "lastTransactionKey": None,
            "isPartialCancelable": True,
            "cancels": None,
            "card": None,
            "virtualAccount": None,
            "secret": None,
            "country": "KR",
            "failure": None,
        }
        self.storage.run(
            "insert into payment (payment_key, order_id, body, success_url, fail_url) values (?, ?, ?, ?, ?)",
            *(payment["paymentKey"], window.order_id, _text(payment), window.success_url, window.fail_url),
        )
        return payment

    def agree(self, payment: dict[str, Any], outcome: str) -> None:
        """The buyer agreed in the window: by card (approve), by one that will be refused at the confirmation
        (reject), or to transfer to an account that the confirmation opens (deposit)."""
        if payment["status"] != "READY":
            raise Problem(400, "ALREADY_PROCESSED_PAYMENT", "이미 처리된 결제 입니다.")
        payment |= {"status": "IN_PROGRESS", "method": "가상계좌" if outcome == "deposit" else "카드"}
        self.storage.run(
            "update payment set agreed_at = ?, outcome = ? where payment_key = ?",
            *(self.now().timestamp(), outcome, payment["paymentKey"]),
        )
        self._save(payment)

    def decline(self, payment: dict[str, Any]) -> None:
        if payment["status"] != "READY":
            raise Problem(400, "ALREADY_PROCESSED_PAYMENT", "이미 처리된 결제 입니다.")
        self._fail(payment, "ABORTED", "PAY_PROCESS_CANCELED", "사용자에 의해 결제가 취소되었습니다.")

    def confirm(self, wish: Confirmation) -> dict[str, Any]:
        row = self.storage.one("select * from payment where payment_key = ?", wish.payment_key)
        if row is None:
            raise Problem(
                404, "NOT_FOUND_PAYMENT_SESSION", "결제 시간이 만료되어 결제 진행 데이터가 존재하지 않습니다."
            )
        payment = msgspec.json.decode(row["body"])
        if payment["approvedAt"] or payment["secret"]:
            raise Problem(400, "ALREADY_PROCESSED_PAYMENT", "이미 처리된 결제 입니다.")
        too_late = row["agreed_at"] and self.now().timestamp() - row["agreed_at"] > AGREEMENT_LASTS.total_seconds()
        if payment["status"] != "IN_PROGRESS" or too_late:
            raise Problem(
                404, "NOT_FOUND_PAYMENT_SESSION", "결제 시간이 만료되어 결제 진행 데이터가 존재하지 않습니다."
            )
        if (wish.order_id, wish.amount) != (payment["orderId"], payment["totalAmount"]):
            raise Problem(403, "FORBIDDEN_REQUEST", "허용되지 않은 요청입니다.")
        if any(other["approvedAt"] for other in self._of_order(wish.order_id)):
            raise Problem(400, "DUPLICATED_ORDER_ID", "이미 승인 및 취소가 진행된 중복된 주문번호 입니다.")
        if row["outcome"] == "reject":
            raise Problem(403, "REJECT_CARD_COMPANY", "결제 승인이 거절되었습니다.")
        if row["outcome"] == "deposit":
            return self._open_account(payment)
        payment |= {
            "status": "DONE",
            "approvedAt": self._time().isoformat(timespec="seconds"),
            "lastTransactionKey": chance.hexadecimal(16).upper(),
            "card": {
                "amount": payment["totalAmount"],
                "issuerCode": "71",
                "acquirerCode": "71",
                "number": "12345678****000*",
                "installmentPlanMonths": 0,
                "approveNo": "00000000",
                "acquireStatus": "READY",
            },
        }
        self._save(payment)
        return payment

    def _open_account(self, payment: dict[str, Any]) -> dict[str, Any]:
        payment |= {
            "status": "WAITING_FOR_DEPOSIT",
            "secret": f"ps_{chance.token(18)}",
            "virtualAccount": {
                "accountType": "일반",
                "accountNumber": f"X{chance.digits(12)}",
                "bankCode": "20",
                "customerName": "김토스",
                "dueDate": (self._time() + timedelta(hours=168)).isoformat(timespec="seconds"),
                "refundStatus": "NONE",
                "expired": False,
                "settlementStatus": "INCOMPLETED",
            },
        }
        self._save(payment)
        return payment

    def deposit(self, payment: dict[str, Any]) -> None:
        """The buyer transferred the whole amount."""
        if payment["status"] != "WAITING_FOR_DEPOSIT":
            raise Problem(400, "ALREADY_PROCESSED_PAYMENT", "이미 처리된 결제 입니다.")
        transaction = chance.hexadecimal(16).upper()
        approved = self._time().isoformat(timespec="seconds")
        payment |= {"status": "DONE", "approvedAt": approved, "lastTransactionKey": transaction}
        self._save(payment)

    def abort(self, payment_key: str, code: str, message: str) -> None:
        """A change of its own: the refusal that it follows has undone the confirmation."""
        self._fail(self.by_key(payment_key), "ABORTED", code, message)

    def cancel(self, payment_key: str, wish: Cancellation) -> dict[str, Any]:
        payment = self.by_key(payment_key)
        if not 1 <= len(wish.cancel_reason) <= 200:
            raise Problem(400, "INVALID_REQUEST", "`cancelReason`은 필수값입니다. (1자 이상 200자 이하)")
        if payment["status"] == "CANCELED":
            raise Problem(400, "ALREADY_CANCELED_PAYMENT", "이미 취소된 결제 입니다.")
        if payment["virtualAccount"] and payment["approvedAt"] and not wish.refund_receive_account:
            raise Problem(400, "INVALID_REFUND_ACCOUNT_INFO", "환불 계좌번호와 예금주명이 일치하지 않습니다.")
        if payment["status"] not in ("DONE", "PARTIAL_CANCELED", "WAITING_FOR_DEPOSIT"):
            raise Problem(403, "NOT_CANCELABLE_PAYMENT", "취소 할 수 없는 결제 입니다.")
        balance = payment["balanceAmount"]
        amount = balance if wish.cancel_amount is None else wish.cancel_amount
        if not 0 < amount <= balance:
            raise Problem(403, "NOT_CANCELABLE_AMOUNT", "취소 할 수 없는 금액 입니다.")
        transaction = chance.hexadecimal(16).upper()
        cancel = {
            "transactionKey": transaction,
            "cancelReason": wish.cancel_reason,
            "cancelAmount": amount,
            "taxFreeAmount": 0,
            "taxExemptionAmount": 0,
            "refundableAmount": balance - amount,
            "easyPayDiscountAmount": 0,
            "canceledAt": self._time().isoformat(timespec="seconds"),
            "receiptKey": None,
        }
        payment |= {
            "balanceAmount": balance - amount,
            "status": "CANCELED" if amount == balance else "PARTIAL_CANCELED",
            "lastTransactionKey": transaction,
            "cancels": [*(payment["cancels"] or []), cancel],
        }
        self._save(payment)
        return payment

    def by_key(self, payment_key: str) -> dict[str, Any]:
        row = self.storage.one("select body from payment where payment_key = ?", payment_key)
        if row is None:
            raise Problem(404, "NOT_FOUND_PAYMENT", "존재하지 않는 결제 정보 입니다.")
        return msgspec.json.decode(row["body"])

    def by_order(self, order_id: str) -> dict[str, Any]:
        """The approved payment of an order, else the last that was begun."""
        approved = (payment for payment in self._of_order(order_id) if payment["approvedAt"])
        return next(approved, None) or self.last_begun(order_id)

    def last_begun(self, order_id: str) -> dict[str, Any]:
        found = self._of_order(order_id)
        if not found:
            raise Problem(404, "NOT_FOUND_PAYMENT", "존재하지 않는 결제 정보 입니다.")
        return found[-1]

    def urls(self, payment_key: str) -> tuple[str, str]:
        row = self.storage.one("select success_url, fail_url from payment where payment_key = ?", payment_key)
        return (row["success_url"], row["fail_url"]) if row else ("", "")

    def _of_order(self, order_id: str) -> list[dict[str, Any]]:
        rows = self.storage.all("select body from payment where order_id = ? order by rowid", order_id)
        return [msgspec.json.decode(row["body"]) for row in rows]

    def _fail(self, payment: dict[str, Any], status: str, code: str, message: str) -> None:
        payment |= {"status": status, "failure": {"code": code, "message": message}}
        self._save(payment)

    def _save(self, payment: dict[str, Any]) -> None:
        self.storage.run("update payment set body = ? where payment_key = ?", _text(payment), payment["paymentKey"])
        self.changed(payment)

    def _time(self) -> datetime:
        return self.now().astimezone(SEOUL)


def _text(payment: dict[str, Any]) -> str:
    return msgspec.json.encode(payment).decode()
