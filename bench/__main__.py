"""Run every system on the same inputs in turn, round after round: one JSON line a run, on stdout.

Inputs are written once. What goes on is told on stderr; every line also goes to bench/results/.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from confluent_kafka import KafkaException
from rich.console import Console
from rich.status import Status

import local
from bench import machine, page
from bench.figures import Line, figures
from bench.inputs import Inputs, Told, prepared
from bench.running import Care, RunError, measure
from bench.system import System
from bench.systems import SELDOM, SYSTEMS, is_compiled
from bench.versions import versions
from bench.workload import Shape

STATE = Path(".evergreen/bench")
RESULTS = Path("bench/results")
WRONG = 1

console = Console(stderr=True, highlight=False)


def main() -> int:
    """Measure; exit 0 where every run was right."""
    options = _options()
    began = time.monotonic()
    shape = Shape(events=options.events, accounts=options.accounts, skew=options.skew, seed=options.seed)
    care = Care(
        directory=STATE / "runs",
        limit_seconds=options.limit_seconds,
        quiet_seconds=options.quiet_seconds,
        keep=options.keep,
    )
    with local.broker() as broker:
        ready, not_run = _ready([SYSTEMS[name] for name in options.only])
        inputs = _inputs(broker.bootstrap_servers, {_shape_for(system, shape) for system in ready})
        runs = [
            (number, system, inputs[_shape_for(system, shape)])
            for number in range(1, options.rounds + 1)
            for system in ready
        ]
        lines = list(_measured(runs, care, RESULTS / f"{shape}.jsonl"))
    console.print(page.table(figures(lines)), soft_wrap=True)
    if options.page:
        page.keep(str(shape), _about(shape, options.rounds, not_run), lines)
        console.print(f"{page.PAGE} has it now")
    console.print(f"took {time.monotonic() - began:.0f} s")
    return 0 if len(lines) == len(runs) and all(line["correct"] for line in lines) else WRONG


def _ready(chosen: list[System]) -> tuple[list[System], dict[str, str]]:
    """Return those that can run here, built and installed; and of the others why not."""
    ready, not_run = [], {}
    for system in chosen:
        with _step(f"making {system.name} ready"):
            why = system.missing()
        if why is None:
            ready.append(system)
        else:
            not_run[system.name] = why
            console.print(f"not run: {system.name}, {why}", style="yellow")
    return ready, not_run


def _inputs(bootstrap_servers: str, shapes: set[Shape]) -> dict[Shape, Inputs]:
    inputs = {}
    for shape in sorted(shapes, key=str):
        with _step(f"inputs {shape}") as told:
            inputs[shape] = prepared(bootstrap_servers, shape, STATE, told)
    return inputs


def _measured(runs: list[tuple[int, System, Inputs]], care: Care, results: Path) -> Iterator[Line]:
    """Yield the line of each run that came to an end, and write it down at once."""
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a", encoding="utf-8") as file:
        for done, (number, system, inputs) in enumerate(runs):
            with _step(f"run {done + 1} of {len(runs)}: {system.name}, round {number}") as told:
                try:
                    line = measure(system, inputs, number, care, told)
                except (RunError, KafkaException, OSError) as e:
                    console.print(f"failed: {e}", style="red", markup=False)
                    continue
            if line["problems"]:
                console.print(f"wrong: {system.name}: {line['problems']}", style="red", markup=False)
            text = json.dumps(line)
            print(text, file=file, flush=True)
            print(text, flush=True)
            yield line


def _shape_for(system: System, shape: Shape) -> Shape:
    """Return a smaller workload for a system that is too slow for all of it."""
    return replace(shape, events=min(shape.events, system.most_events or shape.events))


def _about(shape: Shape, rounds: int, not_run: dict[str, str]) -> page.About:
    spread = "evenly over" if shape.skew == "uniform" else "by Zipf's law over"
    return page.About(
        workload=f"{shape.events:,} usage events, {spread} {shape.accounts:,} accounts; {rounds} rounds",
        machine=machine.description(),
        versions=versions(),
        command=" ".join(["python -m bench", *sys.argv[1:]]),
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        not_run=not_run,
    )


@contextmanager
def _step(name: str) -> Iterator[Told]:
    """Show what goes on: in place on a terminal, else one line a step."""
    if not console.is_terminal:
        console.print(name)
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
        default=[name for name in SYSTEMS if name not in SELDOM],
        metavar="SYSTEM,...",
        help=f"'all', or of {', '.join(SYSTEMS)}; by default all but {', '.join(SELDOM)}",
    )
    p.add_argument("--limit-seconds", type=float, default=600, help="when a run is given up")
    p.add_argument("--quiet-seconds", type=float, default=10, help="longest wait for a quiet machine")
    p.add_argument("--keep", action="store_true", help="leave topics and files of the runs")
    p.add_argument("--page", action="store_true", help=f"put the figures into {page.PAGE}")
    options = p.parse_args()
    if options.only == ["all"]:
        options.only = list(SYSTEMS)
    if unknown := [name for name in options.only if name not in SYSTEMS]:
        p.error(f"no system {unknown[0]!r}; there are {', '.join(SYSTEMS)}")
    if options.page and not is_compiled():
        p.error(f"{page.PAGE} has figures of the compiled worker: run `make bench` or `make scale`")
    return options


if __name__ == "__main__":
    sys.exit(main())
