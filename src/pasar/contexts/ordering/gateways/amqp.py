"""RabbitMQ as the buffer of a sale: a durable queue, publisher confirms, bounded prefetch, and a queue for what nobody
can read. A message is acknowledged after its order was committed, so a consumer that dies leaves it to the next."""

import asyncio
import contextlib
import logging
import time
from typing import Any

import msgspec

from pasar.kernel.messages import decode, encode

from ..gateway import Buffer, BufferedOrder, Later, Place

log = logging.getLogger("pasar.flash")
QUEUE = "pasar.flash.orders"
DEAD = "pasar.flash.dead"
CONFIRM_S = 5
"""A burst keeps a process so busy that a confirmation waits until it is read."""
REST_S = 1
LATER_MS = 200


class AmqpBuffer(Buffer):
    """`prefix` tells the queues of several deployments on one broker apart."""

    def __init__(self, url: str, *, prefix: str = "", most: int = 100_000) -> None:
        self._url, self._prefix, self._most = url, prefix, most
        self._connection: Any = None
        self._channel: Any = None
        self._opening = asyncio.Lock()
        self._rest_until = time.monotonic()

    @property
    def queue(self) -> str:
        return self._prefix + QUEUE

    async def open(self) -> None:
        try:
            await self._open()
        except Exception as error:  # Whatever it is, orders are placed without it.
            log.warning("the broker is away: %s", type(error).__name__)

    async def _open(self) -> Any:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                import aio_pika

                await self._close()
                self._connection = await aio_pika.connect(self._url, timeout=CONFIRM_S)
                self._channel = await self._connection.channel(publisher_confirms=True)
                await self._declare(self._channel)
            return self._channel

    async def _declare(self, channel: Any) -> Any:
        await channel.declare_queue(self._prefix + DEAD, durable=True)
        dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": self._prefix + DEAD}
        full = {"x-max-length": self._most, "x-overflow": "reject-publish"}
        return await channel.declare_queue(self.queue, durable=True, arguments={**dead, **full})

    async def put(self, order: BufferedOrder) -> bool:
        """False when the broker is away, is full, or does not confirm in time: then it is placed without one."""
        if time.monotonic() < self._rest_until:
            return False
        import aio_pika

        try:
            async with asyncio.timeout(CONFIRM_S):
                channel = await self._open()
                message = aio_pika.Message(
                    encode(order), content_type="application/json", delivery_mode=aio_pika.DeliveryMode.PERSISTENT
                )
                return bool(await channel.default_exchange.publish(message, self.queue, mandatory=True))
        except Exception as error:  # Its libraries fail in many ways; each of them means that it is placed without it.
            log.warning("the broker did not take an order: %s", type(error).__name__)
            self._rest_until = time.monotonic() + REST_S
            return False

    async def consume(self, place: Place, stop: asyncio.Event, *, prefetch: int) -> None:
        """Place what waits, `prefetch` at once at most, until `stop`. Comes back by itself when the broker was away."""
        while not stop.is_set():
            try:
                await self._consume(place, stop, prefetch)
            except Exception as error:  # Whatever it is, what waits there is to be placed: come back.
                log.warning("the broker is away: %s", type(error).__name__)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), REST_S)

    async def _consume(self, place: Place, stop: asyncio.Event, prefetch: int) -> None:
        """Until `stop`, or nothing can come any more: the broker may close the channel alone, or drop its consumer when
        the queue was deleted, on a connection that is up."""
        import aio_pika

        async def handle(message: Any) -> None:
            await _placed(message, place)

        async with await aio_pika.connect(self._url, timeout=5) as connection:
            channel, dropped = await connection.channel(), asyncio.Event()
            (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(lambda _: dropped.set())
            await channel.set_qos(prefetch_count=prefetch)
            await (await self._declare(channel)).consume(handle)
            waits = connection.closed(), channel.closed(), dropped.wait(), stop.wait()
            ends = [asyncio.ensure_future(wait) for wait in waits]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.cancel()

    async def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                await self._connection.close()
            self._connection = self._channel = None

    async def close(self) -> None:
        await self._close()


async def _placed(message: Any, place: Place) -> None:
    try:
        order = decode(message.body, BufferedOrder)
    except (ValueError, ArithmeticError, msgspec.MsgspecError):
        log.error("a message that is no order was set aside in %s", DEAD)
        await message.reject(requeue=False)
        return
    try:
        await place(order)
    except Later:
        await asyncio.sleep(LATER_MS / 1000)
        await message.reject(requeue=True)
    except Exception:
        log.exception("an order could not be placed")
        await asyncio.sleep(LATER_MS / 1000)
        await message.reject(requeue=not message.redelivered)  # The second time it is set aside in `DEAD`.
    else:
        await message.ack()
