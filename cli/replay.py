"""`evergreen replay`: bill a deployment's inputs once more from the first offset, and compare.

What is written goes to topics of another prefix; the deployment stays as it is.
"""

import gc
import os
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import local
from cli.errors import one_line
from cli.verify import print_report
from local.process import OwnedProcess
from streams import records, topic_admin
from streams.lag import lag, lanes_group, reads_of
from streams.replay import Replay, replayed
from streams.settings import Settings, read
from streams.topics import JOURNAL
from verify import check, digest
from verify import read as reading
from verify.read import CannotCheckError
from verify.topics import Topics

LOGS = Path(".evergreen/replay")
COUNTED = ("applied", "waiting", "duplicate", "dead")


class ReplayError(Exception):
    """Why a replay did not come to its end; one line."""


def replay(
    output_prefix: Annotated[
        str, typer.Option(metavar="PREFIX", help="Before the application id and all that the replay writes.")
    ],
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the lanes.")] = 1,
    facts: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write there what was compared, one fact a line: was, again."),
    ] = None,
) -> None:
    """Fold all inputs again in the order of the journal, beside the deployment; compare what came of it.

    Needs zero lag and no retention so far. Exit code 0: charges, tax and lines are the same and all
    invariants hold of the replay. 1: they are not. 2: it could not be done.
    """
    console = Console()
    with one_line(CannotCheckError, ReplayError, local.LocalError, OSError, code=2):
        settings = read(output_prefix=output_prefix)
        schemas = records.schemas(settings)
        Replay(settings, schemas)  # refuses what makes no sense before anything is made
        topic_admin.create(settings)
        began = time.monotonic()
        run(settings, workers)
        took = time.monotonic() - began
        gc.disable()  # millions of small values that live to the end: looking through them frees none
        was = reading.read(replayed(settings), schemas)
        again = reading.read(settings, schemas)
        report = check.check(again, settings)
    before, after = digest.text(was), digest.text(again)
    if facts is not None:
        facts.mkdir(parents=True, exist_ok=True)
        (facts / "was").write_text(before)
        (facts / "again").write_text(after)
    print_report(report)
    console.print(_tally(was, again))
    console.print(
        f"\nreplayed in {took:.0f} s, workers: {workers}\ncharges, tax and lines: sha256 {digest.of(before)}",
        highlight=False,
        soft_wrap=True,
    )
    if before != after:
        console.print(
            f"[red]not the same:[/] the replay has   {digest.of(after)}", highlight=False, soft_wrap=True
        )
    if before != after or not report.holds:
        raise typer.Exit(1)
    console.print("[green]the same[/]")


def run(settings: Settings, workers: int) -> None:
    """Run the workers of a replay to its end; raises ReplayError where one gives up."""
    logs = LOGS / settings.output_prefix
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        processes = []
        for number in range(1, workers + 1):
            own = {"worker_name": f"replay-{number}", "http_port": 0}
            chosen = {**settings.model_dump(), **own}
            command = ["/usr/bin/env", *(f"EVERGREEN_{k.upper()}={v}" for k, v in chosen.items())]
            command += [sys.executable, "-m", "cli", "worker", "--replay"]
            process = OwnedProcess(command, output=logs / f"worker-{number}.log")
            held.callback(process.end)
            processes.append(process)
        _watch(settings, processes, logs)


def _watch(settings: Settings, processes: list[OwnedProcess], logs: Path) -> None:
    """Show how far the lanes are until all workers have ended."""
    group = lanes_group(settings)
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    left = 0
    with Progress(*columns, console=Console(stderr=True), disable=not os.isatty(2)) as bar:
        task = bar.add_task("", total=None)
        while any(process.is_alive() for process in processes):
            places = lag(settings.bootstrap_servers, reads_of(settings, [group]))
            left = sum(place.records for place in places)
            total = sum(place.end for place in places)
            bar.update(task, completed=total - left, total=total)
            time.sleep(0.25)
    left = sum(place.records for place in lag(settings.bootstrap_servers, reads_of(settings, [group])))
    if left:
        raise ReplayError(
            f"the workers ended with {left:,} offsets left to read: the deployment has not read them either, "
            f"or {logs} says why"
        )


def _tally(was: Topics, again: Topics) -> Table:
    """Return what became of the records, beside what had become of them."""
    shown = Table("", box=None, pad_edge=False)
    shown.add_column("was", justify="right")
    shown.add_column("again", justify="right")
    counts = [_counts(topics) for topics in (was, again)]
    for name in ("commits", *COUNTED):
        shown.add_row(name, *(f"{count[name]:,}" for count in counts))
    for topic in ("ledger-entries", "invoices", "notifications", "top-up-commands", "dead-letters"):
        shown.add_row(topic, *(f"{sum(len(log.records) for log in t.logs[topic]):,}" for t in (was, again)))
    return shown


def _counts(topics: Topics) -> Counter[str]:
    found: Counter[str] = Counter()
    for log in topics.logs[JOURNAL.name]:
        found["commits"] += len(log.records)
        for record in log.records:
            entry = topics.schemas.decode(record.value or b"", "journal-entry")[1]
            found.update({name: entry[name] for name in COUNTED})
    return found
