"""How the payments process treats a top-up command: pure decisions, no I/O, no clock.

The process remembers of each account the furthest command that it posted or may have posted (the mark, in
the topic payment-attempts, written before the post). The lane makes a command only after the final word on
the one before, so commands up to the mark may have been posted, and those beyond it surely were not.

| command | compared with the mark   | step               | where the provider does not know it         |
|---------|--------------------------|--------------------|---------------------------------------------|
| any     | the mark has its word    | that word again    |                                             |
| charge  | its cancel waits behind  | none: that answers |                                             |
| charge  | beyond, not expired      | record, then post  |                                             |
| charge  | beyond, expired          | look it up         | record, then say `refused`                  |
| charge  | it is the mark           | look it up         | not expired: record, then post again;       |
|         |                          |                    | expired, quiet: record, then say `refused`; |
|         |                          |                    | else ask again later                        |
| charge  | before it                | look it up         | quiet: say `refused`; else ask again later  |
| cancel  | beyond                   | ask to cancel      | record, then say `cancelled`                |
| cancel  | it is the mark           | ask to cancel      | quiet: record, then say `cancelled`;        |
|         |                          |                    | else ask again later                        |
| cancel  | before it                | ask to cancel      | quiet: say `cancelled`; else later          |

Expired: the newest tick is past expires_at. Quiet: no post of it can still be under way.
What the provider knows is said as it is, however old.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from schemas.wire import Record

Word = Literal["refused", "unavailable", "cancelled"]
"""A final word that no payment stands behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A PaymentAttempt: the furthest command of an account that may have been posted."""

    command_id: str
    episode: int
    attempt: int
    recorded_at: int
    """The newest tick at that moment."""
    word: Word | None = None
    """What was decided without the provider; None: the provider decides."""

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands among the commands of its account."""
        return self.episode, self.attempt


class Step(Enum):
    """What to do about a command next."""

    REPEAT = auto()
    """Say the mark's word again."""
    LEAVE = auto()
    """Nothing: the cancel that waits behind it brings the answer."""
    POST = auto()
    """Record it, then take the payment."""
    LOOK_UP = auto()
    CANCEL = auto()
    RECORD_WORD = auto()
    """Record the word, then say it."""
    SAY_WORD = auto()
    """Say the word; a later command is on record."""
    WAIT = auto()
    """Nothing can be said now; it is asked again."""


def first_step(command: Record, mark: Mark | None, now: int | None, *, cancel_waits: bool) -> Step:
    """Return what to do about a command; `now` is the newest tick, None before the first."""
    if mark is not None and mark.word is not None and mark.place == place(command):
        return Step.REPEAT
    if command["kind"] == "cancel":
        return Step.CANCEL
    if cancel_waits:
        return Step.LEAVE
    if now is None:
        return Step.WAIT
    return Step.POST if is_beyond(command, mark) and not _is_expired(command, now) else Step.LOOK_UP


def step_if_unknown(command: Record, mark: Mark | None, now: int | None, *, quiet: bool) -> Step:
    """Return what to do about a command that the provider says it does not know."""
    if now is None:
        return Step.WAIT
    is_before = mark is not None and place(command) < mark.place
    if command["kind"] == "charge" and not is_before and not _is_expired(command, now):
        return Step.POST
    if not quiet and not is_beyond(command, mark):
        return Step.WAIT
    return Step.SAY_WORD if is_before else Step.RECORD_WORD


def word_if_unknown(command: Record) -> Word:
    """Return the final word on a command that the provider surely does not know."""
    return "cancelled" if command["kind"] == "cancel" else "refused"


def mark_of(command: Record, now: int, word: Word | None = None) -> Mark:
    """Return the mark to record before a command is posted, or before a word about it is said."""
    return Mark(
        command_id=command["command_id"],
        episode=command["episode"],
        attempt=command["attempt"],
        recorded_at=now,
        word=word,
    )


def place(command: Record) -> tuple[int, int]:
    """Return where a command stands among those of its account."""
    return command["episode"], command["attempt"]


def is_beyond(command: Record, mark: Mark | None) -> bool:
    """Whether a command was surely never posted."""
    return mark is None or place(command) > mark.place


def _is_expired(command: Record, now: int) -> bool:
    expires_at: int = command["expires_at"]
    return now > expires_at
