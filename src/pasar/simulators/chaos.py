"""Misbehaviour on demand. `PUT …/simulator/chaos` replaces the plan of one simulator; `{}` ends it.

A plan is kept in memory: a restart ends it, too.
"""

import asyncio
from contextlib import suppress
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

LONGEST_HANG_S = 120.0


class EndpointFault(msgspec.Struct, forbid_unknown_fields=True):
    """What goes wrong at an endpoint (`*`: at any), for so many requests (None: until the plan is replaced).

    `status` is answered instead of doing anything; `hang` does everything and never answers.
    """

    endpoint: str = "*"
    latency_ms: int = 0
    status: int | None = None
    hang: bool = False
    wrong_signature: bool = False
    clock_skew_s: int = 0
    times: int | None = None


class NoticeFault(msgspec.Struct, forbid_unknown_fields=True):
    """What goes wrong with notices, for so many deliveries. A dropped notice is lost on its way, and sent again later.

    `reorder` collects notices for `delay_ms`, then delivers the newest first.
    """

    copies: int = 1
    drop: bool = False
    wrong_signature: bool = False
    clock_skew_s: int = 0
    delay_ms: int = 0
    reorder: bool = False
    times: int | None = None


class Plan(msgspec.Struct, forbid_unknown_fields=True):
    endpoints: list[EndpointFault] = []
    notices: NoticeFault | None = None
    retry_scale: float = 1.0  # Shortens the provider's schedule of hours to what a test can wait for.
    refund_state: Literal["SUCCESS", "CLOSED", "ABNORMAL", "PROCESSING"] = "SUCCESS"
    refund_delay_ms: int = 0


class Chaos:
    def __init__(self) -> None:
        self.plan = Plan()

    def at(self, endpoint: str) -> EndpointFault:
        """The fault for one request, used up by it."""
        for fault in self.plan.endpoints:
            if fault.endpoint in ("*", endpoint) and fault.times != 0:
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return EndpointFault()

    def for_notice(self) -> NoticeFault:
        fault = self.plan.notices
        if fault is None or fault.times == 0:
            return NoticeFault()
        if fault.times is not None:
            fault.times -= 1
        return fault

    async def endpoint(self, request: Request) -> Response:
        if request.method == "PUT":
            try:
                self.plan = msgspec.json.decode(await request.body(), type=Plan)
            except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
                return JSONResponse({"message": str(problem)}, status_code=400)
        return Response(msgspec.json.encode(self.plan), media_type="application/json")


async def pause(milliseconds: int) -> None:
    if milliseconds:
        await asyncio.sleep(milliseconds / 1000)


async def hang(request: Request) -> None:
    """Until the client gives up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_HANG_S):
            while (await request.receive())["type"] != "http.disconnect":
                pass
