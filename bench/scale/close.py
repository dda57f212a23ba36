"""A month's close of many accounts while usage goes on."""

import time
from collections.abc import Iterator

from confluent_kafka import Message

from bench.scale.deployment import LIMIT_SECONDS, LOOK_SECONDS, ScaleError, deployed, running
from bench.scale.measure import Asked, Bench, Column, Line, Measure, line, percentile
from bench.scale.pace import Watch, load
from bench.workload import START_MS
from streams import topics

USAGE_EACH = 5
"""Usage events of the month that is closed, over the meters: an invoice has no more lines."""
CLOSE_MS = START_MS + 30 * 86_400_000 + 3_600_000
"""November's end and the hour of grace."""
HALF_HOUR_MS = 1_800_000
BEFORE_SECONDS = 10.0
CASE = "close"


class Invoices:
    """Counts invoices, and knows when the last one was seen."""

    def __init__(self) -> None:
        self.count = 0
        self.last_at = 0.0

    def seen(self, messages: list[Message]) -> None:
        """Take what was read."""
        self.count += len(messages)
        self.last_at = time.time()


def run(bench: Bench) -> Iterator[Line]:
    """Yield a line a round: a deployment of its own, since a month closes once."""
    for number in range(1, bench.sizes.rounds + 1):
        yield {"round": number} | _once(bench)


def _once(bench: Bench) -> Line:
    accounts, rate = bench.sizes.closing, bench.sizes.rate
    with deployed(bench, "close", accounts) as place:
        place.fill(USAGE_EACH)
        with running(place) as workers:
            place.wait(*workers)
            flaws = place.problems_of_fill()
            invoices = Invoices()
            watch = Watch(place, topics.INVOICES, invoices.seen)
            watch.start()
            mark = place.mark()
            with load(place, rate, lambda _: CLOSE_MS - HALF_HOUR_MS) as usage:
                began = time.time()
                time.sleep(BEFORE_SECONDS)
                ticked = place.tick(CLOSE_MS)
                while invoices.count < accounts:
                    bench.told(f"{invoices.count:,} of {accounts:,} invoices")
                    workers[0].must_live()
                    if time.time() - ticked > LIMIT_SECONDS:
                        raise ScaleError(f"only {invoices.count} invoices")
                    time.sleep(LOOK_SECONDS)
                closed = invoices.last_at
                time.sleep(2)
                flaws += usage.stop()
            watch.stop()
            place.wait(*workers)
            peak = workers[0].peak_mb()
        if invoices.count != accounts:
            flaws.append(f"{invoices.count} invoices, not {accounts}")
        during = usage.between(ticked, closed)
        before = usage.between(began + 2, ticked)
        figures = {
            "accounts": accounts,
            "invoices": invoices.count,
            "close_s": round(closed - ticked, 2),
            "rate": rate,
            "p50_before_ms": _ms(percentile(before, 0.5)),
            "p99_before_ms": _ms(percentile(before, 0.99)),
            "p50_ms": _ms(percentile(during, 0.5)),
            "p99_ms": _ms(percentile(during, 0.99)),
            "worst_ms": _ms(max(during, default=None)),
            "watched": len(during),
            "peak_rss_mb": round(peak),
        }
        return line(CASE, flaws + place.problems(mark, usage.loop.count), figures)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


MEASURE = Measure(
    name="close",
    title="A month's close under load",
    about=(
        "One worker, 4 lanes, state in memory. Every account has usage of November; usage of December goes "
        "on at a "
        "steady rate, in an open loop. Then the tick comes that ends November's grace hour. `close` is from "
        "the "
        "tick's sending until a reader of committed records has seen the last invoice; latencies are those "
        "of usage "
        "that was due meanwhile, from that moment until its ledger entry was seen."
    ),
    columns=(
        Column("invoices", "invoices"),
        Column("close s", "close_s", ",.1f"),
        Column("usage events/s meanwhile", "rate"),
        Column("p50 ms before", "p50_before_ms"),
        Column("p99 ms before", "p99_before_ms"),
        Column("p50 ms", "p50_ms"),
        Column("p99 ms", "p99_ms"),
        Column("worst ms", "worst_ms"),
    ),
    asked=(
        Asked(about="seconds from tick to last invoice", figure="close_s", case=CASE, bound=60, form=",.1f"),
        Asked(about="p99 ms of usage meanwhile", figure="p99_ms", case=CASE, bound=1000, form=",.0f"),
    ),
    run=run,
)
