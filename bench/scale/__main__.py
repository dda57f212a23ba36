"""Measure how the shipped worker does as accounts, lanes, workers and time grow.

One JSON line a run goes to stdout and to bench/results/, what goes on to stderr. With --page the lines also
go to docs/performance/scale/ and into the page.
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
from bench import machine
from bench.inputs import Told
from bench.scale import page
from bench.scale.deployment import ScaleError
from bench.scale.measure import Bench, Line, Measure, Sizes
from bench.scale.measures import MEASURES
from bench.systems import is_compiled
from bench.versions import versions

STATE = Path(".evergreen/bench/scale")
RESULTS = Path("bench/results")
WRONG = 1
TOLD_SECONDS = 10.0

console = Console(stderr=True, highlight=False)


def main() -> int:
    """Measure; exit 0 where every run was right."""
    options = _options()
    right = True
    if not options.small:
        with _step("writing once to half of the free memory"):
            machine.touch_memory()
    with local.broker() as broker:
        for name in options.only:
            measure, began = MEASURES[name], time.monotonic()
            with _step(f"{name}: {measure.title}") as told:
                waited = machine.wait_for_quiet(options.quiet_seconds)
                bench = Bench(
                    bootstrap_servers=broker.bootstrap_servers,
                    directory=STATE,
                    sizes=_sizes(options),
                    told=told,
                )
                lines, is_whole = _measured(measure, bench)
            right = right and is_whole and all(line["correct"] for line in lines)
            console.print(page.table(measure, lines), soft_wrap=True)
            console.print(f"{name} took {time.monotonic() - began:.0f} s, {waited:.0f} of them for quiet")
            if options.page and is_whole and not options.small:
                page.keep(measure, _about(), lines)
                console.print(f"{page.PAGE} has it now")
    return 0 if right else WRONG


def _measured(measure: Measure, bench: Bench) -> tuple[list[Line], bool]:
    """Return a measure's lines, each written down at once, and whether it came to its end."""
    lines: list[Line] = []
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / f"scale-{measure.name}.jsonl").open("a", encoding="utf-8") as file:
        try:
            for line in measure.run(bench):
                if line["problems"]:
                    console.print(f"wrong: {line['case']}: {line['problems']}", style="red", markup=False)
                text = json.dumps({"measure": measure.name} | line)
                print(text, file=file, flush=True)
                print(text, flush=True)
                lines.append(line)
        except (ScaleError, KafkaException, OSError) as e:
            console.print(f"failed: {measure.name}: {e}", style="red", markup=False)
            return lines, False
    return lines, True


def _about() -> page.About:
    return page.About(
        machine=machine.description(),
        versions=versions(),
        command=" ".join(["python -m bench.scale", *sys.argv[1:]]),
        date=time.strftime("%Y-%m-%d", time.gmtime()),
    )


def _sizes(options: argparse.Namespace) -> Sizes:
    sizes = Sizes().small() if options.small else Sizes()
    given = {
        name: value
        for name in ("rounds", "events", "rate", "seconds", "minutes", "many", "closing")
        if (value := getattr(options, name)) is not None
    }
    return replace(sizes, **given)


@contextmanager
def _step(name: str) -> Iterator[Told]:
    """Show what goes on: in place on a terminal, else one line a step."""
    if not console.is_terminal:
        console.print(name)
        yield _seldom()
        return
    with Status(name, console=console) as status:
        yield lambda text: status.update(f"{name}: {text}")


def _seldom() -> Told:
    """Tell what goes on a line at a time, where a line cannot be written over."""
    last = time.monotonic()

    def told(text: str) -> None:
        nonlocal last
        if time.monotonic() - last > TOLD_SECONDS:
            last = time.monotonic()
            console.print(f"  {text}")

    return told


def _options() -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    p.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=list(MEASURES),
        metavar="MEASURE,...",
        help=f"of {', '.join(MEASURES)}; by default all",
    )
    p.add_argument("--small", action="store_true", help="small sizes: only to see that it works")
    p.add_argument("--rounds", type=int)
    p.add_argument("--events", type=int, help="of one run of a throughput")
    p.add_argument("--many", type=int, help="accounts of restore; memory takes a tenth and a half of them")
    p.add_argument("--closing", type=int, help="accounts of the close")
    p.add_argument("--rate", type=int, help="events a second beside a close, an outage, a soak")
    p.add_argument("--seconds", type=float, help="how long one latency is watched")
    p.add_argument("--minutes", type=float, help="of the soak")
    p.add_argument("--quiet-seconds", type=float, default=10, help="longest wait for a quiet machine")
    p.add_argument("--page", action="store_true", help=f"put the figures into {page.PAGE}")
    options = p.parse_args()
    if unknown := [name for name in options.only if name not in MEASURES]:
        p.error(f"no measure {unknown[0]!r}; there are {', '.join(MEASURES)}")
    if options.page and not is_compiled():
        p.error(f"{page.PAGE} has figures of the compiled worker: run `make bench` or `make scale`")
    return options


if __name__ == "__main__":
    sys.exit(main())
