"""WeChat Pay, API v3, for a merchant of its own (pay.weixin.qq.com/doc/v3/merchant).

Requests are signed with the merchant's key; answers and notices with the platform's, and what notices tell is encrypted
besides. The money is taken when the buyer pays, so `confirm` only asks. Amounts are whole fen, the currency is CNY.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import msgspec

from pasar.kernel.outgoing import Outgoing

from ..gateway import (
    Acknowledgement,
    Facts,
    GatewayRefused,
    GatewayUnavailable,
    NoticeForged,
    PaymentIntent,
    Started,
)
from . import wechat_signing as signing
from . import wire
from .wechat_messages import Refund, Trade, refund_facts, theirs, trade_facts

Answer = TypeVar("Answer")

BEIJING = timezone(timedelta(hours=8))
CLOCKS_MAY_DIFFER_S = 300
DESCRIPTION_LENGTH = 127
REASON_LENGTH = 80
NO_SUCH_TRADE = frozenset({"ORDER_NOT_EXIST", "RESOURCE_NOT_EXISTS"})


class WechatConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One merchant. `platform_keys` are PEM public keys by their serial or `PUB_KEY_ID_…`."""

    merchant_id: str
    appid: str
    serial_no: str  # Of the merchant's certificate, upper case hexadecimal.
    private_key: str  # PEM.
    apiv3_key: str
    platform_keys: dict[str, str]
    base_url: str = "https://api.mch.weixin.qq.com"
    product: Literal["native", "h5", "jsapi"] = "native"
    refund_notify_url: str | None = None  # Without it, refunds are told only to who asks.
    timeout_s: int = 10

    def __post_init__(self) -> None:
        if len(self.apiv3_key.encode()) != 32:
            raise ValueError("the APIv3 key must have 32 bytes")
        if not self.platform_keys:
            raise ValueError("at least one key of the platform is needed to verify anything")

    def __repr__(self) -> str:
        """Without keys: settings end up in logs."""
        return f"WechatConfig({self.merchant_id!r}, {self.base_url!r})"


class Notice(msgspec.Struct, frozen=True):
    id: str
    event_type: str
    resource_type: str
    resource: signing.Resource


class WechatPay:
    """The port, spoken to WeChat Pay. `now` is the time of the real world, which the provider compares with its own;
    `nonce` gives up to 32 unguessable letters or digits, new each time."""

    name = "wechat"
    currencies = frozenset({"CNY"})
    calls_to_start = True

    def __init__(
        self,
        config: WechatConfig,
        client: Outgoing,
        now: Callable[[], datetime],
        nonce: Callable[[], str],
    ) -> None:
        self.config = config
        self.client = client
        self.now = now
        self.nonce = nonce
        self._key = signing.private_key(config.private_key)
        self._platform = {serial: signing.public_key(pem) for serial, pem in config.platform_keys.items()}

    @property
    def receiver(self) -> str:
        return self.config.merchant_id

    async def start(self, intent: PaymentIntent) -> Started:
        """Native gives the text of a QR code, H5 a page that returns to us, JSAPI what the page's script needs."""
        product = self.config.product
        answer = await self._call("POST", f"/v3/pay/transactions/{product}", self._order(intent))
        reply = _decode(answer, dict[str, str])
        try:
            if product == "native":
                return Started(fields={"code_url": reply["code_url"]})
            if product == "h5":
                page = reply["h5_url"]
                back = f"{'&' if '?' in page else '?'}redirect_url={quote(intent.return_url, safe='')}"
                return Started(pay_url=page + back, fields={"h5_url": page})
            return Started(fields=self._script_fields(reply["prepay_id"]))
        except KeyError as missing:
            raise GatewayUnavailable(f"the answer has no {missing}") from missing

    async def confirm(
        self, payment_id: str, provider_ref: str, amount: Decimal, currency: str, attempt_key: str
    ) -> Facts:
        return await self.query(payment_id, provider_ref or None)

    async def query(self, payment_id: str, provider_ref: str | None) -> Facts:
        """By our number, which holds before and after the payment."""
        path = f"/v3/pay/transactions/out-trade-no/{theirs(payment_id)}?mchid={self.config.merchant_id}"
        try:
            return trade_facts(_decode(await self._call("GET", path), Trade))
        except GatewayRefused as no:
            if no.code not in NO_SUCH_TRADE:
                raise
            return Facts(kind="unknown", payment_id=payment_id, provider_ref=provider_ref or "", reason=no.code)

    async def close(self, payment_id: str, provider_ref: str | None) -> Facts:
        path = f"/v3/pay/transactions/out-trade-no/{theirs(payment_id)}/close"
        # A no means paid a moment ago, closed before, or never begun; the query tells them apart.
        with suppress(GatewayRefused):
            await self._call("POST", path, {"mchid": self.config.merchant_id})
        return await self.query(payment_id, provider_ref)

    async def refund(
        self,
        payment_id: str,
        provider_ref: str,
        refund_id: str,
        amount: Decimal,
        currency: str,
        total: Decimal,
        reason: str,
    ) -> Facts:
        """Safe to repeat: the provider keeps one refund per number, and the number is made from `refund_id`."""
        body = {
            "out_trade_no": theirs(payment_id),
            "out_refund_no": theirs(refund_id),
            "amount": {"refund": fen(amount, currency), "total": fen(total, currency), "currency": currency},
        }
        if reason:
            body["reason"] = reason[:REASON_LENGTH]
        if self.config.refund_notify_url:
            body["notify_url"] = self.config.refund_notify_url
        return refund_facts(_decode(await self._call("POST", "/v3/refund/domestic/refunds", body), Refund))

    async def query_refund(self, payment_id: str, provider_ref: str, refund_id: str) -> Facts:
        try:
            answer = await self._call("GET", f"/v3/refund/domestic/refunds/{theirs(refund_id)}")
        except GatewayRefused as no:
            if no.code not in NO_SUCH_TRADE:
                raise
            return Facts(kind="unknown", payment_id=payment_id, provider_ref=provider_ref, refund_id=refund_id)
        return refund_facts(_decode(answer, Refund))

    def claims(self, headers: Mapping[str, str], body: bytes) -> bool:
        if any(name.startswith("wechatpay-") for name in wire.lower(headers)):
            return True
        try:
            return msgspec.json.decode(body, type=Notice).resource_type == "encrypt-resource"
        except wire.UNREADABLE:
            return False

    async def read_notice(self, headers: Mapping[str, str], body: bytes) -> list[Facts]:
        if not self._is_genuine(wire.lower(headers), body):
            raise NoticeForged("signature missing, wrong or stale")
        try:
            notice = msgspec.json.decode(body, type=Notice)
            topic = notice.event_type.partition(".")[0]
            if topic not in ("TRANSACTION", "REFUND"):
                return []
            plain = signing.decrypt(self.config.apiv3_key, notice.resource)
            if topic == "REFUND":
                return [refund_facts(msgspec.json.decode(plain, type=Refund))]
            return [trade_facts(msgspec.json.decode(plain, type=Trade))]
        except (*wire.UNREADABLE, signing.CannotDecrypt) as problem:
            raise NoticeForged(f"a signed notice that cannot be read: {problem}") from problem

    def acknowledge(self, ok: bool) -> Acknowledgement:
        if ok:
            return Acknowledgement(status=204, content_type="application/json", body=b"")
        again = msgspec.json.encode({"code": "FAIL", "message": "not taken, send it again"})
        return Acknowledgement(status=500, content_type="application/json", body=again)

    def _order(self, intent: PaymentIntent) -> dict[str, Any]:
        order: dict[str, Any] = {
            "appid": self.config.appid,
            "mchid": self.config.merchant_id,
            "description": intent.title[:DESCRIPTION_LENGTH],
            "out_trade_no": theirs(intent.payment_id),
            "time_expire": intent.expires_at.astimezone(BEIJING).isoformat(timespec="seconds"),
            "notify_url": intent.notify_url,
            "amount": {"total": fen(intent.amount, intent.currency), "currency": intent.currency},
        }
        if self.config.product == "jsapi":
            if not intent.payer:
                raise GatewayRefused("PAYER_MISSING", "paying inside WeChat needs the buyer's openid")
            order["payer"] = {"openid": intent.payer}
        if self.config.product == "h5":
            if not intent.payer_ip:
                raise GatewayRefused("PAYER_IP_MISSING", "paying by H5 needs the address of the buyer's browser")
            order["scene_info"] = {"payer_client_ip": intent.payer_ip, "h5_info": {"type": "Wap"}}
        return order

    def _script_fields(self, prepay_id: str) -> dict[str, str]:
        stamp, nonce, package = self._timestamp(), self.nonce(), f"prepay_id={prepay_id}"
        signature = signing.sign(self._key, signing.pay_text(self.config.appid, stamp, nonce, package))
        return {
            "appId": self.config.appid,
            "timeStamp": stamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": signature,
        }

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        payload = b"" if body is None else msgspec.json.encode(body)
        stamp, nonce, config = self._timestamp(), self.nonce(), self.config
        signature = signing.sign(self._key, signing.request_text(method, path, stamp, nonce, payload.decode()))
        headers = {
            "Authorization": signing.authorization(config.merchant_id, config.serial_no, stamp, nonce, signature),
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "pasar",
            "Wechatpay-Serial": next(iter(config.platform_keys)),
        }
        url = config.base_url.rstrip("/") + path
        reply = await wire.call(self.client, method, url, headers, payload or None, config.timeout_s)
        # A gateway in front may refuse without a signature; but a wrong one, or none on a success, proves nothing.
        signed = "wechatpay-signature" in reply.headers
        if (signed or 200 <= reply.status < 300) and not self._is_genuine(reply.headers, reply.body):
            raise GatewayUnavailable(f"HTTP {reply.status} without a valid signature")
        wire.raise_for_status(reply)
        return reply.body

    def _is_genuine(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Headers in lower case. Signed by a key of the platform that we know, within five minutes of now.

        The provider probes receivers with signatures that begin with WECHATPAY/SIGNTEST/; those are false, and fail.
        """
        stamp, signature = headers.get("wechatpay-timestamp", ""), headers.get("wechatpay-signature", "")
        key = self._platform.get(headers.get("wechatpay-serial", ""))
        kind = headers.get("wechatpay-signature-type", signing.SCHEME)
        if key is None or kind != signing.SCHEME:
            return False
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            return False
        if abs(int(stamp) - self.now().timestamp()) > CLOCKS_MAY_DIFFER_S:
            return False
        try:
            text = signing.answer_text(stamp, headers.get("wechatpay-nonce", ""), body.decode())
        except UnicodeDecodeError:
            return False
        return signing.verify(key, text, signature)

    def _timestamp(self) -> str:
        return str(int(self.now().timestamp()))


def fen(amount: Decimal, currency: str) -> int:
    if currency not in WechatPay.currencies:
        raise GatewayRefused("INVALID_CURRENCY", f"{currency} is not taken")
    return wire.minor_units(amount, digits=2)


def _decode(body: bytes, kind: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(body, type=kind)
    except wire.UNREADABLE as problem:
        raise GatewayUnavailable(f"not the answer that is documented: {problem}") from problem
