"""Calls to the provider, several at once, each an account's only one."""

import queue
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import assert_never

from consumers.attempts import Step
from consumers.lanes import Line
from consumers.provider import Answer, Provider, UnavailableError, UnsureError

CALLS = 32
"""Calls at once."""
MOST_OUT = 4 * CALLS
"""Calls begun or waiting for a thread. Few, so that no post waits long after its record."""
POST_WITHIN_SECONDS = 20.0
"""A post begins within this time of its record, or not at all: whoever has the lane by then must be able
to tell that none is under way (the process may have been stopped in between, for hours)."""


class TooLateError(Exception):
    """The post was not made: its record is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One question to the provider about the first command of a line."""

    line: Line
    step: Step
    is_first_post: bool = False
    """No post of this id was ever under way before."""


Result = Answer | UnavailableError | UnsureError | TooLateError | None


class Calls:
    """Asks the provider in threads and hands the answers to the one thread that decides."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._threads = ThreadPoolExecutor(CALLS, thread_name_prefix="provider")
        self._done: queue.SimpleQueue[tuple[Call, Future[Result]]] = queue.SimpleQueue()
        self.out = 0

    def begin(self, call: Call, recorded_at: float = 0.0) -> None:
        """Ask; a post needs the moment at which its record was known to be safe (time.monotonic)."""
        self.out += 1
        future = self._threads.submit(self._ask, call, recorded_at)
        future.add_done_callback(lambda done: self._done.put((call, done)))

    def finished(self, wait_seconds: float) -> list[tuple[Call, Result]]:
        """Return what has ended, having waited for the first; raises what the provider should not have."""
        found: list[tuple[Call, Result]] = []
        while True:
            try:
                call, future = (
                    self._done.get(timeout=wait_seconds) if wait_seconds else self._done.get_nowait()
                )
            except queue.Empty:
                return found
            self.out -= 1
            found.append((call, future.result()))
            wait_seconds = 0.0

    def close(self) -> None:
        """Begin no further call."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, call: Call, recorded_at: float) -> Result:
        command = call.line.command
        try:
            match call.step:
                case Step.POST:
                    if time.monotonic() > recorded_at + POST_WITHIN_SECONDS:
                        return TooLateError()
                    return self._provider.charge(command)
                case Step.LOOK_UP:
                    return self._provider.lookup(command)
                case Step.CANCEL:
                    return self._provider.cancel(command)
                case Step.REPEAT | Step.LEAVE | Step.RECORD_WORD | Step.SAY_WORD | Step.WAIT:
                    raise AssertionError(f"{call.step} asks nobody")
                case _:
                    assert_never(call.step)
        except (UnavailableError, UnsureError) as e:
            return e
