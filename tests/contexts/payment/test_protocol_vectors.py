"""Known answers of both protocols; each says in `origin` who vouches for it."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pasar.contexts.payment.gateways import toss_signing, wechat_signing

VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in msgspec.json.decode((Path(__file__).parents[2] / "data" / "payments_vectors.json").read_bytes())[
        "vectors"
    ]
}


def vector(name: str) -> tuple[dict[str, str], dict[str, str]]:
    return VECTORS[name]["input"], VECTORS[name]["expected"]


def test_every_vector_is_used_here():
    assert set(VECTORS) == {
        "toss.basic_auth",
        "toss.webhook_hmac",
        "wechatpay_v3.request_authorization",
        "wechatpay_v3.response_or_callback_verify",
        "wechatpay_v3.aead_aes_256_gcm",
        "wechatpay_v3.jsapi_pay_sign",
    }


def test_toss_basic_credentials():
    given, expected = vector("toss.basic_auth")
    assert toss_signing.basic_credentials(given["secret_key"]) == expected["authorization"]


@pytest.mark.requirement("S2-110")
def test_toss_notice_signature():
    given, expected = vector("toss.webhook_hmac")
    key, body, sent = given["security_key"], given["raw_body"].encode(), given["transmission_time"]
    right = expected["signature_b64"]
    assert base64.b64encode(toss_signing.notice_signature(key, body, sent)).decode() == right
    for header in (f"v1:{right}", f"v1:AAAA,{right}", f"v1:AAAA,v1:{right}"):
        assert toss_signing.notice_is_genuine(key, body, sent, header)
    for header in (right, f"v2:{right}", "v1:", "v1:AAAA", "", f"v1:{right[:-4]}"):
        assert not toss_signing.notice_is_genuine(key, body, sent, header)
    assert not toss_signing.notice_is_genuine(key, body + b" ", sent, f"v1:{right}")
    assert not toss_signing.notice_is_genuine(key, body, sent + "0", f"v1:{right}")


@pytest.mark.requirement("S2-110")
def test_wechat_request_authorization():
    given, expected = vector("wechatpay_v3.request_authorization")
    text = wechat_signing.request_text(
        given["method"], given["url_path"], given["timestamp"], given["nonce_str"], given["body"]
    )
    assert text == expected["message"]
    signature = wechat_signing.sign(wechat_signing.private_key(given["merchant_private_key"]), text)
    assert signature == expected["signature"]
    header = wechat_signing.authorization(
        given["mchid"], given["serial_no"], given["timestamp"], given["nonce_str"], signature
    )
    assert header == expected["authorization"]


@pytest.mark.requirement("S2-110")
def test_wechat_answer_and_notice_signature():
    given, expected = vector("wechatpay_v3.response_or_callback_verify")
    key = wechat_signing.public_key(given["platform_public_key"])
    text = wechat_signing.answer_text(given["timestamp"], given["nonce"], given["body"])
    assert text == expected["message"]
    assert wechat_signing.verify(key, text, expected["signature"])
    assert not wechat_signing.verify(key, text + " ", expected["signature"])
    for wrong in ("", "%", expected["signature"][:-4], "AAAA"):
        assert not wechat_signing.verify(key, text, wrong)


@pytest.mark.requirement("S2-110")
def test_wechat_decryption():
    given, expected = vector("wechatpay_v3.aead_aes_256_gcm")
    resource = wechat_signing.Resource(
        algorithm="AEAD_AES_256_GCM",
        ciphertext=expected["ciphertext"],
        nonce=given["nonce"],
        associated_data=given["associated_data"],
    )
    assert wechat_signing.decrypt(given["apiv3_key"], resource).decode() == given["plaintext"]
    replace = msgspec.structs.replace
    for wrong in (
        replace(resource, associated_data=""),
        replace(resource, nonce="0" * 12),
        replace(resource, nonce=""),
        replace(resource, ciphertext="AAAA"),
        replace(resource, ciphertext="%"),
        replace(resource, algorithm="AES"),
    ):
        with pytest.raises(wechat_signing.CannotDecrypt):
            wechat_signing.decrypt(given["apiv3_key"], wrong)


def test_wechat_script_signature():
    given, expected = vector("wechatpay_v3.jsapi_pay_sign")
    pem = VECTORS["wechatpay_v3.request_authorization"]["input"]["merchant_private_key"]
    text = wechat_signing.pay_text(given["appId"], given["timeStamp"], given["nonceStr"], given["package"])
    assert text == expected["message"]
    assert wechat_signing.sign(wechat_signing.private_key(pem), text) == expected["paySign"]
