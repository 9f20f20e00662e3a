"""What wallet is made of."""

from pasar.kernel.module import Module
from pasar.kernel.settings import register
from pasar.kernel.web import routes_in

from . import facade_export, http
from .account import account
from .facade import WalletSettings
from .policies import reactions
from .views import statement

register("wallet", WalletSettings, profiles={"traceable": {"worth_currency": "CNY"}})
module = Module(
    "wallet",
    deciders=(account,),
    views=(statement,),
    reactions=reactions,
    routes=routes_in(http),
    settings=WalletSettings,
    exports=facade_export.exports,
)
