"""Checks every law on the history of a seed, and makes a failing one as short as it gets."""

from collections.abc import Callable, Sequence
from random import Random

from streams.domain.events import Event
from streams.domain.reasons import InvariantBroken
from tests.laws import again, books
from tests.laws.history import History, make
from tests.laws.playing import Play, played

Law = Callable[[Sequence[Event], Play, Random], None]
FAILURES = (AssertionError, InvariantBroken, LookupError, ValueError, AttributeError, TypeError)
"""Broken laws, the rules' own invariants, and what a bug in them may raise."""


def _alone(law: Callable[[Play], None]) -> Law:
    def check(_: Sequence[Event], play: Play, __: Random) -> None:
        law(play)

    check.__name__ = law.__name__
    return check


ALONE: tuple[Law, ...] = tuple(_alone(law) for law in books.LAWS)


def laws_of(history: History) -> tuple[Law, ...]:
    """Return the laws of a history, in the order in which they may be checked on one play."""
    interleaving = (again.interleaving_changes_no_charge,) if history.free_order else ()
    return (*ALONE, again.batches_change_nothing, *interleaving, again.redelivery_changes_nothing)


def check(seed: int) -> History:
    """Check all laws on the history of a seed; AssertionError names the law and a short way to break it."""
    try:
        history = make(seed)
    except FAILURES as error:
        raise AssertionError(f"seed {seed}: the rules stopped: {error!r}") from error
    for law in laws_of(history):
        try:
            law(history.events, history.play, Random(seed))
        except FAILURES as error:
            raise AssertionError(_story(seed, law, history.events, error)) from error
    return history


def breaks(law: Law, events: Sequence[Event], seed: int) -> Exception | None:
    """Return how a law breaks on inputs played anew, or None."""
    try:
        law(events, played(events), Random(seed))
    except FAILURES as error:
        return error
    return None


def shortest(law: Law, events: Sequence[Event], seed: int) -> list[Event]:
    """Return inputs that still break a law: the shortest prefix, then without what can be spared."""
    kept = list(events)
    for count in range(1, len(kept) + 1):
        if breaks(law, kept[:count], seed):
            kept = kept[:count]
            break
    at = len(kept) - 1
    while at >= 0:
        fewer = kept[:at] + kept[at + 1 :]
        if fewer and breaks(law, fewer, seed):
            kept = fewer
        at -= 1
    return kept


def _story(seed: int, law: Law, events: Sequence[Event], error: Exception) -> str:
    few = shortest(law, events, seed)
    last = breaks(law, few, seed) or error
    steps = "\n".join(f"  {event}" for event in few)
    return f"seed {seed} breaks {law.__name__}\n{last}\nby these inputs alone:\n{steps}"
