"""WeChat Pay v3 as a server: its API under `/v3`, the buyer's pages, and switches under `/simulator`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import chance, outbox, wechat_rules
from .chaos import Chaos, NoticeFault, hang, pause
from .keys import Keys
from .pages import beside, form_or_json, message_page, payment_page, redirect
from .storage import Storage
from .wechat_crypto import Platform, SignatureProblem
from .wechat_rules import BEIJING, Book, Order, Problem, RefundWish, parameter

Wish = TypeVar("Wish")

# Over about a day, more and more rarely.
RETRIES_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
QR_TEXT = "weixin://wxpay/bizpayurl?pr="


class WechatSimulator:
    def __init__(
        self, folder: Path, keys: Keys, now: Callable[[], datetime], *, callback_host: str | None = None
    ) -> None:
        self.keys, self.now, self.chaos, self.platform = keys, now, Chaos(), Platform(keys)
        self.storage = Storage(folder / "wechat.sqlite", wechat_rules.SCHEMA + outbox.SCHEMA)
        self.outbox = outbox.Outbox(
            self.storage,
            self.chaos,
            now,
            self._seal,
            schedule_s=RETRIES_S,
            accepted=frozenset({200, 204}),
            callback_host=callback_host,
        )
        self.book = Book(self.storage, keys.wechat, now, self._tell)
        trades = "/v3/pay/transactions"
        self.app = Starlette(
            routes=[
                Route(f"{trades}/id/{{transaction_id}}", self._by_transaction),
                Route(f"{trades}/out-trade-no/{{out_trade_no}}", self._by_number),
                Route(f"{trades}/out-trade-no/{{out_trade_no}}/close", self._close, methods=["POST"]),
                Route(f"{trades}/{{kind}}", self._prepay, methods=["POST"]),
                Route("/v3/refund/domestic/refunds", self._refund, methods=["POST"]),
                Route("/v3/refund/domestic/refunds/{out_refund_no}", self._refund_by_number),
                Route("/v3/certificates", self._certificates),
                Route("/cgi-bin/mmpayweb-bin/checkmweb", self._page),
                Route("/simulator/scan", self._page),
                Route("/simulator/pay", self._pay, methods=["POST"]),
                Route("/simulator/chaos", self.chaos.endpoint, methods=["GET", "PUT"]),
                Route("/simulator/notices", self.outbox.endpoint),
            ],
            exception_handlers={HTTPException: no_such_address},
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.outbox.delivering():
            task = asyncio.create_task(self._ripen())
            try:
                yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self.storage.close()

    async def _prepay(self, request: Request) -> Response:
        kind = request.path_params["kind"]

        def act(body: bytes) -> dict[str, Any]:
            if kind not in ("native", "h5", "jsapi", "app"):
                raise Problem(404, "RESOURCE_NOT_EXISTS", "接口不存在")
            code = self.book.order(kind, read(body, Order))
            if kind == "native":
                return {"code_url": QR_TEXT + code}
            if kind == "h5":
                page = f"{str(request.base_url).rstrip('/')}{beside(request, 'cgi-bin/mmpayweb-bin/checkmweb')}"
                return {"h5_url": f"{page}?{urlencode({'prepay_id': 'wx' + code, 'package': '0'})}"}
            return {"prepay_id": "wx" + code}

        return await self._serve(request, "prepay", act)

    async def _by_number(self, request: Request) -> Response:
        def act(_: bytes) -> dict[str, Any]:
            self._check_merchant(request.query_params.get("mchid"))
            return self.book.shown(self.book.trade(request.path_params["out_trade_no"]))

        return await self._serve(request, "query", act)

    async def _by_transaction(self, request: Request) -> Response:
        def act(_: bytes) -> dict[str, Any]:
            self._check_merchant(request.query_params.get("mchid"))
            return self.book.shown(self.book.trade_by_transaction(request.path_params["transaction_id"]))

        return await self._serve(request, "query", act)

    async def _close(self, request: Request) -> Response:
        def act(body: bytes) -> None:
            self._check_merchant(read(body, dict[str, str]).get("mchid"))
            self.book.close(request.path_params["out_trade_no"])

        return await self._serve(request, "close", act)

    async def _refund(self, request: Request) -> Response:
        plan = self.chaos.plan
        return await self._serve(
            request,
            "refund",
            lambda body: self.book.refund(read(body, RefundWish), plan.refund_state, plan.refund_delay_ms),
        )

    async def _refund_by_number(self, request: Request) -> Response:
        number = request.path_params["out_refund_no"]
        return await self._serve(request, "query_refund", lambda _: self.book.refund_by_number(number))

    async def _certificates(self, request: Request) -> Response:
        provider = self.keys.provider
        certificate = {
            "serial_no": provider.platform_serial,
            "effective_time": "2020-01-01T00:00:00+08:00",
            "expire_time": "2049-12-31T00:00:00+08:00",
            "encrypt_certificate": self.platform.encrypted(provider.platform_certificate.encode(), "certificate"),
        }
        return await self._serve(request, "certificates", lambda _: {"data": [certificate]})

    async def _serve(self, request: Request, endpoint: str, act: Callable[[bytes], dict[str, Any] | None]) -> Response:
        """Signature first; then the request as one change; the answer is signed whatever it says."""
        fault = self.chaos.at(endpoint)
        body = await request.body()
        await pause(fault.latency_ms)
        try:
            self._check_signature(request, body)
            if fault.status is not None:
                code = "FREQUENCY_LIMITED" if fault.status == 429 else "SYSTEM_ERROR"
                raise Problem(fault.status, code, "系统异常，请用相同参数重新调用")
            with self.storage.change():
                answer = act(body)
            status = 204 if answer is None else 200
            content = b"" if answer is None else msgspec.json.encode(answer)
        except Problem as problem:
            shape = {"code": problem.code, "message": problem.message}
            status, content = (
                problem.status,
                msgspec.json.encode(shape | ({"detail": problem.detail} if problem.detail else {})),
            )
        if fault.hang:
            await hang(request)
        headers = self.platform.signed_headers(
            content,
            int(self.now().timestamp()) + fault.clock_skew_s,
            by_certificate=not request.headers.get("wechatpay-serial", "").startswith("PUB_KEY_ID_"),
            wrong=fault.wrong_signature,
        )
        return Response(content, status, headers, "application/json")

    def _check_signature(self, request: Request, body: bytes) -> None:
        """Over the path below this simulator's own, with its query, exactly as it was sent."""
        scope = request.scope
        path = scope["raw_path"].decode().removeprefix(scope.get("root_path", ""))
        if scope["query_string"]:
            path = f"{path}?{scope['query_string'].decode()}"
        try:
            self.platform.check_request(request.headers.get("authorization"), request.method, path, body, self.now())
        except SignatureProblem as problem:
            detail = {"location": "authorization", "issue": "sign not match"}
            raise Problem(401, "SIGN_ERROR", str(problem), detail) from problem

    def _check_merchant(self, merchant_id: str | None) -> None:
        if merchant_id != self.keys.wechat.merchant_id:
            raise parameter("mchid", "商户号不正确")

    async def _page(self, request: Request) -> Response:
        """What the buyer sees after the QR code (`code_url`) or on the H5 page."""
        query = request.query_params
        row = self._find({name: query[name] for name in ("code_url", "prepay_id") if name in query})
        if row is None:
            return message_page("订单不存在", 404)
        wish = msgspec.json.decode(row["wish"], type=Order)
        return payment_page(
            provider="微信支付",
            title=wish.description,
            amount=f"¥ {row['total'] // 100}.{row['total'] % 100:02}",
            action=beside(request, "simulator/pay"),
            hidden={"payment_id": row["out_trade_no"], "redirect_url": query.get("redirect_url", "")},
            outcomes={"approve": "立即支付", "decline": "取消"},
        )

    async def _pay(self, request: Request) -> Response:
        """Form or JSON: `payment_id` (the order number, a UUID may keep its hyphens), `code_url` or `prepay_id`;
        `outcome` approve or decline. A buyer who declines leaves the order open, as in reality."""
        wish = await form_or_json(request)
        row = self._find(wish)
        try:
            if row is None:
                raise Problem(404, "ORDER_NOT_EXIST", "订单不存在")
            if wish.get("outcome") not in ("approve", "decline"):
                raise parameter("outcome", "approve, decline")
            if wish["outcome"] == "approve":
                order = msgspec.json.decode(row["wish"], type=Order)
                with self.storage.change():
                    self.book.pay(
                        row["out_trade_no"], order.payer.openid if order.payer else "o" + chance.hexadecimal(13)
                    )
        except Problem as problem:
            return JSONResponse({"code": problem.code, "message": problem.message}, status_code=problem.status)
        if wish.get("redirect_url"):
            return redirect(wish["redirect_url"], {})
        return JSONResponse({"trade_state": self.book.state(self.book.trade(row["out_trade_no"]))})

    def _find(self, names: dict[str, str]) -> Any:
        code = names.get("code_url", "").removeprefix(QR_TEXT) or names.get("prepay_id", "").removeprefix("wx")
        number = names.get("payment_id", "")
        return self.storage.one(
            "select * from trade where code = ? or out_trade_no in (?, ?)", code, number, number.replace("-", "")
        )

    def _tell(self, url: str, event: str, kind: str, resource: dict[str, Any]) -> None:
        created = self.now().astimezone(BEIJING).isoformat(timespec="seconds")
        notice = {"id": chance.hexadecimal(16), "event": event, "kind": kind, "created": created, "resource": resource}
        self.outbox.put(url, notice)

    def _seal(self, text: str, fault: NoticeFault) -> tuple[dict[str, str], bytes]:
        notice = msgspec.json.decode(text)
        plain = msgspec.json.encode(notice["resource"])
        body = msgspec.json.encode(
            {
                "id": notice["id"],
                "create_time": notice["created"],
                "resource_type": "encrypt-resource",
                "event_type": notice["event"],
                "summary": "支付成功" if notice["kind"] == "transaction" else "退款",
                "resource": self.platform.encrypted(plain, notice["kind"]) | {"original_type": notice["kind"]},
            }
        )
        stamp = int(self.now().timestamp()) + fault.clock_skew_s
        headers = self.platform.signed_headers(body, stamp, wrong=fault.wrong_signature)
        return headers | {"Content-Type": "application/json"}, body

    async def _ripen(self) -> None:
        while True:
            self.book.ripen(self.chaos.plan.refund_state)
            await asyncio.sleep(0.1)


async def no_such_address(request: Request, problem: Exception) -> Response:
    status = problem.status_code if isinstance(problem, HTTPException) else 500
    return JSONResponse({"code": "RESOURCE_NOT_EXISTS", "message": request.url.path}, status_code=status)


def read(body: bytes, kind: type[Wish]) -> Wish:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as problem:
        where = str(problem).rpartition("`$.")[2].rstrip("`").replace(".", "/")
        raise parameter(where, str(problem)) from problem
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Problem(400, "PARAM_ERROR", "请求体不是合法的JSON") from problem
