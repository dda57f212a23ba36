"""`evergreen prices check|publish|list`: a rate card from its file to every lane. Parses and prints only."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from cli.errors import one_line
from cli.published import published
from cli.reading import reading
from cli.show import DIGITS, exact, moment
from consumers.reading import Reader, ReadError
from producers import publication, rate_card
from producers.emitter import EmitError, Emitter
from producers.publication import Publication, Published
from producers.rate_card import Card, Key, Listed, Problem
from producers.records import Record
from producers.values import FieldError, millis
from schemas.wire import Schemas
from streams import records as deployed
from streams import topics
from streams.settings import Settings, read

app = typer.Typer(no_args_is_help=True, help="Check, publish and show what the meters cost.")

EXAMPLES = (1, 1_000, 1_000_000)
"""Monthly quantities whose cost is shown."""
RateCardFile = Annotated[Path, typer.Argument(metavar="FILE", help="A rate card: see docs/rate-card.md.")]


class PricesError(Exception):
    """A rate card that cannot be used; one line."""


@app.command()
def check(file: RateCardFile) -> None:
    """Say everything that is wrong with a rate card, and what it charges. Exit code 1 on errors.

    With EVERGREEN_BOOTSTRAP_SERVERS set it is also held against what is published there.
    """
    with one_line(PricesError, ReadError):
        card = _card(file)
        problems = list(card.problems)
        if os.environ.get("EVERGREEN_BOOTSTRAP_SERVERS"):
            settings = read()
            if not problems:
                problems += _against_published(card, settings).problems
        else:
            settings = read(bootstrap_servers="nowhere")
            problems += _late(card.prices, settings)
        if card.prices:
            Console().print(_table([listed.record for listed in card.prices], str(file)))
        _tell(file, problems)
        typer.echo(f"{file}: {_count(len(card.prices), 'price')}, no errors")


@app.command()
def publish(
    file: RateCardFile,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be published.")] = False,
) -> None:
    """Publish the new versions of a rate card to every lane; nothing of it where it has an error."""
    with one_line(PricesError, ReadError, EmitError):
        settings = read()
        card = _card(file)
        _tell(file, card.problems)
        publication = _against_published(card, settings)
        _tell(file, publication.problems)
        if publication.to_send and not dry_run:
            with Emitter(settings) as emitter:
                for listed in publication.to_send:
                    emitter.emit(emitter.encoder.price(listed.record))
    done = "would be published" if dry_run else "published"
    for listed in publication.to_send:
        again = " (some lanes had it)" if listed in publication.completed else ""
        typer.echo(f"{_name(listed.record)}, valid from {moment(listed.record['valid_from'])}: {done}{again}")
    typer.echo(
        f"{_count(len(publication.to_send), 'price')} {done}, {len(publication.unchanged)} published before"
    )


@app.command("list")
def show(
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="ISO 8601 with zone; default: now (see below).")
    ] = None,
    meter: Annotated[str | None, typer.Option(help="Only this meter.")] = None,
    currency: Annotated[str | None, typer.Option(help="Only this currency.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every version, also past and future ones.")] = False,
) -> None:
    """Show the prices in force, now or at a time. Where the clock is manual, now is the latest tick."""
    with one_line(FieldError, ReadError):
        settings = read()
        schemas = deployed.schemas(settings)
        chosen = None if at is None else millis("--at", at)
        with reading(settings, "prices") as reader:
            known = published(reader, settings, schemas)
            when = chosen if chosen is not None else _now(reader, settings, schemas)
    if every:
        chronological = sorted(known, key=lambda key: (*key[:2], known[key].record["valid_from"], key[2]))
        shown = [known[key].record for key in chronological]
    else:
        shown = publication.in_force(known, when)
    shown = [r for r in shown if meter in {None, r["meter"]} and currency in {None, r["currency"]}]
    title = "every version" if every else f"in force at {moment(when)}"
    if shown:
        Console().print(_table(shown, title))
    else:
        typer.echo(f"no price {'is published' if every else title}")
    _warn_of_gaps(known, settings)


def _card(file: Path) -> Card:
    try:
        return rate_card.read(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as e:
        raise PricesError(f"{file} is not in UTF-8: {e.reason} at byte {e.start}") from None
    except OSError as e:
        raise PricesError(f"{file}: {e.strerror}") from None


def _against_published(card: Card, settings: Settings) -> Publication:
    """Return what publishing means, with what is too late for a new price among its problems."""
    schemas = deployed.schemas(settings)
    with reading(settings, "prices") as reader:
        known = published(reader, settings, schemas)
    compared = publication.compare(card.prices, known, settings.lanes)
    late = _late(compared.to_send, settings)
    return Publication(
        new=compared.new,
        completed=compared.completed,
        unchanged=compared.unchanged,
        problems=(*compared.problems, *late),
    )


def _late(prices: Sequence[Listed], settings: Settings) -> list[Problem]:
    return rate_card.notice(prices, time.time_ns() // 1_000_000, manual_clock=settings.clock == "manual")


def _tell(file: Path, problems: Sequence[Problem]) -> None:
    """Print problems as FILE:LINE:COLUMN: ...; ends the command where one is an error."""
    for problem in sorted(problems, key=lambda p: (p.line, p.column)):
        print(f"{file}:{problem}", file=sys.stderr)
    errors = sum(not problem.is_warning for problem in problems)
    if errors:
        raise PricesError(f"{file} has {_count(errors, 'error')}: nothing is published from it")


def _now(reader: Reader, settings: Settings, schemas: Schemas) -> int:
    """Return the machine's time, or where only `evergreen tick` says what time it is, the latest tick."""
    if settings.clock == "auto":
        return time.time_ns() // 1_000_000
    ticks = reader.records(reader.places([settings.topic(topics.TICKS.name)]))
    times = [schemas.decode(tick.value or b"", "tick")[1]["time"] for tick in ticks]
    return max(times, default=time.time_ns() // 1_000_000)


def _warn_of_gaps(known: dict[Key, Published], settings: Settings) -> None:
    for key in sorted(known):
        entry = known[key]
        if entry.differs or len(entry.partitions) < settings.lanes:
            print(
                f"warning: {_name(entry.record)} is not the same in every lane: publish its rate card again",
                file=sys.stderr,
            )


def _table(prices: Sequence[Record], title: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    table.add_column("meter", overflow="fold")
    table.add_column("valid from", no_wrap=True)
    table.add_column("price", overflow="fold")
    for quantity in EXAMPLES:
        table.add_column(f"{quantity:,}", justify="right", overflow="fold")
    before = None
    for record in prices:
        place = (record["meter"], record["currency"])
        if before not in {None, place}:
            table.add_section()
        rating = rate_card.rating(record)
        costs = [exact(rating.amount(quantity * 10**DIGITS)) for quantity in EXAMPLES]
        late = "\nlate" if record["late"] else ""
        table.add_row(
            f"{record['meter']}\n{record['currency']} version {record['version']}",
            moment(record["valid_from"]).removesuffix(" UTC").replace(" ", "\n") + " UTC" + late,
            "\n".join(_says(record)),
            *costs,
        )
        before = place
    return table


def _says(record: Record) -> list[str]:
    """Return a price in words, a line each step."""
    unit, tiers = record["unit"], record["tiers"]
    free = record["free_allowance"]
    lines = [f"first {exact(free)} {unit} free"] if free else []
    match record["model"]:
        case "per_unit":
            lines.append(f"{exact(tiers[0]['unit_price'])} per {unit}")
        case "package":
            lines.append(f"{exact(tiers[0]['unit_price'])} per begun {exact(record['package_size'])} {unit}")
        case model:
            lines.append(f"{model}, per {unit}:")
            for tier in tiers:
                reach = "above" if tier["up_to"] is None else f"to {exact(tier['up_to'])}"
                lines.append(f"  {reach}: {exact(tier['unit_price'])}")
    return lines


def _name(record: Record) -> str:
    return f"{record['meter']} {record['currency']} version {record['version']}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
