"""What happened in the demo mall in the sixty days before it was opened: who bought what when, and what came of it.

A plan, drawn from a seed, so that two demos look alike; `demo_history.py` carries it out by the commands of the shop.
"""

import itertools
from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from pasar.apps.demo_data import Goods

T = TypeVar("T")
SEED = 20_240
DAYS = 60
ORDERS = 260
ZONE = ZoneInfo("Asia/Seoul")
WEEKDAYS = (115, 100, 95, 100, 110, 75, 135)
"""How many buy on a Monday, …, a Sunday."""
HOURS = (2, 1, 1, 0, 0, 1, 2, 4, 6, 8, 9, 9, 10, 8, 7, 7, 8, 8, 9, 10, 12, 13, 9, 5)
BEST = {
    "apple-fuji": 34, "mandarin": 18, "kimchi": 12, "tee-heavy": 12, "cable-usb-c": 12, "charger-gan": 9,
    "mug-whale": 9, "stickers-cats": 8, "socks-set": 7, "tote-canvas": 7, "calendar": 8, "brushes": 6,
    "honey-acacia": 6, "rice-ilpum": 6, "wallpapers": 5,
}  # fmt: skip
MEMBERS: tuple[tuple[str, str, Literal["ko", "en", "zh"]], ...] = (
    ("shopper", "Shopper", "en"), ("minseo", "김민서", "ko"), ("jiho", "이지호", "ko"), ("seoyeon", "박서연", "ko"), ("doyun", "최도윤", "ko"),
    ("haeun", "정하은", "ko"), ("siwoo", "강시우", "ko"), ("yerin", "조예린", "ko"), ("junseo", "윤준서", "ko"),
    ("chaewon", "장채원", "ko"), ("hyunwoo", "임현우", "ko"), ("sua", "한수아", "ko"), ("taeyang", "오태양", "ko"),
    ("nari", "서나리", "ko"), ("gaeun", "신가은", "ko"), ("minjae", "권민재", "ko"), ("eunji", "황은지", "ko"),
    ("lihua", "李华", "zh"), ("wangfang", "王芳", "zh"), ("zhangwei", "张伟", "zh"), ("chenjing", "陈静", "zh"),
    ("emma", "Emma Clarke", "en"), ("noah", "Noah Fischer", "en"), ("olivia", "Olivia Moreau", "en"),
    ("liam", "Liam Novak", "en"),
)  # fmt: skip
PLACES = (
    ("서울특별시", "마포구 월드컵북로 396", "03925", "KR", "37.5796", "126.8895"),
    ("서울특별시", "성동구 서울숲길 17", "04767", "KR", "37.5478", "127.0423"),
    ("부산광역시", "해운대구 센텀중앙로 79", "48058", "KR", "35.1736", "129.1305"),
    ("대전광역시", "유성구 대학로 99", "34134", "KR", "36.3691", "127.3466"),
    ("대구광역시", "수성구 동대구로 23", "42188", "KR", "35.8582", "128.6306"),
    ("광주광역시", "서구 상무중앙로 61", "61947", "KR", "35.1530", "126.8510"),
    ("上海市", "徐汇区衡山路 10 号", "200031", "CN", "31.2047", "121.4460"),
)
Fate = Literal["kept", "unpaid", "canceled", "returned"]


class Chance:
    """Draws that are the same for the same seed, on every machine and with every Python."""

    def __init__(self, seed: int) -> None:
        self._seed, self._drawn = seed, 0

    def below(self, count: int) -> int:
        """A whole number from 0, less than `count`."""
        self._drawn += 1
        digest = blake2b(f"{self._seed}:{self._drawn}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) * count >> 64

    def one_in(self, hundred: int) -> bool:
        """True so many times of a hundred."""
        return self.below(100) < hundred

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def weighed(self, choices: Sequence[T], weights: Sequence[int]) -> T:
        """One of them, each as often as its weight says."""
        reached = list(itertools.accumulate(weights))
        return choices[bisect(reached, self.below(reached[-1]))]


class Buyer(NamedTuple):
    """A member by name, or a guest by number."""

    name: str
    is_guest: bool


class Step(NamedTuple):
    """Something that is done for an order: place, pay, fail, cancel, ship, deliver, confirm, ask, approve, receive."""

    at: datetime
    what: str
    order: "PlannedOrder"


class PlannedOrder(NamedTuple):
    number: int
    buyer: Buyer
    place: int
    channel: str
    items: tuple[tuple[str, int], ...]
    coupon: str | None
    at: datetime
    fate: Fate


def midnight(now: datetime, days_before: int) -> datetime:
    """So many days before today, 00:00 in Korea."""
    day = now.astimezone(ZONE).date() - timedelta(days=days_before)
    return datetime.combine(day, time(), ZONE)


def plan(starts_at: datetime, goods: Mapping[str, Goods], skus: Mapping[str, Sequence[str]]) -> list[Step]:
    """All steps in their order. `skus` of each product; `starts_at` is a midnight."""
    chance = Chance(SEED)
    left = {sku: _share(goods[code]) for code, of in skus.items() for sku in of}
    coupons = {"WELCOME10": set[str]()}
    steps: list[Step] = []
    for number, at in enumerate(_instants(chance, starts_at), 1):
        buyer = _buyer(chance, number)
        channel = "wechat" if chance.one_in(7) else "web"
        items = _basket(chance, goods, skus, left)
        if items:
            coupon = _coupon(chance, buyer, channel, coupons["WELCOME10"])
            place = 6 if channel == "wechat" else chance.below(6)
            order = PlannedOrder(number, buyer, place, channel, items, coupon, at, _fate(chance, at, starts_at))
            steps.extend(_life(chance, order))
    return sorted(steps, key=lambda step: (step.at, step.order.number))


def _instants(chance: Chance, starts_at: datetime) -> Iterator[datetime]:
    """More every week, by the rhythm of the weekdays and of the day."""
    days = [starts_at + timedelta(days=day) for day in range(DAYS + 1)]
    weights = [WEEKDAYS[day.weekday()] * (DAYS + number) for number, day in enumerate(days)]
    chosen = [chance.weighed(days, weights) for _ in range(ORDERS)]
    seconds = [chance.weighed(range(24), HOURS) * 3600 + chance.below(3600) for _ in chosen]
    return iter(sorted(day + timedelta(seconds=second) for day, second in zip(chosen, seconds, strict=True)))


def _buyer(chance: Chance, number: int) -> Buyer:
    if chance.one_in(30):
        return Buyer(f"guest-{number}", True)
    weights = [6, *(3 if number < 8 else 1 for number in range(1, len(MEMBERS)))]
    return Buyer(chance.weighed(MEMBERS, weights)[0], False)


def _basket(
    chance: Chance, goods: Mapping[str, Goods], skus: Mapping[str, Sequence[str]], left: dict[str, int]
) -> tuple[tuple[str, int], ...]:
    """One to three products. Nobody buys so much that the shelves are empty on the day the shop is looked at."""
    codes = list(goods)
    weights = [10 * BEST.get(code, 0) or (10 if goods[code].won < 150_000 else 4) for code in codes]
    items: dict[str, int] = {}
    for _ in range(chance.weighed((1, 2, 3), (6, 3, 1))):
        code = chance.weighed(codes, weights)
        sku = chance.one_of(skus[code])
        units = chance.weighed((1, 2, 3), (8, 2, 1)) if goods[code].won < 50_000 and not goods[code].digital else 1
        if sku not in items and left[sku] >= units:
            left[sku] -= units
            items[sku] = units
    return tuple(items.items())


def _share(one: Goods) -> int:
    return one.units // 3 if not one.batches else 160


def _coupon(chance: Chance, buyer: Buyer, channel: str, welcomed: set[str]) -> str | None:
    if channel != "web" or buyer.is_guest or chance.one_in(50):
        return None
    if buyer.name not in welcomed:
        welcomed.add(buyer.name)
        return "WELCOME10"
    return chance.one_of(("FREESHIP", "FREESHIP", "AUTUMN15", "HARVEST3000"))


def _fate(chance: Chance, at: datetime, starts_at: datetime) -> Fate:
    fates: tuple[Fate, ...] = ("kept", "unpaid", "canceled", "returned")
    return chance.weighed(fates, (84, 7, 4, 5))


def _life(chance: Chance, order: PlannedOrder) -> Iterator[Step]:
    """What is done for an order, days after days: what follows by itself must have followed before the next step."""

    def after(at: datetime, days: int, earliest: int, latest: int) -> datetime:
        """Some days later, between two hours of the day."""
        day = datetime.combine(at.date() + timedelta(days=days), time(), ZONE)
        return day + timedelta(hours=earliest, seconds=chance.below((latest - earliest) * 3600))

    yield Step(order.at, "place", order)
    paid = order.at + timedelta(seconds=40 + chance.below(360))
    if order.fate == "unpaid":
        if chance.one_in(50):
            yield Step(paid, "fail", order)
        return
    yield Step(paid, "pay", order)
    if order.fate == "canceled":
        yield Step(after(order.at, 1, 7, 9), "cancel", order)
        return
    weekend = {4: 3, 5: 2}.get(order.at.weekday(), 1)
    shipped = after(order.at, weekend, 10, 17)
    yield Step(shipped, "ship", order)
    delivered = after(shipped, chance.one_of((1, 1, 2)) if order.channel == "web" else 4 + chance.below(3), 9, 19)
    yield Step(delivered, "deliver", order)
    if order.fate == "returned":
        asked = after(delivered, 1 + chance.below(3), 9, 22)
        yield Step(asked, "ask", order)
        approved = after(asked, 1, 9, 12)
        yield Step(approved, "approve", order)
        yield Step(after(approved, 3, 9, 15), "receive", order)
    elif chance.one_in(50):
        yield Step(after(delivered, 1 + chance.below(4), 8, 23), "confirm", order)


def visits(steps: Sequence[Step], day: int) -> dict[str, int]:
    """How many looked, by channel, on the day of these steps: an order comes of some thirty visits."""
    orders = Counter(step.order.channel for step in steps if step.what == "place")
    return {channel: 14 + orders[channel] * 29 + day % 7 + day // 3 for channel in ("web", "wechat")}


def by_day(steps: Sequence[Step], starts_at: datetime) -> Iterator[tuple[int, list[Step]]]:
    """The steps of each day, the quiet ones too."""
    found = {
        day: list(of)
        for day, of in itertools.groupby(steps, key=lambda step: (step.at - starts_at) // timedelta(days=1))
    }
    for day in range(DAYS + 1):
        yield day, found.get(day, [])


def address_at(name: str, place: int) -> dict[str, Any]:
    """An address as a form sends it."""
    city, line, postal_code, country, latitude, longitude = PLACES[place]
    return {
        "recipient": name,
        "phone": "01012345678" if country == "KR" else "13800138000",
        "line1": line,
        "city": city,
        "postal_code": postal_code,
        "country": country,
        "latitude": Decimal(latitude),
        "longitude": Decimal(longitude),
    }
