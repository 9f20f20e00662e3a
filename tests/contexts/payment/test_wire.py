"""Whatever a broken or hostile server answers, the outcome is unknown; nobody is followed elsewhere."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pasar.contexts.payment.gateway import GatewayRefused, GatewayUnavailable
from pasar.contexts.payment.gateways import wire
from pasar.contexts.payment.gateways.toss import Toss, TossConfig
from pasar.kernel.outgoing import Outgoing
from pasar.simulators.server import serving

GOOD = b'{"paymentKey":"k","orderId":"o","status":"DONE","totalAmount":1,"currency":"KRW"}'
ANSWERS: dict[str, Response] = {
    "redirect": Response(status_code=302, headers={"Location": "/good/v1/payments/k"}),
    "proxy_page": Response("<h1>403</h1>", 403, media_type="text/html"),
    "too_long": Response(GOOD + b" " * wire.MOST_BYTES),
    "no_json": Response("fine"),
    "another_shape": Response('{"paymentKey": "k"}'),
    "bad_bytes": Response(b'{"paymentKey": "\xff"}'),
    "teapot": Response('{"code": "TEAPOT", "message": "no"}', 418),
    "good": Response(GOOD),
}


async def answer(request: Request) -> Response:
    return ANSWERS[request.path_params["how"]]


@pytest.fixture
async def server() -> AsyncIterator[str]:
    async with serving(Starlette(routes=[Route("/{how}/v1/payments/{key:path}", answer)])) as url:
        yield url


@pytest.fixture
async def client(server: str) -> AsyncIterator[Outgoing]:
    client = Outgoing([urlsplit(server).netloc, "127.0.0.1:1"])
    yield client
    await client.close()


def toss_at(url: str, client: Outgoing) -> Toss:
    config = TossConfig(client_key="c", secret_key="s", merchant_id="m", base_url=url, timeout_s=20)
    return Toss(config, client)


@pytest.mark.parametrize("how", ["redirect", "proxy_page", "too_long", "no_json", "another_shape", "bad_bytes"])
async def test_an_answer_that_is_not_the_providers_tells_nothing(server: str, client: Outgoing, how: str):
    with pytest.raises(GatewayUnavailable):
        await toss_at(f"{server}/{how}", client).query(str(uuid4()), None)


async def test_a_no_in_the_providers_shape_is_a_no(server: str, client: Outgoing):
    with pytest.raises(GatewayRefused, match="TEAPOT"):
        await toss_at(f"{server}/teapot", client).query(str(uuid4()), None)


async def test_the_server_is_otherwise_sound(server: str, client: Outgoing):
    assert (await toss_at(f"{server}/good", client).query(str(uuid4()), None)).kind == "pending"


async def test_nobody_listening_tells_nothing(client: Outgoing):
    with pytest.raises(GatewayUnavailable):
        await toss_at("http://127.0.0.1:1", client).query(str(uuid4()), None)


async def test_a_provider_at_an_inner_address_that_is_not_named_as_our_own_is_not_called(server: str):
    stranger = Outgoing()
    with pytest.raises(GatewayUnavailable, match="not a public address"):
        await toss_at(f"{server}/good", stranger).query(str(uuid4()), None)
    await stranger.close()
