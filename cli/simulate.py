"""`evergreen simulate`: customers over months, against a running deployment with a manual clock.

With --everything also everything that may go wrong, on a deployment and processes of its own.
"""

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import local
from cli import tally
from cli.errors import one_line
from cli.verify import print_report
from cli.whole import whole
from producers.emitter import EmitError, Emitter
from producers.simulator import DEFAULT_START, Expected, Simulation, SimulationError, Step, run
from producers.values import FieldError, millis, moment
from streams import records, topic_admin
from streams.lag import lanes_group, payments_group, wait_for_zero_lag
from streams.settings import Settings, read
from verify import check
from verify import digest as digests
from verify import read as reading
from verify.read import CannotCheckError

DEADLINE_SECONDS = 120.0
"""Most time for the lanes and the payment consumer to catch up in one step."""


def simulate(  # noqa: PLR0917 - options of a command line
    accounts: Annotated[int, typer.Option(min=1, max=100_000)] = 200,
    months: Annotated[int, typer.Option(min=1, max=120)] = 3,
    seed: int = 7,
    start: Annotated[
        str, typer.Option(metavar="TIME", help="The first of a month, UTC.")
    ] = DEFAULT_START.isoformat(),
    ticks_per_day: Annotated[int, typer.Option(min=1, max=24)] = 1,
    everything: Annotated[
        bool,
        typer.Option(
            "--everything",
            help="All that may happen to an account or a worker, from December 2023, on processes of its own;"
            " verify has the last word.",
        ),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=16, help="With --everything.")] = 2,
    kills: Annotated[bool, typer.Option(help="With --everything: kill workers.")] = True,
    digest: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --everything: write what must be the same again."),
    ] = None,
) -> None:
    """Simulate customers over months; workers and the payment consumer must be running."""
    if everything:
        _everything(accounts, months, seed, workers=workers, kills=kills, digest=digest)
        return
    with one_line(EmitError, FieldError, SimulationError):
        settings = read()
        if settings.clock != "manual":
            raise EmitError("EVERGREEN_CLOCK is not manual: simulated months need ticks that may jump")
        expected = drive(
            settings,
            accounts=accounts,
            months=months,
            seed=seed,
            start=moment(millis("--start", start)),
            ticks_per_day=ticks_per_day,
        )
    Console().print(table(expected))


def drive(
    settings: Settings,
    *,
    accounts: int,
    months: int,
    seed: int,
    start: datetime = DEFAULT_START,
    ticks_per_day: int = 1,
) -> Expected:
    """Send a simulation to a running deployment with a progress bar; return what the lanes are to find."""
    with Emitter(settings, ticker="simulator") as emitter:
        simulation = Simulation(
            seed=seed,
            accounts=accounts,
            months=months,
            start=start,
            lanes=emitter.partitions("usage-events"),
            ticks_per_day=ticks_per_day,
            max_age_days=settings.max_age_days,
            schemas=emitter.encoder.schemas,
        )
        if moment(simulation.end) > datetime.now(UTC):
            raise EmitError(f"the simulation would end in the future, at {moment(simulation.end):%Y-%m-%d}")
        groups = [lanes_group(settings), payments_group(settings)]
        with _steps(len(simulation.ticks)) as on_step:
            run(simulation, emitter, lambda: wait_for_zero_lag(settings, groups, DEADLINE_SECONDS), on_step)
    return simulation.expected()


def _everything(
    accounts: int, months: int, seed: int, *, workers: int, kills: bool, digest: Path | None
) -> None:
    """Run the whole simulation on a deployment of its own; exit 0 where all happened and all holds."""
    console, began = Console(), time.monotonic()
    expected = (local.LocalError, EmitError, SimulationError, CannotCheckError, OSError)
    with one_line(*expected), ExitStack() as held:
        broker = held.enter_context(local.broker())
        os.environ["EVERGREEN_BOOTSTRAP_SERVERS"] = broker.bootstrap_servers
        os.environ.setdefault("EVERGREEN_TOPIC_PREFIX", f"simulate-{time.strftime('%Y%m%d-%H%M%S')}.")
        os.environ["EVERGREEN_CLOCK"] = "manual"
        settings = read()
        if not topic_admin.create(settings).created:
            raise EmitError(f"the topics {settings.topic_prefix}... are there already: name other ones")
        run = whole(
            settings, accounts=accounts, months=months, seed=seed, workers=workers, kills=kills, held=held
        )
        with _steps(len(run.simulation.ticks)) as on_step:
            run.run(on_step)
        simulated = time.monotonic()
        gc.disable()  # millions of small values that live to the end: looking through them frees none
        topics = reading.read(settings, records.schemas(settings))
        report = check.check(topics, settings)
        canonical = digests.text(topics)
    findings = tally.tally(run, topics)
    console.print(tally.table(findings))
    print_report(report)
    if digest is not None:
        digest.write_text(canonical)
    console.print(
        f"\n{accounts} accounts, {months} months, seed {seed}, {workers} workers: simulated in"
        f" {simulated - began:.0f} s, checked in {time.monotonic() - simulated:.0f} s",
        highlight=False,
    )
    console.print(f"charges, tax, lines and totals: sha256 {digests.of(canonical)}", highlight=False)
    missing = [finding.name for finding in findings if finding.is_missing]
    if missing:
        console.print(f"[red]never happened:[/] {', '.join(missing)}")
    uncharged = tally.uncharged(findings)
    if uncharged:
        console.print(f"[red]{uncharged} usage events sent and not charged, or charged and not sent[/]")
    if missing or uncharged or not report.holds:
        raise typer.Exit(1)


def table(expected: Expected) -> Table:
    """Return what was sent, by what it is to be counted as."""
    shown = Table(title="sent, by what the lanes are to find it to be", title_justify="left")
    shown.add_column("records", justify="right")
    shown.add_column("are")
    shown.add_row(
        str(expected.usage), f"usage to charge once, {expected.usage_late} of it more than a day late"
    )
    shown.add_row(str(expected.usage_duplicates), "usage sent again")
    shown.add_row(str(expected.payments), "payments, refunds, disputes")
    shown.add_row(str(expected.payment_duplicates), "of these sent again")
    shown.add_row(str(expected.adjustments), "credits and debits")
    shown.add_row(str(expected.settings), "settings")
    shown.add_row(str(expected.settings_duplicates), "settings sent again")
    shown.add_row(str(expected.profiles), "profiles")
    shown.add_row(str(expected.prices), "prices, one copy in every lane")
    shown.add_section()
    for reason, count in expected.dead_letters.items():
        shown.add_row(str(count), f"dead letters: {reason}")
    return shown


@contextmanager
def _steps(total: int) -> Iterator[Callable[[Step], None]]:
    """Show how far a simulation is: a bar on a terminal, a line a month where stderr is a file."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task, months = progress.add_task("", total=total), set[str]()

        def on_step(step: Step) -> None:
            progress.update(task, advance=1, description=f"{moment(step.tick):%Y-%m-%d}")
            month = f"{moment(step.tick):%Y-%m}"
            if not console.is_terminal and month not in months:
                months.add(month)
                console.print(f"{month}: step {step.number} of {total}", highlight=False)

        yield on_step
