"""The ticker: the worker that owns lane 0 writes the time to every partition of clock-ticks.

Two at once do no harm: a lane's time never goes back, and a tick ahead of its broker's clock is refused.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.wire import Schemas
from streams.lanes.transaction import REQUEST_TIMEOUT_MS
from streams.settings import Settings
from streams.topics import TICKS

log = structlog.get_logger()


async def tick_for_ever(settings: Settings, schemas: Schemas, is_elected: Callable[[], bool]) -> None:
    """Write a tick every `tick_seconds` while elected; a tick that fails is logged and left out."""
    codec = schemas.codec("tick")
    name = f"{socket.gethostname()}-{os.getpid()}"
    topic = settings.topic(TICKS.name)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, acks="all", request_timeout_ms=REQUEST_TIMEOUT_MS
    )
    await producer.start()
    try:
        while True:
            await asyncio.sleep(settings.tick_seconds)
            if not is_elected():
                continue
            value = codec.encode({"time": time.time_ns() // 1_000_000, "ticker": name})
            try:
                for lane in range(settings.lanes):
                    await producer.send_and_wait(topic, value, key=name.encode(), partition=lane)
            except KafkaError as e:
                log.warning("tick not written", error=str(e))
    finally:
        await producer.stop()
