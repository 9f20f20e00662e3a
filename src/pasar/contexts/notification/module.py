"""What notification owns."""

from pasar.kernel.module import Module
from pasar.kernel.web import routes_in

from . import facade_export, http
from .gateway import NotificationSettings
from .message import message
from .policies import forget, mails, send

module = Module(
    "notification",
    deciders=(message,),
    policies=(mails,),
    reactions=(send, forget),
    routes=routes_in(http),
    settings=NotificationSettings,
    exports=facade_export.exports,
)
