"""WeChat Pay API v3: texts that are signed, signatures, and the encryption of notices. Pure.

Source: the provider's documents on request signing, verification and AEAD_AES_256_GCM, and its Java client.
"""

import base64
import binascii
from functools import lru_cache

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

SCHEME = "WECHATPAY2-SHA256-RSA2048"


class Resource(msgspec.Struct, frozen=True):
    """The encrypted part of a notice."""

    algorithm: str
    ciphertext: str
    nonce: str
    associated_data: str = ""
    original_type: str = ""


class CannotDecrypt(Exception):
    """The text is not one that was encrypted with our key."""


def request_text(method: str, path: str, timestamp: str, nonce: str, body: str) -> str:
    """`path` with its query, exactly as it is sent."""
    return f"{method}\n{path}\n{timestamp}\n{nonce}\n{body}\n"


def answer_text(timestamp: str, nonce: str, body: str) -> str:
    return f"{timestamp}\n{nonce}\n{body}\n"


def pay_text(appid: str, timestamp: str, nonce: str, package: str) -> str:
    """What the page signs to open the payment in a WeChat browser or mini program."""
    return f"{appid}\n{timestamp}\n{nonce}\n{package}\n"


def sign(key: RSAPrivateKey, text: str) -> str:
    return base64.b64encode(key.sign(text.encode(), PKCS1v15(), SHA256())).decode()


def verify(key: RSAPublicKey, text: str, signature: str) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), text.encode(), PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def authorization(merchant_id: str, serial_no: str, timestamp: str, nonce: str, signature: str) -> str:
    return (
        f'{SCHEME} mchid="{merchant_id}",nonce_str="{nonce}",signature="{signature}",'
        f'timestamp="{timestamp}",serial_no="{serial_no}"'
    )


def decrypt(apiv3_key: str, resource: Resource) -> bytes:
    """The plain text of a resource. Refuses every algorithm but the one that the provider documents."""
    if resource.algorithm != "AEAD_AES_256_GCM":
        raise CannotDecrypt(f"unknown algorithm {resource.algorithm[:40]!r}")
    try:
        sealed = base64.b64decode(resource.ciphertext, validate=True)
        return AESGCM(apiv3_key.encode()).decrypt(resource.nonce.encode(), sealed, resource.associated_data.encode())
    except (InvalidTag, binascii.Error, ValueError) as problem:
        raise CannotDecrypt(str(problem) or "wrong key or altered text") from problem


@lru_cache(maxsize=4)
def private_key(pem: str) -> RSAPrivateKey:
    """Kept, as reading one also checks it, prime by prime."""
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the merchant's key must be an RSA private key")
    return key


def public_key(pem: str) -> RSAPublicKey:
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the platform's key must be an RSA public key")
    return key
