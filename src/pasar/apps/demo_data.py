"""The goods of the demo mall: four stores that sell different things in different ways. The rows are in
`demo_goods.csv`, what is said of them in `demo_texts.py`, their pictures in `demo_art.py`."""

import csv
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path

from .demo_texts import DESCRIPTIONS

STORES = (
    ("orchard", "Haneul Orchard · 하늘과수원", "farmer"),
    ("atelier", "Atelier Mono · 아틀리에 모노", "tailor"),
    ("volt", "Volt & Wire · 볼트앤와이어", "engineer"),
    ("yuna", "Yuna Studio · 유나 스튜디오", "creator"),
)
CATEGORIES = (
    ("food", None, "Food", "식품", "食品"),
    ("fruit", "food", "Fruit", "과일", "水果"),
    ("vegetables", "food", "Vegetables", "채소", "蔬菜"),
    ("grain", "food", "Rice and grains", "쌀과 잡곡", "米与杂粮"),
    ("pantry", "food", "Pantry", "장과 반찬", "酱料与小菜"),
    ("tea", "food", "Tea and honey", "차와 꿀", "茶与蜂蜜"),
    ("fashion", None, "Fashion", "패션", "服饰"),
    ("outer", "fashion", "Coats and jackets", "아우터", "外套"),
    ("tops", "fashion", "Shirts and knits", "상의", "上衣"),
    ("bottoms", "fashion", "Trousers and skirts", "하의", "下装"),
    ("accessories", "fashion", "Accessories", "잡화", "配饰"),
    ("electronics", None, "Electronics", "전자제품", "电子产品"),
    ("audio", "electronics", "Sound", "오디오", "音响"),
    ("power", "electronics", "Power and cables", "충전·케이블", "充电与线材"),
    ("desk", "electronics", "At the desk", "데스크", "桌面"),
    ("home", "electronics", "At home", "생활가전", "家电"),
    ("creator", None, "From creators", "크리에이터", "创作者"),
    ("prints", "creator", "Prints and posters", "프린트·포스터", "版画与海报"),
    ("stationery", "creator", "Stationery", "문구", "文具"),
    ("ceramics", "creator", "Ceramics", "도자기", "陶瓷"),
    ("digital", "creator", "Downloads", "디지털", "数字下载"),
)
PICTURES = 3
DIGITAL_UNITS = 100_000


@dataclass(frozen=True)
class Goods:
    """One product. `options` are named value lists; every combination is a SKU. `batches` are (code, units, days)."""

    code: str
    store: str
    category: str
    titles: tuple[str, str, str]
    won: int
    options: tuple[tuple[str, tuple[str, ...]], ...] = ()
    batches: tuple[tuple[str, int, int], ...] = ()
    weight_g: int = 500
    digital: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    motif: str = "box"
    colour: str = "#888888"

    @property
    def yuan(self) -> Decimal:
        """The price in the Chinese channel, at a round rate of 190 won to the yuan."""
        return (Decimal(self.won) / 190).quantize(Decimal("0.01"))

    @property
    def units(self) -> int:
        """How many of a SKU there are where nothing is said of batches: fewer of what is dear."""
        return DIGITAL_UNITS if self.digital else max(12, min(400, 6_000_000 // self.won))

    @property
    def pictures(self) -> tuple[str, ...]:
        return tuple(f"/media/drawn/{self.code}-{number}.svg" for number in range(1, PICTURES + 1))

    @property
    def descriptions(self) -> tuple[str, str, str]:
        """English, Korean, Chinese."""
        return DESCRIPTIONS[self.category]


def _goods(row: dict[str, str]) -> Goods:
    options = (part.split(":") for part in row["options"].split(";") if part)
    batches = (part.split(":") for part in row["batches"].split(";") if part)
    tags = dict(part.split("=") for part in row["tags"].split(";") if part)
    digital = tags.pop("digital", "") == "1"
    return Goods(
        code=row["code"],
        store=row["store"],
        category=row["category"],
        titles=(row["en"], row["ko"], row["zh"]),
        won=int(row["won"]),
        options=tuple((name, tuple(values.split(","))) for name, values in options),
        batches=tuple((code, int(units), int(days)) for code, units, days in batches),
        weight_g=int(row["weight_g"]),
        digital=digital,
        tags=tags,
        motif=row["motif"],
        colour=row["colour"],
    )


@cache
def goods() -> dict[str, Goods]:
    """All of them by code, in the order in which they are made: the newest last."""
    with (Path(__file__).parent / "demo_goods.csv").open(encoding="utf-8", newline="") as file:
        return {row["code"]: _goods(row) for row in csv.DictReader(file)}
