"""What an event costs in the lanes, as a ratio to the raw loop in the same process: no absolute time."""

import gc
import time
from collections.abc import Callable
from statistics import median

from bench.workload import Shape
from tests.bench.folding import Folding, RawLoop

SHAPE = Shape(events=20_000, accounts=1_000)
ROUNDS = 5
MOST = 10.0
"""Times the raw loop's cost: its bare rule, against the whole pipeline between fetch and send."""


def cpu_seconds(work: Callable[[], object]) -> float:
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def test_an_event_costs_no_more_than_so_many_times_the_raw_loop():
    ratios = []
    for _ in range(ROUNDS):  # the machine's own speed may change by a third, but seldom between the two
        folding, loop = Folding(shape=SHAPE), RawLoop(SHAPE)
        fetches = folding.fetches
        ours = cpu_seconds(lambda: folding.fold(fetches))  # noqa: B023 - called at once
        ratios.append(ours / cpu_seconds(loop.fold))

    ratio = median(ratios)
    assert len(folding.outputs("ledger-entries")) > SHAPE.events
    assert ratio < MOST, f"an event costs {ratio:.1f} times what it costs in the raw loop, at most {MOST}"
    print(f"an event costs {ratio:.1f} times what it costs in the raw loop")
