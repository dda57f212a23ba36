"""`make simulate` and `make mutants`: many histories, one told step by step, or planted bugs.

Sets of texts are in another order in every process unless PYTHONHASHSEED says otherwise: a seed is one
history only where it does.
"""

import argparse
import gc
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.simulation.plain import prefer_sources

HASH_SEED = "0"
SHOWN = 3
"""Failing histories that are made short and told."""
CHUNK = 20


def main(arguments: list[str]) -> int:
    """Return the exit code: 1 where a history fails or a bug is not caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seeds", type=int, metavar="N", help="play N histories")
    what.add_argument("--seed", type=int, metavar="SEED", help="play one history and tell it")
    what.add_argument("--mutants", action="store_true", help="plant bugs and see each caught")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed of --seeds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--only", default="", metavar="BUG", help="of the bugs, those whose name has this")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there as well")
    given = parser.parse_args(arguments)
    if given.seed is not None:
        return _tell(given.seed)
    if given.mutants:
        from tests.simulation.mutants import hunt

        gc.freeze()
        with multiprocessing.Pool(given.jobs, maxtasksperchild=1) as pool:  # no bug meets what another left
            return hunt(pool, given.only, given.json)
    with multiprocessing.Pool(given.jobs, _calm) as pool:
        return _many(pool, given.first, given.seeds, given.json)


def _calm() -> None:
    """Keep what every history needs out of the garbage collector's way."""
    import tests.simulation.check  # noqa: F401

    gc.freeze()


def _some(seeds: range) -> list[Any]:
    from tests.simulation.check import check

    return [check(seed) for seed in seeds]


def _many(pool: Any, first: int, count: int, report: Path | None) -> int:
    began, shown = time.monotonic(), 0.0
    done: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    failed = []
    for verdict in _verdicts(pool, first, count):
        totals["histories"] += 1
        for what in ("records", "commits", "aborted", "rebalances"):
            totals[what] += getattr(verdict, what)
        totals["hurt"] += bool(verdict.done)
        done += verdict.done
        passed += verdict.passed
        if verdict.broken:
            failed.append(verdict)
            print(f"seed {verdict.seed} fails: {'; '.join(verdict.broken):.500}", flush=True)
        if time.monotonic() - shown > 5:
            shown = time.monotonic()
            _progress(totals["histories"], count, shown - began)
    seconds = time.monotonic() - began
    _progress(totals["histories"], count, seconds)
    _print_table(done, passed)
    what_happened = ", ".join(f"{number:,} {what}" for what, number in totals.items())
    print(f"{what_happened}; {sum(done.values()):,} injuries; {len(failed)} failed")
    if report is not None:
        found = {
            "seconds": round(seconds, 1),
            "first_seed": first,
            **totals,
            "failed": [{"seed": v.seed, "rules": v.rules, "broken": v.broken} for v in failed],
            "injuries": dict(sorted(done.items())),
            "passed": dict(sorted(passed.items())),
        }
        report.write_text(json.dumps(found, indent=2) + "\n")
    for verdict in failed[:SHOWN]:
        print(_short(verdict.seed, verdict.rules))
    return 1 if failed else 0


def _verdicts(pool: Any, first: int, count: int) -> Iterator[Any]:
    chunks = [range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)]
    for verdicts in pool.imap_unordered(_some, chunks):
        yield from verdicts


def _progress(histories: int, count: int, seconds: float) -> None:
    rate = histories / seconds * 60 if seconds else 0
    print(f"{histories:,} of {count:,} histories, {rate:,.0f} a minute", flush=True)


def _print_table(done: Counter[str], passed: Counter[str]) -> None:
    from tests.simulation.injuries import POINTS

    print(f"\n{'point':26}{'passed':>10}{'killed':>9}{'frozen':>9}{'reply lost':>12}")
    for point in POINTS:
        counts = [done[f"{what} {point}"] for what in ("kill", "freeze", "lose")]
        print(f"{point:26}{passed[point]:>10,}{counts[0]:>9,}{counts[1]:>9,}{counts[2]:>12,}")
    print()


def _short(seed: int, rules: tuple[str, ...]) -> str:
    from tests.simulation.author import written
    from tests.simulation.check import judged, shortest, story

    few = shortest(written(seed), rules)
    again = judged(few)
    return f"\n{story(few)}\n{chr(10).join(again.broken)}\nreplay: make simulate SEED={seed}\n"


def _tell(seed: int) -> int:
    from tests.simulation.author import written
    from tests.simulation.check import judged, story
    from tests.simulation.world import StoppedError, play

    script = written(seed)
    print(story(script))
    try:
        print("\n".join(play(script, verbose=True).told))
    except StoppedError as error:
        print("\n".join(getattr(error, "__notes__", ())))
    verdict = judged(script)
    print("\n".join(verdict.broken) or "holds")
    if verdict.broken:
        print(_short(seed, verdict.rules))
    return 1 if verdict.broken else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        os.environ["PYTHONHASHSEED"] = HASH_SEED
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    prefer_sources()
    sys.exit(main(sys.argv[1:]))
