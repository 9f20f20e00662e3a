"""The payments of the demo's past, told to the simulated providers: so that they know them, and can give them back."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from uuid import UUID

from pasar.apps.demo import product_id
from pasar.contexts.payment import facade as payments
from pasar.kernel.access import Principal
from pasar.kernel.bus import Core
from pasar.refusals import PaymentNotFound
from pasar.simulators.past import PastPayment, PastRefund, remember

_FINANCE = Principal(id="finance", kind="finance", roles=frozenset({"finance"}))


def payment_of(order: int) -> UUID:
    """The payment of an order of the past, by its number in the plan."""
    return product_id(f"payment:{order}")


async def tell_providers(core: Core, paid: Iterable[tuple[int, datetime]]) -> int:
    """`paid`: orders of the plan, and when they were. How many the providers had not known; none where these are real."""
    folder = core.settings.section("payment").simulators
    if not folder:
        return 0
    found = [one for order, at in paid if (one := await _past(core, order, at)) is not None]
    return await asyncio.to_thread(remember, Path(folder), core.clock.now(), found)


async def _past(core: Core, order: int, paid_at: datetime) -> PastPayment | None:
    """None where the shop had refused it."""
    try:
        found = await payments.show(core.database.reader(1), _FINANCE, payment_of(order))
    except PaymentNotFound:
        return None
    if found.provider_ref is None:
        return None
    done = [one for one in found.refunds if one.state == "completed"]
    return PastPayment(
        payment=str(found.payment), reference=found.provider_ref, title=found.order_no, amount=found.amount,
        currency=found.currency, paid_at=paid_at,
        refunds=tuple(PastRefund(str(one.refund), one.amount) for one in done),
    )  # fmt: skip
