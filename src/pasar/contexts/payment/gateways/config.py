"""The settings of payment, and the configurations of the adapters that follow from them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from pasar.kernel.settings import Section, SettingsError

from .toss import TossConfig
from .wechat import WechatConfig

Config = TypeVar("Config", bound=msgspec.Struct)


class PaymentSettings(Section, frozen=True):
    """Payment providers and how they are used. A provider without its keys is not offered."""

    gateways: Annotated[
        tuple[str, ...],
        Meta(description="Providers in the order of preference, each with its share of the traffic in percent."),
    ] = ("toss:100", "wechat:100")
    attempt_min: Annotated[int, Meta(ge=1, le=120, description="Minutes until an attempt to pay is over.")] = 10
    max_retries: Annotated[
        int, Meta(ge=0, le=20, description="How often a call that failed for technical reasons is repeated.")
    ] = 3
    refund_budget_h: Annotated[
        int,
        Meta(
            ge=1,
            le=720,
            description="For how many hours a provider that does not answer is asked to give money back, more and more "
            "rarely; then a person is called.",
        ),
    ] = 72
    inline_timeout_s: Annotated[
        int, Meta(ge=1, le=9, description="How long a request waits for a provider before the worker takes over.")
    ] = 3
    notice_timeout_s: Annotated[int, Meta(ge=1, le=9, description="How long a provider's notice may take.")] = 8
    notices_kept_days: Annotated[
        int, Meta(ge=1, le=3650, description="For how many days notices of providers are kept as they came.")
    ] = 90
    health_check_s: Annotated[int, Meta(ge=1, le=3600, description="How often silent providers are asked.")] = 30
    breaker_failures: Annotated[int, Meta(ge=1, le=1000, description="Failures in a row that close a provider.")] = 5
    breaker_pause_s: Annotated[int, Meta(ge=1, le=3600, description="How long it is then left alone.")] = 30
    notify_url: Annotated[
        str, Meta(description="Where providers reach us; empty: the address of `server.public_url`.")
    ] = ""
    simulators: Annotated[str, Meta(description="Folder of the simulated providers; empty: the real ones.")] = ""
    simulators_url: Annotated[str, Meta(description="Address of the simulated providers.")] = "http://127.0.0.1:8900"
    toss_client_key: Annotated[str, Meta(description="Toss Payments: client key.")] = ""
    toss_secret_key: Annotated[str, Meta(description="Toss Payments: secret key.")] = ""
    toss_merchant_id: Annotated[str, Meta(description="Toss Payments: merchant id (MID).")] = ""
    toss_security_key: Annotated[str, Meta(description="Toss Payments: security key of payout notices.")] = ""
    toss_url: Annotated[str, Meta(description="Toss Payments: address.")] = "https://api.tosspayments.com"
    toss_window_url: Annotated[str, Meta(description="A page that opens the window of Toss Payments.")] = ""
    wechat_merchant_id: Annotated[str, Meta(description="WeChat Pay: merchant id (mchid).")] = ""
    wechat_appid: Annotated[str, Meta(description="WeChat Pay: application id.")] = ""
    wechat_serial_no: Annotated[str, Meta(description="WeChat Pay: serial number of our certificate.")] = ""
    wechat_private_key_file: Annotated[str, Meta(description="WeChat Pay: file with our private key (PEM).")] = ""
    wechat_apiv3_key: Annotated[str, Meta(description="WeChat Pay: APIv3 key, 32 characters.")] = ""
    wechat_platform_keys_file: Annotated[
        str, Meta(description="WeChat Pay: JSON file of the platform's public keys (PEM) by their serial or id.")
    ] = ""
    wechat_url: Annotated[str, Meta(description="WeChat Pay: address.")] = "https://api.mch.weixin.qq.com"

    def problems(self) -> Iterable[str]:
        for text in self.gateways:
            name, _, share = text.partition(":")
            if name not in ("toss", "wechat") or not (share.isdigit() and int(share) <= 100):
                yield f"gateways has {text!r}; write toss or wechat, a colon and a share from 0 to 100"

    @property
    def shares(self) -> dict[str, int]:
        return {name: int(share) for name, _, share in (text.partition(":") for text in self.gateways)}


def simulators_place(chosen: PaymentSettings) -> list[str]:
    """Host and port of the simulated providers, where this deployment has them: they may be on this machine."""
    place = urlsplit(chosen.simulators_url)
    return [f"{place.hostname}:{place.port or (443 if place.scheme == 'https' else 80)}"] if chosen.simulators else []


def toss_config(chosen: PaymentSettings) -> TossConfig | None:
    if chosen.simulators:
        base = f"{chosen.simulators_url.rstrip('/')}/toss"
        return _simulated(chosen, "toss", TossConfig, base_url=base, window_url=f"{base}/window")
    if not (chosen.toss_client_key and chosen.toss_secret_key and chosen.toss_merchant_id):
        return None
    return TossConfig(
        client_key=chosen.toss_client_key,
        secret_key=chosen.toss_secret_key,
        merchant_id=chosen.toss_merchant_id,
        security_key=chosen.toss_security_key or None,
        base_url=chosen.toss_url,
        window_url=chosen.toss_window_url or None,
    )


def wechat_config(chosen: PaymentSettings, refund_notify_url: str | None) -> WechatConfig | None:
    if chosen.simulators:
        base = f"{chosen.simulators_url.rstrip('/')}/wechat"
        return _simulated(
            *(chosen, "wechat", WechatConfig),
            base_url=base,
            refund_notify_url=refund_notify_url,
        )
    needed = (chosen.wechat_merchant_id, chosen.wechat_private_key_file, chosen.wechat_platform_keys_file)
    if not all(needed):
        return None
    return WechatConfig(
        merchant_id=chosen.wechat_merchant_id,
        appid=chosen.wechat_appid,
        serial_no=chosen.wechat_serial_no,
        private_key=_read("wechat_private_key_file", chosen.wechat_private_key_file).decode(),
        apiv3_key=chosen.wechat_apiv3_key,
        platform_keys=msgspec.json.decode(
            _read("wechat_platform_keys_file", chosen.wechat_platform_keys_file), type=dict[str, str]
        ),
        base_url=chosen.wechat_url,
        refund_notify_url=refund_notify_url,
    )


def _simulated(chosen: PaymentSettings, name: str, kind: type[Config], **more: Any) -> Config | None:
    """What the simulator has given to its merchant; None while it has not made its keys."""
    file = Path(chosen.simulators) / "merchant" / f"{name}.json"
    if not file.exists():
        return None
    return msgspec.convert({**msgspec.json.decode(file.read_bytes()), **more}, kind)


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(
            [f"payment.{setting} cannot be read: {error}. Correct the path or the file's modes."]
        ) from None
