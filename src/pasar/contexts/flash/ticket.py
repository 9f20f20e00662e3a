"""Tickets: who was admitted, to what, and until when, signed with the deployment's keyed hash. Any process can read one
without asking anybody; that it makes one order only is a claim of the order's commit."""

import hmac
from collections.abc import Callable

import msgspec

from pasar.kernel.messages import Value, decode, encode
from pasar.refusals import TicketRefused

Sign = Callable[[str], str]
"""Text → keyed hash; the text is not told apart by case, so what is signed has none."""


class Ticket(Value):
    """`until` is in whole seconds since 1970."""

    id: str
    tenant: int
    sale: str
    sku: str
    member: str
    units: int
    until: int


def write(ticket: Ticket, sign: Sign) -> str:
    payload = encode(ticket).hex()
    return f"{payload}.{sign(payload)}"


def read(text: str, sign: Sign) -> Ticket:
    """The ticket; refuses (6106) what this deployment did not write."""
    payload, _, mac = text.partition(".")
    plain = payload.isascii() and payload == payload.lower()
    if not plain or not hmac.compare_digest(sign(payload).encode(), mac.encode()):
        raise TicketRefused()
    try:
        return decode(bytes.fromhex(payload), Ticket)
    except (ValueError, msgspec.MsgspecError):
        raise TicketRefused() from None
