"""The OpenAPI 3.1 document, made from the routes as they are declared and from the catalogue of refusals."""

from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, get_args, get_origin

import msgspec

from .free_text import CardNumberGiven, TextBody
from .messages import Refused, encode_for_client, schema_hook
from .web import Route
from .web_answers import Cached, Raw, title_of
from .web_refusals import (
    Forbidden,
    InProgress,
    InternalError,
    InvalidCursor,
    InvalidIdempotencyKey,
    InvalidRequest,
    PayloadTooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
    UnsupportedVersion,
)
from .web_signature import is_struct, without_none

TEMPLATE = "#/components/schemas/{name}"
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "A refusal (RFC 9457). Members beyond these are facts that belong to its code.",
    "required": ["type", "title", "status", "detail", "code", "name", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "where the code is explained"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "integer", "description": "number in the catalogue; never changes"},
        "name": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
        "request_id": {"type": "string"},
    },
}
_ID_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[\\x21-\\x7e]+$"}
_PARAMETERS: dict[str, Any] = {
    "RequestId": {
        "name": "X-Request-ID", "in": "header", "schema": _ID_SCHEMA,
        "description": "names this request; made when missing, echoed in the answer",
    },
    "CorrelationId": {
        "name": "X-Correlation-ID", "in": "header", "schema": _ID_SCHEMA,
        "description": "names what this request is a part of; the request id when missing",
    },
    "AcceptVersion": {
        "name": "Accept-Version", "in": "header", "example": "application/vnd.pasar.v1+json",
        "schema": {"enum": ["application/vnd.pasar.v1+json", "application/vnd.company.v1+json"]},
    },
    "After": {
        "name": "after", "in": "query", "schema": {"type": "string", "pattern": "^[0-9]{1,18}\\.[0-9]{1,18}$"},
        "description": "X-Pasar-Position of a write that this read wants to see; waits 300 ms at most",
    },
}  # fmt: skip
_KEY = {
    "name": "X-Idempotency-Key", "in": "header", "example": "0198c5a0-3f5e-7c44-9b1e-5a2f0d1c7e88",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x20-\\x7e]+$"},
    "description": "names this intent: a repeat gets the first answer, byte for byte. Idempotency-Key means the same,"
    " and so does `idempotency_key` in a JSON body",
}  # fmt: skip


def document(routes: Iterable[Route], *, title: str = "Pasar", version: str = "1") -> dict[str, Any]:
    """The whole document."""
    found = [route for route in routes if not route.path.startswith("/docs")]
    types = _Types(found)
    paths: dict[str, Any] = {}
    for route in found:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, types)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in sorted({tag for route in found for tag in route.tags})],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**types.components, "Problem": PROBLEM},
            "parameters": _PARAMETERS,
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "a short-lived access token (Ed25519)",
                }
            },
        },
    }  # fmt: skip


class _Types:
    """JSON Schemas of all types that the routes name, made in one go so that their names agree."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes
        kinds: list[Any] = []
        for route in routes:
            plan = route.plan
            kinds += [kind for _, kind in plan.path]
            kinds += [field.type for field in plan.fields.values()]
            kinds += [plan.body] if plan.body is not None else []
            answer = answer_type(route)
            kinds += [answer] if answer is not None else []
        self._kinds: list[Any] = []
        for kind in kinds:
            if not any(kind is known for known in self._kinds):
                self._kinds.append(kind)
        schemas, components = msgspec.json.schema_components(
            self._kinds, schema_hook=schema_hook, ref_template=TEMPLATE
        )
        self._schemas, self.components = [_exact(schema) for schema in schemas], _exact(components)

    def links(self, route: Route) -> dict[str, Any]:
        """What can be called next with the ids that the request or its answer names: routes of the same tag."""
        here = {name: f"$request.path.{name}" for name, _ in route.plan.path}
        answer = answer_type(route)
        if answer is not None and isinstance(answer, type) and is_struct(answer):
            here |= {name: f"$response.body#/{name}" for name in answer.__struct_encode_fields__}
        found: dict[str, Any] = {}
        for other in self._routes:
            names = [name for name, _ in other.plan.path]
            if names and other is not route and other.tags == route.tags and all(name in here for name in names):
                target = {"operationId": other.operation, "parameters": {name: here[name] for name in names}}
                found[other.operation.replace(".", "_")] = target
        return found if route.writes else {}

    def __getitem__(self, kind: Any) -> dict[str, Any]:
        for known, schema in zip(self._kinds, self._schemas, strict=True):
            if known is kind:
                return schema
        raise KeyError(kind)


_DECIMAL = {"type": "string", "format": "decimal"}
_NUMBER = {
    "type": ["number", "string"], "format": "decimal", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$",
    "description": "a number with exactly these digits; a text is read, too",
}  # fmt: skip


def _exact(schema: Any) -> Any:
    """Decimals as we write them. What stands beside a type, such as a default, stays."""
    if isinstance(schema, list):
        return [_exact(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if _DECIMAL.items() <= {name: schema[name] for name in _DECIMAL if isinstance(schema.get(name), str)}.items():
        return {**_NUMBER, **{name: value for name, value in schema.items() if name not in _DECIMAL}}
    return {name: _exact(part) for name, part in schema.items()}


def answer_type(route: Route) -> Any:
    """The JSON type of a successful answer; None for none, and for what is no JSON."""
    kind, _ = without_none(route.plan.answer)
    if get_origin(kind) is Cached:
        return get_args(kind)[0]
    return None if kind in (NoneType, Raw, Cached) or Raw in get_args(kind) else kind


def is_cached(route: Route) -> bool:
    """Whether clients may keep the answer."""
    return (get_origin(route.plan.answer) or route.plan.answer) is Cached


def refusals_of(route: Route) -> list[type[Refused]]:
    """All that a route may refuse with: what it declares, and what HTTP itself adds."""
    found: list[type[Refused]] = [
        UnsupportedVersion, InvalidRequest, InternalError, Unavailable, Unauthenticated, TooManyRequests
    ]  # fmt: skip
    if route.policy.name != "anyone":
        found.append(Forbidden)
    if "cursor" in route.plan.fields:
        found.append(InvalidCursor)
    if route.writes:
        found += [PayloadTooLarge]
        if route.plan.body is not None or route.raw:
            found.append(UnsupportedMediaType)
        if isinstance(route.plan.body, type) and issubclass(route.plan.body, TextBody):
            found.append(CardNumberGiven)
        if route.key != "none":
            found += [InvalidIdempotencyKey, InProgress]
    return sorted({*found, *route.refuses}, key=lambda kind: (kind.status, kind.code))


def _operation(route: Route, types: _Types) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "description": "\n\n".join(filter(None, (route.description, f"For {route.policy.description}."))),
        "tags": list(route.tags),
        "parameters": _parameters(route, types),
        "responses": _responses(route, types),
        "security": [{"token": []}] if route.policy.needs_token else [{}, {"token": []}],
    }
    if route.deprecated:
        operation["deprecated"] = True
    body = _body(route, types)
    if body is not None:
        operation["requestBody"] = body
    return operation


def _parameters(route: Route, types: _Types) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": types[kind]} for name, kind in route.plan.path
    ]
    for name, field in route.plan.fields.items():
        parameter = {"name": name, "in": "query", "required": field.required, "schema": types[field.type]}
        if isinstance(field.default, str | int | float | bool):
            parameter["schema"] = {**types[field.type], "default": field.default}
        found.append(parameter)
    if not route.writes and "after" not in route.plan.fields:
        found.append({"$ref": "#/components/parameters/After"})
    if route.key != "none":
        found.append({**_KEY, "required": route.key == "required" and not route.plan.takes_key})
    shared = ("RequestId", "CorrelationId", "AcceptVersion")
    return found + [{"$ref": f"#/components/parameters/{name}"} for name in shared]


def _plain(value: Any) -> Any:
    return msgspec.json.decode(encode_for_client(value))


def _body(route: Route, types: _Types) -> dict[str, Any] | None:
    if route.raw:
        return {"required": False, "content": {kind: {"schema": {}} for kind in route.accepts}}
    if route.plan.body is None:
        return None
    content: dict[str, Any] = {"schema": types[route.plan.body]}
    if route.example is not None:
        content["example"] = _plain(route.example)
    return {"required": not route.plan.body_optional, "content": {"application/json": content}}


def _responses(route: Route, types: _Types) -> dict[str, Any]:
    responses: dict[str, Any] = {str(route.status): _success(route, types)}
    _, optional = without_none(route.plan.answer)
    if optional:
        responses["204"] = {"description": "done; there is nothing to say", "headers": _headers(route)}
    if is_cached(route):
        responses["304"] = {"description": "what you have is still right"}
    by_status: dict[int, list[type[Refused]]] = {}
    for refusal in refusals_of(route):
        by_status.setdefault(refusal.status, []).append(refusal)
        if refusal is InvalidIdempotencyKey:
            by_status.setdefault(422, []).append(refusal)
    for status, refusals in sorted(by_status.items()):
        responses[str(status)] = _refused(status, refusals)
    return responses


def _success(route: Route, types: _Types) -> dict[str, Any]:
    answer = answer_type(route)
    found: dict[str, Any] = {"description": "done", "headers": _headers(route)}
    if answer is not None:
        content: dict[str, Any] = {"schema": types[answer]}
        if route.answer_example is not None:
            content["example"] = _plain(route.answer_example)
        found["content"] = {"application/json": content}
    elif route.plan.answer is not NoneType:
        found["content"] = {"*/*": {"schema": {}}}
    links = {**types.links(route), **route.links}
    if links:
        found["links"] = links
    return found


def _headers(route: Route) -> dict[str, Any]:
    headers = {"X-Request-ID": {"schema": {"type": "string"}}, "X-Correlation-ID": {"schema": {"type": "string"}}}
    if route.writes:
        headers["X-Pasar-Position"] = {"schema": {"type": "string"}}
    return headers


def _refused(status: int, refusals: list[type[Refused]]) -> dict[str, Any]:
    examples: Mapping[str, Any] = {
        refusal.name: {"summary": f"{refusal.code} {_first_line(refusal)}", "value": example_of(refusal, status)}
        for refusal in refusals
    }
    found: dict[str, Any] = {
        "description": " · ".join(f"{refusal.code} {refusal.name}" for refusal in refusals),
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
        },
    }
    if status in (429, 503) or InProgress in refusals:
        found["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return found


def example_of(refusal: type[Refused], status: int | None = None) -> dict[str, Any]:
    """What a problem document of a refusal looks like."""
    return {
        "type": f"/errors/{refusal.code}",
        "title": title_of(refusal.name),
        "status": status or refusal.status,
        "detail": _first_line(refusal),
        "code": refusal.code,
        "name": refusal.name,
        "errors": [],
        "request_id": "0198c5a0-3f5e-7c44-9b1e-5a2f0d1c7e88",
    }


def _first_line(refusal: type[Refused]) -> str:
    return (refusal.__doc__ or refusal.name).strip().splitlines()[0]
