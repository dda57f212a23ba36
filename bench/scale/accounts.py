"""The same backlog over more and more accounts."""

import math
from collections.abc import Iterator
from contextlib import ExitStack

from bench.scale.deployment import Deployment, deployed, running, throughput
from bench.scale.measure import Asked, Bench, Column, Line, Measure, line


def run(bench: Bench) -> Iterator[Line]:
    """Yield a line a size and round; sizes take turns."""
    sizes = bench.sizes
    most = max(sizes.accounts)
    with ExitStack() as held:
        places: dict[int, tuple[Deployment, list[str]]] = {}
        for accounts in sizes.accounts:
            cached = 2 * accounts  # lanes are not all equally large
            place = held.enter_context(
                deployed(bench, f"accounts-{accounts}", accounts, cached_accounts=cached)
            )
            place.fill(usage_each=most // accounts)
            with running(place) as workers:
                place.wait(*workers)
            places[accounts] = place, place.problems_of_fill()
        for number in range(1, sizes.rounds + 1):
            for accounts, (place, flaws) in places.items():
                about = {"accounts": accounts, "round": number}
                with running(place) as workers:
                    figures, problems = throughput(place, workers, sizes.events)
                    yield about | line(f"{accounts:,} accounts, just restored", flaws + problems, figures)
                    for _ in range(
                        math.ceil(most / sizes.events) - 1
                    ):  # until each was touched, the most of them
                        _, more = throughput(place, workers, sizes.events)
                        problems += more
                    figures, more = throughput(place, workers, sizes.events)
                yield about | line(f"{accounts:,} accounts", flaws + problems + more, figures)


MEASURE = Measure(
    name="accounts",
    title="More accounts",
    about=(
        "One worker, 4 lanes, state in memory. Every account was opened before, with settings, a payment "
        "and usage; then a worker is started anew and restores them. However many accounts there are, as "
        "many events came before and their ids are remembered, so that accounts are all that differs. The "
        "backlog is one transaction: it becomes visible at one moment, where the clock starts; it stops when "
        "all is committed. It goes round the accounts in turn, which is the worst for a million of them: "
        "no two events of a batch share the balance that follows. After a restore each account is "
        "read from its bytes when its first event comes, so there is a line for the backlog right after "
        "it, and one for a later backlog, when the worker has met every account and keeps it "
        "(EVERGREEN_CACHED_ACCOUNTS)."
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
