"""From the start of a process to lanes that fold, with many accounts."""

import time
from collections.abc import Iterator

from bench.scale.deployment import Deployment, deployed, running
from bench.scale.measure import Asked, Bench, Column, Line, Measure, line

WAITING = 400
"""Usage events that stand in the inputs when a worker starts: each lane has some to commit."""
MEMORY = "memory, from the changelogs"
ROCKS = "RocksDB, after a clean stop"
ROCKS_EMPTY = "RocksDB, emptied"


def run(bench: Bench) -> Iterator[Line]:
    """Yield a line a store and round."""
    with deployed(bench, "restore", bench.sizes.many) as place:
        place.fill(usage_each=1)
        with running(place) as workers:
            place.wait(*workers)
        flaws = place.problems_of_fill()
        yield _once(place, ROCKS_EMPTY, "rocksdb", flaws)
        for number in range(1, bench.sizes.rounds + 1):
            for case, store in ((MEMORY, "memory"), (ROCKS, "rocksdb")):
                yield {"round": number} | _once(place, case, store, flaws)
                _follow(place)


def _once(place: Deployment, case: str, store: str, flaws: list[str]) -> Line:
    mark = place.mark()
    place.send(WAITING)
    place.told(f"starting a worker: {case}")
    worker = place.start(store)
    try:
        first_commit = place.wait(worker)
        figures = {
            "accounts": place.customers.count,
            "open_s": round(worker.opened_at() - worker.began, 2),
            "first_commit_s": round(first_commit - worker.began, 2),
            "cpu_s": round(worker.cpu_s(), 2),
            "restored_records": worker.restored(),
            "rss_mb": round(worker.rss_mb()),
            "peak_rss_mb": round(worker.peak_mb()),
        }
        began = time.monotonic()
    finally:
        worker.end()
    figures["stop_s"] = round(time.monotonic() - began, 2)
    return line(case, flaws + place.problems(mark, WAITING), figures)


def _follow(place: Deployment) -> None:
    """Let the RocksDB have what was committed without it: only a clean stop is measured next."""
    with running(place, store="rocksdb") as workers:
        place.wait(*workers)


MEASURE = Measure(
    name="restore",
    title="Restore of 1,000,000 accounts",
    about=(
        "One worker, 4 lanes. Each account has settings, a payment and a usage event; the changelogs are as "
        "the "
        "filling left them, not yet compacted. The clock starts with the process and stops when what stood "
        "in the "
        "inputs, a few hundred events over all lanes, is committed; `open` is when the last lane was "
        "restored."
    ),
    columns=(
        Column("open s", "open_s", ",.1f"),
        Column("first commits s", "first_commit_s", ",.1f"),
        Column("CPU s", "cpu_s", ",.1f"),
        Column("records read", "restored_records"),
        Column("memory MB", "rss_mb"),
        Column("peak MB", "peak_rss_mb"),
    ),
    asked=(
        Asked(about="seconds, memory", figure="first_commit_s", case=MEMORY, bound=40, form=",.1f"),
        Asked(about="seconds, RocksDB", figure="first_commit_s", case=ROCKS, bound=5, form=",.1f"),
    ),
    run=run,
)
