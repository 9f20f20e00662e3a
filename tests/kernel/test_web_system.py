"""What every process answers about itself: health, figures, the OpenAPI document, pages."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from kernel.toy_web import Shop, open_shop
from pasar.kernel.access import anyone
from pasar.kernel.messages import Answer, Body, refusal_types
from pasar.kernel.private import MAX_TEXT, Private, Purpose
from pasar.kernel.web import route, routes_in
from pasar.kernel.web_openapi import document
from pasar.kernel.web_pages import Pages
from postgres import TestDatabase


class Telling(Purpose, name="toy_telling"):
    """To tell somebody something."""


class NewSecret(Body):
    text: Private[Telling]


class Secret(Answer):
    text: Private[Telling] | None = None


@route("POST", "/secrets", policy=anyone, example={"text": "hush"})
async def tell(body: NewSecret) -> Secret:
    """Tell a secret."""
    return Secret(text=body.text)


@route("GET", "/secrets", policy=anyone)
async def ask() -> list[Secret]:
    """Ask for secrets."""
    return []


@pytest_asyncio.fixture
async def shop(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path) as opened:
        yield opened


async def test_health_and_readiness_are_different_things(shop: Shop) -> None:
    assert (await shop.ask("GET", "/healthz")).json == {"status": "ok"}
    ready = await shop.ask("GET", "/readyz")
    assert (ready.status, ready.json) == (200, {"status": "ready", "checks": {"database": None, "toy": None}})
    shop.trouble = "the toy is broken"
    broken = await shop.ask("GET", "/readyz")
    assert (broken.status, broken.json["checks"]["toy"]) == (503, "the toy is broken")
    await shop.core.database.close()
    shop.core.database.dsn = "postgresql://127.0.0.1:1/none"
    gone = await shop.ask("GET", "/readyz")
    assert gone.status == 503
    assert "failed" in gone.json["checks"]["database"]
    assert (await shop.ask("GET", "/healthz")).status == 200


async def test_figures_count_answers_by_route(shop: Shop) -> None:
    await shop.ask("GET", "/shelves/figures")
    text = (await shop.ask("GET", "/metrics")).body.decode()
    assert re.search(r'pasar_http_request_seconds_count\{route="GET /shelves/\{name\}",status="200"\} [1-9]', text)
    assert "figures" not in text


@pytest.mark.requirement("S1-283")
async def test_every_route_is_in_the_document_with_its_refusals(shop: Shop) -> None:
    answer = await shop.ask("GET", "/openapi.json")
    document = answer.json
    for one in shop.web.routes:
        if one.path.startswith("/docs"):
            continue
        operation = document["paths"][one.path][one.method.lower()]
        assert operation["operationId"] == one.operation
        for refusal in one.refuses:
            described = operation["responses"][str(refusal.status)]["content"]["application/problem+json"]
            assert described["examples"][refusal.name]["value"]["code"] == refusal.code
    pick = document["paths"]["/baskets/{basket}"]["post"]
    assert pick["requestBody"]["content"]["application/json"]["example"] == {"shelf": "a", "things": 2}
    assert {"shelf", "things"} == set(document["components"]["schemas"]["NewPick"]["required"])
    link = pick["responses"]["201"]["links"]["toy_web_keep"]
    assert link == {"operationId": "toy_web.keep", "parameters": {"basket": "$request.path.basket"}}
    known = await shop.ask("GET", "/openapi.json", headers=[("If-None-Match", answer.headers["etag"])])
    assert known.status == 304


@pytest.mark.requirement("S1-283")
async def test_the_document_keeps_to_the_rules_of_openapi(shop: Shop) -> None:
    document = (await shop.ask("GET", "/openapi.json")).json
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))
    text = msgspec.json.encode(document).decode()
    for reference in set(re.findall(r'"\$ref":"#/([^"]+)"', text)):
        place = document
        for step in reference.split("/"):
            place = place[step]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            named = {one["name"] for one in operation["parameters"] if one.get("in") == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


async def test_pages_need_nothing_from_elsewhere_and_no_scripts(shop: Shop) -> None:
    for path in ("/docs", "/errors", "/errors/3003"):
        page = await shop.ask("GET", path)
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        text = page.body.decode()
        assert "<script" not in text
        assert "http://" not in text
        assert "https://" not in text
        assert " style=" not in text
        assert "script-src 'self'" in page.headers["content-security-policy"]
    docs = (await shop.ask("GET", "/docs")).body.decode()
    for one in shop.web.routes:
        assert one.path.startswith("/docs") or f'id="{one.operation}"' in docs
    assert (await shop.ask("GET", "/docs/pasar.css")).headers["content-type"].startswith("text/css")


async def test_every_refusal_has_a_page_that_problem_documents_link_to(shop: Shop) -> None:
    problem = (await shop.ask("GET", "/nowhere")).json
    assert (await shop.ask("GET", problem["type"])).status == 200
    listed = {entry["code"] for entry in (await shop.ask("GET", "/errors.json")).json}
    assert listed == set(refusal_types())
    assert (await shop.ask("GET", "/errors/1")).status == 404


def test_private_fields_are_texts_in_the_document_and_on_the_page() -> None:
    routes = routes_in(tell, ask)
    schemas = document(routes)["components"]["schemas"]
    assert schemas["NewSecret"]["properties"]["text"] == {"type": "string", "maxLength": MAX_TEXT}
    assert b"#schema-NewSecret" in Pages(routes).api()
