"""The topics of one deployment as a value: what the checks look at, filled from Kafka or by tests.

Names are without the deployment's prefix. Owns no rule.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas import wire
from streams import topics as names

ACCOUNTS_CHANGELOG = names.changelog("evergreen", "accounts")
"""The lanes' own memory of each account, but for what charges changed since: that is in its balance."""

INPUTS = tuple(topic.name for topic in names.INPUTS)
READ = (*(topic.name for topic in names.ALL), ACCOUNTS_CHANGELOG)
"""Every topic that a verification reads."""


class Record(NamedTuple):
    """One record as it stands in a partition."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(slots=True)
class Log:
    """One partition's retained records, in order of offsets; offsets may have holes."""

    records: list[Record] = field(default_factory=list)
    start: int = 0
    """First offset that the broker still had; above 0: the head was removed by retention."""
    end: int = 0
    """Offset after the last, transaction markers included."""

    def between(self, first: int, after: int) -> Sequence[Record]:
        """Return the retained records of a half-open range of offsets."""
        low = bisect_left(self.records, first, key=_offset)
        return self.records[low : bisect_left(self.records, after, lo=low, key=_offset)]


@dataclass(slots=True)
class Topics:
    """All topics of one deployment at one moment."""

    lanes: int
    logs: dict[str, list[Log]]
    schemas: wire.Schemas = field(default_factory=wire.fixed)

    @classmethod
    def empty(cls, lanes: int) -> "Topics":
        """Return topics without a record."""
        return cls(lanes, {name: [Log() for _ in range(lanes)] for name in READ})

    def log(self, topic: str, partition: int) -> Log:
        """Return one partition."""
        return self.logs[topic][partition]

    def head_removed(self, topic: str) -> bool:
        """Return whether retention took the first records of a topic's partition away."""
        return any(log.start > 0 for log in self.logs[topic])


def _offset(record: Record) -> int:
    return record.offset
