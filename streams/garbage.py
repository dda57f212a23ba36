"""Python's garbage collector, for a process of millions of objects that live on or end by their counts.

Lanes make no cycles: what they drop is freed at once. Cycles come from the client and from exceptions, few
of them, and the collector is there for those. Whatever it looks through for them is lost time.
"""

import gc
from collections.abc import Mapping
from typing import Final

COLLECT_AFTER: Final = (20_000_000, 20, 50)
"""More objects than batches in flight and accounts read meanwhile hold. Looking through the first was a fifth
of the worker's time with Python's own thresholds; through the second, 0.3 to 1 s at once with 2,000,000."""
FIRST_AFTER: Final = 200_000
"""The first time comes earlier: what all accounts share is then found to be in no cycle, and what refers to
nothing else is not looked through from then on."""
YOUNG: Final = 1
"""The generations that hold what was made lately."""
YOUNG_SECONDS: Final = 30.0
"""How often those are looked through whatever was made: a cycle may hold a large answer of the broker."""
BUSY_SECONDS: Final = 120.0
"""How often at least, where the lanes are never done: what they read anew is looked through with it."""
FULL: Final = 2
"""The last of the generations: all there is."""


def tune() -> None:
    """Set the thresholds, and look no more at what outlived a full collection."""
    gc.set_threshold(FIRST_AFTER, *COLLECT_AFTER[1:])
    gc.callbacks.append(_keep_survivors)


def collect_young() -> None:
    """Free the cycles among what was made lately."""
    gc.collect(YOUNG)


def is_due(seconds: float, *, is_busy: bool) -> bool:
    """Tell whether collect_young() is to be called, so many seconds after it last was."""
    return seconds >= (BUSY_SECONDS if is_busy else YOUNG_SECONDS)


def _keep_survivors(phase: str, told: Mapping[str, int]) -> None:
    """Freeze what is left: the accounts in memory, a million of which took a second again and again.

    What is frozen and becomes garbage later is freed all the same unless it is a cycle.
    """
    if phase == "stop":
        gc.set_threshold(*COLLECT_AFTER)
        if told["generation"] == FULL:
            gc.freeze()
