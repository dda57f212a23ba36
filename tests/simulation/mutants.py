"""Plants one bug after the other and plays histories until one of them shows it."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.simulation import bugs_of_agents, bugs_of_lanes, bugs_of_rules
from tests.simulation.check import check

SEEDS = 1_000
"""Within so many histories a bug must be caught; as many must hold without one."""
BUGS: Sequence[Callable[[pytest.MonkeyPatch], None]] = (
    *bugs_of_lanes.BUGS,
    *bugs_of_agents.BUGS,
    *bugs_of_rules.BUGS,
)
CHUNK = 50
SLIPS = ("TypeError", "AttributeError", "NameError", "KeyError")
"""What stops a worker where the plant itself is wrong, not what it does."""


def caught(name: str) -> tuple[str, int | None, tuple[str, ...], str]:
    """Return a bug's name, how many seeds it took to catch it (None: not caught), by which rules, and how."""
    bug = next(bug for bug in BUGS if bug.__name__ == name)
    with pytest.MonkeyPatch.context() as patch:
        bug(patch)
        for seed in range(SEEDS):
            verdict = check(seed)
            if any(slip in line for line in verdict.broken for slip in SLIPS):
                raise AssertionError(f"{name} is badly planted: {verdict.broken[0]}")
            if verdict.broken:
                return name, seed + 1, verdict.rules, verdict.broken[0]
    return name, None, (), ""


def alarms(first: int) -> list[int]:
    """Return the seeds of a chunk that fail without any bug."""
    return [seed for seed in range(first, first + CHUNK) if check(seed).broken]


def hunt(pool: Any, only: str, report: Path | None) -> int:
    """Print the table; return 1 where a bug is not caught or the clean code raises an alarm."""
    began = time.monotonic()
    names = [bug.__name__ for bug in BUGS if only in bug.__name__]
    found = {}
    print(f"{'planted bug':48}{'seeds until caught':>20}  by", flush=True)
    for name, seeds, rules, how in pool.imap_unordered(caught, names, chunksize=1):
        found[name] = {"seeds": seeds, "rules": rules, "how": how}
        by = f"stopped: {how.split(': ', 1)[-1]:.60}" if rules == ("stopped",) else ", ".join(rules)
        print(f"{name:48}{seeds or 'NOT CAUGHT':>20}  {by}", flush=True)
    missed = [name for name in names if found[name]["seeds"] is None]
    wrong = [] if only else [seed for some in pool.imap(alarms, range(0, SEEDS, CHUNK)) for seed in some]
    print(
        f"\n{len(names) - len(missed)} of {len(names)} bugs caught within {SEEDS:,} seeds; "
        f"{len(wrong)} false alarms{' (not looked for)' if only else f' in {SEEDS:,} seeds without a bug'}; "
        f"{time.monotonic() - began:.0f} s"
    )
    if wrong:
        print(f"false alarms at seeds {wrong}: make simulate SEED={wrong[0]} tells one")
    if report is not None:
        report.write_text(json.dumps({"bugs": found, "false_alarms": wrong}, indent=2) + "\n")
    return 1 if missed or wrong else 0
