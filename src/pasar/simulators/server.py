"""All simulators on one port, each below its own name, with `/healthz`."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from pasar.kernel.clock import SystemClock

from .keys import keys
from .toss import TossSimulator
from .wechat import WechatSimulator


def build(
    data: Path,
    *,
    now: Callable[[], datetime] = SystemClock().now,
    callback_host: str | None = None,
    toss_webhook: str | None = None,
) -> Starlette:
    """The application; its state and keys are in `data`."""
    known = keys(data, now())
    toss = TossSimulator(data, known.toss, now, webhook_url=toss_webhook, callback_host=callback_host)
    wechat = WechatSimulator(data, known, now, callback_host=callback_host)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(toss.running())
            await stack.enter_async_context(wechat.running())
            yield

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[Route("/healthz", healthz), Mount("/toss", toss.app), Mount("/wechat", wechat.app)], lifespan=lifespan
    )


@asynccontextmanager
async def serving(app: Starlette, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve in this event loop; gives the address. Port 0 takes a free one."""
    with socket.create_server((host, port)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1, lifespan="on")
        )
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                if task.done():
                    await task
                    raise RuntimeError("the simulators did not start")
                await asyncio.sleep(0.01)
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
