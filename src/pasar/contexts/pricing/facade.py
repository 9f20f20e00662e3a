"""Prices, coupons and quotes: what others ask pricing, and what its routes do."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Meta

from pasar.accounts import coupon_quota, coupon_tickets
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.catalog.contract import SkuOnSale
from pasar.contexts.platform import facade as platform
from pasar.contexts.platform.contract import Channel, Store
from pasar.kernel.bus import Bus
from pasar.kernel.messages import decode
from pasar.kernel.money import major
from pasar.kernel.settings import Section
from pasar.kernel.store import Reader
from pasar.refusals import (
    ChannelNotFound,
    CouponNotFound,
    NotForSale,
    PriceMalformed,
    PriceNotFound,
    SkuNotFound,
)

from .contract import CloseCoupon, Coupon, CouponVerdict, CreateCoupon, Estimate, Prices, Quote, QuoteFor, SetPrice
from .price import PriceList
from .price import price as price_decider
from .promotion import Promotion
from .promotion import coupon as coupon_decider
from .quote import Basket, Item, Priced, Terms, insist, price


class PricingSettings(Section, frozen=True):
    """How points pay."""

    point_worth_minor: Annotated[
        int, Meta(ge=0, le=1_000_000, description="What a point pays, in the currency's smallest unit; 0: nothing.")
    ] = 1


DEFAULTS = PricingSettings()
MOST_COUPONS = 200


async def quote(db: Reader, question: QuoteFor, at: datetime, settings: PricingSettings = DEFAULTS) -> Quote:
    """What an order would cost at an instant, from the streams and never from a cache or view. Refuses what is not
    for sale, has no price, or coupons and points that cannot be used."""
    loaded = await _Loaded.load(db, question)
    missing = [code for code in question.coupons if code not in loaded.coupons]
    if missing:
        raise CouponNotFound(f"there is no coupon {', '.join(missing)}", coupons=missing)
    priced = loaded.priced(question, at, settings)
    insist(priced.verdicts)
    return priced.quote


async def estimate(db: Reader, question: QuoteFor, at: datetime, settings: PricingSettings = DEFAULTS) -> Estimate:
    """The same for people who have not decided: coupons that do not count are left out, and say why."""
    loaded = await _Loaded.load(db, question)
    priced = loaded.priced(question, at, settings)
    unknown = [
        CouponVerdict(
            coupon=code, applied=False, discount=major(0, priced.quote.currency), reason="there is no such coupon"
        )
        for code in dict.fromkeys(question.coupons)
        if code not in loaded.coupons
    ]
    return Estimate(quote=priced.quote, coupons=(*priced.verdicts, *unknown))


async def preview(
    db: Reader, question: QuoteFor, draft: CreateCoupon, at: datetime, settings: PricingSettings = DEFAULTS
) -> Estimate:
    """What a coupon that does not exist yet would come to, on these goods. Refuses one that could not be created."""
    created = coupon_decider.fold(coupon_decider.initial, coupon_decider.decide(draft, coupon_decider.initial))
    loaded = await _Loaded.load(db, question)
    assert created.coupon is not None
    loaded.coupons = {**loaded.coupons, draft.coupon: created.coupon}
    asked = msgspec.structs.replace(question, coupons=(*question.coupons, draft.coupon))
    priced = loaded.priced(asked, at, settings)
    return Estimate(quote=priced.quote, coupons=tuple(priced.verdicts))


class _Loaded:
    """Everything that a quote rests on. Once the SKUs are known to this process, one statement loads all of it."""

    def __init__(
        self,
        on_sale: Mapping[str, SkuOnSale],
        prices: Mapping[str, PriceList],
        coupons: Mapping[str, Coupon],
        channel: Channel,
        stores: Mapping[str, Store],
    ) -> None:
        self.on_sale, self.prices, self.coupons = on_sale, prices, coupons
        self.channel, self.stores = channel, stores

    @classmethod
    async def load(cls, db: Reader, question: QuoteFor) -> "_Loaded":
        skus = [wanted.sku for wanted in question.wanted]
        # All is asked for before anything is awaited: one statement, and no task for each.
        asked_prices = db.states(price_decider, skus)
        asked_promotions = db.states(coupon_decider, question.coupons)
        asked_channels = platform.channels(db, (question.channel,))
        asked_stores = platform.stores(db, catalog.stores_known(db, skus))
        on_sale = await catalog.for_sale(db, skus)
        channels, stores = await asked_channels, await asked_stores
        prices, promotions = await asked_prices, await asked_promotions
        unmet = {item.store for item in on_sale.values()} - stores.keys()
        if unmet:
            stores |= await platform.stores(db, unmet)
        channel = channels.get(question.channel)
        if channel is None:
            raise ChannelNotFound(f"there is no channel {question.channel}")
        coupons = {code: found.coupon for code, found in promotions.items() if found.coupon is not None}
        return cls(on_sale, prices, coupons, channel, stores)

    def priced(self, question: QuoteFor, at: datetime, settings: PricingSettings) -> Priced:
        channel = self.channel
        worth = major(settings.point_worth_minor, channel.currency) if settings.point_worth_minor else None
        coupons = [self.coupons[code] for code in dict.fromkeys(question.coupons) if code in self.coupons]
        terms = Terms(
            channel.channel,
            channel.currency,
            channel.tax_rate,
            channel.prices_include_tax,
            channel.freight,
            channel.free_freight_from,
        )
        items = self._items(question)
        return price(Basket(terms, items, at, coupons, question.person is not None, question.points, worth))

    def _items(self, question: QuoteFor) -> list[Item]:
        items, not_for_sale, without_price = [], [], []
        agreed = question.agreed or (None,) * len(question.wanted)
        for wanted, agreed_price in zip(question.wanted, agreed, strict=True):
            sku = self.on_sale.get(wanted.sku)
            store = self.stores.get(sku.store) if sku is not None else None
            if sku is None or sku.state != "on_sale" or store is None or not store.is_open:
                not_for_sale.append(wanted.sku)
                continue
            prices = self.prices.get(wanted.sku)
            tag = prices.channels.get(question.channel) if prices is not None else None
            unit_price = agreed_price
            if unit_price is None and tag is not None and tag.currency == self.channel.currency:
                unit_price = tag.price
            if unit_price is None:
                without_price.append(wanted.sku)
                continue
            items.append(
                Item(
                    *(wanted.sku, wanted.quantity, unit_price, sku.title, sku.store, store.commission_rate),
                    *(wanted.batch, sku.is_digital),
                )
            )
        if not_for_sale:
            raise NotForSale(f"not for sale now: {', '.join(not_for_sale)}", skus=not_for_sale)
        if without_price:
            raise PriceNotFound(f"no price in {question.channel}: {', '.join(without_price)}", skus=without_price)
        return items


async def prices(bus: Bus, sku: str) -> Prices:
    """All prices of a SKU, as of now."""
    found = await bus.db.state(price_decider, sku) if catalog.may_exist(bus, "sku", sku) else None
    if found is None:
        raise PriceNotFound(f"{sku} has no price")
    return Prices(prices=tuple(found.channels.values()))


async def prices_of(db: Reader, skus: Sequence[str]) -> dict[str, PriceList]:
    """The price lists of several SKUs by SKU; those that have none are left out."""
    return await db.states(price_decider, skus)


async def set_price(bus: Bus, command: SetPrice, stores: frozenset[str] | None) -> Prices:
    """What a SKU of one of these stores (None: all) costs in a channel from now on, in the channel's currency."""
    on_sale, channel = await asyncio.gather(
        catalog.for_sale(bus.db, [command.sku]), platform.channel(bus.db, command.channel)
    )
    sku = on_sale.get(command.sku)
    if sku is None or (stores is not None and sku.store not in stores):
        raise SkuNotFound(f"there is no SKU {command.sku}")
    if command.currency != channel.currency:
        raise PriceMalformed(f"prices in {command.channel} are in {channel.currency}")
    return await bus.send(command)


async def create_coupon(bus: Bus, command: CreateCoupon) -> Coupon:
    """A new coupon, of a store that exists or of the platform; a limited one gets its tickets at once."""
    if command.store is not None:
        await platform.store(bus.db, command.store)
    unknown = set(command.channels) - (await platform.channels(bus.db, command.channels)).keys()
    if unknown:
        raise ChannelNotFound(f"there is no channel {', '.join(sorted(unknown))}")
    return await bus.send(command)


async def own_coupon(db: Reader, code: str, stores: frozenset[str] | None) -> Coupon:
    """A coupon of one of these stores (None: any); a foreign one looks like a missing one."""
    found: Promotion | None = await db.state(coupon_decider, code)
    coupon = None if found is None else found.coupon
    if coupon is None or (stores is not None and coupon.store not in stores):
        raise CouponNotFound(f"there is no coupon {code}")
    return coupon


async def close_coupon(bus: Bus, code: str, stores: frozenset[str] | None) -> Coupon:
    await own_coupon(bus.db, code, stores)
    return await bus.send(CloseCoupon(coupon=code))


async def all_coupons(
    db: Reader, limit: int, after: str | None = None, stores: frozenset[str] | None = None
) -> list[Coupon]:
    """By their codes, as of now; of these stores only, where some are named."""
    rows = await db.fetch(
        """select (state -> 'coupon')::text as coupon from kernel.stream
            where tenant = $1 and kind = $2 and id > $3
              and ($4::text[] is null or state #>> '{coupon,store}' = any ($4)) order by id limit $5""",
        *(db.tenant, coupon_decider.kind, after or "", None if stores is None else sorted(stores), limit),
    )
    return [decode(row["coupon"], Coupon) for row in rows]


async def tickets_left(db: Reader, coupons: Sequence[Coupon]) -> dict[str, int]:
    """How often each of the limited ones may still be used."""
    limited = [one.coupon for one in coupons if one.total_limit is not None]
    return dict(zip(limited, await db.balances([coupon_tickets(code) for code in limited]), strict=True))


class OwnCoupon(NamedTuple):
    """A coupon, and how often somebody may still use it; None: as often as they like."""

    coupon: Coupon
    left: int | None


async def coupons_for(db: Reader, person: UUID, channel: str, at: datetime) -> list[OwnCoupon]:
    """The coupons that somebody may use in a channel at an instant, right at once; those used up come last, with 0."""
    found = [one for one in await all_coupons(db, MOST_COUPONS) if _is_offered(one, channel, at)]
    once = [one for one in found if one.per_person is not None]
    quotas = [coupon_quota(one.coupon, person, limit=one.per_person) for one in once]
    used = dict(zip((one.coupon for one in once), await db.balances(quotas), strict=True))  # Below zero: the uses.
    tickets = await tickets_left(db, found)
    own = []
    for one in found:
        limits = [] if one.per_person is None else [one.per_person + used[one.coupon]]
        limits += [tickets[one.coupon]] if one.coupon in tickets else []
        own.append(OwnCoupon(one, max(0, min(limits)) if limits else None))
    return sorted(own, key=lambda one: one.left == 0)


def _is_offered(coupon: Coupon, channel: str, at: datetime) -> bool:
    starts_at, ends_at = coupon.period.starts_at, coupon.period.ends_at
    begun, over = starts_at is None or starts_at <= at, ends_at is not None and ends_at <= at
    return coupon.is_open and begun and not over and (not coupon.channels or channel in coupon.channels)
