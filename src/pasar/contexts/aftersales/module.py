"""What aftersales is made of."""

from pasar.kernel.module import Module
from pasar.kernel.web import routes_in

from . import facade_export, facade_kept, http
from .return_case import return_case
from .settings import AftersalesSettings
from .views import cases

module = Module(
    "aftersales",
    deciders=(return_case,),
    views=(cases,),
    routes=routes_in(http),
    settings=AftersalesSettings,
    retains=facade_kept.retains,
    exports=facade_export.exports,
)
