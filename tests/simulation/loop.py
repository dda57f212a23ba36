"""An event loop whose time is a number: it jumps to the next timer, so that an hour costs nothing.

What runs on it is a function of its inputs: no socket, no thread, no clock of the machine.
"""

import asyncio
from typing import Any


class StuckError(Exception):
    """Everything waits for something that nobody will do."""


class VirtualLoop(asyncio.BaseEventLoop):
    """asyncio's own loop over a selector that only lets time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._clock_resolution = 1e-9
        self._selector = _Nothing(self)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self.now

    def _process_events(self, event_list: Any) -> None:
        """Do nothing: there are no sockets."""

    def _write_to_self(self) -> None:
        """Do nothing: no other thread ever calls."""


class _Nothing:
    """Stands where the selector of sockets would."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        """Let the time pass that the loop would have waited."""
        if timeout is None:
            raise StuckError("nothing is scheduled any more")
        if timeout > 0:
            self._loop.now += timeout
        return []


class LoopTime:
    """Stands where a module has imported `time`: the loop's own."""

    def __init__(self, loop: VirtualLoop, epoch: float) -> None:
        self._loop = loop
        self._epoch = epoch

    def monotonic(self) -> float:
        """Return virtual seconds."""
        return self._loop.now

    perf_counter = monotonic

    def time(self) -> float:
        """Return virtual seconds since 1970."""
        return self._epoch + self._loop.now
