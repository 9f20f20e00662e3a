"""The demo mall, made by the same commands that people send; loading it again changes nothing."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from hashlib import blake2b
from uuid import UUID

from pasar.apps.demo_data import CATEGORIES, STORES, Goods, goods
from pasar.apps.demo_plan import DAYS, midnight
from pasar.apps.deployment import Addresses, clock_of, opened
from pasar.apps.past import PastClock
from pasar.contexts.catalog.contract import CreateCategory, CreateProduct, Media, Option, SkuSpec, Texts
from pasar.contexts.identity import facade as identity
from pasar.contexts.identity.contract import DecideKyc, Role, SetRoles, SubmitKyc
from pasar.contexts.inventory import facade as inventory
from pasar.contexts.inventory.contract import OpenWarehouse, ReceivedLine
from pasar.contexts.platform.contract import OpenChannel, OpenStore
from pasar.contexts.pricing.contract import CreateCoupon, SetPrice
from pasar.kernel.bus import Bus, Context, Core
from pasar.kernel.messages import encode
from pasar.kernel.private import Private
from pasar.kernel.settings import Settings

PASSWORD = "correct horse battery"  # noqa: S105 of the demo's accounts, shown to everybody
WAREHOUSES = (
    ("icheon", "Icheon hub · 이천", "KR", Decimal("37.2723"), Decimal("127.4350")),
    ("yangsan", "Yangsan hub · 양산", "KR", Decimal("35.3350"), Decimal("129.0372")),
)
CHANNELS = (
    ("web", "Web shop", "KRW", "ko", Decimal(3000), Decimal(50000)),
    ("wechat", "WeChat mini program", "CNY", "zh", Decimal(12), Decimal(99)),
)
AT_ONCE = 24
"""Products that are made at the same time: what waits together is committed together."""
MARKS = "demo-marks"
"""On whose behalf, and for which route, it is remembered how far the load of the demo has got."""
NewBus = Callable[[], Bus]


def product_id(code: str) -> UUID:
    """The same id each time the demo is loaded."""
    return UUID(bytes=blake2b(f"demo:{code}".encode(), digest_size=16).digest(), version=4)


def skus_of(goods: Goods) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each combination of option values, and the SKU that stands for it."""
    for values in itertools.product(*(values for _, values in goods.options)):
        yield "-".join((goods.code, *(value.lower() for value in values))), values


def is_fresh(goods: Goods) -> bool:
    """Whether it does not keep for as long as the demo's history is."""
    return bool(goods.batches) and max(days for _, _, days in goods.batches) <= DAYS


def batch_lines(goods: Goods, today: date) -> list[ReceivedLine]:
    """The batches that the shop is shown with."""
    return [
        ReceivedLine(sku=sku, quantity=units, batch=code, expires_on=today + timedelta(days=days))
        for sku, _ in skus_of(goods)
        for code, units, days in goods.batches
    ]


async def mark(core: Core, name: str, text: str) -> None:
    """Remember that something of the demo was done. The first text stays."""
    bus = core.bus(Context(principal=MARKS, route=MARKS, key=name, request_hash=b"demo"))
    await bus.remember(200, encode(text))


async def load_demo(settings: Settings, addresses: Addresses, *, with_history: bool = False) -> None:
    """Make the demo mall, unless it is there. `with_history`: as if it had been opened sixty days ago; what has
    happened since, `demo_history.load_history` makes."""
    now = clock_of(settings).now()
    clock = PastClock(now)
    async with opened(settings, addresses, clock=clock, lasting=False) as deployment:
        core, kernel = deployment.core, deployment.database.kernel

        def bus() -> Bus:
            return core.bus(Context(principal="demo", correlation_id="demo"))

        done = "select true from kernel.claim where tenant = 1 and kind = 'sku' and key = $1"
        last = list(skus_of(list(goods().values())[-1]))[-1][0]
        if await kernel.fetchval(done, last):
            return
        if with_history:
            await mark(core, "start", midnight(now, DAYS).isoformat())
            clock.stand_at(midnight(now, DAYS) - timedelta(hours=12))
        await _load(bus, clock, now.date(), with_history=with_history)


async def _load(bus: NewBus, clock: PastClock, today: date, *, with_history: bool) -> None:
    """Every step may be repeated: a load that was cut short goes on where it stopped."""
    for channel, name, currency, locale, freight, free in CHANNELS:
        opening = OpenChannel(
            channel=channel, name=name, currency=currency, locale=locale, freight=freight, free_freight_from=free
        )
        await bus().send(opening)
    for warehouse, name, country, latitude, longitude in WAREHOUSES:
        await bus().send(
            OpenWarehouse(warehouse=warehouse, name=name, country=country, latitude=latitude, longitude=longitude)
        )
    await _people(bus)
    for category, parent, english, korean, chinese in CATEGORIES:
        names: Texts = {"en": english, "ko": korean, "zh": chinese}
        await bus().send(CreateCategory(category=category, parent=parent, name=english, names=names))
    coupons = (
        CreateCoupon(
            coupon="WELCOME10",
            kind="percent",
            value=Decimal(10),
            currency="KRW",
            max_discount=Decimal(10000),
            per_person=1,
            total_limit=10000,
        ),
        CreateCoupon(coupon="FREESHIP", kind="free_freight", currency="KRW", min_amount=Decimal(20000)),
    )
    for coupon in coupons:
        await bus().send(coupon)
    places = asyncio.Semaphore(AT_ONCE)

    async def make(number: int, one: Goods) -> None:
        async with places:
            lines = [] if with_history and is_fresh(one) else batch_lines(one, today)
            if not one.batches:
                lines = [ReceivedLine(sku=sku, quantity=one.units) for sku, _ in skus_of(one)]
            await _goods(bus, one, WAREHOUSES[number % 2][0], lines)

    *first, last = enumerate(goods().values())
    await asyncio.gather(*(make(number, one) for number, one in _mixed(first)))
    await make(*last)  # Its SKU says that all is there.


def _mixed(numbered: list[tuple[int, Goods]]) -> list[tuple[int, Goods]]:
    """The stores by turns, so that a list of the newest shows something of each."""
    by_store = [[one for one in numbered if one[1].store == store] for store, _, _ in STORES]
    rows = itertools.zip_longest(*by_store)
    return [one for row in rows for one in row if one is not None]


async def _people(bus: NewBus) -> None:
    """Somebody for each role. Sellers have been verified, so that they can be paid."""
    await identity.ensure_admin(bus(), "admin@example.com", PASSWORD)
    staff: tuple[tuple[str, tuple[Role, ...]], ...] = (
        ("shopper", ("member",)),
        ("finance", ("member", "finance")),
        ("warehouse", ("member", "warehouse")),
    )
    for name, roles in staff:
        await identity.ensure_account(bus(), f"{name}@example.com", PASSWORD, name.title(), roles)
    for store, title, name in STORES:
        owner = await identity.ensure_account(
            bus(), f"{name}@example.com", PASSWORD, name.title(), ("member", "seller")
        )
        await bus().send(OpenStore(store=store, name=title, owner=owner))
        await bus().send(
            SetRoles(account=owner, roles=("member", "seller"), stores=(store,), granted_by=("admin", "seller"))
        )
        if (await identity.kyc(bus().db, [owner]))[owner] == "none":
            await bus().send(
                SubmitKyc(
                    account=owner,
                    business_number=Private("120-81-47521"),
                    legal_name=Private(title),
                    bank_account=Private(f"004 1002-{len(store):03d}-558821"),
                )
            )
            await bus().send(DecideKyc(account=owner, verified=True, reason="demo"))


async def _goods(bus: NewBus, goods: Goods, warehouse: str, lines: list[ReceivedLine]) -> None:
    english, korean, chinese = goods.titles
    id = product_id(goods.code)
    create = CreateProduct(
        product=id,
        store=goods.store,
        title=korean,
        titles={"en": english, "ko": korean, "zh": chinese},
        description=goods.descriptions[1],
        descriptions=dict(zip(("en", "ko", "zh"), goods.descriptions, strict=True)),
        category=goods.category,
        options=tuple(Option(name=name, values=values) for name, values in goods.options),
        skus=tuple(
            SkuSpec(sku=sku, options=values, weight_g=goods.weight_g, is_digital=goods.digital)
            for sku, values in skus_of(goods)
        ),
        media=tuple(Media(url=url, alt=korean) for url in goods.pictures),
        attributes=dict(goods.tags),
        state="on_sale",
    )
    await bus().send(create)
    prices = [
        SetPrice(sku=sku, channel=channel, currency=currency, price=price)
        for sku, _ in skus_of(goods)
        for channel, currency, price in (("web", "KRW", Decimal(goods.won)), ("wechat", "CNY", goods.yuan))
    ]
    await asyncio.gather(*(bus().send(price) for price in prices))
    receipt = product_id(f"receipt:{goods.code}")
    if lines:
        await inventory.receive(bus(), receipt, warehouse, tuple(lines), reference="demo")


TOUR = """\
Try it: six calls from nothing to a paid order. Copy all of it into a shell (needs curl and python3):

API={base}/api/v1 JSON='Content-Type: application/json' KEY="X-Idempotency-Key: $(date +%s%N)"
get() { python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"; }
GUEST=$(curl -s -X POST $API/guests)
AUTH="Authorization: Bearer $(echo "$GUEST" | get access_token)"
ORDER=$(curl -s -X POST $API/orders/create -H "$AUTH" -H "$JSON" -H "$KEY" -d '{"uid": "'$(echo "$GUEST" | get account)'",
  "items": [{"sku_id": "apple-fuji", "qty": 2, "price_snapshot": 32000}],
  "address": {"recipient": "Kim", "phone": "01012345678", "line1": "1 Sejong-daero", "city": "Seoul",
              "postal_code": "04524", "country": "KR"}}'); echo "$ORDER"
PAYMENT=$(curl -s -X POST $API/orders/$(echo "$ORDER" | get order_no)/payments -H "$AUTH" -H "$JSON" -H "$KEY" \\
  -d '{"gateway": "toss", "return_url": "{base}/"}'); ID=$(echo "$PAYMENT" | get payment)
curl -s "$(echo "$PAYMENT" | get pay_url)" > /dev/null   # what the buyer's browser opens: the provider's page
BACK=$(curl -s -o /dev/null -w '%{redirect_url}' {simulators}/toss/simulator/pay -H "$JSON" \\
  -d '{"payment_id": "'$ID'", "outcome": "approve"}'); PAID=${BACK#*paymentKey=}
curl -s -X POST $API/payments/$ID/confirm -H "$AUTH" -H "$JSON" -H "$KEY" \\
  -d '{"payment_key": "'${PAID%%&*}'", "order_id": "'$ID'", "amount": 64000}' | get state; sleep 1
curl -s $API/orders/$(echo "$ORDER" | get order_no) -H "$AUTH" | get status   # allocated to a warehouse by now

Accounts, password "{password}": admin@example.com, finance@example.com, warehouse@example.com,
shopper@example.com and the sellers farmer@, tailor@, engineer@, creator@example.com (POST {base}/api/v1/sessions).
"""


def tour(base: str, simulators: str) -> str:
    """Six calls from nothing to a paid order, to be copied into a shell."""
    return TOUR.replace("{base}", base).replace("{simulators}", simulators).replace("{password}", PASSWORD)
