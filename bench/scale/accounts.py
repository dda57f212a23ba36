"""The same backlog over more and more accounts."""

from collections.abc import Iterator
from contextlib import ExitStack

from bench.scale.deployment import Deployment, deployed, running, throughput
from bench.scale.measure import Asked, Bench, Column, Line, Measure, line


def run(bench: Bench) -> Iterator[Line]:
    """Yield a line a size and round; sizes take turns."""
    sizes = bench.sizes
    with ExitStack() as held:
        places: dict[int, tuple[Deployment, list[str]]] = {}
        for accounts in sizes.accounts:
            place = held.enter_context(deployed(bench, f"accounts-{accounts}", accounts))
            place.fill(usage_each=1)
            with running(place) as workers:
                place.wait(*workers)
            places[accounts] = place, place.problems_of_fill()
        for number in range(1, sizes.rounds + 1):
            for accounts, (place, flaws) in places.items():
                with running(place) as workers:
                    figures, problems = throughput(place, workers, sizes.events)
                about = {"accounts": accounts, "round": number}
                yield about | line(f"{accounts:,} accounts", flaws + problems, figures)


MEASURE = Measure(
    name="accounts",
    title="More accounts",
    about=(
        "One worker, 4 lanes, state in memory. Every account was opened before, with settings, a payment "
        "and a "
        "usage event; then a worker is started anew and restores them. The backlog, evenly over all "
        "accounts, is "
        "one transaction: it becomes visible at one moment, where the clock starts. It stops when all is "
        "committed."
    ),
    columns=(
        Column("events/s", "events_per_s"),
        Column("CPU-s per million", "cpu_s_per_million", ",.1f"),
        Column("memory MB", "rss_mb"),
    ),
    asked=(
        Asked(
            about="events/s at 1,000,000 accounts to those at 10,000",
            figure="events_per_s",
            case="1,000,000 accounts",
            to="10,000 accounts",
            bound=0.7,
            is_least=True,
        ),
    ),
    run=run,
)
