"""Keeps the log readable while a broker is away: the Kafka client says the same a thousand times a second."""

import logging
import time
from collections.abc import Callable

AGAIN_SECONDS = 10.0
MOST_KINDS = 1_000
"""Kinds remembered; a client that makes more of them begins anew."""


class Seldom(logging.Filter):
    """Lets each kind of line of aiokafka through once in AGAIN_SECONDS; all others always."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._again: dict[tuple[str, int, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line goes out; lines of one kind differ in their arguments only."""
        if not record.name.startswith("aiokafka"):
            return True
        kind, now = (record.name, record.levelno, str(record.msg)), self._clock()
        if now < self._again.get(kind, now):
            return False
        if len(self._again) >= MOST_KINDS:
            self._again.clear()
        self._again[kind] = now + AGAIN_SECONDS
        return True
