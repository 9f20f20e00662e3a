"""Keys of the simulated merchants, made at the first start and kept in the data folder.

`merchant/toss.json` and `merchant/wechat.json` are what a merchant is given: their names are those of the adapters'
settings, so that a file and the address of the simulator are a whole configuration. `provider.json` stays with us.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from . import chance

Kind = TypeVar("Kind")


class TossMerchant(msgspec.Struct, frozen=True, kw_only=True):
    client_key: str
    secret_key: str
    merchant_id: str
    security_key: str


class WechatMerchant(msgspec.Struct, frozen=True, kw_only=True):
    merchant_id: str
    appid: str
    serial_no: str
    private_key: str
    apiv3_key: str
    platform_keys: dict[str, str]


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """What WeChat Pay knows: its own key, its certificate, and the public key of the merchant."""

    platform_private_key: str
    platform_key_id: str
    platform_certificate: str
    platform_serial: str
    merchant_public_key: str


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    toss: TossMerchant
    wechat: WechatMerchant
    provider: Provider


def keys(folder: Path, now: datetime) -> Keys:
    """The keys of a data folder; made when it has none."""
    provider = folder / "provider.json"
    if not provider.exists():
        made = make(now)
        _write(folder / "merchant" / "toss.json", made.toss)
        _write(folder / "merchant" / "wechat.json", made.wechat)
        _write(provider, made.provider)  # Last: its presence says that all are there.
    return Keys(
        toss=_read(folder / "merchant" / "toss.json", TossMerchant),
        wechat=_read(folder / "merchant" / "wechat.json", WechatMerchant),
        provider=_read(provider, Provider),
    )


def make(now: datetime) -> Keys:
    merchant, platform = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    key_id = f"PUB_KEY_ID_01{chance.digits(20)}"
    certificate = _certificate(platform, now)
    return Keys(
        toss=TossMerchant(
            client_key=f"test_ck_{chance.hexadecimal(16)}",
            secret_key=f"test_sk_{chance.hexadecimal(16)}",
            merchant_id="pasar_simulated",
            security_key=chance.hexadecimal(32),
        ),
        wechat=WechatMerchant(
            merchant_id="1900009191",
            appid=f"wx{chance.hexadecimal(8)}",
            serial_no=chance.hexadecimal(20).upper(),
            private_key=_private_pem(merchant),
            apiv3_key=chance.hexadecimal(16),
            platform_keys={key_id: _public_pem(platform)},
        ),
        provider=Provider(
            platform_private_key=_private_pem(platform),
            platform_key_id=key_id,
            platform_certificate=certificate.public_bytes(Encoding.PEM).decode(),
            platform_serial=f"{certificate.serial_number:040X}",
            merchant_public_key=_public_pem(merchant),
        ),
    )


def _certificate(key: rsa.RSAPrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Simulated payment platform")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int(chance.hexadecimal(18), 16) | 1 << 152)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1825))
        .sign(key, SHA256())
    )


def _private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _public_pem(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _write(file: Path, value: msgspec.Struct) -> None:
    """Whole or not at all, and for nobody else's eyes."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
        target.write(msgspec.json.format(msgspec.json.encode(value)))
    draft.replace(file)


def _read(file: Path, kind: type[Kind]) -> Kind:
    return msgspec.json.decode(file.read_bytes(), type=kind)
