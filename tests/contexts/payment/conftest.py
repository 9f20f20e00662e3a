"""The simulated providers on a real port, and adapters that know nothing of it but the address and the keys."""

import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
import pytest

from contexts.payment.till import Till, open_till
from pasar.contexts.payment.gateway import PaymentIntent
from pasar.contexts.payment.gateways.toss import Toss, TossConfig
from pasar.contexts.payment.gateways.wechat import WechatConfig, WechatPay
from pasar.kernel.outgoing import Outgoing
from pasar.simulators.keys import keys
from pasar.simulators.testing import Clock, World, simulated
from postgres import TestDatabase

PATIENT_S = 20
"""How long adapters wait here, where an answer will come: the machine may have other things to do."""


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    keys(folder, datetime.now(UTC))
    return folder


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider_clock() -> Clock:
    return Clock()


@pytest.fixture
async def world(tmp_path: Path, key_folder: Path, provider_clock: Clock) -> AsyncIterator[World]:
    shutil.copytree(key_folder, tmp_path / "world")
    async with simulated(tmp_path / "world", provider_clock) as world:
        yield world


@pytest.fixture
async def client(world: World) -> AsyncIterator[Outgoing]:
    client = Outgoing([urlsplit(world.url).netloc])
    yield client
    await client.close()


@pytest.fixture
def toss(world: World, client: Outgoing) -> Toss:
    base = f"{world.url}/toss"
    given = msgspec.to_builtins(world.keys.toss)
    config = {**given, "base_url": base, "window_url": f"{base}/window", "timeout_s": PATIENT_S}
    return Toss(msgspec.convert(config, TossConfig), client)


@pytest.fixture
def hasty_toss(toss: Toss) -> Toss:
    """The same, for answers that never come."""
    return Toss(msgspec.structs.replace(toss.config, timeout_s=1), toss.client)


@pytest.fixture
def make_wechat(world: World, client: Outgoing, clock: Clock) -> Callable[..., WechatPay]:
    def make(**changes: object) -> WechatPay:
        given = msgspec.to_builtins(world.keys.wechat)
        config = {**given, "base_url": f"{world.url}/wechat", "timeout_s": PATIENT_S, **changes}
        config = {"refund_notify_url": world.inbox.url, **config}
        return WechatPay(msgspec.convert(config, WechatConfig), client, clock, lambda: uuid4().hex)

    return make


@pytest.fixture
def wechat(make_wechat: Callable[..., WechatPay]) -> WechatPay:
    return make_wechat()


@pytest.fixture
def intend(world: World) -> Callable[..., PaymentIntent]:
    def make(amount: str, currency: str, **changes: object) -> PaymentIntent:
        fields: dict[str, object] = {
            "payment_id": str(uuid4()),
            "order_no": "20261121-000001",
            "amount": Decimal(amount),
            "currency": currency,
            "title": "김치 1kg 외 2건",
            "return_url": "http://shop.test/paid",
            "notify_url": world.inbox.url,
            "expires_at": datetime.now(UTC) + timedelta(minutes=30),
            "attempt_key": str(uuid4()),
        }
        return PaymentIntent(**{**fields, **changes})

    return make


@pytest.fixture
async def till(database: TestDatabase, tmp_path: Path, world: World) -> AsyncIterator[Till]:
    async with open_till(database, tmp_path, world) as till:
        yield till
