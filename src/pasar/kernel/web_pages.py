"""The API as pages for people: rendered here, without scripts, without anything from elsewhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from .messages import encode_for_client, refusal_types
from .web import Route
from .web_openapi import document, example_of, refusals_of

FOLDER = Path(__file__).parent / "pages"
SERIES = {
    1: "Order, stock, price", 2: "Payment", 3: "Request", 4: "Identity, permission", 5: "Catalog", 6: "Promotion",
    7: "Wallet, finance", 8: "Fulfilment, after-sales", 9: "Platform",
}  # fmt: skip


class Pages:
    """Renders the pages; each once, since neither routes nor catalogue change while a process lives."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [route for route in routes if not route.path.startswith("/docs")]
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )  # fmt: skip
        self._made: dict[str, bytes] = {}
        self.style = (FOLDER / "pasar.css").read_bytes()

    def _page(self, key: str, template: str, **values: Any) -> bytes:
        if key not in self._made:
            self._made[key] = self._templates.get_template(template).render(**values).encode()
        return self._made[key]

    def api(self) -> bytes:
        """All operations by tag."""
        if "api" in self._made:
            return self._made["api"]
        schemas = document(self._routes)
        operations = [_Operation(route, schemas) for route in self._routes]
        tags = sorted({route.tags[0] for route in self._routes if route.tags})
        groups = {tag: [one for one in operations if one.route.tags[:1] == (tag,)] for tag in tags}
        return self._page("api", "api.html", groups=groups, schemas=schemas["components"]["schemas"], pretty=_pretty)

    def catalogue(self) -> list[dict[str, Any]]:
        """Every refusal that has a number, and the operations that may answer it."""
        raised: dict[int, list[str]] = {}
        for route in self._routes:
            for refusal in refusals_of(route):
                raised.setdefault(refusal.code, []).append(route.operation)
        return [
            {
                "code": code,
                "name": kind.name,
                "status": kind.status,
                "title": example_of(kind)["title"],
                "detail": example_of(kind)["detail"],
                "description": " ".join((kind.__doc__ or "").split()),
                "operations": sorted(raised.get(code, [])),
            }
            for code, kind in refusal_types().items()
        ]

    def errors(self) -> bytes:
        """The catalogue by series."""
        series: dict[str, list[dict[str, Any]]] = {}
        for entry in self.catalogue():
            name = SERIES.get(entry["code"] // 1000, "Other")
            series.setdefault(name, []).append(entry)
        return self._page("errors", "errors.html", series=series)

    def error(self, code: int) -> bytes | None:
        """One refusal, or None where the number is unknown."""
        kind = refusal_types().get(code)
        if kind is None:
            return None
        entry = next(entry for entry in self.catalogue() if entry["code"] == code)
        return self._page(f"error-{code}", "error.html", entry=entry, example=_pretty(example_of(kind)))


class _Operation:
    """A route as the page shows it."""

    def __init__(self, route: Route, schemas: dict[str, Any]) -> None:
        self.route = route
        self.declared = schemas["paths"][route.path][route.method.lower()]
        self.refusals = refusals_of(route)
        self.example = None if route.example is None else _pretty(msgspec.json.decode(encode_for_client(route.example)))
        self.answer_example = (
            None
            if route.answer_example is None
            else _pretty(msgspec.json.decode(encode_for_client(route.answer_example)))
        )
        self.body = _name_of(self.declared.get("requestBody", {}))
        self.answer = _name_of(self.declared["responses"][str(route.status)])

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """Those of its own; what every operation takes is said once."""
        return [one for one in self.declared["parameters"] if "$ref" not in one]


def _name_of(part: dict[str, Any]) -> str | None:
    """The name of the shape that a body or an answer has, where it has one."""
    reference = part.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
    return None if reference is None else reference.rpartition("/")[2]


def _pretty(value: Any) -> str:
    return msgspec.json.format(encode_for_client(value), indent=2).decode()
