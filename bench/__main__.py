"""`python -m bench`: inputs once, then every system in turn, round after round; one JSON line a run."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.status import Status

import local
from bench.inputs import Told, prepared
from bench.running import Care, RunError, measure
from bench.systems import SYSTEMS
from bench.workload import Shape

STATE = Path(".evergreen/bench")
RESULTS = Path("bench/results")

console = Console(stderr=True)


def main() -> int:
    """Measure; exit 0 where every run was right."""
    options = _options()
    shape = Shape(events=options.events, accounts=options.accounts, skew=options.skew, seed=options.seed)
    chosen = [SYSTEMS[name] for name in options.only]
    RESULTS.mkdir(parents=True, exist_ok=True)
    out = RESULTS / f"{shape}.jsonl"
    care = Care(
        directory=STATE / "runs",
        limit_seconds=options.limit_seconds,
        quiet_seconds=options.quiet_seconds,
        keep=options.keep,
    )
    is_right = True
    with local.broker() as broker, out.open("a") as results:
        with _step("inputs") as told:
            inputs = prepared(broker.bootstrap_servers, shape, STATE, told)
        for number in range(1, options.rounds + 1):
            for system in chosen:
                if why := system.missing():
                    console.print(f"[yellow]not run[/] {system.name}: {why}", highlight=False)
                    continue
                with _step(f"round {number} of {options.rounds}, {system.name}") as told:
                    try:
                        line = measure(system, inputs, number, care, told)
                    except RunError as e:
                        console.print(f"[red]failed[/] {e}", highlight=False)
                        is_right = False
                        continue
                is_right &= line["correct"]
                results.write(json.dumps(line) + "\n")
                results.flush()
                print(json.dumps(line), flush=True)
    return 0 if is_right else 1


@contextmanager
def _step(name: str) -> Iterator[Told]:
    """Show what goes on: in place on a terminal, else one line a step."""
    if not console.is_terminal:
        console.print(name, highlight=False)
        yield lambda text: None
        return
    with Status(name, console=console) as status:
        yield lambda text: status.update(f"{name}: {text}")


def _options() -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    p.add_argument("--events", type=int, default=500_000, help="usage events, duplicates included")
    p.add_argument("--accounts", type=int, default=10_000)
    p.add_argument("--skew", choices=("uniform", "zipf"), default="uniform")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=list(SYSTEMS),
        help=f"systems, separated by commas: {', '.join(SYSTEMS)}",
    )
    p.add_argument("--limit-seconds", type=float, default=600, help="when a run is given up")
    p.add_argument("--quiet-seconds", type=float, default=10, help="longest wait for a quiet machine")
    p.add_argument("--keep", action="store_true", help="leave topics and files of the runs")
    options = p.parse_args()
    if unknown := [name for name in options.only if name not in SYSTEMS]:
        p.error(f"no system {unknown[0]!r}; there are {', '.join(SYSTEMS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
