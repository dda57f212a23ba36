"""What replaying dead letters would do: sent again as they came, booked as a debit, or left out and why.

Pure. Safe to do twice: the lanes count what they have seen as a duplicate, and this leaves out what was
sent already. Never sends what could undo something: profiles and ticks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from consumers.dead_letters import REPLAY_OF, Fate, Letter, Letters, content
from consumers.unpriced import Booking, Desk, Nothing
from schemas.wire import Record, Schemas
from streams import topics
from streams.domain.reasons import Reason
from streams.partition import partition_of

_TOPICS = {topic.name: topic for topic in topics.INPUTS}
NEVER = {
    topics.TICKS.name: "a tick is the time it was, and others have come since",
    topics.PROFILES.name: "it could bring back what was changed or erased since: let its writer send it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """A record to be sent again."""

    letter: Letter
    partition: int

    @property
    def headers(self) -> tuple[tuple[str, bytes | None], ...]:
        """Return the original headers and the letter's name; of a letter that died again, only the last."""
        kept = tuple((name, value) for name, value in self.letter.headers if name != REPLAY_OF)
        return (*kept, (REPLAY_OF, self.letter.name.encode()))


@dataclass(slots=True)
class Plan:
    """What is to be done with each selected letter, oldest first."""

    resend: list[Resend] = field(default_factory=list)
    book: list[tuple[Letter, Booking]] = field(default_factory=list)
    left_out: list[tuple[Letter, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpriced:
    """What is known about usage that had no price."""

    lines: Mapping[int, int]
    """The forget line of each lane."""
    is_priced: Callable[[str, int], bool]
    """Whether a meter has a price at a moment, in any currency."""
    desk: Desk


def plan(
    letters: Letters,
    selected: Sequence[Letter],
    *,
    lanes: int,
    schemas: Schemas,
    unpriced: Unpriced | None,
    hopeless: bool = False,
) -> Plan:
    """Return what replaying the selected letters does; `unpriced` may be None where usage() is empty.

    `hopeless` sends also what died of its bytes alone, for workers that read them otherwise now.
    """
    made = Plan()
    for letter in selected:
        why = _barred(letters, letter)
        if why is not None:
            made.left_out.append((letter, why))
            continue
        event = usage_without_price(letters, letter, schemas)
        if event is not None:
            assert unpriced is not None
            _unpriced(made, letter, event, unpriced, lanes)
        elif hopeless or letter.advice.may_succeed:
            made.resend.append(Resend(letter=letter, partition=_partition(letter, lanes)))
        else:
            made.left_out.append((letter, f"would die of {letter.reason} again"))
    return made


def usage(letters: Letters, selected: Iterable[Letter], schemas: Schemas) -> list[Record]:
    """Return the usage events among the selected letters that are there for want of a price."""
    found = (usage_without_price(letters, letter, schemas) for letter in selected)
    return [event for event in found if event is not None]


def usage_without_price(letters: Letters, letter: Letter, schemas: Schemas) -> Record | None:
    """Return the usage event of a letter that is there for want of a price, itself or as its chain began."""
    if letter.topic != topics.USAGE.name:
        return None
    first = letters.first(letter)
    if letter.reason != Reason.NO_PRICE and (letter.reason, first.reason) != (
        Reason.TOO_OLD,
        Reason.NO_PRICE,
    ):
        return None
    if letter.value != first.value:  # the header could be anybody's
        return None
    decoded = content(letter, schemas)
    return decoded[1] if decoded is not None and decoded[0] == "usage-event" else None


def _unpriced(made: Plan, letter: Letter, event: Record, unpriced: Unpriced, lanes: int) -> None:
    lane = _partition(letter, lanes)
    if event["occurred_at"] >= unpriced.lines.get(lane, event["occurred_at"]):
        if unpriced.is_priced(event["meter"], event["occurred_at"]):
            made.resend.append(Resend(letter=letter, partition=lane))
        else:
            why = f"{event['meter']} still has no price at its time: publish one (late: true) first"
            made.left_out.append((letter, why))
        return
    match unpriced.desk.book(event):
        case Booking() as booking:
            made.book.append((letter, booking))
        case Nothing(why):
            made.left_out.append((letter, why))


def _barred(letters: Letters, letter: Letter) -> str | None:
    """Return why a letter is not looked at at all, or None."""
    if letter.topic in NEVER:
        return NEVER[letter.topic]
    if letter.topic not in _TOPICS:
        return f"{letter.topic} is no input of this version"
    match letters.fate(letter):
        case Fate.DIED_AGAIN:
            after = letters.next(letter)
            return f"died again as {after.name if after else '?'}, which stands for it"
        case Fate.SENT_AGAIN:
            return "was sent again already and has not died since"
        case Fate.OPEN:
            return None


def _partition(letter: Letter, lanes: int) -> int:
    """Return where a record belongs: by its key, but a price stays in the lane whose copy it is."""
    if _TOPICS[letter.topic].keyed_by_account and letter.key is not None:
        return partition_of(letter.key, lanes)
    return letter.partition
