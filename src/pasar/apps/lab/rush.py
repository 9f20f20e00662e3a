"""Many buyers at once for few units, and who judges what became of them. The judge knows nothing of how units are
kept: it is tried on a shop that sells wrongly, too."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

Buy = Callable[[str], Awaitable[str | None]]
"""Try to buy one unit of a SKU: the name of the sale, or None where it was refused."""


class SoldWrongly(AssertionError):
    """Units were sold twice, lost, or refused while there were some."""


async def rush(buy: Buy, skus: Sequence[str], attempts: int, at_once: int, seed: int) -> list[tuple[str, str]]:
    """So many attempts, so many of them at the same time, each for a SKU by chance: the sales (SKU, name)."""
    choices = iter(random.Random(seed).choices(skus, k=attempts))
    sold: list[tuple[str, str]] = []

    async def buyer() -> None:
        for sku in choices:
            if (sale := await buy(sku)) is not None:
                sold.append((sku, sale))

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(buyer())
    return sold


def judge(stock: Mapping[str, int], sold: Sequence[tuple[str, str]], left: Mapping[str, int]) -> None:
    """Everything was sold exactly once. For attempts that were many more than units. Raises `SoldWrongly`."""
    if len(set(sold)) != len(sold):
        raise SoldWrongly("a sale was accepted twice")
    counts = Counter(sku for sku, _ in sold)
    for sku, units in stock.items():
        if counts[sku] != units:
            raise SoldWrongly(f"{sku}: {counts[sku]} sold of {units}")
        if left[sku] != 0:
            raise SoldWrongly(f"{sku}: {left[sku]} are left of {units}, {counts[sku]} were sold")
