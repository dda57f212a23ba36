"""Bytes to events: everything that is checked of a record before the rules see it.

Order of checks: value and key present, header, schema, Avro, key readable, equal to account_id, partition.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.wire import Schemas, WireError
from streams.agents import events
from streams.agents.shelves import AccountShelf
from streams.domain.events import Event, Origin, PricePublished, Tick, UsageEvent
from streams.domain.reasons import Reason, Rejected
from streams.lanes.job import Record
from streams.partition import partition_of
from streams.topics import INPUTS, PROFILES, USAGE, Topic

_USAGE = USAGE.records[0]


class Intake:
    """Reads the records of one lane."""

    def __init__(self, schemas: Schemas, lane: int, lanes: int, accounts: AccountShelf) -> None:
        """`accounts`: the lane's. The key of each was checked when it was opened."""
        self._schemas = schemas
        self._lane = lane
        self._lanes = lanes
        self._accounts = accounts
        self._usual = {topic.name: schemas.codec(topic.records[0]) for topic in INPUTS}

    def read(self, topic: Topic, record: Record) -> tuple[Origin, Event | Rejected]:
        """Return where a record stood and what it says, or why it cannot be applied."""
        origin, event = self.decode(topic, record)
        return origin, self.placed(event)

    def decode(self, topic: Topic, record: Record) -> tuple[Origin, Event | Rejected]:
        """Return the same, but for the last check: whether its account is this lane's. That is placed()."""
        key, value = record.key, record.value
        origin = Origin(
            topic.name, self._lane, record.offset, record.timestamp, key, value, tuple(record.headers)
        )
        if value is None and topic is not PROFILES:
            return origin, Rejected(reason=Reason.NULL_VALUE, detail="the record has no value")
        if key is None:
            return origin, Rejected(reason=Reason.NULL_KEY, detail="the record has no key")
        if value is None:
            return origin, _unreadable(key) or events.profile_erased(key.decode(), origin)
        decoded: Mapping[str, Any] = {}
        values: Sequence[Any] = ()
        try:
            codec = self._usual[topic.name]
            if not value.startswith(codec.header):
                codec = self._schemas.codec_of(value, *topic.records)
            if codec.name == _USAGE:
                values = codec.values(value)
            else:
                decoded = codec.decode(value)
        except WireError as e:
            return origin, Rejected(reason=Reason(e.reason), detail=e.detail)
        if topic.keyed_by_account:
            account_id: str = values[0] if values else decoded["account_id"]
            if key != account_id.encode():
                return origin, _unreadable(key) or _mismatch(key, account_id)
            if values:
                return origin, events.usage_of(values, origin)
        return origin, events.event_of(codec.name, decoded, origin)

    def placed(self, event: Event | Rejected) -> Event | Rejected:
        """Return what decode() made of a record, or why it should not be in this lane."""
        if type(event) is not UsageEvent and isinstance(event, Rejected | PricePublished | Tick):
            return event  # it is of no account
        if self._accounts.has(event.account_id):
            return event
        if (right := partition_of(event.account_id.encode(), self._lanes)) == self._lane:
            return event
        detail = f"the key belongs to partition {right}, by murmur2 over {self._lanes}"
        return Rejected(reason=Reason.WRONG_PARTITION, detail=detail)


def _unreadable(key: bytes) -> Rejected | None:
    """Return what is wrong with a key that is no text."""
    try:
        key.decode()
    except UnicodeDecodeError as e:
        return Rejected(reason=Reason.BAD_KEY, detail=f"the key is not UTF-8: {e.reason}")
    return None


def _mismatch(key: bytes, account_id: str) -> Rejected:
    detail = f"the key names {key.decode()!r}, the value {account_id!r}"
    return Rejected(reason=Reason.KEY_MISMATCH, detail=detail)
