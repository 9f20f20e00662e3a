"""What ordering is made of."""

from pasar.kernel.module import Module
from pasar.kernel.settings import register
from pasar.kernel.web import routes_in

from . import facade_export, facade_kept, http, http_sale
from .order import order
from .settings import OrderingSettings
from .views import orders, sold_lines

PROFILES = {
    "mall": {"vocabulary": "S0"},
    "traceable": {"vocabulary": "S1", "soft_allocation": True},
    "smb-kr": {"vocabulary": "S2"},
    "algorithms": {"vocabulary": "S3"},
    "creator": {"vocabulary": "S4"},
}
register("ordering", OrderingSettings, profiles=PROFILES)
module = Module(
    "ordering",
    deciders=(order,),
    views=(orders, sold_lines),
    routes=routes_in(http, http_sale),
    settings=OrderingSettings,
    retains=facade_kept.retains,
    exports=facade_export.exports,
)
