"""What a deployment needs, worked out from the measures: nothing here is typed by hand but the plan's "
"wishes. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.scale.measure import Line, median
from bench.scale.memory import per_unit

PLAN_EVENTS_PER_S = 1_000_000
PLAN_ACCOUNTS = 10_000_000
PLAN_DAYS = (35, 7, 1)
"""How long ids are remembered (EVERGREEN_MAX_AGE_DAYS); the first is the default."""
BUSY = 0.5
"""How much of what it can do a worker is given: the rest is for peaks, and for catching up after an "
"outage."""
LANES_A_WORKER = 4
"""So that as many workers more can share the work later, and a lost one's lanes go to several."""
DAY_SECONDS = 86_400
MEASURED_FROM = ("accounts", "memory")
IN_MEMORY, BUILT, RESTARTED = "memory, restored", "RocksDB, built", "RocksDB, restarted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What one thing holds, in bytes."""

    memory: float
    """With EVERGREEN_STORE=memory."""
    rocksdb_memory: float
    rocksdb_disk: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was measured that a plan rests on."""

    accounts: int
    """Accounts of the worker whose speed this is: the most that were measured."""
    worker_events_per_s: float
    worker_cores: float
    account: Unit
    an_id: Unit
    worker_mb: float
    """Of a worker with no account."""
    gathered_mb: float
    """What one with RocksDB comes to hold besides, however much it stores: caches, what is in no file yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A deployment for so many events a second, day after day."""

    days: int
    workers: int
    cores: int
    lanes: int
    ids: float
    memory_gb_each: float
    """A worker's, with RocksDB."""
    disk_gb_each: float
    all_in_memory_gb_each: float
    """A worker's, with the store in memory."""


def sizing(lines: Mapping[str, Sequence[Line]]) -> str:
    """Return the page's section; without the measures that it rests on it says which are missing."""
    found = facts(lines)
    if found is None:
        missing = " and ".join(MEASURED_FROM)
        return f"### Sizing\n\nWorked out from the measures {missing}; they are not complete yet.\n\n"
    plans = [plan(found, PLAN_EVENTS_PER_S, PLAN_ACCOUNTS, days) for days in PLAN_DAYS]
    return "".join(f"{part}\n\n" for part in ("### Sizing", _facts(found), _rules(found), _plans(plans)))


def facts(lines: Mapping[str, Sequence[Line]]) -> Facts | None:
    """Return what was measured, None where something is missing."""
    speeds, held = lines.get("accounts", ()), list(lines.get("memory", ()))
    right = [line for line in speeds if line["correct"]]
    units = [per_unit(held, *place) for place in _PLACES]
    base = _empty_mb(held)
    if not right or base is None or any(unit is None for unit in units):
        return None
    most = max(line["accounts"] for line in right)
    case = f"{most:,} accounts"
    rate, cpu = median(speeds, case, "events_per_s"), median(speeds, case, "cpu_s_per_million")
    if rate is None or cpu is None:
        return None
    account, an_id = (Unit(**dict(zip(_NAMES, sizes, strict=True))) for sizes in zip(*units, strict=True))
    return Facts(
        accounts=most,
        worker_events_per_s=rate,
        worker_cores=rate * cpu / 1e6,
        account=account,
        an_id=an_id,
        worker_mb=base,
        gathered_mb=_gathered_mb(held),
    )


def plan(found: Facts, events_per_s: float, accounts: int, days: int) -> Plan:
    """Return what a load needs."""
    workers = math.ceil(events_per_s / (found.worker_events_per_s * BUSY))
    ids = events_per_s * DAY_SECONDS * days

    def gb_each(of: str, base_mb: float) -> float:
        total = accounts * getattr(found.account, of) + ids * getattr(found.an_id, of)
        return float(total / workers / 2**30 + base_mb / 1024)

    return Plan(
        days=days,
        workers=workers,
        cores=math.ceil(workers * max(1.0, found.worker_cores)),
        lanes=workers * LANES_A_WORKER,
        ids=ids,
        memory_gb_each=gb_each("rocksdb_memory", found.worker_mb + found.gathered_mb),
        disk_gb_each=gb_each("rocksdb_disk", 0),
        all_in_memory_gb_each=gb_each("memory", found.worker_mb),
    )


_NAMES = ("memory", "rocksdb_memory", "rocksdb_disk")
_PLACES = ((IN_MEMORY, "rss_mb"), (RESTARTED, "rss_mb"), (BUILT, "disk_mb"))


def _empty_mb(held: Sequence[Line]) -> float | None:
    """Return what a worker would hold without accounts: its least size less its accounts and ids."""
    rows = [row for row in held if row["state"] == IN_MEMORY and row.get("rss_mb") is not None]
    unit = per_unit(list(held), IN_MEMORY, "rss_mb")
    if unit is None:
        return None
    least = min(rows, key=lambda row: row["rss_mb"])
    return float(least["rss_mb"] - (least["accounts"] * unit[0] + least["ids"] * unit[1]) / 2**20)


def _gathered_mb(held: Sequence[Line]) -> float:
    """Return the most that a worker held when it had built its store above what it held with it reopened."""
    rows = [row for row in held if row.get("rss_mb") is not None]
    reopened = {(row["accounts"], row["ids"]): row["rss_mb"] for row in rows if row["state"] == RESTARTED}
    built = [row for row in rows if row["state"] == BUILT]
    return float(max(row["rss_mb"] - reopened[row["accounts"], row["ids"]] for row in built))


def _facts(found: Facts) -> str:
    def row(what: str, unit: Unit) -> str:
        return f"| {what} | {unit.memory:,.0f} | {unit.rocksdb_memory:,.0f} | {unit.rocksdb_disk:,.0f} |"

    return "\n".join(
        [
            f"A worker with {found.accounts:,} accounts does {found.worker_events_per_s:,.0f} events/s on "
            f"{found.worker_cores:.2f} cores, {found.worker_events_per_s / found.worker_cores:,.0f} a core. "
            f"Without any account it holds {found.worker_mb:,.0f} MB; with RocksDB it comes to hold "
            f"{found.gathered_mb:,.0f} MB more, however much it stores.",
            "",
            "| bytes | store in memory | RocksDB: memory | RocksDB: disk |",
            "|---|---|---|---|",
            row("an account", found.account),
            row("a remembered id", found.an_id),
        ]
    )


def _rules(found: Facts) -> str:
    return "\n".join(
        [
            f"- Workers: events/s over {found.worker_events_per_s * BUSY:,.0f}, which is {BUSY:.0%} of what "
            "one does.",
            f"- Lanes: {LANES_A_WORKER} a worker. They are fixed for a deployment's life: plan for its "
            "growth.",
            "- Ids: events a second x 86,400 x `EVERGREEN_MAX_AGE_DAYS`. They, not accounts, decide memory "
            "and disk.",
        ]
    )


def _plans(plans: Sequence[Plan]) -> str:
    first = plans[0]
    rows = [
        f"For {PLAN_EVENTS_PER_S:,} events/s, day and night, over {PLAN_ACCOUNTS:,} accounts: "
        f"{first.workers:,} "
        f"workers on {first.cores:,} cores, {first.lanes:,} lanes (worked out, not run). A worker needs:",
        "",
        "| ids remembered for | ids | RocksDB: memory GB | RocksDB: disk GB | store in memory: GB |",
        "|---|---|---|---|---|",
    ]
    for p in plans:
        days = f"{p.days} day{'s' if p.days > 1 else ''}"
        gb = (p.memory_gb_each, p.disk_gb_each, p.all_in_memory_gb_each)
        rows.append(f"| {days} | {p.ids:,.0f} | {' | '.join(f'{size:,.1f}' for size in gb)} |")
    return "\n".join(rows)
