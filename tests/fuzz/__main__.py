"""`python -m tests.fuzz`: so many mutated records through the lane, each outcome judged by a second decoder.

python -m tests.fuzz --records 1000000     many; prints the rate, what became of them, and the seed
python -m tests.fuzz --seed 7 --round 12   one round again
python -m tests.fuzz --plants              bugs planted on purpose, and the rounds it took to catch each
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context

from tests.fuzz.beside import measured
from tests.fuzz.plants import PLANTS, planted
from tests.fuzz.rounds import Round, play, play_asked

ROUND = 10_000
PLANT_ROUND = 4_000
PLANT_ROUNDS = 5
TURNS = 7
LEAST_RATIO = 0.8
SHOWN = 10


def main(arguments: list[str]) -> int:
    """Run it; 0 where all is as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--round", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--plants", action="store_true")
    chosen = parser.parse_args(arguments)
    if chosen.plants:
        return _plants(chosen.seed)
    if chosen.round is not None:
        return _told(play(chosen.seed, chosen.round, ROUND))
    code = _many(chosen.seed, chosen.records, chosen.jobs)
    beside = measured(TURNS, chosen.seed)
    print(
        f"good events in a second of CPU time: {beside.with_poison:,.0f} beside 1 % poison, "
        f"{beside.alone:,.0f} without, ratio {beside.ratio:.3f} (at least {LEAST_RATIO})"
    )
    return code or int(beside.ratio < LEAST_RATIO)


def _many(seed: int, records: int, jobs: int) -> int:
    rounds = -(-records // ROUND)
    began, done, outcomes, failed = time.monotonic(), 0, Counter[str](), 0
    print(f"seed {seed}: {rounds} rounds of {ROUND:,} records, {jobs} processes", flush=True)
    for number, found in enumerate(_rounds(seed, rounds, jobs), start=1):
        done += found.records
        outcomes += found.outcomes
        if found.wrong:
            failed += 1
            _told(found)
        rate = done / (time.monotonic() - began)
        if sys.stderr.isatty() or number % 10 == 0 or number == rounds:
            end = "\r" if sys.stderr.isatty() and number < rounds else "\n"
            print(
                f"{done:>9,} of {rounds * ROUND:,}, {rate:,.0f} a second",
                end=end,
                file=sys.stderr,
                flush=True,
            )
    for outcome, count in outcomes.most_common():
        print(f"{count:>9,} {outcome}")
    took = time.monotonic() - began
    print(
        f"{done:,} records in {took:.0f} s, {done / took:,.0f} a second; "
        f"{failed} of {rounds} rounds with a wrong outcome, a crash or a stall"
    )
    return int(failed > 0)


def _rounds(seed: int, rounds: int, jobs: int) -> Iterator[Round]:
    if jobs == 1:
        yield from (play(seed, number, ROUND) for number in range(rounds))
        return
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(play_asked, [(seed, number, ROUND) for number in range(rounds)])


def _told(found: Round) -> int:
    for line in found.wrong[:SHOWN]:
        print(f"{found.name}: {line}", flush=True)
    if len(found.wrong) > SHOWN:
        print(f"{found.name}: ... and {len(found.wrong) - SHOWN} more", flush=True)
    if not found.wrong:
        print(f"{found.name}: {found.records:,} records, nothing wrong")
    return int(bool(found.wrong))


def _plants(seed: int) -> int:
    missed = 0
    for name in PLANTS:
        with planted(name):
            for number in range(PLANT_ROUNDS):
                wrong = play(seed, number, PLANT_ROUND).wrong
                if wrong:
                    break
        missed += not wrong
        print(f"{name}: {f'round {number + 1}: {wrong[0][:110]}' if wrong else 'MISSED'}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
