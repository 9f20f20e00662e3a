"""What identity owns."""

from pasar.kernel.module import Module
from pasar.kernel.web import routes_in

from . import http, http_factor
from .account import account
from .policies import destroy_keys
from .second_factor import second_factor
from .settings import IdentitySettings
from .views import accounts

module = Module(
    "identity",
    deciders=(account, second_factor),
    views=(accounts,),
    reactions=(destroy_keys,),
    routes=(*routes_in(http), *routes_in(http_factor)),
    settings=IdentitySettings,
)
