"""What the lab knows of this version's code: its routes."""

from pasar.apps.deployment import read_settings
from pasar.apps.wiring import modules
from pasar.kernel.web import Route, routes_in


def own_routes() -> list[Route]:
    """Every route that is wired, in a fixed order."""
    found = routes_in(*(module.routes for module in modules(read_settings())))
    return sorted(found, key=lambda route: (route.path, route.method))
