"""Charts as geometry: numbers in, coordinates for SVG out. Templates draw them; no script, no style of its own."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

WIDTH, HEIGHT = 640, 200
LEFT, RIGHT, TOP, BOTTOM = 8, 8, 12, 24
STEPS = (1, 2, 5)


class Bar(NamedTuple):
    """One column. `label` is written below it where there is room."""

    x: Decimal
    y: Decimal
    width: Decimal
    height: Decimal
    label: str
    value: Decimal
    is_last: bool


class Line(NamedTuple):
    """A horizontal line of the grid."""

    y: Decimal
    value: Decimal


class Chart(NamedTuple):
    width: int
    height: int
    base: int
    bars: tuple[Bar, ...]
    grid: tuple[Line, ...]
    top: Decimal


def _round(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.1"))


def ceiling(most: Decimal) -> Decimal:
    """The next round number: 1, 2 or 5 and zeros."""
    if most <= 0:
        return Decimal(1)
    power = Decimal(10) ** most.adjusted()
    return next(power * step for step in (*STEPS, 10) if power * step >= most)


def columns(values: Sequence[tuple[str, Decimal]], *, labels: int = 6) -> Chart:
    """A column for each value, the last one marked. At most so many labels, the last one always among them."""
    top = ceiling(max((value for _, value in values), default=Decimal(0)))
    inner, floor = Decimal(WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM
    slot = inner / max(len(values), 1)
    width, every = slot * Decimal("0.64"), max(1, -(-len(values) // labels))
    bars = []
    for number, (label, value) in enumerate(values):
        height = max((floor - TOP) * value / top, Decimal("1.5") if value else Decimal(0))
        shown = label if (len(values) - 1 - number) % every == 0 else ""
        x = LEFT + slot * number + (slot - width) / 2
        is_last = number == len(values) - 1
        bars.append(Bar(_round(x), _round(floor - height), _round(width), _round(height), shown, value, is_last))
    grid = tuple(Line(_round(floor - (floor - TOP) * share / 2), top * share / 2) for share in (Decimal(1), Decimal(2)))
    return Chart(WIDTH, HEIGHT, floor, tuple(bars), grid, top)


def spark(values: Sequence[Decimal], width: int = 120, height: int = 28) -> str:
    """The points of a small line, for `polyline`."""
    top, step = max((*values, Decimal(0))) or Decimal(1), Decimal(width - 4) / max(len(values) - 1, 1)
    return " ".join(
        f"{_round(2 + step * number)},{_round(height - 3 - (height - 6) * value / top)}"
        for number, value in enumerate(values)
    )
