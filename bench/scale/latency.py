"""From a usage event to its committed balance, with little and with much to do."""

import time
from collections.abc import Iterator

from bench.scale.deployment import Deployment, ScaleError, Worker, deployed, running, throughput
from bench.scale.measure import Asked, Bench, Column, Line, Measure, line, percentile
from bench.scale.pace import load

LIGHT = (10, 100, 1_000)
"""Events a second."""
SETTLE_SECONDS = 3.0


def run(bench: Bench) -> Iterator[Line]:
    """Yield a line a rate and round; the last rate is half of what was just measured as the most."""
    with deployed(bench, "latency", bench.sizes.few, clock="auto") as place:
        place.fill(usage_each=1)
        with running(place) as workers:
            place.wait(*workers)
            flaws = place.problems_of_fill()
            most, problems = throughput(place, workers, bench.sizes.events)
            if flaws or problems:
                raise ScaleError(f"the deployment is wrong before anything is measured: {flaws + problems}")
            rates = [(f"{rate:,} events/s", float(rate)) for rate in LIGHT]
            rates.append(("half load", most["events_per_s"] / 2))
            for number in range(1, bench.sizes.rounds + 1):
                for case, rate in rates:
                    yield {"round": number} | _once(bench, place, workers[0], case, rate)


def _once(bench: Bench, place: Deployment, worker: Worker, case: str, rate: float) -> Line:
    mark = place.mark()
    bench.told(f"{case}, {rate:,.0f} a second for {bench.sizes.seconds:g} s")
    with load(place, rate, lambda now: int(now * 1000)) as usage:
        began, cpu = time.time(), worker.cpu_s()
        time.sleep(SETTLE_SECONDS + bench.sizes.seconds)
        ended, cpu = time.time(), worker.cpu_s() - cpu
        problems = usage.stop()
    place.wait(worker)
    found = usage.between(began + SETTLE_SECONDS, ended)
    figures: Line = {"rate": round(rate), "watched": len(found), "cores": round(cpu / (ended - began), 2)}
    for name, share in (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("worst_ms", 1.0)):
        value = percentile(found, share)
        figures[name] = None if value is None else round(value * 1000)
    return line(case, problems + place.problems(mark, usage.loop.count), figures)


MEASURE = Measure(
    name="latency",
    title="Latency",
    about=(
        "One worker, 4 lanes, state in memory, 10,000 accounts, a tick every 2 s. Usage comes in an open "
        "loop; the "
        "time is from the moment that an event was due to be sent until a reader of committed records has "
        "seen its "
        "ledger entry, so producer, broker and reader are in it. Half load is half of the backlog's "
        "events/s, taken "
        "just before on the same deployment; sender and reader share the two cores."
    ),
    columns=(
        Column("events/s", "rate"),
        Column("p50 ms", "p50_ms"),
        Column("p90 ms", "p90_ms"),
        Column("p99 ms", "p99_ms"),
        Column("worst ms", "worst_ms"),
        Column("worker's cores", "cores", ".2f"),
        Column("events watched", "watched"),
    ),
    asked=(
        Asked(about="p50 ms at 100 events/s", figure="p50_ms", case="100 events/s", bound=150, form=",.0f"),
        Asked(about="p99 ms at 100 events/s", figure="p99_ms", case="100 events/s", bound=400, form=",.0f"),
    ),
    run=run,
)
