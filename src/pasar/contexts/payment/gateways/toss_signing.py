"""What proves identity with Toss Payments: the basic credentials and the signature of payout notices. Pure."""

import base64
import binascii
import hashlib
import hmac


def basic_credentials(secret_key: str) -> str:
    """The secret key is the user; the password is empty, but its colon is not optional."""
    return "Basic " + base64.b64encode(f"{secret_key}:".encode()).decode()


def notice_signature(security_key: str, body: bytes, transmission_time: str) -> bytes:
    return hmac.digest(security_key.encode(), body + b":" + transmission_time.encode(), hashlib.sha256)


def notice_is_genuine(security_key: str, body: bytes, transmission_time: str, header: str) -> bool:
    """The header is `v1:` and signatures in base64 joined by commas; one that matches is enough (key rotation)."""
    version, _, signatures = header.partition(":")
    expected = notice_signature(security_key, body, transmission_time)
    return version == "v1" and any(hmac.compare_digest(expected, _decode(each)) for each in signatures.split(","))


def _decode(signature: str) -> bytes:
    # Some examples repeat the version before every signature.
    try:
        return base64.b64decode(signature.strip().removeprefix("v1:"), validate=True)
    except (binascii.Error, ValueError):
        return b""
