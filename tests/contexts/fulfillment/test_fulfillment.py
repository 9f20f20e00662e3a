"""From allocation to delivery: given … when … then …"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from pasar.accounts import allocated, batch_pool, batch_sold, pool, promises, sold, stock
from pasar.contexts.fulfillment.contract import (
    Allocate,
    Allocated,
    AllocationFailed,
    AllocationUndone,
    Deallocate,
    DeliverParcel,
    NoteInTransit,
    NoteUnallocatable,
    PackParcel,
    Parcel,
    ParcelMoved,
    Pick,
    PickParcel,
    ShipParcel,
    StartPreparing,
)
from pasar.contexts.fulfillment.fulfillment import claims, fulfillment, order_stage, tracking_numbers
from pasar.kernel.private import Private
from pasar.kernel.testing import scenario
from pasar.refusals import (
    InsufficientStock,
    NotAllocatable,
    NothingToAllocate,
    ParcelNotFound,
    ParcelStateForbids,
    TrackingNoTaken,
)
from pasar.vocabulary import Address

NO, ANN = "202603010001", UUID(int=7)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def sealed(text: str) -> Private[Any]:
    box = {"key": "k", "event": str(UUID(int=9)), "field": text, "box": "AAAA"}
    return Private.__from_json__(box)


ADDRESS = Address(recipient=sealed("r"), phone=sealed("p"), line1=sealed("l"), country="KR")
NEAR = Pick(line_id="1", sku="apple", quantity=2, warehouse="near")
FAR = Pick(line_id="2", sku="pear", quantity=3, warehouse="far", batch="b1")
NAMED = Pick(line_id="2", sku="pear", quantity=3, warehouse="far", batch="b1", named_batch=True)
SONG = Pick(line_id="3", sku="song", quantity=1, warehouse="digital", digital=True)
BOOKS = {
    stock("apple", "near", "-"): 5, stock("pear", "far", "b1"): 5, sold("apple"): 2, sold("pear"): 3,
    batch_pool("pear", "b1"): 5,
}  # fmt: skip
check = scenario(fulfillment, BOOKS)


def allocate(*picks: Pick) -> Allocate:
    return Allocate(order_no=NO, buyer=ANN, address=ADDRESS, picks=picks, at=NOON)


def was_allocated(*parcels: Parcel) -> Allocated:
    return Allocated(order_no=NO, buyer=ANN, address=ADDRESS, parcels=parcels, strategy="nearest_first")


P1, P2 = Parcel(parcel="1", warehouse="near", picks=(NEAR,)), Parcel(parcel="2", warehouse="far", picks=(FAR,))
BOTH = was_allocated(P1, P2)


def moved(parcel: str, state: Any, stage: Any = None, hours: int = 0, **more: Any) -> ParcelMoved:
    at = NOON + timedelta(hours=hours)
    return ParcelMoved(order_no=NO, buyer=ANN, parcel=parcel, state=state, order_stage=stage, at=at, **more)


def at(parcel: str) -> dict[str, Any]:
    return {"order_no": NO, "parcel": parcel, "at": NOON}


def ship(parcel: str, tracking_no: str = "T-001") -> ShipParcel:
    return ShipParcel(carrier="cj", tracking_no=tracking_no, **at(parcel))


def packed(parcel: str) -> list[ParcelMoved]:
    return [moved(parcel, "picked"), moved(parcel, "packed")]


SHIPPED = {"carrier": "cj", "tracking_no": "T-001"}


def test_pieces_leave_their_places_and_units_are_promised_no_more():
    books = check(given=[], when=allocate(NEAR, FAR), then=[BOTH])
    assert books.balance(stock("apple", "near", "-")) == 3
    assert books.balance(stock("pear", "far", "b1")) == 2
    assert books.balance(allocated(NO)) == 5
    assert (books.balance(sold("apple")), books.balance(sold("pear"))) == (0, 0)


def test_a_batch_that_nobody_named_gives_from_its_own_pool():
    assert check(given=[], when=allocate(FAR), then=[was_allocated(Parcel(parcel="1", warehouse="far", picks=(FAR,)))]
                 ).balance(batch_pool("pear", "b1")) == 2  # fmt: skip
    named = was_allocated(Parcel(parcel="1", warehouse="far", picks=(NAMED,)))
    books = scenario(fulfillment, {**BOOKS, batch_sold("pear", "b1"): 3})(given=[], when=allocate(NAMED), then=[named])
    assert (books.balance(batch_pool("pear", "b1")), books.balance(batch_sold("pear", "b1"))) == (5, 0)


def test_what_a_rival_took_refuses_the_whole_allocation():
    rival = scenario(fulfillment, {**BOOKS, stock("pear", "far", "b1"): 2})
    books = rival(given=[], when=allocate(NEAR, FAR), then=NotAllocatable)
    assert books.balance(stock("apple", "near", "-")) == 5
    named = scenario(fulfillment, {**BOOKS, batch_pool("pear", "b1"): 2})
    named(given=[], when=allocate(NEAR, FAR), then=InsufficientStock)


def test_an_order_is_allocated_once():
    check(given=[BOTH], when=allocate(NEAR), then=[])


def test_what_no_plan_fits_is_noted_once_and_final():
    failed = AllocationFailed(order_no=NO, buyer=ANN, missing=("apple",))
    note = NoteUnallocatable(order_no=NO, buyer=ANN, missing=("apple",))
    check(given=[], when=note, then=[failed])
    check(given=[failed], when=note, then=[])
    check(given=[BOTH], when=note, then=[])
    check(given=[failed], when=allocate(NEAR), then=NothingToAllocate)


def test_an_allocation_is_undone_before_anything_left():
    undone = AllocationUndone(order_no=NO, parcels=(P1, P2), reason="buyer")
    books = check(given=[BOTH], when=Deallocate(order_no=NO, reason="buyer"), then=[undone])
    assert {account: books.balance(account) for account in BOOKS} == BOOKS
    assert (books.balance(allocated(NO)), books.balance(promises("apple")), books.balance(pool("apple"))) == (0, 0, 0)
    check(given=[BOTH, undone], when=Deallocate(order_no=NO), then=[])
    check(given=[BOTH, undone], when=allocate(NEAR), then=NothingToAllocate)
    check(given=[BOTH, undone], when=PickParcel(**at("1")), then=ParcelStateForbids)
    gone = [BOTH, *packed("1"), moved("1", "shipped", "PARTIAL_SHIPPED", **SHIPPED)]
    check(given=gone, when=Deallocate(order_no=NO), then=ParcelStateForbids)


def test_what_is_cancelled_before_it_was_allocated_never_will_be():
    undone = AllocationUndone(order_no=NO, parcels=(), reason="")
    check(given=[], when=Deallocate(order_no=NO), then=[undone])
    check(given=[undone], when=allocate(NEAR), then=NothingToAllocate)


@pytest.mark.requirement("S0-070")
def test_a_parcel_goes_through_its_stages():
    one = was_allocated(P1)
    given: list[Any] = [one]
    steps = (
        (StartPreparing(**at("1")), moved("1", "preparing", "PREPARING")),
        (PickParcel(**at("1")), moved("1", "picked", "PICKED")),
        (PackParcel(**at("1")), moved("1", "packed", "PACKED")),
        (ship("1"), moved("1", "shipped", "SHIPPED", **SHIPPED)),
        (NoteInTransit(place="Hub", **at("1")), moved("1", "in_transit", "IN_TRANSIT", place="Hub", **SHIPPED)),
        (DeliverParcel(**at("1")), moved("1", "delivered", "DELIVERED", **SHIPPED)),
    )
    for command, event in steps:
        check(given=given, when=command, then=[event])
        given.append(event)
        check(given=given, when=command, then=[])
    times = fulfillment.fold(fulfillment.initial, given).parcels[0].times
    assert list(times) == ["preparing", "picked", "packed", "shipped", "in_transit", "delivered"]


@pytest.mark.requirement("S0-069")
def test_no_stage_is_skipped_but_preparing():
    one = [was_allocated(P1)]
    check(given=one, when=PickParcel(**at("1")), then=[moved("1", "picked", "PICKED")])
    check(given=one, when=PackParcel(**at("1")), then=ParcelStateForbids)
    check(given=one, when=ship("1"), then=ParcelStateForbids)
    check(given=one, when=DeliverParcel(**at("1")), then=ParcelStateForbids)
    check(given=one, when=PickParcel(**at("2")), then=ParcelNotFound)
    check(given=[], when=PickParcel(**at("1")), then=ParcelNotFound)


def test_a_carrier_may_see_a_parcel_at_several_places():
    seen = moved("1", "in_transit", "IN_TRANSIT", place="Hub", **SHIPPED)
    given = [was_allocated(P1), *packed("1"), moved("1", "shipped", "SHIPPED", **SHIPPED), seen]
    then = [moved("1", "in_transit", None, place="Port", **SHIPPED)]
    check(given=given, when=NoteInTransit(place="Port", **at("1")), then=then)
    earlier = NoteInTransit(order_no=NO, parcel="1", place="Depot", at=NOON - timedelta(hours=1))
    check(given=given, when=earlier, then=[])


@pytest.mark.requirement("S0-071", "S1-094")
def test_part_of_an_order_on_its_way_is_partial_and_the_rest_makes_it_whole():
    given: list[Any] = [BOTH, *packed("1")]
    first = moved("1", "shipped", "PARTIAL_SHIPPED", **SHIPPED)
    check(given=given, when=ship("1"), then=[first])
    given += [first, *packed("2")]
    second = moved("2", "shipped", "SHIPPED", carrier="cj", tracking_no="T-002")
    check(given=given, when=ship("2", "T-002"), then=[second])


@pytest.mark.requirement("S0-071")
def test_the_slowest_parcel_decides_the_orders_stage():
    def stage(*states: Any) -> Any:
        return order_stage(tuple(Parcel(parcel=s, warehouse="w", picks=(NEAR,), state=s) for s in states))

    assert stage("waiting", "waiting") is None
    assert stage("waiting", "packed") is None
    assert stage("picked", "packed") == "PICKED"
    assert stage("packed", "delivered") == "PARTIAL_SHIPPED"
    assert stage("in_transit", "delivered") == "IN_TRANSIT"
    assert stage("delivered", "delivered") == "DELIVERED"


def test_a_tracking_number_is_one_parcels_only():
    event = moved("1", "shipped", "SHIPPED", **SHIPPED)
    assert claims(event) == [tracking_numbers.take("cj:T-001")]
    assert claims(moved("1", "in_transit", None, **SHIPPED)) == []
    given = [BOTH, *packed("1"), moved("1", "shipped", "PARTIAL_SHIPPED", **SHIPPED), *packed("2")]
    check(given=given, when=ship("2"), then=TrackingNoTaken)
    check(given=given, when=ship("1", "T-009"), then=ParcelStateForbids)


def test_what_is_digital_is_delivered_at_once_and_counts_nothing():
    parcel = Parcel(parcel="1", warehouse="digital", picks=(SONG,), digital=True)
    then = [was_allocated(parcel), moved("1", "delivered", "DELIVERED")]
    books = check(given=[], when=allocate(SONG), then=then)
    assert books.balance(sold("song")) == 0
    both = was_allocated(P1, Parcel(parcel="2", warehouse="digital", picks=(SONG,), digital=True))
    check(given=[], when=allocate(NEAR, SONG), then=[both, moved("2", "delivered", None)])
    given = [both, moved("2", "delivered", None)]
    check(given=given, when=PickParcel(**at("1")), then=[moved("1", "picked", "PICKED")])
    undone = AllocationUndone(order_no=NO, parcels=fulfillment.fold(fulfillment.initial, given).parcels, reason="")
    check(given=given, when=Deallocate(order_no=NO), then=[undone])
