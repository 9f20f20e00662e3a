"""A shop to measure over HTTP: 1,000 SKUs with stock and prices, 1,000 members with an address and a token each."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from uuid import UUID

from benchmarks.orders import SKUS, sku, stock_up
from benchmarks.place import Place
from pasar.apps.deployment import data_folder, opened
from pasar.contexts.catalog.contract import CreateProduct, SkuSpec
from pasar.contexts.identity.account import Account
from pasar.contexts.identity.contract import AddAddress, Register
from pasar.contexts.identity.facade import principal
from pasar.contexts.platform.contract import OpenChannel, OpenStore
from pasar.contexts.pricing.contract import CreateCoupon, SetPrice
from pasar.kernel.bus import Bus, Context
from pasar.kernel.clock import SystemClock
from pasar.kernel.ids import SystemIds
from pasar.kernel.private import Private
from pasar.kernel.tokens import KeyRing, Tokens
from pasar.vocabulary import Address

MEMBERS = 1000
PRICE = 49000
COUPON = "BENCH10"


async def fill(here: Place) -> list[tuple[str, str]]:
    """Make it all by the commands that people send; returns account and access token of each member."""
    async with opened(here.settings, here.addresses) as deployment:
        core = deployment.core

        def bus() -> Bus:
            return core.bus(Context(principal="bench"))

        await stock_up(core)
        await bus().send(OpenChannel(channel="web", name="Web", currency="KRW"))
        owner = core.ids.uuid()
        await bus().send(OpenStore(store="bench", name="Bench", owner=owner))
        await bus().send(
            CreateCoupon(coupon=COUPON, kind="percent", value=Decimal(10), currency="KRW", total_limit=900_000_000)
        )
        await asyncio.gather(*(_goods(bus, core.ids.uuid(), number) for number in range(SKUS)))
        tokens = tokens_of(here)
        return await asyncio.gather(*(member(bus, core.ids.uuid(), number, tokens) for number in range(MEMBERS)))


def tokens_of(here: Place) -> Tokens:
    """What gives out tokens of this place. None lives longer than a quarter of an hour; a whole run does."""
    clock = SystemClock()
    return Tokens(KeyRing(data_folder(here.settings) / "tokens", clock), clock, SystemIds(), lifetime_s=840)


def signed_in(here: Place, members: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same members, with fresh tokens."""
    tokens = tokens_of(here)
    return [(id, _token(tokens, UUID(id))) for id, _ in members]


def _token(tokens: Tokens, account: UUID) -> str:
    return tokens.issue(principal(Account(state="member", account=account, roles=("member",)), 1))


async def _goods(bus: "Callable[[], Bus]", product: UUID, number: int) -> None:
    create = CreateProduct(
        product=product,
        store="bench",
        title=f"Bench product {number}",
        description="What a product page says about it, in a few lines. " * 5,
        skus=(SkuSpec(sku=sku(number), weight_g=500),),
        state="on_sale",
    )
    await bus().send(create)
    await bus().send(SetPrice(sku=sku(number), channel="web", currency="KRW", price=Decimal(PRICE)))


async def member(bus: "Callable[[], Bus]", account: UUID, number: int, tokens: Tokens) -> tuple[str, str]:
    register = Register(
        account=account,
        login_digest=f"bench-{number}",
        mail=Private(f"bench{number}@example.com"),
        name=Private("Kim"),
        password_hash=Private("no password opens this"),
    )
    await bus().send(register)
    address = Address(
        recipient=Private("Kim"),
        phone=Private("01012345678"),
        line1=Private("1 Sejong-daero"),
        city="Seoul",
        country="KR",
    )
    await bus().send(AddAddress(account=account, address_id="home", address=address))
    return str(account), _token(tokens, account)
