"""An order's goods from allocation to delivery: one parcel for each warehouse, each with its stages."""

from datetime import datetime
from typing import Any, Literal, assert_never
from uuid import UUID

from pasar.accounts import allocated, batch_pool, batch_promises, batch_sold, promises, sold, stock
from pasar.kernel import ledger
from pasar.kernel.decider import Decider, Give, Take, Unique
from pasar.kernel.messages import Value
from pasar.refusals import NothingToAllocate, ParcelNotFound, ParcelStateForbids, TrackingNoTaken
from pasar.vocabulary import Address

from .contract import (
    Allocate,
    Allocated,
    AllocationFailed,
    AllocationUndone,
    Deallocate,
    DeliverParcel,
    Fulfillment,
    NoteInTransit,
    NoteUnallocatable,
    PackParcel,
    Parcel,
    ParcelMoved,
    ParcelState,
    Pick,
    PickParcel,
    ShipParcel,
    StartPreparing,
)

NO_BATCH = "-"
"""The batch of goods that have none, in account names; inventory writes it so."""
tracking_numbers = Unique("tracking_no", TrackingNoTaken)

MoveParcel = StartPreparing | PickParcel | PackParcel | ShipParcel | NoteInTransit | DeliverParcel
FulfillmentCommand = Allocate | NoteUnallocatable | Deallocate | MoveParcel
FulfillmentEvent = Allocated | AllocationFailed | AllocationUndone | ParcelMoved

STAGES: tuple[ParcelState, ...] = (
    "waiting", "preparing", "picked", "packed", "shipped", "in_transit", "delivered",
)  # fmt: skip
_RANK = {stage: rank for rank, stage in enumerate(STAGES)}
_SHIPPED = _RANK["shipped"]
_REACHES: dict[type[Any], tuple[ParcelState, frozenset[ParcelState]]] = {
    StartPreparing: ("preparing", frozenset({"waiting"})),
    PickParcel: ("picked", frozenset({"waiting", "preparing"})),
    PackParcel: ("packed", frozenset({"picked"})),
    ShipParcel: ("shipped", frozenset({"packed"})),
    NoteInTransit: ("in_transit", frozenset({"shipped", "in_transit"})),
    DeliverParcel: ("delivered", frozenset({"shipped", "in_transit"})),
}


class Fulfilled(Value):
    """`address` stays sealed; only answers open it."""

    state: Literal["new", "allocated", "failed", "undone"] = "new"
    order_no: str = ""
    buyer: UUID | None = None
    address: Address | None = None
    parcels: tuple[Parcel, ...] = ()

    def parcel(self, name: str) -> Parcel:
        for parcel in self.parcels:
            if parcel.parcel == name:
                return parcel
        raise ParcelNotFound(f"order {self.order_no} has no parcel {name}" if self.order_no else "")


def order_stage(parcels: tuple[Parcel, ...]) -> Any:
    """What the parcels mean for the order: the slowest decides; what has left while other parcels have not is
    PARTIAL_SHIPPED. Digital parcels count only where there is nothing else."""
    ranks = [_RANK[parcel.state] for parcel in parcels if not parcel.digital] or [
        _RANK[parcel.state] for parcel in parcels
    ]
    if not ranks or max(ranks) == 0:
        return None
    slowest = min(ranks)
    if slowest < _SHIPPED <= max(ranks):
        return "PARTIAL_SHIPPED"
    return STAGES[slowest].upper() if slowest else None


def decide(command: FulfillmentCommand, state: Fulfilled) -> list[FulfillmentEvent]:
    match command, state.state:
        case Allocate(), "new":
            return _allocate(command)
        case Allocate(), "failed" | "undone":
            raise NothingToAllocate(f"the allocation of order {command.order_no} is over")
        case NoteUnallocatable(order_no=order_no, buyer=buyer, missing=missing), "new":
            return [AllocationFailed(order_no=order_no, buyer=buyer, missing=missing)]
        case Deallocate(), "new" | "allocated":
            return _deallocate(command, state)
        case ((Allocate() | NoteUnallocatable() | Deallocate()), _):
            return []  # A repeat, or there is nothing to give back.
        case _:
            return _move(command, state)  # type: ignore[arg-type]


def _allocate(command: Allocate) -> list[FulfillmentEvent]:
    parcels = _parcels(command.picks)
    events: list[FulfillmentEvent] = [
        Allocated(
            order_no=command.order_no,
            buyer=command.buyer,
            address=command.address,
            parcels=parcels,
            strategy=command.strategy,
        )
    ]
    for parcel in parcels:
        if parcel.digital and command.at is not None:
            parcels = _with(parcels, _moved(parcel, "delivered", command.at))
            stage = order_stage(parcels)
            events.append(_event(command.order_no, command.buyer, parcel.parcel, "delivered", stage, command.at))
    return events


def _parcels(picks: tuple[Pick, ...]) -> tuple[Parcel, ...]:
    """One for each warehouse, in the order in which the plan names them; what is digital apart."""
    groups: dict[tuple[str, bool], list[Pick]] = {}
    for pick in picks:
        groups.setdefault((pick.warehouse, pick.digital), []).append(pick)
    return tuple(
        Parcel(parcel=str(number), warehouse=warehouse, picks=tuple(of), digital=digital)
        for number, ((warehouse, digital), of) in enumerate(groups.items(), 1)
    )


def _deallocate(command: Deallocate, state: Fulfilled) -> list[FulfillmentEvent]:
    for parcel in state.parcels:
        if _RANK[parcel.state] >= _SHIPPED and not parcel.digital:
            raise ParcelStateForbids(f"parcel {parcel.parcel} is {parcel.state}")
    return [AllocationUndone(order_no=command.order_no, parcels=state.parcels, reason=command.reason)]


def _move(command: MoveParcel, state: Fulfilled) -> list[FulfillmentEvent]:
    parcel = state.parcel(command.parcel)
    reached, before = _REACHES[type(command)]
    if parcel.state == "canceled":
        raise ParcelStateForbids(f"parcel {parcel.parcel} is canceled")
    if isinstance(command, ShipParcel):
        _check_tracking(command, parcel, state)
    if _is_behind(command, parcel, reached):
        return []
    if parcel.state not in before:
        raise ParcelStateForbids(f"parcel {parcel.parcel} is {parcel.state}, so it cannot be {reached}")
    moved = _moved(parcel, reached, command.at)
    stage, was = order_stage(_with(state.parcels, moved)), order_stage(state.parcels)
    assert state.buyer is not None
    new = stage if stage != was else None
    if isinstance(command, ShipParcel):
        shipment = {"carrier": command.carrier, "tracking_no": command.tracking_no}
    else:
        shipment = {"carrier": parcel.carrier, "tracking_no": parcel.tracking_no}
    place = command.place if isinstance(command, NoteInTransit) else ""
    return [_event(state.order_no, state.buyer, parcel.parcel, reached, new, command.at, place=place, **shipment)]


def _is_behind(command: MoveParcel, parcel: Parcel, reached: ParcelState) -> bool:
    """Whether the parcel has got there already. Carriers report several places on the way: a new one is news."""
    if isinstance(command, NoteInTransit) and parcel.state == "in_transit":
        return parcel.place == command.place or command.at < parcel.times["in_transit"]
    return _RANK[parcel.state] >= _RANK[reached]


def _check_tracking(command: ShipParcel, parcel: Parcel, state: Fulfilled) -> None:
    wanted = command.carrier, command.tracking_no
    if parcel.tracking_no is not None and (parcel.carrier, parcel.tracking_no) != wanted:
        raise ParcelStateForbids(f"parcel {parcel.parcel} was shipped as {parcel.carrier} {parcel.tracking_no}")
    for other in state.parcels:
        if other.parcel != parcel.parcel and (other.carrier, other.tracking_no) == wanted:
            raise TrackingNoTaken(f"parcel {other.parcel} of this order has that tracking number")


def _event(
    order_no: str, buyer: UUID, parcel: str, state: ParcelState, stage: Any, at: datetime, **more: Any
) -> ParcelMoved:
    return ParcelMoved(order_no=order_no, buyer=buyer, parcel=parcel, state=state, order_stage=stage, at=at, **more)


def _moved(parcel: Parcel, state: ParcelState, at: datetime, **more: Any) -> Parcel:
    fields: dict[str, Any] = {name: getattr(parcel, name) for name in parcel.__struct_fields__}
    return Parcel(**{**fields, **more, "state": state, "times": {**parcel.times, state: at}})


def _with(parcels: tuple[Parcel, ...], changed: Parcel) -> tuple[Parcel, ...]:
    return tuple(changed if parcel.parcel == changed.parcel else parcel for parcel in parcels)


def evolve(state: Fulfilled, event: FulfillmentEvent) -> Fulfilled:
    match event:
        case Allocated(order_no=order_no, buyer=buyer, address=address, parcels=parcels):
            return Fulfilled(state="allocated", order_no=order_no, buyer=buyer, address=address, parcels=parcels)
        case AllocationFailed(order_no=order_no, buyer=buyer):
            return Fulfilled(state="failed", order_no=order_no, buyer=buyer)
        case AllocationUndone(order_no=order_no):
            canceled = tuple(_canceled(parcel) for parcel in state.parcels)
            return Fulfilled(state="undone", order_no=order_no, buyer=state.buyer, parcels=canceled)
        case ParcelMoved(carrier=carrier, tracking_no=tracking_no, place=place):
            more = {"carrier": carrier, "tracking_no": tracking_no, "place": place}
            moved = _moved(state.parcel(event.parcel), event.state, event.at, **more)
            return Fulfilled(
                state=state.state,
                order_no=state.order_no,
                buyer=state.buyer,
                address=state.address,
                parcels=_with(state.parcels, moved),
            )
        case _:
            assert_never(event)


def _canceled(parcel: Parcel) -> Parcel:
    return Parcel(
        parcel=parcel.parcel,
        warehouse=parcel.warehouse,
        picks=parcel.picks,
        state="canceled",
        times=parcel.times,
        digital=parcel.digital,
    )


def book(event: FulfillmentEvent) -> list[ledger.Transfer]:
    """Pieces leave their place for the order; its units are no longer promised, since they are there. A batch that
    nobody named gives from its own pool what is taken of it, so that who named it finds theirs."""
    match event:
        case Allocated(order_no=order_no, parcels=parcels):
            return [transfer for pick in _picks(parcels) for transfer in _taken(order_no, pick)]
        case AllocationUndone(order_no=order_no, parcels=parcels):
            return [transfer for pick in _picks(parcels) for transfer in _given_back(order_no, pick)]
        case AllocationFailed() | ParcelMoved():
            return []
        case _:
            assert_never(event)


def _picks(parcels: tuple[Parcel, ...]) -> list[Pick]:
    return [pick for parcel in parcels for pick in parcel.picks if not pick.digital]


def _taken(order_no: str, pick: Pick) -> list[ledger.Transfer]:
    sku, batch, n = pick.sku, pick.batch, pick.quantity
    place = stock(sku, pick.warehouse, batch or NO_BATCH)
    transfers = [ledger.move(place, allocated(order_no), n), ledger.move(sold(sku), promises(sku), n)]
    if batch is not None:
        source = batch_sold(sku, batch) if pick.named_batch else batch_pool(sku, batch)
        transfers.append(ledger.move(source, batch_promises(sku, batch), n))
    return transfers


def _given_back(order_no: str, pick: Pick) -> list[ledger.Transfer]:
    """The exact reverse: what the order held is sold again. Its own cancellation, before or after, moves that on to
    the pool; so the two may come in either order."""
    sku, batch, n = pick.sku, pick.batch, pick.quantity
    place = stock(sku, pick.warehouse, batch or NO_BATCH)
    transfers = [ledger.move(allocated(order_no), place, n), ledger.move(promises(sku), sold(sku), n)]
    if batch is not None:
        target = batch_sold(sku, batch) if pick.named_batch else batch_pool(sku, batch)
        transfers.append(ledger.move(batch_promises(sku, batch), target, n))
    return transfers


def claims(event: FulfillmentEvent) -> list[Take | Give]:
    match event:
        case ParcelMoved(state="shipped", carrier=str() as carrier, tracking_no=str() as tracking_no):
            return [tracking_numbers.take(f"{carrier}:{tracking_no}")]
        case _:
            return []


def answer(state: Fulfilled) -> Fulfillment | None:
    if state.state == "new":
        return None
    return Fulfillment(order_no=state.order_no, parcels=state.parcels, address=state.address)


def owner_of(state: Fulfilled) -> str | None:
    return None if state.buyer is None else str(state.buyer)


fulfillment = Decider(
    *("fulfillment.fulfillment", "order_no", Fulfilled(), decide, evolve),
    book=book,
    claims=claims,
    answer=answer,
    owner=owner_of,
)
