"""HTTP as adapters need it: one deadline, no redirects, a limit on bytes, and every failure a `GatewayUnavailable`."""

import re
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from pasar.kernel.outgoing import Outgoing, OutgoingFailed
from pasar.kernel.outgoing import OutgoingReply as Reply

from ..gateway import GatewayRefused, GatewayUnavailable

MOST_BYTES = 1 << 20  # No answer about one payment is near this size.

# What decoding JSON from outside can raise: bad syntax or shape, bytes that are no text, nesting without end.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Problem(msgspec.Struct, frozen=True):
    """How both providers say no."""

    code: str
    message: str = ""


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


async def call(
    client: Outgoing, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: int
) -> Reply:
    """One request. The URL goes out as it is given, since some providers have its text signed."""
    try:
        return await client.request(method, url, headers=headers, body=body, timeout_s=timeout_s, most_bytes=MOST_BYTES)
    except OutgoingFailed as problem:
        raise GatewayUnavailable(f"{method} {url}: {problem}") from problem


def raise_for_status(reply: Reply) -> None:
    """2xx passes; a 4xx in the provider's own shape is its no; a proxy's page, 3xx, 429 and 5xx tell nothing."""
    if 200 <= reply.status < 300:
        return
    problem = read_problem(reply)
    if problem is not None and 400 <= reply.status < 500 and reply.status not in (408, 409, 425, 429):
        raise GatewayRefused(problem.code, problem.message)
    raise GatewayUnavailable(f"HTTP {reply.status} {problem.code if problem else ''}".rstrip())


def read_problem(reply: Reply) -> Problem | None:
    try:
        return msgspec.json.decode(reply.body, type=Problem)
    except UNREADABLE:
        return None


def minor_units(amount: Decimal, digits: int) -> int:
    """The amount in the smallest unit of its currency, refused when it is not a positive whole number of them."""
    units = amount.scaleb(digits) if amount.is_finite() else Decimal(0)
    if units <= 0 or units != units.to_integral_value():
        raise GatewayRefused("INVALID_AMOUNT", f"{amount} is not a positive amount with at most {digits} decimals")
    return int(units)


def check_payment_id(payment_id: str) -> str:
    """Ids go into paths and signed texts; nothing but the agreed characters may."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{6,64}", payment_id):
        raise GatewayRefused("INVALID_PAYMENT_ID", "6 to 64 characters of A-Z a-z 0-9 - _")
    return payment_id
