"""Finds the route of a path: a dictionary for fixed paths, a trie of segments for those with parameters."""

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from .web import Route


class Found(NamedTuple):
    """The routes of a path by method, and the texts of its parameters in their order."""

    methods: dict[str, Route]
    values: list[str]


class _Node:
    __slots__ = ("child", "methods", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node] = {}
        self.child: _Node | None = None  # Any text in this place.
        self.methods: dict[str, Route] = {}


class Router:
    """All routes. Fixed words go before parameters; two routes of the same shape and method are a mistake."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[str, Found] = {}
        self._root = _Node()
        named: dict[str, Route] = {}
        for route in routes:
            other = named.setdefault(route.operation, route)
            if other is not route:
                raise TypeError(
                    f"{route.name} and {other.name} are both called {route.operation}; give one operation=…"
                )
            self._add(route)

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.path[1:].split("/"):
            if segment.startswith("{"):
                node.child = node.child or _Node()
                node = node.child
            else:
                node = node.words.setdefault(segment, _Node())
        if route.method in node.methods:
            raise TypeError(f"{route.name} is declared twice")
        node.methods[route.method] = route
        if "{" not in route.path:
            self._fixed[route.path] = Found(node.methods, [])

    def find(self, path: str, raw_path: bytes | None) -> Found | None:
        """The routes at a path, or None. An escaped slash (%2F) is part of a parameter, not a separator."""
        if raw_path is None or b"%" not in raw_path:
            found = self._fixed.get(path)
            if found is not None:
                return found
            segments = path[1:].split("/")
        else:
            try:
                segments = [unquote_to_bytes(part).decode() for part in raw_path.split(b"?", 1)[0][1:].split(b"/")]
            except UnicodeDecodeError:
                return None
        values: list[str] = []
        node = _walk(self._root, segments, 0, values)
        return None if node is None else Found(node.methods, values)


def _walk(node: _Node, segments: list[str], at: int, values: list[str]) -> _Node | None:
    if at == len(segments):
        return node if node.methods else None
    segment = segments[at]
    word = node.words.get(segment)
    if word is not None:
        found = _walk(word, segments, at + 1, values)
        if found is not None:
            return found
    if node.child is None or not segment:
        return None
    values.append(segment)
    found = _walk(node.child, segments, at + 1, values)
    if found is None:
        values.pop()
    return found
