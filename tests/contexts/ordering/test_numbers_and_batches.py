"""Order numbers from blocks; and from which batches goods would come."""

import asyncio
from datetime import date

from contexts.ordering.orders import line
from pasar.contexts.inventory.contract import Place
from pasar.contexts.ordering.contract import SoftAllocation
from pasar.contexts.ordering.numbers import Numbers
from pasar.contexts.ordering.soft import soonest_first

TODAY, TOMORROW = date(2026, 3, 1), date(2026, 3, 2)


class Blocks:
    """Draws as the database does, slowly."""

    def __init__(self) -> None:
        self.next: dict[str, int] = {}
        self.draws = 0

    async def draw(self, name: str, size: int) -> int:
        await asyncio.sleep(0)
        first = self.next.get(name, 1)
        self.next[name] = first + size
        self.draws += 1
        return first


async def test_each_number_is_given_once_however_many_ask_at_the_same_time() -> None:
    blocks = Blocks()
    mine, theirs = Numbers(blocks.draw, block=7), Numbers(blocks.draw, block=7)
    found = await asyncio.gather(*((mine, theirs)[i % 2].next(TODAY) for i in range(100)))
    assert len(set(found)) == 100
    assert min(found) == "202603010001"
    assert blocks.draws == 16  # 50 of each, in blocks of 7.


async def test_each_day_begins_anew() -> None:
    numbers = Numbers(Blocks().draw)
    assert [await numbers.next(day) for day in (TODAY, TODAY, TOMORROW)] == [
        "202603010001", "202603010002", "202603020001",
    ]  # fmt: skip


def place(sku: str, batch: str | None, units: int, expires_on: date | None = None) -> Place:
    return Place(
        sku=sku,
        warehouse="w",
        batch=batch,
        quantity=units,
        country="KR",
        latitude=0,
        longitude=0,
        expires_on=expires_on,
    )  # type: ignore[arg-type]


def test_what_expires_first_goes_first_and_what_has_expired_never() -> None:
    places = [
        place("apple", "late", 5, date(2026, 5, 1)),
        place("apple", "soon", 1, date(2026, 3, 1)),
        place("apple", "gone", 9, date(2026, 2, 28)),
        place("apple", None, 9),
        place("pear", "p", 9),
    ]
    lines = [line(1, "apple", 3, 1), line(2, "apple", 2, 1), line(3, "pear", 1, 1, is_digital=True)]
    assert soonest_first(lines, places, TODAY) == (
        SoftAllocation(item_id="1", batch_id="soon", qty=1),
        SoftAllocation(item_id="1", batch_id="late", qty=2),
        SoftAllocation(item_id="2", batch_id="late", qty=2),
    )


def test_a_batch_that_was_chosen_is_kept_for_who_chose_it() -> None:
    places = [place("apple", "a", 2, TODAY), place("apple", "b", 2, TOMORROW)]
    lines = [line(1, "apple", 2, 1), line(2, "apple", 2, 1, batch="a")]
    assert soonest_first(lines, places, TODAY) == (
        SoftAllocation(item_id="2", batch_id="a", qty=2),
        SoftAllocation(item_id="1", batch_id="b", qty=2),
    )
