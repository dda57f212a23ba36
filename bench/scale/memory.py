"""What an account and a remembered id hold: memory from resident sizes, disk from RocksDB's files."""

from collections.abc import Iterator

from bench.scale.deployment import Deployment, deployed, running
from bench.scale.measure import Bench, Column, Line, Measure, line

IDS_EACH = 10
"""Usage events an account, beyond the first, of the deployment that has more ids."""
STATES = ("memory, as it grew", "memory, restored", "RocksDB, built", "RocksDB, restarted")


def run(bench: Bench) -> Iterator[Line]:
    """Yield a line a deployment and state: few accounts, the same with more ids, and more accounts."""
    few, many = bench.sizes.many // 10, bench.sizes.many // 2
    for accounts, usage_each in ((few, 1), (few, 1 + IDS_EACH), (many, 1)):
        yield from _sizes(bench, accounts, usage_each)


def _sizes(bench: Bench, accounts: int, usage_each: int) -> Iterator[Line]:
    with deployed(bench, "memory", accounts) as place:
        place.fill(usage_each)
        for state in STATES:
            bench.told(f"{accounts:,} accounts, {usage_each} ids each: {state}")
            store = "rocksdb" if "RocksDB" in state else "memory"
            with running(place, store=store) as workers:
                place.wait(*workers)
                worker = workers[0]
                figures: Line = {
                    "rss_mb": round(worker.rss_mb(), 1),
                    "peak_rss_mb": round(worker.peak_mb(), 1),
                }
            figures["disk_mb"] = round(_disk_mb(place), 1) if store == "rocksdb" else None
            flaws = place.problems_of_fill()
            about = {"accounts": accounts, "ids": accounts * usage_each, "state": state}
            yield about | line(f"{state}: {accounts:,} accounts, {usage_each} ids each", flaws, figures)


def _disk_mb(place: Deployment) -> float:
    files = (place.directory / "lanes").rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file()) / 2**20


def per_unit(lines: list[Line], state: str, figure: str) -> tuple[float, float] | None:
    """Return the bytes of an account without its ids, and of an id; None where that is not measured.

    From three deployments: a accounts with a ids, a accounts with more ids, more accounts with an id each.
    """
    rows = [row for row in lines if row["state"] == state and row.get(figure) is not None]
    if len(rows) != 3:
        return None
    base, more_ids, more_accounts = sorted(rows, key=lambda row: (row["accounts"], row["ids"]))
    an_id = (more_ids[figure] - base[figure]) / (more_ids["ids"] - base["ids"])
    both = (more_accounts[figure] - base[figure]) / (more_accounts["accounts"] - base["accounts"])
    return (both - an_id) * 2**20, an_id * 2**20


MEASURE = Measure(
    name="memory",
    title="Memory",
    about=(
        "One worker, 4 lanes. Resident memory of worker and supervisor, and the size of RocksDB's files, "
        "for few "
        "accounts, the same accounts with more usage, and more accounts; from the differences the bytes of "
        "one "
        "account (settings, one payment, a month with one meter) and of one remembered id."
    ),
    columns=(
        Column("memory MB", "rss_mb"),
        Column("peak MB", "peak_rss_mb"),
        Column("disk MB", "disk_mb"),
    ),
    run=run,
)
