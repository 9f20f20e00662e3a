"""What a process has one of besides its core, found by its class: what issues tokens, what sends mails."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Tools:
    """Core is one; whoever opens a process equips it, and facades ask their bus."""

    def __init__(self) -> None:
        self._tools: dict[type, Any] = {}

    def equip(self, tool: object, kind: type | None = None) -> None:
        """Give this process a tool of its class, or of `kind`, a port."""
        self._tools[kind or type(tool)] = tool

    def tool(self, kind: type[T], make: Callable[[], T] | None = None) -> T:
        """The tool of that class; made now where there is none yet and `make` says how."""
        found = self._tools.get(kind)
        if found is None:
            if make is None:
                raise LookupError(f"this process was not equipped with {kind.__name__}")
            found = self._tools[kind] = make()
        return found
