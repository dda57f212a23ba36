"""A worker is killed under load and comes back later: how long until nothing is left behind."""

import time
from collections import deque
from collections.abc import Iterator

from bench.scale.deployment import LIMIT_SECONDS, LOOK_SECONDS, ScaleError, deployed
from bench.scale.measure import Bench, Column, Line, Measure, line, percentile
from bench.scale.pace import load

FRESH_SECONDS = 1.0
"""Caught up: what was sent so long ago is committed."""


def run(bench: Bench) -> Iterator[Line]:
    """Yield a line a store and round."""
    for number in range(1, bench.sizes.rounds + 1):
        for store in ("memory", "rocksdb"):
            yield {"round": number} | _once(bench, store)


def _once(bench: Bench, store: str) -> Line:
    sizes = bench.sizes
    with deployed(bench, "outage", sizes.few, clock="auto") as place:
        place.fill(usage_each=1)
        worker = place.start(store)
        try:
            place.wait_open(worker)
            place.wait(worker)
            flaws = place.problems_of_fill()
            mark = place.mark()
            with load(place, sizes.rate, lambda now: int(now * 1000)) as usage:
                time.sleep(5)
                bench.told(f"no worker for {sizes.outage_seconds:g} s")
                worker.kill()
                time.sleep(sizes.outage_seconds)
                behind = usage.loop.count - usage.committed
                worker = place.start(store)
                sent: deque[tuple[float, int]] = deque()
                while True:
                    now = time.time()
                    sent.append((now, usage.loop.count))
                    while len(sent) > 1 and sent[1][0] <= now - FRESH_SECONDS:
                        sent.popleft()
                    if now - sent[0][0] >= FRESH_SECONDS and usage.committed >= sent[0][1]:
                        break
                    bench.told(f"{usage.loop.count - usage.committed:,} events behind")
                    worker.must_live()
                    if now - worker.began > LIMIT_SECONDS:
                        raise ScaleError(f"never caught up with {sizes.rate} events a second")
                    time.sleep(LOOK_SECONDS)
                caught_up = time.time() - worker.began
                time.sleep(10)
                ended = time.time()
                flaws += usage.stop()
            place.wait(worker)
            after = percentile(usage.between(ended - 8, ended - 1), 0.99)
            figures = {
                "rate": sizes.rate,
                "outage_s": sizes.outage_seconds,
                "behind": behind,
                "open_s": round(worker.opened_at() - worker.began, 2),
                "caught_up_s": round(caught_up, 2),
                "p99_after_ms": None if after is None else round(after * 1000),
            }
        finally:
            worker.end()
        return line(store, flaws + place.problems(mark, usage.loop.count), figures)


MEASURE = Measure(
    name="outage",
    title="After an outage",
    about=(
        "One worker, 4 lanes, 10,000 accounts. It is killed (SIGKILL, its supervisor too) while usage goes "
        "on at a "
        "steady rate, and one is started again later. Caught up is when all that was sent a second before "
        "is seen "
        "committed, counted from the start of that process; what is sent meanwhile is worked off as well. "
        "The "
        "killed worker's session may have to run out first."
    ),
    columns=(
        Column("usage events/s", "rate"),
        Column("outage s", "outage_s"),
        Column("behind", "behind"),
        Column("lanes open s", "open_s", ",.1f"),
        Column("caught up s", "caught_up_s", ",.1f"),
        Column("p99 ms afterwards", "p99_after_ms"),
    ),
    run=run,
)
