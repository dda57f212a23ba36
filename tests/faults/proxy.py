"""A network to break: stands between clients and a broker, knows Kafka's frames, and hurts them on order.

The broker tells its clients the proxy's address, so that nothing of theirs goes around it. Every fault says
how many connections it met, and none heals what it hurt: what was lost on a connection stays lost.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Self, TypeVar

Result = TypeVar("Result")


class Api(IntEnum):
    """Requests of the Kafka protocol, by their number in its header (https://kafka.apache.org/protocol)."""

    PRODUCE = 0
    FETCH = 1
    OFFSET_FETCH = 9
    JOIN_GROUP = 11
    HEARTBEAT = 12
    SYNC_GROUP = 14
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


AT_ONCE = struct.pack("ii", 1, 0)
"""Linger for no time: a close is a reset."""
REQUESTS, REPLIES = "requests", "replies"


@dataclass(eq=False, slots=True)
class Connection:
    """A client's connection and ours to the broker behind it."""

    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    silent: set[str] = field(default_factory=set)
    """Directions in which everything vanishes from now on."""
    fatal: dict[int, Callable[[], None]] = field(default_factory=dict)
    """Replies that are lost, and the connection with them, by correlation id; and whom to tell."""

    def abort(self) -> None:
        """Reset both sides; what was not sent yet is lost."""
        for side in (self.client, self.broker):
            side.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            side.transport.abort()

    def close(self) -> None:
        """Send what is left, and close both sides."""
        self.client.close()
        self.broker.close()


class Proxy:
    """Forwards `port` of 127.0.0.1 to `target`, in a thread of its own, for as long as the block lasts."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{port}", daemon=True)
        self._connections: set[Connection] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._passing = asyncio.Event()
        self._passing.set()
        self._delay = 0.0
        self._lost_replies: dict[int, Callable[[], None]] = {}
        self._lost_requests: dict[int, Callable[[], None]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # -- faults; each returns how many connections it met

    def cut(self) -> int:
        """Reset every connection; new ones are taken."""
        return self._call(self._cut())

    def refuse(self, seconds: float) -> int:
        """Reset every connection, and refuse new ones for a while."""

        async def refuse() -> int:
            await self._stop_listening()
            self._loop.call_later(seconds, lambda: self._start(self._listen()))
            return await self._cut()

        return self._call(refuse())

    def hold(self, seconds: float) -> int:
        """Deliver nothing, either way, for a while; then all of it, as TCP does after a gap in the line."""

        async def hold() -> int:
            self._passing.clear()
            self._loop.call_later(seconds, self._passing.set)
            return len(self._connections)

        return self._call(hold())

    def delay(self, each_seconds: float, seconds: float) -> int:
        """Let every message take so much longer, for a while."""

        async def delay() -> int:
            self._delay = each_seconds
            self._loop.call_later(seconds, self._undelay)
            return len(self._connections)

        return self._call(delay())

    def silence(self, *, replies: bool = False, both: bool = False) -> int:
        """Let every connection of now swallow its requests for ever without closing; new ones work.

        Or its replies; or half of the connections these, half those.
        """

        async def silence() -> int:
            for number, connection in enumerate(self._connections):
                is_deaf = number % 2 if both else replies
                connection.silent.add(REPLIES if is_deaf else REQUESTS)
            return len(self._connections)

        return self._call(silence())

    def lose_reply(self, api: Api) -> threading.Event:
        """Reset the connection of the next such request when the broker has answered it, not before.

        The event is set when it happened.
        """
        return self._arm(self._lost_replies, api)

    def lose_request(self, api: Api) -> threading.Event:
        """Reset the connection of the next such request before the broker has seen it."""
        return self._arm(self._lost_requests, api)

    # -- inside the loop

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def _arm(self, traps: dict[int, Callable[[], None]], api: Api) -> threading.Event:
        sprung = threading.Event()

        async def arm() -> None:
            traps[api] = sprung.set

        self._call(arm())
        return sprung

    def _undelay(self) -> None:
        self._delay = 0.0

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _close(self) -> None:
        await self._stop_listening()
        await self._cut()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _cut(self) -> int:
        met = len(self._connections)
        for connection in list(self._connections):
            connection.abort()
        return met

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            replies, broker = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:  # the broker is away: its clients see the same
            client.transport.abort()
            return
        connection = Connection(client, broker)
        self._connections.add(connection)
        self._start(self._pump(connection, REQUESTS, reader, broker))
        self._start(self._pump(connection, REPLIES, replies, client))

    async def _pump(
        self, connection: Connection, direction: str, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        look = self._request if direction == REQUESTS else self._reply
        try:
            while True:
                frame = await _frame(source)
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._passing.wait()
                if direction in connection.silent:
                    continue
                if not look(connection, frame):
                    connection.abort()
                    break
                sink.write(frame)
                await sink.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # one side is gone: the other goes too
        finally:
            self._connections.discard(connection)
            connection.close()

    def _request(self, connection: Connection, frame: bytes) -> bool:
        """Tell whether a request is to be forwarded: api key, version and correlation id follow its size."""
        api = int.from_bytes(frame[4:6])
        if lost := self._lost_requests.pop(api, None):
            lost()
            return False
        if lost := self._lost_replies.pop(api, None):
            connection.fatal[int.from_bytes(frame[8:12])] = lost
        return True

    def _reply(self, connection: Connection, frame: bytes) -> bool:
        """Tell whether a reply is to be forwarded."""
        lost = connection.fatal.pop(int.from_bytes(frame[4:8]), None)
        if lost is not None:
            lost()
        return lost is None


async def _frame(source: asyncio.StreamReader) -> bytes:
    size = await source.readexactly(4)
    return size + await source.readexactly(int.from_bytes(size))
