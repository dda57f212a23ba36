"""The same backlog with more lanes, and with more workers."""

from collections.abc import Iterator

from bench.scale.deployment import deployed, running, throughput
from bench.scale.measure import Bench, Column, Line, Measure, line

LANES = (4, 8, 16, 32)
WORKERS = (1, 2, 3)
SHARED_LANES = 12
COLUMNS = (
    Column("events/s", "events_per_s"),
    Column("CPU-s per million", "cpu_s_per_million", ",.1f"),
    Column("memory MB", "rss_mb"),
)


def lanes(bench: Bench) -> Iterator[Line]:
    """Yield a line a number of lanes and round."""
    for number in range(1, bench.sizes.rounds + 1):
        for count in LANES:
            yield {"lanes": count, "round": number} | _once(bench, f"{count} lanes", count, 1)


def workers(bench: Bench) -> Iterator[Line]:
    """Yield a line a number of workers and round."""
    for number in range(1, bench.sizes.rounds + 1):
        for count in WORKERS:
            case = f"{count} worker{'s' if count > 1 else ''}"
            yield {"workers": count, "round": number} | _once(bench, case, SHARED_LANES, count)


def _once(bench: Bench, case: str, lane_count: int, worker_count: int) -> Line:
    with deployed(bench, "sharing", bench.sizes.few, lanes=lane_count) as place:
        place.fill(usage_each=1)
        with running(place, worker_count) as started:
            place.wait(*started)
            flaws = place.problems_of_fill()
            figures, problems = throughput(place, started, bench.sizes.events)
        return line(case, flaws + problems, figures)


LANES_MEASURE = Measure(
    name="lanes",
    title="More lanes",
    about="As above, one worker, 10,000 accounts. Each lane commits for itself.",
    columns=COLUMNS,
    run=lanes,
)
WORKERS_MEASURE = Measure(
    name="workers",
    title="More workers",
    about=(
        f"As above, {SHARED_LANES} lanes shared by workers of one machine, with 10,000 accounts. A worker "
        "computes on one core, and the broker needs some of another: two cores are full with two workers, "
        "so this shows what sharing costs, not how far it goes."
    ),
    columns=COLUMNS,
    run=workers,
)
