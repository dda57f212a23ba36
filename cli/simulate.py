"""`evergreen simulate`: customers over months, against a running deployment with a manual clock."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.errors import one_line
from producers.emitter import EmitError, Emitter
from producers.simulator import DEFAULT_START, Expected, Simulation, SimulationError, Step, run
from producers.values import FieldError, millis, moment
from streams.lag import lanes_group, payments_group, wait_for_zero_lag
from streams.settings import Settings, read

DEADLINE_SECONDS = 120.0
"""Most time for the lanes and the payment consumer to catch up in one step."""


def simulate(
    accounts: Annotated[int, typer.Option(min=1, max=100_000)] = 200,
    months: Annotated[int, typer.Option(min=1, max=120)] = 3,
    seed: int = 7,
    start: Annotated[
        str, typer.Option(metavar="TIME", help="The first of a month, UTC.")
    ] = DEFAULT_START.isoformat(),
    ticks_per_day: Annotated[int, typer.Option(min=1, max=24)] = 1,
) -> None:
    """Simulate customers over months; workers and the payment consumer must be running."""
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
        with _progress() as progress:
            task = progress.add_task(f"{moment(simulation.start):%Y-%m-%d}", total=len(simulation.ticks))

            def on_step(step: Step) -> None:
                progress.update(task, advance=1, description=f"{moment(step.tick):%Y-%m-%d}")

            run(simulation, emitter, lambda: wait_for_zero_lag(settings, groups, DEADLINE_SECONDS), on_step)
    return simulation.expected()


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


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
