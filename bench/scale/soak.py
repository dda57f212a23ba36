"""A long steady load: memory must stay where it is once as much is forgotten as comes in."""

import time
from collections.abc import Iterator

from bench.scale.deployment import LOOK_SECONDS, deployed, running
from bench.scale.measure import Asked, Bench, Column, Line, Measure, line, percentile, slope_per_hour
from bench.scale.pace import load
from bench.workload import START_MS

SAMPLE_SECONDS = 10.0
TICK_SECONDS = 0.5
DAY_SECONDS = 4.0
"""How long a day takes: a month closes every two minutes, so that what a close leaves is seen many times,
and the step to what the first one takes lies before what is fitted."""
DAY_MS = 86_400_000
FITTED = 0.75
"""The slope is that of this last part."""
STORES = ("memory", "rocksdb")


def run(bench: Bench) -> Iterator[Line]:
    """Yield a line a store."""
    for store in STORES:
        yield _once(bench, store)


def _once(bench: Bench, store: str) -> Line:
    sizes = bench.sizes
    samples: list[tuple[float, float]] = []
    with deployed(bench, "soak", sizes.few, max_age_days=1) as place:
        place.fill(usage_each=1)
        with running(place, store=store) as workers:
            place.wait(*workers)
            flaws = place.problems_of_fill()
            mark, began = place.mark(), time.time()

            def moment(now: float) -> int:
                return START_MS + int((now - began) / DAY_SECONDS * DAY_MS)

            with load(place, sizes.rate, moment) as usage:
                ended, next_tick = began + sizes.minutes * 60, began
                while (now := time.time()) < ended:
                    workers[0].must_live()
                    if now >= next_tick:
                        place.tick(moment(now))
                        next_tick += TICK_SECONDS
                    if now - began >= len(samples) * SAMPLE_SECONDS:
                        samples.append((round(now - began, 1), round(workers[0].rss_mb(), 1)))
                        bench.told(f"{(now - began) / 60:.1f} min, {samples[-1][1]:,.0f} MB")
                    time.sleep(LOOK_SECONDS)
                latencies = usage.between(began + (1 - FITTED) * (ended - began), ended - 2)
                flaws += usage.stop()
            place.wait(*workers)
        fitted = samples[int(len(samples) * (1 - FITTED)) :]
        slope, p99 = slope_per_hour(fitted), percentile(latencies, 0.99)
        figures = {
            "rate": sizes.rate,
            "minutes": sizes.minutes,
            "day_seconds": DAY_SECONDS,
            "events": usage.loop.count,
            "rss_fitted_from_mb": fitted[0][1],
            "rss_end_mb": fitted[-1][1],
            "slope_mb_per_hour": None if slope is None else round(slope, 1),
            "p99_ms": None if p99 is None else round(p99 * 1000),
            "samples": samples,
        }
        return line(store, flaws + place.problems(mark, usage.loop.count), figures)


MEASURE = Measure(
    name="soak",
    title="Soak",
    about=(
        "One worker, 4 lanes, 10,000 accounts, a steady load. Time runs fast, a day in a few seconds by "
        "ticks, so that months close on the way, and as ids are remembered for a day, soon as many are "
        "forgotten as come in. Resident memory is taken every 10 s; the slope is a least-squares line "
        "through the last three quarters."
    ),
    columns=(
        Column("usage events/s", "rate"),
        Column("minutes", "minutes", "g"),
        Column("seconds a day", "day_seconds", "g"),
        Column("MB after a quarter", "rss_fitted_from_mb"),
        Column("MB at the end", "rss_end_mb"),
        Column("MB an hour", "slope_mb_per_hour", "+,.1f"),
        Column("p99 ms", "p99_ms"),
    ),
    asked=tuple(
        Asked(about=f"MB an hour, {store}", figure="slope_mb_per_hour", case=store, bound=10, form="+,.1f")
        for store in STORES
    ),
    run=run,
)
