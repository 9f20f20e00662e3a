"""Completed orders earn points, refunds take them back, and time does."""

from pasar.contexts.aftersales.contract import CaseRefunded
from pasar.contexts.ordering.contract import OrderCompleted
from pasar.kernel.bus import Bus
from pasar.kernel.messages import Command
from pasar.kernel.policies import Reaction
from pasar.kernel.store import Recorded
from pasar.refusals import PointsRefused

from . import facade
from .contract import PointsDue


async def earn(heard: Recorded, bus: Bus) -> list[Command]:
    event = heard.event
    assert isinstance(event, OrderCompleted)
    settings = bus.settings.section(facade.WalletSettings)
    return [*facade.earning(settings, event, heard.at)]


async def take_back(heard: Recorded, bus: Bus) -> None:
    event = heard.event
    assert isinstance(event, CaseRefunded)
    try:
        await facade.take_back(bus, event.case, event.order_no, event.buyer, event.refund)
    except PointsRefused:
        return  # This case took them back before.


async def lapse(heard: Recorded, bus: Bus) -> None:
    event = heard.event
    assert isinstance(event, PointsDue)
    await facade.lapse(bus, event.account, event.source)


reactions = (
    Reaction("wallet.earn", on={OrderCompleted: earn}, ignore=(PointsRefused,)),
    Reaction("wallet.take_back", on={CaseRefunded: take_back}),
    Reaction("wallet.lapse", on={PointsDue: lapse}),
)
