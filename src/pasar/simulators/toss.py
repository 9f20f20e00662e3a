"""Toss Payments as a server: its API under `/v1`, its window, and switches under `/simulator`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import outbox, toss_rules
from .chaos import Chaos, NoticeFault, hang, pause
from .keys import TossMerchant
from .pages import beside, form_or_json, message_page, payment_page, redirect
from .storage import Storage
from .toss_rules import Book, Cancellation, Confirmation, Problem, Window

Wish = TypeVar("Wish")

# 1, 4, 16, … 4096 minutes after the first attempt (docs.tosspayments.com/guides/v2/webhook).
RETRIES_S = tuple(60.0 * 4**n for n in range(7))
KEY_LASTS = timedelta(days=15)

SCHEMA = (
    toss_rules.SCHEMA
    + outbox.SCHEMA
    + """
create table if not exists answer (
    path text not null, key text not null, at real not null, status integer not null, body text not null,
    primary key (path, key)
);
create table if not exists webhook (one integer primary key check (one = 1), url text not null);
"""
)


class TossSimulator:
    """One merchant. `webhook_url` is where its notices go; it can be set later, as in the provider's console."""

    def __init__(
        self,
        folder: Path,
        merchant: TossMerchant,
        now: Callable[[], datetime],
        *,
        webhook_url: str | None = None,
        callback_host: str | None = None,
    ) -> None:
        self.merchant, self.now, self.chaos = merchant, now, Chaos()
        self.storage = Storage(folder / "toss.sqlite", SCHEMA)
        self.outbox = outbox.Outbox(
            self.storage,
            self.chaos,
            now,
            self._seal,
            schedule_s=RETRIES_S,
            accepted=frozenset({200}),
            callback_host=callback_host,
        )
        self.book = Book(self.storage, merchant.merchant_id, now, self._tell)
        self._in_flight: set[tuple[str, str]] = set()
        if webhook_url is not None:
            self._set_webhook(webhook_url)
        self.app = Starlette(
            routes=[
                Route("/v1/payments/confirm", self._confirm, methods=["POST"]),
                Route("/v1/payments/orders/{order_id}", self._by_order),
                Route("/v1/payments/{payment_key}/cancel", self._cancel, methods=["POST"]),
                Route("/v1/payments/{payment_key}", self._by_key),
                Route("/window", self._window),
                Route("/simulator/pay", self._pay, methods=["POST"]),
                Route("/simulator/deposit", self._deposit, methods=["POST"]),
                Route("/simulator/webhook", self._webhook, methods=["PUT"]),
                Route("/simulator/chaos", self.chaos.endpoint, methods=["GET", "PUT"]),
                Route("/simulator/notices", self.outbox.endpoint),
            ],
            exception_handlers={HTTPException: no_such_address},
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.outbox.delivering():
            yield
        self.storage.close()

    async def _confirm(self, request: Request) -> Response:
        wish: Confirmation | None = None

        def act(body: bytes) -> dict[str, Any]:
            nonlocal wish
            wish = read(body, Confirmation)
            return self.book.confirm(wish)

        response = await self._serve(request, "confirm", act)
        if wish is not None and b'"REJECT_CARD_COMPANY"' in response.body:
            with self.storage.change():
                self.book.abort(wish.payment_key, "REJECT_CARD_COMPANY", "결제 승인이 거절되었습니다.")
        return response

    async def _cancel(self, request: Request) -> Response:
        key = request.path_params["payment_key"]
        return await self._serve(request, "cancel", lambda body: self.book.cancel(key, read(body, Cancellation)))

    async def _by_key(self, request: Request) -> Response:
        return await self._serve(request, "query", lambda _: self.book.by_key(request.path_params["payment_key"]))

    async def _by_order(self, request: Request) -> Response:
        return await self._serve(request, "query", lambda _: self.book.by_order(request.path_params["order_id"]))

    async def _serve(self, request: Request, endpoint: str, act: Callable[[bytes], dict[str, Any]]) -> Response:
        """Credentials, then the idempotency key, then the request; effect and remembered answer are one change."""
        fault = self.chaos.at(endpoint)
        body = await request.body()
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        slot = (request.url.path, key or "")
        try:
            toss_rules.authenticate(request.headers.get("authorization"), self.merchant.secret_key)
            if key is not None and not 1 <= len(key) <= 300:
                raise Problem(400, "INVALID_IDEMPOTENCY_KEY", "멱등키는 300자 이하여야 합니다.")
            if key is not None and slot in self._in_flight:
                raise Problem(409, "IDEMPOTENT_REQUEST_PROCESSING", "이전 멱등 요청이 처리중입니다.")
            if key is not None and (known := self._remembered(*slot)) is not None:
                return known
            self._in_flight.add(slot)
            try:
                await pause(fault.latency_ms)
                if fault.status is not None:
                    raise Problem(
                        fault.status, "FAILED_INTERNAL_SYSTEM_PROCESSING", "내부 시스템 처리 작업이 실패했습니다."
                    )
                response = self._act(act, body, slot if key is not None else None)
            finally:
                self._in_flight.discard(slot)
        except Problem as problem:
            return error(problem)
        if fault.hang:
            await hang(request)
        return response

    def _act(self, act: Callable[[bytes], dict[str, Any]], body: bytes, slot: tuple[str, str] | None) -> Response:
        try:
            with self.storage.change():
                response = JSONResponse(act(body))
                self._remember(slot, response)
        except Problem as problem:
            response = error(problem)
            with self.storage.change():
                self._remember(slot, response)
        return response

    def _remember(self, slot: tuple[str, str] | None, response: Response) -> None:
        if slot is not None:
            self.storage.run(
                "insert or replace into answer (path, key, at, status, body) values (?, ?, ?, ?, ?)",
                *(*slot, self.now().timestamp(), response.status_code, bytes(response.body).decode()),
            )

    def _remembered(self, path: str, key: str) -> Response | None:
        oldest = (self.now() - KEY_LASTS).timestamp()
        row = self.storage.one("select * from answer where path = ? and key = ? and at > ?", path, key, oldest)
        return None if row is None else Response(row["body"], row["status"], media_type="application/json")

    async def _window(self, request: Request) -> Response:
        """What the provider's script does in the buyer's browser: begins the payment and shows the page."""
        try:
            window = msgspec.convert(dict(request.query_params), Window, strict=False)
            if window.client_key != self.merchant.client_key:
                raise Problem(400, "INVALID_CLIENT_KEY", "잘못된 클라이언트 연동 정보 입니다.")
            with self.storage.change():
                payment = self.book.open_window(window)
        except msgspec.ValidationError as problem:
            return message_page(str(problem), 400)
        except Problem as problem:
            return message_page(f"{problem.code}: {problem.message}", problem.status)
        return payment_page(
            provider="토스페이먼츠",
            title=window.order_name,
            amount=f"{window.amount:,} {window.currency}",
            action=beside(request, "simulator/pay"),
            hidden={"payment_key": payment["paymentKey"]},
            outcomes={"approve": "결제하기", "deposit": "가상계좌", "decline": "취소", "reject": "카드사 거절"},
        )

    async def _pay(self, request: Request) -> Response:
        """Form or JSON: `payment_key`, or `payment_id` (the order id), and `outcome`: one of the page's buttons."""
        wish = await form_or_json(request)
        try:
            with self.storage.change():
                key, order = wish.get("payment_key"), wish.get("payment_id", "")
                payment = self.book.by_key(key) if key else self.book.last_begun(order)
                success, fail = self.book.urls(payment["paymentKey"])
                outcome = wish.get("outcome")
                if outcome == "decline":
                    self.book.decline(payment)
                    names = {"code": "PAY_PROCESS_CANCELED", "message": "사용자에 의해 결제가 취소되었습니다."}
                    return redirect(fail, {**names, "orderId": payment["orderId"]})
                if outcome not in ("approve", "reject", "deposit"):
                    raise Problem(400, "INVALID_REQUEST", "outcome: approve, decline, reject or deposit")
                self.book.agree(payment, outcome)
        except Problem as problem:
            return error(problem)
        known = {name: payment[name] for name in ("paymentKey", "orderId")}
        return redirect(success, {**known, "amount": payment["totalAmount"], "paymentType": "NORMAL"})

    async def _deposit(self, request: Request) -> Response:
        """The buyer transfers the money to the account of `payment_id`. Two kinds of notices tell of it."""
        wish = await form_or_json(request)
        try:
            with self.storage.change():
                payment = self.book.by_order(wish.get("payment_id", ""))
                self.book.deposit(payment)
                names = {"secret": "secret", "status": "status", "lastTransactionKey": "transactionKey"}
                told = {theirs: payment[ours] for ours, theirs in names.items()}
                self._post({"createdAt": self._created(), **told, "orderId": payment["orderId"]})
        except Problem as problem:
            return error(problem)
        return Response(status_code=204)

    async def _webhook(self, request: Request) -> Response:
        wish = await form_or_json(request)
        self._set_webhook(wish.get("url", ""))
        return Response(status_code=204)

    def _set_webhook(self, url: str) -> None:
        self.storage.run("insert or replace into webhook (one, url) values (1, ?)", url)

    def _tell(self, payment: dict[str, Any]) -> None:
        if payment["status"] != "IN_PROGRESS":
            self._post({"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": self._created(), "data": payment})

    def _post(self, notice: dict[str, Any]) -> None:
        row = self.storage.one("select url from webhook")
        if row is not None and row["url"]:
            self.outbox.put(row["url"], notice)

    def _created(self) -> str:
        return self.now().astimezone(toss_rules.SEOUL).strftime("%Y-%m-%dT%H:%M:%S.%f")

    def _seal(self, text: str, fault: NoticeFault) -> tuple[dict[str, str], bytes]:
        """Nothing proves that a notice of a payment is the provider's; so a forged one looks the same."""
        return {"Content-Type": "application/json"}, text.encode()


async def no_such_address(request: Request, problem: Exception) -> Response:
    status = problem.status_code if isinstance(problem, HTTPException) else 500
    return JSONResponse({"code": "NOT_FOUND", "message": request.url.path}, status_code=status)


def read(body: bytes, kind: type[Wish]) -> Wish:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise Problem(400, "INVALID_REQUEST", f"잘못된 요청입니다. {problem}") from problem


def error(problem: Problem) -> Response:
    return JSONResponse({"code": problem.code, "message": problem.message}, status_code=problem.status)
