"""The platform's half of WeChat Pay's cryptography: checks requests, signs answers and notices, encrypts resources."""

import base64
import binascii
import re
from datetime import datetime
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import chance
from .keys import Keys

SCHEME = "WECHATPAY2-SHA256-RSA2048"
CLOCKS_MAY_DIFFER_S = 300


class SignatureProblem(Exception):
    """Why a request is not the merchant's."""


@lru_cache(maxsize=4)
def _read_private_key(pem: str) -> Any:
    """Kept: to read one also checks it, which takes longer than a test."""
    return serialization.load_pem_private_key(pem.encode(), password=None)


class Platform:
    def __init__(self, keys: Keys) -> None:
        provider = keys.provider
        self.keys = keys
        self._private = _read_private_key(provider.platform_private_key)
        self._merchant = serialization.load_pem_public_key(provider.merchant_public_key.encode())

    def check_request(self, header: str | None, method: str, path: str, body: bytes, now: datetime) -> None:
        """The Authorization header against what was asked: scheme, merchant, certificate, time, signature."""
        scheme, _, rest = (header or "").partition(" ")
        if scheme != SCHEME:
            raise SignatureProblem("Http头缺少Authorization或认证类型不正确")
        fields = dict(re.findall(r'([a-z_]+)="([^"]*)"', rest))
        if set(fields) != {"mchid", "nonce_str", "signature", "timestamp", "serial_no"}:
            raise SignatureProblem("Authorization不合法")
        merchant = self.keys.wechat
        if fields["mchid"] != merchant.merchant_id or fields["serial_no"] != merchant.serial_no:
            raise SignatureProblem("商户号或证书序列号不正确")
        if not re.fullmatch(r"[0-9A-Za-z]{1,32}", fields["nonce_str"]):
            raise SignatureProblem("随机串不合法")
        stamp = fields["timestamp"]
        if not re.fullmatch(r"[0-9]{1,12}", stamp) or abs(int(stamp) - now.timestamp()) > CLOCKS_MAY_DIFFER_S:
            raise SignatureProblem("签名时间戳已过期")
        signed = b"\n".join([method.encode(), path.encode(), stamp.encode(), fields["nonce_str"].encode(), body, b""])
        try:
            signature = base64.b64decode(fields["signature"], validate=True)
            self._merchant.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr]
        except (InvalidSignature, binascii.Error) as problem:
            raise SignatureProblem("签名错误，请检查后再试") from problem

    def signed_headers(
        self, body: bytes, stamp: int, *, by_certificate: bool = False, wrong: bool = False
    ) -> dict[str, str]:
        """The five headers of an answer or a notice. A merchant that names no key of ours trusts our certificate."""
        nonce = chance.hexadecimal(16)
        text = b"\n".join([str(stamp).encode(), nonce.encode(), body, b""])
        signature = self._private.sign(text, padding.PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr]
        if wrong:
            signature = bytes([signature[0] ^ 1]) + signature[1:]
        provider = self.keys.provider
        return {
            "Wechatpay-Timestamp": str(stamp),
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature": base64.b64encode(signature).decode(),
            "Wechatpay-Serial": provider.platform_serial if by_certificate else provider.platform_key_id,
            "Wechatpay-Signature-Type": SCHEME,
        }

    def encrypted(self, plain: bytes, associated_data: str) -> dict[str, str]:
        nonce = chance.hexadecimal(6)
        return {
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": encrypt(self.keys.wechat.apiv3_key, nonce, associated_data, plain),
            "nonce": nonce,
            "associated_data": associated_data,
        }


def encrypt(apiv3_key: str, nonce: str, associated_data: str, plain: bytes) -> str:
    sealed = AESGCM(apiv3_key.encode()).encrypt(nonce.encode(), plain, associated_data.encode())
    return base64.b64encode(sealed).decode()
