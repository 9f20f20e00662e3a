"""What can be done to an order, one by one or to many."""

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark, sentence
from pasar.apps.pages.visit import Visit
from pasar.contexts.fulfillment import facade as fulfillment
from pasar.contexts.fulfillment.contract import (
    Carrier,
    DeliverParcel,
    NoteInTransit,
    PackParcel,
    PickParcel,
    ShipParcel,
    StartPreparing,
    TrackingNo,
)
from pasar.contexts.ordering import facade as ordering
from pasar.contexts.payment import facade as payment
from pasar.kernel.bus import Bus
from pasar.kernel.messages import Refused

from .desk import admin, checked, handlers, money
from .orders import REASONS, parcels_of
from .sign_in import PROOF, ask_again, proof_of
from .tables import Outcome, bulk_page, next_part

STEPS = {"prepare": StartPreparing, "pick": PickParcel, "pack": PackParcel, "deliver": DeliverParcel}
UNTIL_PACKED = {"waiting": ("prepare", "pick", "pack"), "preparing": ("pick", "pack"), "picked": ("pack",)}


class ParcelForm(msgspec.Struct):
    parcel: Annotated[str, Meta(pattern=r"^[0-9]{1,4}$")]
    step: Annotated[str, Meta(pattern=r"^(prepare|pick|pack|transit|deliver|ship)$")]
    carrier: Carrier = "cj"
    tracking_no: TrackingNo = "none"
    place: Annotated[str, Meta(max_length=200)] = ""


@page("POST", "/console/orders/{order_no}/parcel", policy=handlers)
async def move_parcel(visit: Visit) -> Response:
    """The next step of a parcel."""
    order_no, form, bus = visit.path["order_no"], visit.form(ParcelForm), visit.bus()
    at = {"order_no": order_no, "parcel": form.parcel, "at": bus.now()}
    if form.step == "ship":
        command = ShipParcel(**at, carrier=form.carrier, tracking_no=form.tracking_no)
    elif form.step == "transit":
        command = NoteInTransit(**at, place=form.place)
    else:
        command = STEPS[form.step](**at)
    await fulfillment.move(bus, visit.who, command)
    visit.say(mark("Done: the parcel moved on."))
    return visit.go(f"/console/orders/{order_no}")


@page("POST", "/console/orders/{order_no}/cancel", policy=admin, lane="checkout")
async def cancel(visit: Visit) -> Response:
    """Give up an order that has not left; what was paid goes back."""
    order_no, reason = visit.path["order_no"], visit.text("reason")
    await ordering.seen(visit.bus(), visit.who, order_no, None)
    consequence = mark("Its goods go back to the shelf, and what was paid goes back to the buyer.")
    asked = await ask_again(visit, visit.language.say("Cancel order %(no)s", no=order_no), consequence)
    if asked is not None:
        return asked
    known = reason if reason in REASONS else "seller"
    await ordering.cancel_for(visit.bus(key=visit.intent), order_no, known)  # type: ignore[arg-type]
    visit.say(mark("The order is cancelled."))
    return visit.go(f"/console/orders/{order_no}")


@page("POST", "/console/orders/{order_no}/received", policy=money, lane="checkout")
async def received(visit: Visit) -> Response:
    """Money for the order was found on the bank account."""
    order_no = visit.path["order_no"]
    seen = await ordering.seen(visit.bus(), visit.who, order_no, None)
    wish = {"reference": visit.text("reference"), "amount": seen.total, "currency": seen.currency}
    await payment.received(visit.bus(key=visit.intent), order_no, checked(wish, payment.ReceivedTransfer))
    visit.say(mark("The transfer is booked, and the order is paid."))
    return visit.go(f"/console/orders/{order_no}")


@page("POST", "/console/orders/bulk", policy=handlers, lane="jobs", timeout_s=60)
async def bulk(visit: Visit) -> Response:
    """Do something to many orders, part by part."""
    act = visit.text("act")
    numbers = [str(one) for one in visit.fields.getlist("id") if isinstance(one, str) and one.isdigit()][:2_000]
    if not numbers:
        visit.say(mark("Choose at least one order first."), good=False)
        return visit.back("/console/orders")
    if act != "pack" and not visit.who.has("admin"):
        act = "pack"
    if act == "cancel":
        many = visit.language.say("Cancel %(count)s orders", count=len(numbers))
        consequence = mark("Their goods go back to the shelf, and what was paid goes back to the buyers.")
        if (asked := await ask_again(visit, many, consequence)) is not None:
            return asked
    part = next_part(visit, numbers)
    outcomes = [await _one(visit, act, number) for number in part.todo]
    title = mark("Cancelling orders") if act == "cancel" else mark("Packing orders")
    kept = [("act", act), *([(PROOF, proof_of(visit))] if act == "cancel" else [])]
    return bulk_page(visit, part, outcomes, title=title, back="/console/orders", kept=kept)


async def _one(visit: Visit, act: str, order_no: str) -> Outcome:
    try:
        if act == "cancel":
            await ordering.cancel_for(visit.bus(), order_no, "seller")
        else:
            await pack_all(visit, visit.bus(), order_no)
    except Refused as refused:
        return Outcome(order_no, False, sentence(refused, visit.language.texts.gettext))
    return Outcome(order_no, True, "")


async def pack_all(visit: Visit, bus: Bus, order_no: str) -> None:
    """Every parcel of an order that somebody may handle, up to packed."""
    sent = await parcels_of(visit, order_no)
    for parcel in sent.parcels if sent else ():
        for step in UNTIL_PACKED.get(parcel.state, ()):
            command = STEPS[step](order_no=order_no, parcel=parcel.parcel, at=bus.now())
            await fulfillment.move(bus, visit.who, command)
