"""Bytes to events: everything that is checked of a record before the rules see it.

Order of checks: value and key present, header, schema, Avro, key readable, equal to account_id, partition.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.wire import Schemas, WireError
from streams.agents import events
from streams.agents.bounded import thin
from streams.domain.events import Event, Origin
from streams.domain.reasons import Reason, Rejected
from streams.lanes.job import Record
from streams.partition import partition_of
from streams.topics import INPUTS, PROFILES, USAGE, Topic

KNOWN_KEYS = 200_000
"""Keys whose partition was checked, remembered with what they say, at least: murmur2 runs once a key, and all
events of an account share one string."""

_USAGE = USAGE.records[0]


class Intake:
    """Reads the records of one lane."""

    def __init__(self, schemas: Schemas, lane: int, lanes: int, accounts: int = 0) -> None:
        """`accounts`: how many the lane keeps at hand; as many keys are known."""
        self._schemas = schemas
        self._lane = lane
        self._lanes = lanes
        self._most = max(KNOWN_KEYS, accounts)
        self._known: dict[bytes, str] = {}
        self._usual = {topic.name: schemas.codec(topic.records[0]) for topic in INPUTS}

    def read(self, topic: Topic, record: Record) -> tuple[Origin, Event | Rejected]:
        """Return where a record stood and what it says, or why it cannot be applied."""
        key, value = record.key, record.value
        origin = Origin(
            topic.name, self._lane, record.offset, record.timestamp, key, value, tuple(record.headers)
        )
        if value is None and topic is not PROFILES:
            return origin, Rejected(reason=Reason.NULL_VALUE, detail="the record has no value")
        if key is None:
            return origin, Rejected(reason=Reason.NULL_KEY, detail="the record has no key")
        known = self._known.get(key)
        flaw = self._key_flaw(key) if known is None and topic.keyed_by_account else None
        if value is None:
            return origin, flaw or events.profile_erased(key.decode(), origin)
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
            if flaw is not None and flaw.reason is Reason.BAD_KEY:
                return origin, flaw
            account_id = known or key.decode()
            named = values[0] if values else decoded["account_id"]
            if named != account_id:
                detail = f"the key names {account_id!r}, the value {named!r}"
                return origin, Rejected(reason=Reason.KEY_MISMATCH, detail=detail)
            if flaw is not None:
                return origin, flaw
            if values:
                return origin, events.usage_of(values, account_id, origin)
        return origin, events.event_of(codec.name, decoded, origin)

    def _key_flaw(self, key: bytes) -> Rejected | None:
        """Return what is wrong with a key of an account; one that is right is known from now on."""
        try:
            account_id = key.decode()
        except UnicodeDecodeError as e:
            return Rejected(reason=Reason.BAD_KEY, detail=f"the key is not UTF-8: {e.reason}")
        if (right := partition_of(key, self._lanes)) != self._lane:
            detail = f"the key belongs to partition {right}, by murmur2 over {self._lanes}"
            return Rejected(reason=Reason.WRONG_PARTITION, detail=detail)
        if len(self._known) >= self._most:
            thin(self._known, self._most)
        self._known[key] = account_id
        return None
