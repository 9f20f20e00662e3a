"""A place where goods lie: opened once."""

from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value
from pasar.refusals import WarehouseExists

from .contract import OpenWarehouse, Warehouse, WarehouseOpened


class OpenedWarehouse(Value):
    what: WarehouseOpened | None = None


def decide(command: OpenWarehouse, state: OpenedWarehouse) -> list[WarehouseOpened]:
    opened = WarehouseOpened(
        warehouse=command.warehouse,
        name=command.name,
        country=command.country,
        latitude=command.latitude,
        longitude=command.longitude,
    )
    if state.what is None:
        return [opened]
    if state.what != opened:
        raise WarehouseExists(f"{command.warehouse} is {state.what.name}")
    return []


def evolve(state: OpenedWarehouse, event: WarehouseOpened) -> OpenedWarehouse:
    return OpenedWarehouse(what=event)


def answer(state: OpenedWarehouse) -> Warehouse | None:
    what = state.what
    return what and Warehouse(
        warehouse=what.warehouse,
        name=what.name,
        country=what.country,
        latitude=what.latitude,
        longitude=what.longitude,
    )


warehouse = Decider("inventory.warehouse", "warehouse", OpenedWarehouse(), decide, evolve, answer=answer)
