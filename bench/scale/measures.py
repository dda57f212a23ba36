"""All measures by name, in the order in which the page has them."""

from bench.scale import accounts, close, latency, memory, outage, restore, sharing, soak
from bench.scale.measure import Measure

MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        accounts.MEASURE,
        sharing.LANES_MEASURE,
        sharing.WORKERS_MEASURE,
        restore.MEASURE,
        close.MEASURE,
        latency.MEASURE,
        outage.MEASURE,
        memory.MEASURE,
        soak.MEASURE,
    )
}
