"""Routes that every process has: is it up, can it work, its figures, the OpenAPI document, pages about the API."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Literal

from . import metrics
from .access import anyone
from .messages import Answer, encode
from .web import Raw, Route, route, routes_in
from .web_answers import etag_of
from .web_openapi import document
from .web_pages import Pages
from .web_refusals import NotFound

Check = Callable[[], Awaitable[str | None]]
"""Returns None when all is well, else a sentence that says what is not."""
CHECK_S = 1.0
PAGE = "text/html; charset=utf-8"


class Health(Answer):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(Answer):
    """Whether requests should be sent here: every check and what is wrong with it (null: nothing)."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str | None]


def system_routes(others: Callable[[], tuple[Route, ...]], checks: Mapping[str, Check]) -> tuple[Route, ...]:
    """The routes themselves. `others` gives all routes of the application, these included, once they are known."""

    @route("GET", "/healthz", policy=anyone, tags=["platform"], lane="checkout", operation="platform.healthz")
    async def healthz() -> Health:
        """Say that the process is up."""
        return Health()

    @route("GET", "/readyz", policy=anyone, tags=["platform"], lane="checkout", operation="platform.readyz")
    async def readyz() -> Raw:
        """Say whether this process can do its work: 200 or 503, with every check."""
        found = await asyncio.gather(*(_checked(check) for check in checks.values()))
        results = dict(zip(checks, found, strict=True))
        bad = any(sentence is not None for sentence in found)
        answer = Readiness(status="not ready" if bad else "ready", checks=results)
        return Raw(encode(answer), status=503 if bad else 200, content_type="application/json")

    @route("GET", "/metrics", policy=anyone, tags=["platform"], operation="platform.metrics")
    async def figures() -> Raw:
        """Figures for Prometheus."""
        return Raw(metrics.expose(), content_type=metrics.CONTENT_TYPE)

    return (*routes_in(healthz, readyz, figures), *_page_routes(others))


def _page_routes(others: Callable[[], tuple[Route, ...]]) -> tuple[Route, ...]:
    """What is written about the API, made when it is first asked for."""

    @cache
    def openapi_bytes() -> bytes:
        return encode(document(others()))

    @cache
    def pages() -> Pages:
        return Pages(others())

    @route("GET", "/openapi.json", policy=anyone, tags=["platform"], operation="platform.openapi")
    async def openapi() -> Raw:
        """This document."""
        body = openapi_bytes()
        return Raw(body, content_type="application/json", etag=etag_of(body), headers={"Cache-Control": "no-cache"})

    @route("GET", "/docs", policy=anyone, tags=["platform"], operation="platform.docs")
    async def docs() -> Raw:
        """All operations as one page for people."""
        return Raw(pages().api(), content_type=PAGE)

    @route("GET", "/docs/pasar.css", policy=anyone, tags=["platform"], operation="platform.style")
    async def style() -> Raw:
        """How the pages look."""
        return Raw(pages().style, content_type="text/css; charset=utf-8", headers={"Cache-Control": "max-age=300"})

    @route("GET", "/errors", policy=anyone, tags=["platform"], operation="platform.errors")
    async def errors() -> Raw:
        """The catalogue of refusals, for people."""
        return Raw(pages().errors(), content_type=PAGE)

    @route("GET", "/errors.json", policy=anyone, tags=["platform"], operation="platform.errors_json")
    async def errors_json() -> Raw:
        """The catalogue of refusals, for programs."""
        return Raw(encode(pages().catalogue()), content_type="application/json")

    @route("GET", "/errors/{code}", policy=anyone, refuses=[NotFound], tags=["platform"], operation="platform.error")
    async def error(code: int) -> Raw:
        """What a number of the catalogue means: the page that problem documents link to."""
        page = pages().error(code)
        if page is None:
            raise NotFound(f"{code} is not in the catalogue")
        return Raw(page, content_type=PAGE)

    return routes_in(openapi, docs, style, errors, errors_json, error)


_seconds = metrics.duration("pasar_http_request_seconds", "How long answers take.", ("route", "status"))
_labelled: dict[tuple[str, int], Any] = {}


def observe(route: str, status: int, seconds: float) -> None:
    """Count an answer: by the route's pattern, never by the path that was asked for."""
    found = _labelled.get((route, status))
    if found is None:
        found = _labelled[route, status] = _seconds.labels(route, str(status))
    found.observe(seconds)


async def _checked(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_S):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_S:g} s"
    except Exception as error:
        return f"failed: {type(error).__name__}"
