"""What is said to the shop: for an invoice place, pay, send, confirm; for a credit note ask, approve, take back,
transfer. Each step has a key of its own, made of the invoice's number, so that saying it again changes nothing."""

import asyncio
from collections.abc import Mapping
from typing import Any

from pasar.apps.replay.client import SESSION_OVER, Client, Refusal
from pasar.apps.replay.countries import code_of
from pasar.apps.replay.journal import Journal
from pasar.apps.replay.plan import CURRENCY, PlannedOrder, PlannedReturn
from pasar.apps.replay.reader import CannotReplay
from pasar.apps.replay.stage import CHANNEL, WAREHOUSE

ORDER_NOT_FOUND, ORDER_STATE_FORBIDS = 1003, 1004
STAGES = ("waiting", "preparing", "picked", "packed", "shipped", "in_transit")
"""Of parcels that have not arrived."""
ARRIVED = ("DELIVERED", "CONFIRMED", "COMPLETED")
CARRIER = "van"
TRIES = 2_400
PAUSE_S = 0.05
CONFIRMS = 5


def customer_of(order: PlannedOrder) -> str:
    """Who buys; where the file does not say, somebody who buys this once."""
    return order.customer or f"invoice {order.invoice}"


async def place(client: Client, journal: Journal, order: PlannedOrder) -> None:
    customer = customer_of(order)
    guest = await client.guest(customer)
    items = [
        {"sku_id": line.sku, "qty": line.quantity, "agreed_price": line.unit_price} for line in order.lines
    ]  # A row that is there twice is two lines.
    body = {
        "buyer": guest.account,
        "items": items,
        "channel": CHANNEL,
        "address": _address(customer, order.country),
        "metadata": {"invoice": order.invoice},
        "source": "replay",
    }
    answer = await client.staff("POST", "/api/v1/staff/orders", body, key=f"order-{order.invoice}")
    if answer["total"] != order.total:
        raise CannotReplay(f"invoice {order.invoice} comes to {order.total}, the shop's order to {answer['total']}")
    journal.note("ordered", order.invoice, answer["order_no"])


def _address(customer: str, country: str) -> dict[str, Any]:
    return {
        "recipient": f"Customer {customer}",
        "phone": "unknown",
        "line1": country or "unknown",
        "country": code_of(country),
    }


async def pay(client: Client, journal: Journal, order: PlannedOrder) -> None:
    """The customer's transfer is found on the bank's statement."""
    payment = ""
    if order.total:
        body = {"reference": f"invoice/{order.invoice}", "amount": order.total, "currency": CURRENCY}
        path = f"/api/v1/orders/{journal.orders[order.invoice]}/payments/offline"
        payment = (await client.staff("POST", path, body, key=f"pay-{order.invoice}"))["payment"]
    journal.note("paid", order.invoice, payment)


async def send(client: Client, journal: Journal, parcel: Mapping[str, Any]) -> None:
    """The warehouse picks, packs and ships a parcel of its list, and the carrier delivers it."""
    order_no, number = parcel["order_no"], parcel["parcel"]
    path = f"/api/v1/fulfillment/orders/{order_no}/parcels/{number}"
    for step in ("pick", "pack", "ship", "deliver"):
        body = {"carrier": CARRIER, "tracking_no": f"{order_no}-{number}"} if step == "ship" else None
        await client.staff("POST", f"{path}/{step}", body, key=f"{step}-{order_no}-{number}")
    journal.note("delivered", order_no)


async def look_after(client: Client, journal: Journal, order: PlannedOrder) -> None:
    """A replay that was killed may have delivered without writing it down; such a parcel is on no list any more."""
    order_no = journal.orders[order.invoice]
    try:
        found = await client.staff("GET", f"/api/v1/orders/{order_no}/fulfillment")
    except Refusal as refusal:
        if refusal.code != ORDER_NOT_FOUND:
            raise
        return  # Not allocated yet.
    if all(parcel["state"] == "delivered" for parcel in found["parcels"]):
        journal.note("delivered", order_no)


async def confirm(client: Client, journal: Journal, order: PlannedOrder) -> None:
    """The buyer is content. With a return open nobody is, and a lost session says nothing: then time confirms, as it
    does for all who keep silent."""
    path = f"/api/v1/orders/{journal.orders[order.invoice]}/confirm"
    for tried in range(CONFIRMS):
        try:
            await client.customer(customer_of(order), "POST", path, key=f"confirm-{order.invoice}-{tried}")
            break
        except Refusal as refusal:
            if refusal.code == SESSION_OVER:
                break
            if refusal.code != ORDER_STATE_FORBIDS:
                raise
        await asyncio.sleep(PAUSE_S * 2**tried)
    journal.note("confirmed", order.invoice)


async def ask(client: Client, journal: Journal, case: PlannedReturn, customer: str) -> None:
    """The customer asks to give goods back; what they would get must be what the credit note says."""
    lines = [{"line_id": str(line.line), "quantity": line.quantity} for line in case.lines]
    body = {
        "kind": "return",
        "lines": lines,
        "reason_code": "not_as_described",
        "reason": f"credit note {case.credit}",
    }
    await _has_arrived(client, customer, journal.orders[case.order])
    path = f"/api/v1/orders/{journal.orders[case.order]}/returns"
    answer = await client.for_customer(customer, "POST", path, body, key=f"return-{case.name}")
    if answer["refund"] != case.total:
        raise CannotReplay(f"credit note {case.name} comes to {case.total}, the shop's refund to {answer['refund']}")
    journal.note("case", case.name, answer["case"])


async def _has_arrived(client: Client, customer: str, order_no: str) -> None:
    """The order hears of its parcels' delivery a moment after."""
    for _ in range(TRIES):
        if (await client.for_customer(customer, "GET", f"/api/v1/orders/{order_no}"))["stage"] in ARRIVED:
            return
        await asyncio.sleep(PAUSE_S)
    raise CannotReplay(f"order {order_no} was delivered, and does not say so")


async def take_back(client: Client, journal: Journal, case: PlannedReturn) -> None:
    """Staff approve, the warehouse takes the goods in, and the money is transferred back once the shop asks for it."""
    id = journal.cases[case.name]
    await client.staff("POST", f"/api/v1/staff/returns/{id}/approve", key=f"approve-{case.name}")
    arrival = {"warehouse": WAREHOUSE, "restock": True}
    await client.staff("POST", f"/api/v1/staff/returns/{id}/receive", arrival, key=f"receive-{case.name}")
    if case.total:
        await _transfer(client, journal, case, id)
    journal.note("refunded", case.name)


async def _transfer(client: Client, journal: Journal, case: PlannedReturn, id: str) -> None:
    path = f"/api/v1/payments/{journal.payments[case.order]}"
    for _ in range(TRIES):
        refunds = (await client.staff("GET", path)).get("refunds", ())
        if any(refund["refund"] == id for refund in refunds):
            break
        await asyncio.sleep(PAUSE_S)
    else:
        raise CannotReplay(f"the refund of credit note {case.name} was not asked for")
    body = {"reference": f"credit/{case.name}"}
    await client.staff("POST", f"{path}/refunds/{id}/transferred", body, key=f"transfer-{case.name}")
