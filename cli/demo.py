"""`evergreen demo`: everything at once on one machine, from nothing to checked invoices.

Real processes on a real Kafka: two workers and the payment consumer, a FOCUS file, simulated customers.
What it started ends with it.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

import local
from cli import show
from cli.errors import one_line
from cli.focus import import_file
from cli.simulate import drive
from local.process import OwnedProcess
from producers.emitter import EmitError, Emitter
from producers.focus_report import Report as Imported
from producers.simulator import Expected
from schemas.wire import Record, Schemas
from streams import records, topic_admin
from streams import topics as names
from streams.settings import Settings, read
from verify import check
from verify import read as reading
from verify.read import CannotCheckError
from verify.report import Report
from verify.topics import Topics

FOCUS_SAMPLE = Path("data/focus/focus_sample_500.csv")
LOGS = Path(".evergreen/demo")
ACCOUNTS_SHOWN = 12
LINES_SHOWN = 9
MOVEMENTS_SHOWN = 7
BROKEN = 1

console = Console()


def demo(
    accounts: Annotated[int, typer.Option(min=1, max=10_000)] = 200,
    months: Annotated[int, typer.Option(min=1, max=24)] = 3,
    seed: int = 7,
) -> None:
    """Bill simulated customers over months on a Kafka of its own, and check every cent. Exit 0: all holds."""
    with one_line(local.LocalError, EmitError, CannotCheckError, OSError), ExitStack() as running:
        began = time.monotonic()
        console.print("[bold]Evergreen[/] bills pay-as-you-go customers on Kafka, exactly once.\n")
        with step("Kafka") as say:
            broker = running.enter_context(local.broker())
            say(f"{broker.bootstrap_servers}, {broker.found}")
        settings = _deployment(broker.bootstrap_servers)
        with step("Topics") as say:
            made = topic_admin.create(settings)
            say(f"{len(made.created)} topics of {settings.lanes} lanes, named {settings.topic_prefix}...")
        with step("Processes") as say:
            for name in ("worker", "worker", "payments"):
                running.callback(_start(name, len(list(LOGS.iterdir()))).end)
            say("2 workers, 1 payment consumer with a sandbox provider")
        with step("Real usage") as say:
            imported = _import(settings)
            say(f"{imported.used} rows of {FOCUS_SAMPLE.name} for {len(imported.accounts)} accounts")
        with step("Simulation") as say:
            expected = drive(settings, accounts=accounts, months=months, seed=seed)
            say(f"{expected.usage:,} usage events of {accounts} customers in {months} months")
        with step("Verify") as say:
            schemas = records.schemas(settings)
            topics = reading.read(settings, schemas)
            report = check.check(topics, settings)
            say(f"{sum(sum(found.cases.values()) for found in report.checks):,} cases looked at")
        _tell(topics, schemas, report, expected, imported)
        console.print(f"\nTook {time.monotonic() - began:.0f} s. Logs are in {LOGS}.")
    if not report.holds:
        raise typer.Exit(BROKEN)


class Said:
    """What a step says of itself when it is done."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, text: str) -> None:
        self.text = text


@contextmanager
def step(name: str) -> Iterator[Said]:
    """Print a step's name, what it said and how long it took, once it is done."""
    said, began = Said(), time.monotonic()
    yield said
    console.print(
        f"[green]✓[/] {name:<11} {said.text:<57} {time.monotonic() - began:5.1f} s", highlight=False
    )


def _deployment(bootstrap_servers: str) -> Settings:
    """Set this process and those that it starts up as one deployment that nobody else uses."""
    os.environ["EVERGREEN_BOOTSTRAP_SERVERS"] = bootstrap_servers
    os.environ.setdefault("EVERGREEN_TOPIC_PREFIX", f"demo-{time.strftime('%Y%m%d-%H%M%S')}.")
    os.environ["EVERGREEN_CLOCK"] = "manual"
    LOGS.mkdir(parents=True, exist_ok=True)
    for log in LOGS.iterdir():
        log.unlink()
    return read()


def _start(command: str, number: int) -> OwnedProcess:
    argv = [sys.executable, "-m", "cli", command]
    return OwnedProcess(argv, output=LOGS / f"{number}-{command}.log")


def _import(settings: Settings) -> Imported:
    with Emitter(settings) as emitter:
        return import_file(FOCUS_SAMPLE, settings.default_currency, emitter)


def _tell(topics: Topics, schemas: Schemas, report: Report, expected: Expected, imported: Imported) -> None:
    balances = {r["account_id"]: r for r in _decoded(topics, schemas, names.BALANCES, "account-balance")}
    invoices = list(_decoded(topics, schemas, names.INVOICES, "invoice"))
    console.print()
    console.print(_accounts(balances, invoices))
    console.print(show.invoice(_telling(invoices)))
    console.print(_counts(topics, schemas, invoices, expected, imported))
    console.print(_verdict(report))


def _decoded(topics: Topics, schemas: Schemas, topic: names.Topic, record_type: str) -> Iterator[Record]:
    for log in topics.logs[topic.name]:
        for record in log.records:
            name, decoded = schemas.decode(record.value or b"")
            if name == record_type:
                yield decoded


def _accounts(balances: dict[str, Record], invoices: list[Record]) -> Table:
    """Return the accounts that are most alive: first those with an open top-up or a telling status."""
    documents = Counter(document["account_id"] for document in invoices)
    charged: Counter[str] = Counter()
    for document in invoices:
        charged[document["account_id"]] += document["charged"]
    table = Table(title="Accounts", title_justify="left", box=box.SIMPLE_HEAD, expand=True)
    for column in ("account", "status", "top-up"):
        table.add_column(column)
    for column in ("balance", "charged", "invoices"):
        table.add_column(column, justify="right")
    picked = sorted(balances.values(), key=lambda b: (b["entries"], b["account_id"]), reverse=True)
    for balance in picked[:: max(1, len(picked) // ACCOUNTS_SHOWN)][:ACCOUNTS_SHOWN]:
        account_id, currency = balance["account_id"], balance["currency"]
        table.add_row(
            account_id,
            balance["status"],
            balance["top_up"].replace("_", " "),
            f"{show.shown(balance['balance'], currency)} {currency}",
            f"{show.shown(charged[account_id], currency)} {currency}",
            str(documents[account_id]),
        )
    table.caption = f"{ACCOUNTS_SHOWN} of {len(balances)} accounts"
    table.caption_justify = "left"
    return table


def _telling(invoices: list[Record]) -> Record:
    """Return the invoice that shows most on one screen."""

    def worth(document: Record) -> tuple[bool, int, int, bool, str]:
        lines, moves = len(document["lines"]), len(document["movements"])
        fits = lines <= LINES_SHOWN and moves <= MOVEMENTS_SHOWN
        return fits, lines, moves, bool(document["taxes"]), document["number"]

    return max(invoices, key=worth)


def _counts(
    topics: Topics, schemas: Schemas, invoices: list[Record], expected: Expected, imported: Imported
) -> Table:
    entries = Counter(e["kind"] for e in _decoded(topics, schemas, names.LEDGER, "ledger-entry"))
    journal: Counter[str] = Counter()
    for commit in _decoded(topics, schemas, names.JOURNAL, "journal-entry"):
        journal.update({key: commit[key] for key in ("duplicate", "dead", "settled_dead")})
    commands = {
        c["command_id"]
        for c in _decoded(topics, schemas, names.COMMANDS, "top-up-command")
        if c["kind"] == "charge"
    }
    dead = journal["dead"] + journal["settled_dead"]
    table = Table(title="Counts", title_justify="left", box=box.SIMPLE_HEAD, expand=True)
    table.add_column("")
    table.add_column("sent", justify="right")
    table.add_column("found", justify="right")
    sent = expected.usage + imported.used
    table.add_row("usage events, each charged once", f"{sent:,}", f"{entries['charge']:,}")
    table.add_row("dead letters", f"{sum(expected.dead_letters.values()):,}", f"{dead:,}")
    again = expected.usage_duplicates + expected.payment_duplicates + expected.settings_duplicates
    table.add_row("duplicates, the provider's repeats too", f"{again:,}+", f"{journal['duplicate']:,}")
    table.add_row("automatic top-ups asked for", "", f"{len(commands):,}")
    table.add_row("payments credited", "", f"{entries['payment']:,}")
    table.add_row("tax entries", "", f"{entries['tax']:,}")
    table.add_row("invoices", "", f"{len(invoices):,}")
    return table


def _verdict(report: Report) -> Table:
    table = Table(title="Verify, by rules of its own", title_justify="left", box=box.SIMPLE_HEAD, expand=True)
    table.add_column("invariant", ratio=1)
    table.add_column("cases", justify="right")
    table.add_column("verdict", justify="right")
    for found in report.checks:
        verdict = "[green]holds[/]" if not found.broken_count else f"[red]{found.broken_count} broken[/]"
        table.add_row(f"{found.number} {found.title}", f"{sum(found.cases.values()):,}", verdict)
    return table
