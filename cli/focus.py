"""`evergreen import-focus FILE`: a FOCUS cost file as prices, usage, adjustments; each row accounted for."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cli.emit import one_line_errors
from producers import focus
from producers.emissions import Emission, Encoder
from producers.emitter import Emitter
from producers.focus_report import Report
from producers.values import UNIT
from schemas.wire import fixed
from streams.settings import read


def import_focus(
    file: Annotated[Path, typer.Argument(help="CSV in the FOCUS 1.x format.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what the file would become.")] = False,
) -> None:
    """Import a FOCUS cost and usage file; the same file again is only duplicates."""
    with one_line_errors():
        if not file.is_file():
            raise focus.FocusError(f"{file}: no such file (one that can be read twice: no pipe)")
        if dry_run:
            currency = read(bootstrap_servers="none").default_currency  # needs no broker
            report = import_file(file, currency, None)
        else:
            settings = read()
            currency = settings.default_currency
            with Emitter(settings) as emitter:
                report = import_file(file, currency, emitter)
    Console().print(_table(report, currency, file.name, sent=not dry_run))


def import_file(file: Path, currency: str, emitter: Emitter | None) -> Report:
    """Read a file twice, for its prices and then for all the rest, and send it where there is an emitter."""
    encoder = emitter.encoder if emitter else Encoder(fixed())
    report = Report()
    with _progress() as progress:
        surveying = progress.add_task("prices", total=None)
        card = focus.survey(progress.track(focus.rows_of(file), task_id=surveying), currency=currency)
        rows = int(progress.tasks[surveying].completed)
        progress.update(surveying, total=rows)
        for record in focus.prices(card):
            report.prices += 1
            if emitter:
                emitter.emit(encoder.price(record))
        if emitter:
            emitter.flush()  # so that usage need not wait for its price
        tracked = progress.track(focus.rows_of(file), total=rows, description="rows  ")
        for outcome in focus.outcomes(tracked, card, currency=currency):
            report.add(outcome)
            emission = _emission(encoder, outcome)
            if emitter and emission:
                emitter.emit(emission)
    if report.rows != rows:
        raise focus.FocusError(f"{file}: changed while it was read: {rows} rows, then {report.rows}")
    return report


def _emission(encoder: Encoder, outcome: focus.Outcome) -> Emission | None:
    match outcome:
        case focus.Used():
            return encoder.usage(outcome.usage)
        case focus.Adjusted():
            return encoder.adjustment(outcome.adjustment)
        case focus.Skipped():
            return None


def _table(report: Report, currency: str, name: str, *, sent: bool) -> Table:
    table = Table(title=f"{name}: {'sent' if sent else 'would be sent'}", title_justify="left")
    table.add_column("rows", justify="right")
    table.add_column("became")
    table.add_column("which")
    table.add_row(
        str(report.used), "usage", f"{report.pairs} pairs of account and meter, {report.prices} prices"
    )
    table.add_row(str(report.credits), "credit", "adjustment by a billed cost below zero")
    table.add_row(str(report.debits), "debit", "adjustment by a billed cost above zero")
    for reason, count in report.skipped.most_common():
        first = report.examples[reason]
        detail = f": {first.detail}" if first.detail else ""
        table.add_row(str(count), "skipped", f"{reason.value} (first: row {first.row}{detail})")
    table.add_section()
    whole, rest = divmod(report.charges, UNIT)
    charges = f"{whole}.{rest:012d}"
    table.add_row(
        str(report.rows),
        "in all",
        f"{len(report.accounts)} accounts; the usage costs {charges} {currency} before tax",
    )
    return table


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
