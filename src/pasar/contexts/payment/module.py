"""What payment is made of."""

from pasar.kernel.module import Module
from pasar.kernel.settings import register
from pasar.kernel.web import routes_in

from . import facade_export, facade_kept, http
from .gateways.config import PaymentSettings
from .parked import parked
from .payment import payment
from .policies import policies, reactions
from .traffic import traffic
from .views import parked as parked_view
from .views import payments

register("payment", PaymentSettings, profiles={"algorithms": {"max_retries": 0}})
module = Module(
    "payment",
    deciders=(payment, parked, traffic),
    views=(payments, parked_view),
    policies=policies,
    reactions=reactions,
    routes=routes_in(http),
    settings=PaymentSettings,
    retains=facade_kept.retains,
    exports=facade_export.exports,
)
