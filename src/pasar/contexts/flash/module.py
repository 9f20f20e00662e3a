"""What flash owns."""

from pasar.kernel.module import Module
from pasar.kernel.web import routes_in

from . import http, policies
from .leftover import leftover
from .sale import sale
from .settings import FlashSettings

module = Module(
    "flash",
    deciders=(sale, leftover),
    reactions=policies.reactions,
    routes=routes_in(http),
    settings=FlashSettings,
)
