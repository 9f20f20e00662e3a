"""What platform owns."""

from pasar.kernel.module import Module
from pasar.kernel.web import routes_in

from . import facade_export, http
from .channel import channel
from .desk import desk
from .flag import flag
from .store import store

module = Module(
    "platform",
    deciders=(store, channel, flag, desk),
    routes=routes_in(http),
    exports=facade_export.exports,
)
