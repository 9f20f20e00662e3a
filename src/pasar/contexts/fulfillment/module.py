"""What fulfillment owns."""

from pasar.kernel.module import Module
from pasar.kernel.web import routes_in

from . import facade_export, http, policies, views
from .facade import FulfillmentSettings
from .fulfillment import fulfillment

module = Module(
    "fulfillment",
    deciders=(fulfillment,),
    views=(views.parcels,),
    reactions=(policies.allocation,),
    routes=routes_in(http),
    settings=FulfillmentSettings,
    exports=facade_export.exports,
)
