"""What a history does to its workers, and where: at the n-th time that any worker passes a named point."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

SYNC = ("fold", "barrier", "work", "seal", "store", "committed")
"""Points within the worker's own code; all others are requests to the broker, or replies."""
CALLS = (
    "init_producer",
    "committed_offsets",
    "restore",
    "ends",
    "seek",
    "fetch",
    "append",
    "send_offsets",
    "commit",
)
EVERY_TIME = {
    "init_producer": 6,
    "committed_offsets": 40,
    "restore": 40,
    "ends": 40,
    "seek": 12,
    "fetch": 60,
    "append": 200,
    "send_offsets": 40,
    "commit": 40,
    "fold": 60,
    "barrier": 12,
    "work": 30,
    "seal": 40,
    "store": 40,
    "committed": 40,
}
"""About how often a point is passed in one history: so far out an injury is drawn."""
POINTS = tuple(f"{name}:{when}" for name in (*CALLS, *SYNC) for when in ("before", "after"))

KILL, FREEZE, LOSE = "kill", "freeze", "lose"


@dataclass(frozen=True, slots=True)
class Injury:
    """At the n-th passing of a point: kill the worker, freeze it for seconds, or lose a commit's reply."""

    at: str
    nth: int
    what: str = KILL
    seconds: float = 0.0
    store: str = ""
    """What becomes of the victim's local store: nothing, `deleted`, or `old` (an earlier copy comes back)."""


class Killed(BaseException):
    """The worker is no more: nothing of it may have an effect from here on."""


@dataclass(slots=True)
class Tally:
    """Counts passings, and what was done."""

    injuries: dict[tuple[str, int], Injury]
    passed: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)

    def due(self, point: str) -> Injury | None:
        """Count one passing; return what is to happen at it."""
        self.passed[point] += 1
        injury = self.injuries.get((point, self.passed[point]))
        if injury is not None:
            self.done[f"{injury.what} {point}"] += 1
        return injury


def drawn(random: Random, *, most: int) -> list[Injury]:
    """Return some injuries, mostly kills."""
    found = []
    for _ in range(random.randrange(most + 1)):
        point = random.choice(POINTS)
        name = point.split(":")[0]
        nth = 1 + int(random.random() ** 2 * EVERY_TIME[name])
        chance = random.random()
        store = random.choice(("", "", "deleted", "old"))
        if chance < 0.62:
            found.append(Injury(point, nth, KILL, 0.0, store))
        elif chance < 0.9:
            found.append(Injury(point, nth, FREEZE, random.choice((1.0, 8.0, 14.0, 25.0, 45.0)), store))
        else:
            nth = 1 + int(random.random() ** 2 * EVERY_TIME["commit"])
            found.append(Injury("commit:after", nth, LOSE, 0.0, store))
    return found
