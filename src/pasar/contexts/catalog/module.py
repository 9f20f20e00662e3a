"""What catalog owns."""

from pasar.kernel.module import Module
from pasar.kernel.settings import register
from pasar.kernel.web import routes_in

from . import http
from .category import category
from .facade import CatalogSettings
from .facade_known import hearing
from .product import product
from .views import categories, listed_prices, listing, shelf

module = Module(
    "catalog",
    deciders=(product, category),
    views=(listing, listed_prices, categories, shelf),
    routes=routes_in(http),
    hearings=(hearing,),
    settings=register("catalog", CatalogSettings),
)
