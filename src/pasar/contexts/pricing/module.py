"""What pricing owns."""

from pasar.kernel.module import Module
from pasar.kernel.settings import register
from pasar.kernel.web import routes_in

from . import http
from .facade import PricingSettings
from .price import price
from .promotion import coupon

module = Module(
    "pricing", deciders=(price, coupon), routes=routes_in(http), settings=register("pricing", PricingSettings)
)
