"""Python's garbage collector, for a process of millions of objects that live on or end by their counts.

Lanes make no cycles: what they drop is freed at once. Cycles come from the client and from exceptions, few
of them, and the collector is there for those. Whatever it looks through for them is lost time.
"""

import gc
from collections.abc import Mapping
from typing import Final

COLLECT_AFTER: Final = (2_000_000, 20, 50)
"""More objects than the batches in flight hold. Looking through those was a fifth of the worker's time with
Python's own thresholds, and 6 % of it with 100,000."""
YOUNG: Final = 1
"""The generations that hold what was made lately."""
YOUNG_SECONDS: Final = 30.0
"""How often those are looked through whatever was made: a cycle may hold a large answer of the broker."""
FULL: Final = 2
"""The last of the generations: all there is."""


def tune() -> None:
    """Set the thresholds, and look no more at what outlived a full collection."""
    gc.set_threshold(*COLLECT_AFTER)
    gc.callbacks.append(_keep_survivors)


def collect_young() -> None:
    """Free the cycles among what was made lately."""
    gc.collect(YOUNG)


def _keep_survivors(phase: str, told: Mapping[str, int]) -> None:
    """Freeze what is left: the accounts in memory, a million of which took a second again and again.

    What is frozen and becomes garbage later is freed all the same unless it is a cycle.
    """
    if phase == "stop" and told["generation"] == FULL:
        gc.freeze()
