"""What inventory owns."""

from pasar.kernel.invariants import Invariant
from pasar.kernel.module import Module
from pasar.kernel.web import routes_in

from . import http, policies, views
from .adjustment import adjustment
from .batch import batch
from .blocking import blocking
from .cover import cover
from .facade import stock_that_does_not_add_up
from .hold import hold
from .receipt import receipt
from .settings import InventorySettings
from .transfer import transfer
from .warehouse import warehouse

module = Module(
    "inventory",
    deciders=(warehouse, batch, receipt, adjustment, transfer, hold, blocking, cover),
    views=(views.warehouses, views.places, views.movements, views.holds),
    reactions=policies.reactions,
    routes=routes_in(http),
    invariants=(Invariant("stock", stock_that_does_not_add_up),),
    settings=InventorySettings,
)
