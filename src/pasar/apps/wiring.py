"""Which modules a deployment has. Only this file sees them all."""

from dataclasses import replace
from importlib import import_module

from pasar.kernel import process, settings_kernel
from pasar.kernel.module import Module, check_modules
from pasar.kernel.settings import Settings

CONTEXTS = (
    "platform",
    "identity",
    "catalog",
    "pricing",
    "flash",
    "inventory",
    "checkout",
    "ordering",
    "payment",
    "wallet",
    "fulfillment",
    "aftersales",
    "finance",
    "notification",
)


KERNEL_SETTINGS = settings_kernel.__name__
"""Imported so that its settings are known."""


def contexts() -> tuple[Module, ...]:
    """The module of each context. Importing them also registers their settings, so this comes before
    `settings.load`."""
    return tuple(import_module(f"pasar.contexts.{name}.module").module for name in CONTEXTS)


def modules(settings: Settings) -> tuple[Module, ...]:
    """Everything that is wired, processes with the periods that the settings say."""
    from pasar.processes import processes

    found = (*contexts(), Module("process", processes=processes(settings)), process.module)
    check_modules(found)
    return found


LANE = "/api/v1/flash/"
"""What buyers of a sale call: the paths that a lane of its own serves."""


def lane(settings: Settings) -> tuple[Module, ...]:
    """The same modules with no other routes than those."""
    return tuple(
        replace(module, routes=tuple(route for route in module.routes if route.path.startswith(LANE)))
        for module in modules(settings)
    )
