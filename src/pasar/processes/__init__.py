"""What takes several contexts in turn. Each process hears events and sends commands; contracts are all that it sees."""

from datetime import timedelta

from pasar.kernel.process import Process
from pasar.kernel.settings import Settings

from .cancel_paid_order import cancel_paid_order
from .fulfill_order import fulfill_order
from .pay_order import pay_order
from .return_goods import return_goods


def processes(settings: Settings) -> tuple[Process, ...]:
    """All processes, with the periods of this deployment."""
    ordering = settings.section("ordering")
    return (
        fulfill_order(timedelta(days=ordering.confirm_after_days), timedelta(days=ordering.complete_after_days)),
        cancel_paid_order,
        pay_order,
        return_goods,
    )
