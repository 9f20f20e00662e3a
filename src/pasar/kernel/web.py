"""Declaring HTTP routes: `route` is the only way, and every route says who may use it.

    @route("PUT", "/api/v1/inventory/holds/{hold_id}", policy=signed_in, refuses=[InsufficientStock])
    async def hold(hold_id: HoldId, body: NewHold, bus: Bus) -> Held:
        '''Keep units for a cart; safe to repeat.'''
        return await facade.hold(bus, hold_id, body.sku, body.quantity)

A handler takes, by name: the parameters of its path; `body`, a `Body`; `query`, a struct (inherit `Paging` for lists);
`bus` to write; `db` to read; `who` asks; `request` for headers and bytes as they came. It returns an `Answer`,
`Page[T]`, a list, None (204), `Cached(answer, etag)` or `Raw`. Everything else about HTTP happens around it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, TypeVar

import msgspec

from .access import Policy, Principal
from .messages import Refused, context_of, decode_untrusted, encode_for_client
from .web_answers import Cached, Cursor, Page, Paging, Raw
from .web_request import Request
from .web_signature import WRITES, Plan, plan_of

__all__ = [
    "Cached", "Cursor", "Lane", "Page", "Paging", "Principal", "Raw", "Request", "Route", "route", "routes_in",
]  # fmt: skip

Lane = Literal["checkout", "cart", "browse", "reports", "jobs", "queue"]
"""What is refused first when there is too much to do: jobs, then reports, browse, cart, at last checkout. `queue` is
beside these: many wait there for their turn, and what each wants costs next to nothing."""
Key = Literal["optional", "required", "none"]
MEBIBYTE = 1 << 20
Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class Route:
    """A route as it was declared, with what was read from its handler."""

    method: str
    path: str
    handler: Callable[..., Any]
    plan: Plan
    policy: Policy
    refuses: tuple[type[Refused], ...]
    example: Any
    answer_example: Any
    status: int
    key: Key
    raw: bool
    tags: tuple[str, ...]
    deprecated: bool
    lane: Lane
    gauge: bool
    body_limit: int
    timeout_s: float
    links: Mapping[str, Any]
    accepts: tuple[str, ...]
    summary: str
    description: str
    operation: str

    @property
    def writes(self) -> bool:
        return self.method in WRITES

    @property
    def name(self) -> str:
        """How it is named in idempotency records, metrics and logs."""
        return f"{self.method} {self.path}"


def route(
    method: str,
    path: str,
    *,
    policy: Policy,
    refuses: Iterable[type[Refused]] = (),
    example: Any = None,
    answer_example: Any = None,
    status: int = 200,
    key: Key | None = None,
    raw: bool = False,
    tags: Iterable[str] | None = None,
    deprecated: bool = False,
    lane: Lane | None = None,
    gauge: bool = False,
    body_limit: int = MEBIBYTE,
    timeout_s: float = 10.0,
    links: Mapping[str, Any] | None = None,
    accepts: Iterable[str] = ("application/json",),
    operation: str | None = None,
) -> Callable[[Handler], Handler]:
    """Declare a route; the function stays as it is and carries the declaration as `.route`.

    `key`: whether a write takes an idempotency key (optional when not said). `raw`: the handler reads
    `request.body` itself, whatever its media type. `lane`: see `Lane`. `gauge`: it waits for nobody outside, so
    that the time it takes tells how busy the process is. `links`: OpenAPI links of the answer, by name:
    {"operationId": …, "parameters": {…}}. `accepts` documents the media types of a raw body.
    """

    def declare(handler: Handler) -> Handler:
        where = f"{method} {path}"
        if not isinstance(policy, Policy):
            raise TypeError(f"{where}: a route says who may use it (policy=…, see kernel/access.py)")
        plan = plan_of(method, path, handler)
        summary, description = _documentation(where, handler)
        writes = method in WRITES
        if key is not None and key != "none" and not writes:
            raise TypeError(f"{where}: only writes take an idempotency key")
        if raw and plan.body is not None:
            raise TypeError(f"{where}: a raw route reads `request`, it has no `body`")
        for refusal in refuses:
            if not issubclass(refusal, Refused):
                raise TypeError(f"{where}: {refusal} is no refusal")
        if example is not None:
            _check_example(where, example, plan.body)
        handler.route = Route(  # type: ignore[attr-defined]
            method=method,
            path=path,
            handler=handler,
            plan=plan,
            policy=policy,
            refuses=tuple(refuses),
            example=example,
            answer_example=answer_example,
            status=204 if plan.answer is type(None) and status == 200 else status,
            key=key or ("optional" if writes else "none"),
            raw=raw,
            tags=tuple(tags) if tags is not None else (context_of(handler.__module__),),
            deprecated=deprecated,
            lane=lane or ("cart" if writes else "browse"),
            gauge=gauge,
            body_limit=body_limit,
            timeout_s=timeout_s,
            links=dict(links or {}),
            accepts=tuple(accepts),
            summary=summary,
            description=description,
            operation=operation or _operation(handler),
        )
        return handler

    return declare


def routes_in(*sources: Any) -> tuple[Route, ...]:
    """The routes of handlers, of whole Python modules (`http`), or of lists of both."""
    found: dict[int, Route] = {}
    for source in sources:
        if isinstance(source, Route):
            parts: Iterable[Route] = (source,)
        elif isinstance(source, ModuleType):
            parts = (value.route for value in vars(source).values() if isinstance(_route(value), Route))
        elif isinstance(_route(source), Route):
            parts = (source.route,)
        elif isinstance(source, Iterable) and not isinstance(source, str):
            parts = routes_in(*source)
        else:
            raise TypeError(f"{source!r} declares no route")
        found.update((id(part), part) for part in parts)
    return tuple(found.values())


def _route(value: Any) -> Any:
    return getattr(value, "route", None) if callable(value) else None


def _documentation(where: str, handler: Callable[..., Any]) -> tuple[str, str]:
    text = (handler.__doc__ or "").strip()
    if not text:
        raise TypeError(f"{where}: its docstring is the summary that clients read; write one")
    summary, _, description = text.partition("\n")
    lines = [line.strip() for line in description.strip().splitlines()]
    return summary.strip(), "\n".join(lines)


def _operation(handler: Callable[..., Any]) -> str:
    context = context_of(handler.__module__)
    return f"{context}.{handler.__name__}"


def _check_example(where: str, example: Any, body: Any) -> None:
    """An example that its own operation would refuse stops the start."""
    if body is None:
        return
    try:
        decode_untrusted(encode_for_client(example), body)
    except msgspec.MsgspecError as error:
        raise TypeError(f"{where}: the example is refused by the operation itself: {error}") from None
