"""What finance is made of."""

from pasar.kernel.module import Module
from pasar.kernel.web import routes_in

from . import http, policies, views
from .calendar import calendar
from .revenue import revenue
from .run import run
from .settings import FinanceSettings
from .settlement import settlement

module = Module(
    "finance",
    deciders=(revenue, run, settlement, calendar),
    views=(views.due, views.runs),
    policies=(policies.paying,),
    reactions=(policies.taking_back, policies.mondays),
    routes=routes_in(http),
    settings=FinanceSettings,
)
