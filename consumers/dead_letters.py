"""Dead letters as people work with them: which there are, what each means, what became of it.

A letter is named by the place where its input stood: TOPIC-PARTITION-OFFSET. A record that was sent again
carries that name in the header evergreen-replay-of, so a letter that dies again names the one before it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from functools import cached_property

from consumers.reading import Reader
from schemas.wire import Record, Schemas, WireError
from streams import topics
from streams.domain.reasons import Reason
from streams.settings import Settings

REPLAY_OF = "evergreen-replay-of"
"""Header of a record that was sent again: the name of the letter."""
CLOCKS_DIFFER_MS = 3_600_000
"""By how much the clocks of workers and of who replays may differ."""
_TOPICS = {topic.name: topic for topic in topics.ALL}


@unique
class Fate(StrEnum):
    """What became of a letter."""

    OPEN = "open"
    SENT_AGAIN = "sent again"
    """Applied, a duplicate, or not read yet: it has not died again."""
    DIED_AGAIN = "died again"
    """The later letter stands for it."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What an operator does about a reason."""

    text: str
    may_succeed: bool = False
    """Whether the same bytes may be applied when they are sent again."""


ADVICE: Mapping[Reason, Advice] = {
    Reason.BAD_MAGIC: Advice("Correct the producer's serializer: values are in the Confluent wire format."),
    Reason.UNKNOWN_SCHEMA: Advice(
        "Let the workers know the schema (registry, upgrade), then replay.", may_succeed=True
    ),
    Reason.WRONG_SCHEMA: Advice("Correct the producer's topic."),
    Reason.TRUNCATED: Advice("Correct the producer and send the record again."),
    Reason.UNDECODABLE: Advice("Correct the producer; a new enum symbol needs the workers upgraded first."),
    Reason.TRAILING_BYTES: Advice("Correct the producer and send the record again."),
    Reason.OUT_OF_RANGE: Advice(
        "Look at the detail: most often a unit is mistaken (seconds for milliseconds)."
    ),
    Reason.NULL_KEY: Advice("Send the record again with the account id as its key."),
    Reason.NULL_VALUE: Advice("Correct the producer: no value means nothing on this topic."),
    Reason.BAD_KEY: Advice("Correct the producer: the key is the account id in UTF-8."),
    Reason.KEY_MISMATCH: Advice("Correct the producer: the key is the value's account_id."),
    Reason.WRONG_PARTITION: Advice(
        "Set the producer's partitioner to murmur2 (librdkafka: murmur2_random), then replay.",
        may_succeed=True,
    ),
    Reason.NEGATIVE_QUANTITY: Advice("A correction is an adjustment: emit a credit or a reversal."),
    Reason.FROM_THE_FUTURE: Advice(
        "Set the producer's clock. Replay once the event's own time has come.", may_succeed=True
    ),
    Reason.TOO_OLD: Advice(
        "Whether it is a duplicate can no longer be told. If it must be billed, emit a debit adjustment."
    ),
    Reason.ID_CONFLICT: Advice(
        "Two events have one id, or a sender changes what it sent; the first stands. "
        "If the second is real, send it under an id of its own."
    ),
    Reason.NO_PRICE: Advice(
        "Publish a price that is valid at its time (late: true), then replay. "
        "When it is older than max_age, replay books a debit that names it.",
        may_succeed=True,
    ),
    Reason.LATE_PRICE: Advice("Publish it as it is but marked late: true, or with a later valid_from."),
    Reason.PRICE_CONFLICT: Advice("Publish it as a new version."),
    Reason.BAD_PRICE: Advice("Correct it: evergreen prices check FILE names what is wrong."),
    Reason.BAD_SETTINGS: Advice("Correct the settings and send them under the same revision."),
    Reason.CURRENCY_MISMATCH: Advice(
        "Correct the currency; if the account had no settings yet, send them, then replay.", may_succeed=True
    ),
    Reason.BAD_PAYMENT: Advice("Correct what translates the provider's words."),
    Reason.REFUND_EXCEEDS_PAYMENT: Advice(
        "Look: the provider's books and ours differ. Replay when what was missing has arrived.",
        may_succeed=True,
    ),
    Reason.BAD_ADJUSTMENT: Advice("Correct it: an id, and a positive amount or the usage event taken back."),
    Reason.ADJUSTMENT_CONFLICT: Advice("Use a new adjustment id."),
    Reason.UNKNOWN_EVENT: Advice(
        "Check the reversal's source and event id. Replay once its usage event is charged.", may_succeed=True
    ),
    Reason.ALREADY_REVERSED: Advice("Nothing, or find out who took the event back twice."),
    Reason.TICK_AHEAD: Advice("A worker's or broker's clock is wrong: set it. Ticks are never sent again."),
}
REASONS = frozenset(reason.value for reason in Reason)
NEWER = Advice("This reason is of a newer version: see its docs/domain/dead-letters.md.")


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One dead letter."""

    topic: str
    """Where the input stood, without prefix."""
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    reason: str
    detail: str
    account_id: str | None
    rejected_at: int | None
    written_at: int
    """The letter's own Kafka timestamp."""

    @property
    def name(self) -> str:
        """Return TOPIC-PARTITION-OFFSET."""
        return f"{self.topic}-{self.partition}-{self.offset}"

    @property
    def when(self) -> int:
        """Return when it died, by the lane's time; before its first tick, the input's Kafka timestamp."""
        return self.timestamp if self.rejected_at is None else self.rejected_at

    @cached_property
    def account(self) -> str | None:
        """Return the account, also where only the key tells it."""
        about = _TOPICS.get(self.topic)
        if self.account_id is not None or self.key is None or about is None or not about.keyed_by_account:
            return self.account_id
        try:
            return self.key.decode()
        except UnicodeDecodeError:
            return None

    @property
    def advice(self) -> Advice:
        """Return what to do about it."""
        return ADVICE[Reason(self.reason)] if self.reason in REASONS else NEWER

    @property
    def replay_of(self) -> str | None:
        """Return the name of the letter that this input was sent again for, or None."""
        return replay_of(self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which letters are meant; None: any. since is included, until is not."""

    reason: str | None = None
    since: int | None = None
    until: int | None = None
    account: str | None = None
    topic: str | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            self.reason in {None, letter.reason}
            and (self.since is None or letter.when >= self.since)
            and (self.until is None or letter.when < self.until)
            and self.account in {None, letter.account}
            and self.topic in {None, letter.topic}
        )


class Letters:
    """All dead letters of a deployment, and which followed from which."""

    def __init__(self, letters: Iterable[Letter], sent_again: Iterable[str] = ()) -> None:
        """`sent_again` are the names found in headers of the inputs."""
        self.all = sorted(letters, key=lambda letter: (letter.when, letter.name))
        self.by_name = {letter.name: letter for letter in self.all}
        self._sent_again = frozenset(sent_again)
        self._next = {letter.replay_of: letter for letter in self.all if letter.replay_of}

    def select(self, wanted: Filter) -> list[Letter]:
        """Return the letters that are meant, oldest first."""
        return [letter for letter in self.all if wanted.takes(letter)]

    def fate(self, letter: Letter) -> Fate:
        """Return what became of a letter."""
        if letter.name in self._next:
            return Fate.DIED_AGAIN
        return Fate.SENT_AGAIN if letter.name in self._sent_again else Fate.OPEN

    def next(self, letter: Letter) -> Letter | None:
        """Return the letter that a letter became when it was sent again."""
        return self._next.get(letter.name)

    def first(self, letter: Letter) -> Letter:
        """Return the letter with which a chain of dying again began, as far as it is here."""
        seen = {letter.name}
        while letter.replay_of in self.by_name and letter.replay_of not in seen:
            letter = self.by_name[letter.replay_of]
            seen.add(letter.name)
        return letter


def letter_of(record: Record, written_at: int) -> Letter:
    """Return a DeadLetter record as a letter."""
    headers = tuple((header["name"], header["value"]) for header in record["headers"])
    return Letter(**{**record, "headers": headers}, written_at=written_at)


def replay_of(headers: Sequence[tuple[str, bytes | None]]) -> str | None:
    """Return the letter that a record was sent again for, or None."""
    for name, value in headers:
        if name == REPLAY_OF and value is not None:
            return value.decode(errors="replace")
    return None


def content(letter: Letter, schemas: Schemas) -> tuple[str, Record] | None:
    """Return (record type, record) of a letter's value, or None where it does not decode."""
    if letter.value is None:
        return None
    about = _TOPICS.get(letter.topic)
    try:
        return schemas.decode(letter.value, *(about.records if about else ()))
    except WireError:
        pass
    try:  # of a type that the topic does not carry
        return schemas.decode(letter.value)
    except WireError:
        return None


def read(reader: Reader, settings: Settings, schemas: Schemas) -> list[Letter]:
    """Return every dead letter of a deployment."""
    places = reader.places([settings.topic(topics.DEAD_LETTERS.name)])
    return [
        letter_of(schemas.decode(found.value, *topics.DEAD_LETTERS.records)[1], found.timestamp)
        for found in reader.records(places)
        if found.value is not None
    ]


def sent_again(reader: Reader, settings: Settings, letters: Sequence[Letter]) -> set[str]:
    """Return the names of letters that the inputs' headers tell were sent again.

    Looks into the inputs that these letters came from, from shortly before the oldest of them on.
    """
    if not letters:
        return set()
    inputs = sorted({letter.topic for letter in letters} & {topic.name for topic in topics.INPUTS})
    places = reader.places(map(settings.topic, inputs))
    since = reader.since(places, min(letter.written_at for letter in letters) - CLOCKS_DIFFER_MS)
    names = (replay_of(found.headers) for found in reader.records(places, since) if found.headers)
    return {name for name in names if name is not None}
