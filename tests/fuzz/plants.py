"""Bugs planted on purpose, each one that a plausible mistake would make; a round must catch every one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from schemas import binary, wire
from schemas.binary import Reader, Symbol, Truth
from streams.agents import intake
from streams.agents.intake import Intake
from streams.agents.seen import SeenShelf
from streams.domain import usage
from streams.domain.reasons import Reason, Rejected
from streams.lanes.job import Record
from streams.topics import PROFILES, Topic

Patch = pytest.MonkeyPatch


def trailing_bytes_are_taken(patch: Patch) -> None:
    """What follows the record is not looked at."""
    decode = wire.Codec.decode

    def lenient(self: wire.Codec, data: bytes) -> wire.Record:
        try:
            return decode(self, data)
        except wire.WireError as e:
            if e.reason != "trailing_bytes":
                raise
            record: wire.Record = self.fields.read(Reader(data, wire.HEADER_BYTES))
            return record

    patch.setattr(wire.Codec, "decode", lenient)


def negative_lengths_wrap(patch: Patch) -> None:
    """A length below zero counts from the end."""

    def taken(self: Reader, size: int) -> bytes:
        at, end = self.at, self.at + size
        if end > len(self.data):
            raise binary.TruncatedError
        self.at = end if size >= 0 else self.at
        return self.data[at:end]

    patch.setattr(Reader, "taken", taken)


def negative_symbols_wrap(patch: Patch) -> None:
    """An enum's number below zero counts from the last symbol."""

    def read(self: Symbol, source: Reader) -> Any:
        found = source.number()
        if found >= len(self._symbols):
            raise binary.UndecodableError("no such symbol")
        return self._symbols[found % len(self._symbols)]

    patch.setattr(Symbol, "read", read)


def any_byte_is_a_boolean(patch: Patch) -> None:
    """Not zero is true."""
    patch.setattr(Truth, "read", lambda self, source: source.taken(1) != b"\x00")


def large_decimals_are_taken(patch: Patch) -> None:
    """The 38 digits are not looked at."""
    patch.setattr(binary, "LIMIT", 10**100)


def the_key_is_checked_before_the_bytes(patch: Patch) -> None:
    """A record with two flaws is told for the wrong one."""
    decode = Intake.decode

    def key_first(self: Intake, topic: Topic, record: Record) -> Any:
        if record.key is not None and record.value is not None and topic.keyed_by_account:
            flaw = intake._unreadable(record.key)
            if flaw is not None:
                return decode(self, topic, record)[0], flaw
        return decode(self, topic, record)

    patch.setattr(Intake, "decode", key_first)


def a_missing_key_is_told_before_a_missing_value(patch: Patch) -> None:
    """Null key and null value in the other order."""
    decode = Intake.decode

    def key_first(self: Intake, topic: Topic, record: Record) -> Any:
        origin, event = decode(self, topic, record)
        if record.key is None and record.value is None and topic is not PROFILES:
            return origin, Rejected(reason=Reason.NULL_KEY, detail="the record has no key")
        return origin, event

    patch.setattr(Intake, "decode", key_first)


def any_partition_is_ours(patch: Patch) -> None:
    """The key's partition is not looked at."""
    patch.setattr(intake, "partition_of", lambda key, lanes: 0)


def ids_are_forgotten(patch: Patch) -> None:
    """Every usage event is new."""
    patch.setattr(SeenShelf, "get", lambda self, digest: None)


def events_of_the_next_hour_are_taken(patch: Patch) -> None:
    """The limit of 5 minutes is an hour."""
    patch.setattr(usage, "AHEAD_MS", 3_600_000)


def a_bad_record_stops_the_lane(patch: Patch) -> None:
    """What is no UTF-8 raises."""

    def read(self: binary.Text, source: Reader) -> Any:
        return source.taken(source.number()).decode()

    patch.setattr(binary.Text, "read", read)


PLANTS: Mapping[str, Callable[[Patch], None]] = {
    plant.__name__: plant
    for plant in (
        trailing_bytes_are_taken,
        negative_lengths_wrap,
        negative_symbols_wrap,
        any_byte_is_a_boolean,
        large_decimals_are_taken,
        the_key_is_checked_before_the_bytes,
        a_missing_key_is_told_before_a_missing_value,
        any_partition_is_ours,
        ids_are_forgotten,
        events_of_the_next_hour_are_taken,
        a_bad_record_stops_the_lane,
    )
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Have a bug in this process for the block."""
    with pytest.MonkeyPatch.context() as patch:
        PLANTS[name](patch)
        yield
