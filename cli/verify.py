"""`evergreen verify`: checks every invariant of the billing rules over the topics, by rules of its own."""

import gc
import json as json_text
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from cli.errors import one_line
from schemas import registry
from schemas.wire import Schemas
from streams.settings import Settings, read
from streams.topics import ALL
from verify import check
from verify import read as reading
from verify.read import CannotCheckError
from verify.report import Broken, Check, Report
from verify.topics import Topics

SHOWN = 10
"""Broken cases printed; --json has up to 100 of each invariant."""
BROKEN, CANNOT_CHECK = 1, 2
VERDICTS = {"holds": "green", "broken": "bold red", "nothing to check": "yellow"}


def verify(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> None:
    """Check the invariants over all topics, independently of the lanes. Needs zero lag.

    Exit code 0: all hold. 1: one is broken. 2: it could not be checked (no broker, lag).
    """
    with one_line(CannotCheckError, code=CANNOT_CHECK):
        settings = read()
        carriers = {settings.topic(topic.name): topic.records for topic in ALL}
        schemas = registry.schemas(settings.schema_registry_url, carriers)
        gc.disable()  # millions of small values that live to the end: looking through them frees none
        topics = _read(settings, schemas, quiet=json)
    report = check.check(topics, settings)
    if json:
        print(json_text.dumps(report.as_dict(), indent=2))
    else:
        print_report(report)
    if not report.holds:
        raise typer.Exit(BROKEN)


def _read(settings: Settings, schemas: Schemas, *, quiet: bool) -> Topics:
    columns = (TextColumn("reading the topics"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task("", total=None)
        return reading.read(
            settings, schemas, progress=lambda done, of: bar.update(task, completed=done, total=of)
        )


def print_report(report: Report) -> None:
    """Print what was looked at, the verdicts, and the first broken cases."""
    console = Console()
    table = Table("", "invariant", "looked at", "verdict", box=None, pad_edge=False)
    for found in report.checks:
        table.add_row(str(found.number), found.title, _cases(found), _verdict(found))
    console.print(table)
    broken = [case for found in report.checks for case in found.broken]
    for case in broken[:SHOWN]:
        console.print(_case(case))
    total = sum(found.broken_count for found in report.checks)
    if total > SHOWN:
        console.print(
            f"... and {total - min(len(broken), SHOWN):,} more (--json has up to 100 per invariant)"
        )
    limits = [f"{found.number}: {note}" for found in report.checks for note in found.notes]
    for note in report.notes + limits:
        console.print(Text(f"note: {note}", style="dim"))


def _cases(found: Check) -> str:
    if not sum(found.cases.values()):
        return "0 cases"
    return "\n".join(f"{count:,} {kind}" for kind, count in found.cases.items())


def _verdict(found: Check) -> Text:
    text = f"{found.broken_count:,} broken" if found.broken_count else found.verdict
    return Text(text, style=VERDICTS[found.verdict])


def _case(case: Broken) -> Text:
    where = ", ".join(str(part) for part in (case.account, case.place) if part is not None)
    text = Text()
    text.append(f"\n{case.invariant}. {case.rule}", style="bold")
    text.append(f"\n   {where or 'over all'}\n   expected {case.expected}\n   found    {case.found}")
    return text
