"""What checkout is made of."""

from pasar.kernel.module import Module
from pasar.kernel.settings import register
from pasar.kernel.web import routes_in

from . import facade_export, http
from .cart import cart
from .facade import CheckoutSettings
from .policies import merge_carts

register("checkout", CheckoutSettings)
module = Module(
    "checkout",
    deciders=(cart,),
    reactions=(merge_carts,),
    routes=routes_in(http),
    settings=CheckoutSettings,
    exports=facade_export.exports,
)
