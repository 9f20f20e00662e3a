"""Cart holds: given … when … then …"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from pasar.accounts import hold_quota, pool
from pasar.contexts.inventory.contract import (
    ConsumeHold,
    ExtendHold,
    HoldConsumed,
    HoldExtended,
    HoldReleased,
    HoldStock,
    ReleaseHold,
    StockHeld,
)
from pasar.contexts.inventory.hold import Hold, book, hold, timers
from pasar.kernel.decider import Clear, Set
from pasar.kernel.testing import Books, scenario
from pasar.refusals import HoldIsAnother, HoldIsOver, HoldNotExtendable, InsufficientStock, TooManyHolds

ID, ANN, BEN = UUID(int=1), UUID(int=2), UUID(int=3)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STEP = timedelta(minutes=15)
check = scenario(hold, {pool("apple"): 10})


def take(units: int, owner: UUID = ANN, sku: str = "apple") -> HoldStock:
    return HoldStock(hold=ID, owner=owner, sku=sku, quantity=units, until=NOON)


def held(units: int, id: UUID = ID) -> StockHeld:
    return StockHeld(hold=id, owner=ANN, sku="apple", quantity=units, until=NOON)


def extended(times: int) -> HoldExtended:
    return HoldExtended(hold=ID, until=NOON + times * STEP)


def test_units_are_held():
    books = check(given=[], when=take(8), then=[held(8)])
    assert books.balance(pool("apple")) == 2


def test_the_pool_never_goes_below_zero():
    check(given=[], when=take(11), then=InsufficientStock)


def test_a_repeat_changes_nothing():
    check(given=[held(8)], when=take(8), then=[])


def test_a_hold_keeps_what_it_was_taken_for():
    check(given=[held(8)], when=take(7), then=HoldIsAnother)
    check(given=[held(8)], when=take(8, owner=BEN), then=HoldIsAnother)
    check(given=[held(8)], when=take(8, sku="pear"), then=HoldIsAnother)


def test_a_release_gives_units_and_place_back():
    books = check(given=[held(8)], when=ReleaseHold(hold=ID), then=[HoldReleased(hold=ID)])
    assert books.balance(pool("apple")) == 10
    assert books.balance(hold_quota(ANN, limit=10)) == 0


def test_a_release_of_what_is_over_changes_nothing():
    check(given=[held(8), HoldReleased(hold=ID)], when=ReleaseHold(hold=ID), then=[])
    check(given=[], when=ReleaseHold(hold=ID), then=[])


def test_a_released_hold_is_not_taken_again():
    check(given=[held(8), HoldReleased(hold=ID)], when=take(8), then=HoldIsOver)


@pytest.mark.requirement("S3-043")
def test_a_hold_is_extended_twice_and_no_more():
    check(given=[held(8)], when=ExtendHold(hold=ID, until=NOON + STEP), then=[extended(1)])
    check(given=[held(8), extended(1)], when=ExtendHold(hold=ID, until=NOON + 2 * STEP), then=[extended(2)])
    third = ExtendHold(hold=ID, until=NOON + 3 * STEP)
    check(given=[held(8), extended(1), extended(2)], when=third, then=HoldNotExtendable)


def test_an_extension_to_where_the_hold_ends_already_changes_nothing():
    check(given=[held(8), extended(1)], when=ExtendHold(hold=ID, until=NOON + STEP), then=[])


def test_what_is_over_is_not_extended():
    check(given=[held(8), HoldReleased(hold=ID)], when=ExtendHold(hold=ID, until=NOON + STEP), then=HoldIsOver)
    check(given=[], when=ExtendHold(hold=ID, until=NOON + STEP), then=HoldIsOver)


def test_an_order_takes_the_units_over_from_the_pool():
    consume = ConsumeHold(hold=ID, order_no="202603010001")
    books = check(given=[held(8)], when=consume, then=[HoldConsumed(hold=ID, order_no="202603010001")])
    assert books.balance(pool("apple")) == 10
    consumed = [held(8), HoldConsumed(hold=ID, order_no="202603010001")]
    check(given=consumed, when=consume, then=[])
    check(given=consumed, when=ConsumeHold(hold=ID, order_no="202603010002"), then=HoldIsOver)


def test_the_deadline_releases():
    assert timers(held(8)) == [Set("until", at=NOON, send=ReleaseHold(hold=ID, due=NOON))]
    assert timers(HoldReleased(hold=ID)) == [Clear("until")]


def test_a_deadline_that_an_extension_has_overtaken_is_set_again():
    late = ReleaseHold(hold=ID, due=NOON)
    check(given=[held(8), extended(1)], when=late, then=[extended(1)])
    state = hold.fold(Hold(), [held(8), extended(1), extended(1)])
    assert state.extensions == 1


@pytest.mark.requirement("S3-042")
def test_the_tenth_open_hold_is_granted_and_the_eleventh_refused():
    books = Books({pool("apple"): 100})
    for number in range(10):
        books.post(f"hold-{number}", book(held(1, UUID(int=100 + number))))
    with pytest.raises(TooManyHolds):
        books.post("hold-10", book(held(1, UUID(int=110))))
    books.post("hold-3", book(HoldReleased(hold=UUID(int=103))))
    books.post("hold-10", book(held(1, UUID(int=110))))
    assert books.balance(pool("apple")) == 90
