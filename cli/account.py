"""`evergreen account show|erase`: one account as the topics have it, and forgetting who it is."""

from dataclasses import dataclass, field
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.errors import one_line
from cli.reading import reading
from cli.show import exact, minor, moment, shown
from consumers import dead_letters
from consumers.reading import ReadError
from producers.emitter import EmitError, Emitter
from producers.values import FieldError, text
from schemas.wire import Record
from streams import records as deployed
from streams import topics
from streams.partition import partition_of
from streams.settings import Settings, read

app = typer.Typer(no_args_is_help=True, help="Show one account; erase who it is.")

INVOICES_SHOWN = 6
DECISIONS_SHOWN = 10
AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]


class AccountError(Exception):
    """An account that is not there; one line."""


@dataclass(slots=True)
class Found:
    """What the topics say about one account."""

    balance: Record | None = None
    status: Record | None = None
    settings: Record | None = None
    has_profile: bool | None = None
    """None: no profile was ever seen; False: erased."""
    decisions: list[Record] = field(default_factory=list)
    """Why there was a top-up or not, in order."""
    invoices: list[Record] = field(default_factory=list)
    credit_notes: list[Record] = field(default_factory=list)
    letters: int = 0
    """Dead letters that hold a profile of it."""

    @property
    def is_known(self) -> bool:
        """Whether anything at all is there."""
        return bool(self.balance or self.settings or self.invoices or self.has_profile is not None)


@app.command()
def show(account: AccountArgument) -> None:
    """Show balance, status, open periods, top-up decisions and last documents of an account."""
    with one_line(ReadError, FieldError, AccountError):
        found = _find(read(), text("ACCOUNT", account))
        if not found.is_known:
            raise AccountError(f"nothing is known of account {account!r}")
    console = Console()
    console.print(_overview(account, found))
    if found.balance is not None and found.balance["open_periods"]:
        console.print(_periods(found.balance))
    if found.decisions:
        console.print(_decisions(found.decisions))
    if found.invoices:
        console.print(_documents(found))


@app.command()
def erase(account: AccountArgument) -> None:
    """Erase an account's profile: all the personal data there is. The books keep the account's id only.

    Doing it again changes nothing.
    """
    with one_line(ReadError, FieldError, EmitError, AccountError):
        settings = read()
        found = _find(settings, text("ACCOUNT", account))
        if not found.is_known:
            raise AccountError(f"nothing is known of account {account!r}: nothing was erased")
        if found.has_profile:
            with Emitter(settings) as emitter:
                emitter.erase_profile(account)
    if found.has_profile:
        typer.echo(f"erased the profile of {account}: name, address, tax id, e-mail, language")
    else:
        was = "was erased before" if found.has_profile is False else "has no profile"
        typer.echo(f"{account} {was}: nothing is left to erase")
    typer.echo(_what_is_kept(found))


def _find(settings: Settings, account_id: str) -> Found:
    """Read everything about an account from its lane's partitions."""
    schemas = deployed.schemas(settings)
    key = account_id.encode()
    lane = partition_of(key, settings.lanes)
    wanted = (
        *(topics.BALANCES, topics.STATUS, topics.DECISIONS, topics.SETTINGS),
        *(topics.PROFILES, topics.INVOICES),
    )
    by_name = {settings.topic(topic.name): topic for topic in wanted}
    found = Found()
    with reading(settings, f"account {account_id}") as reader:
        for read_record in reader.records(reader.places(by_name, [lane])):
            if read_record.key != key:
                continue
            topic = by_name[read_record.topic]
            if topic is topics.PROFILES:
                found.has_profile = read_record.value is not None
                continue
            if read_record.value is not None:
                _take(found, topic, schemas.decode(read_record.value, *topic.records))
        found.letters = sum(
            letter.topic == topics.PROFILES.name and letter.account == account_id and letter.value is not None
            for letter in dead_letters.read(reader, settings, schemas)
        )
    return found


def _take(found: Found, topic: topics.Topic, decoded: tuple[str, Record]) -> None:
    name, record = decoded
    if topic is topics.BALANCES:
        found.balance = record
    elif topic is topics.STATUS:
        found.status = record
    elif topic is topics.DECISIONS:
        found.decisions.append(record)
    elif topic is topics.SETTINGS:
        if found.settings is None or record["revision"] > found.settings["revision"]:
            found.settings = record
    elif name == "invoice":
        found.invoices.append(record)
    else:
        found.credit_notes.append(record)


def _what_is_kept(found: Found) -> str:
    documents = _count(len(found.invoices), "invoice")
    if found.credit_notes:
        documents += f" and {_count(len(found.credit_notes), 'credit note')}"
    kept = [
        "From now on documents carry no customer, and mails have no address to go to.",
        "Kafka removes the erased record itself when it compacts account-profiles: within about a day of the",
        "next write to that partition, and its mark a day after.",
        f"Kept: {documents} with the name and address on them, for as long as the law wants documents kept;",
        "ledger, balances and notifications, which hold the account's id and no personal data.",
    ]
    if found.letters:
        letters = _count(found.letters, "dead letter")
        kept.append(
            f"WARNING: {letters} of account-profiles hold a copy of a profile that could not be applied; "
            "see docs/domain/dead-letters.md for removing them."
        )
    return "\n".join(kept)


def _overview(account: str, found: Found) -> Table:
    table = Table(
        title=f"Account {account}", title_justify="left", box=None, show_header=False, pad_edge=False
    )
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    balance, status, settings = found.balance, found.status, found.settings
    if balance is None:
        table.add_row("balance", "none yet: nothing was booked, or its lane is behind")
    else:
        currency = balance["currency"]
        amount = f"{shown(balance['balance'], currency)} {currency}"
        table.add_row("balance", f"{amount} (exactly {exact(balance['balance'])})")
        since = f" since {moment(status['since'])}" if status and status["since"] is not None else ""
        table.add_row("status", f"{balance['status']}{since}")
        pending = balance["pending_minor"]
        wait = f", {minor(pending, currency)} {currency} pending" if pending is not None else ""
        table.add_row("top-up", f"{balance['top_up']}{wait}")
        as_of = "before the first tick" if balance["as_of"] is None else f"as of {moment(balance['as_of'])}"
        table.add_row("ledger", f"{_count(balance['entries'], 'entry', 'entries')}, {as_of}")
    if settings is None:
        table.add_row("settings", "none: the deployment's defaults")
    else:
        table.add_row(
            "settings", f"revision {settings['revision']}, {settings['currency']}, {settings['zone']}"
        )
        table.add_row("", _top_up_rule(settings))
    profile = {None: "none", False: "erased", True: "there"}[found.has_profile]
    table.add_row("profile", profile)
    return table


def _top_up_rule(settings: Record) -> str:
    rule, currency = settings["automatic_top_up"], settings["currency"]
    if rule is None or not rule["enabled"]:
        return "automatic top-up is off"
    if rule["amount_minor"] is not None:
        takes = f"takes {minor(rule['amount_minor'], currency)}"
    else:
        takes = f"fills up to {minor(rule['target_minor'], currency)}"
    limit = rule["monthly_limit_minor"]
    most = f", at most {minor(limit, currency)} a month" if limit is not None else ""
    return f"automatic top-up {takes} below {minor(rule['threshold_minor'], currency)}{most}"


def _periods(balance: Record) -> Table:
    currency = balance["currency"]
    table = Table("open period", box=None, pad_edge=False)
    for column in ("opening", "received", "charges", "tax"):
        table.add_column(column, justify="right")
    for period in balance["open_periods"]:
        amounts = (period[column] for column in ("opening", "received", "charges", "tax"))
        table.add_row(period["period"], *(shown(amount, currency) for amount in amounts))
    return table


def _decisions(decisions: list[Record]) -> Table:
    table = Table("top-up", "since", box=None, pad_edge=False)
    table.add_column("balance", justify="right")
    for decision in decisions[-DECISIONS_SHOWN:]:
        since = "before the first tick" if decision["since"] is None else moment(decision["since"])
        table.add_row(decision["decision"], since, exact(decision["balance"]))
    return table


def _documents(found: Found) -> Table:
    table = Table("document", "period", "issued", box=None, pad_edge=False)
    table.add_column("charged", justify="right")
    table.add_column("closing", justify="right")
    for invoice in found.invoices[-INVOICES_SHOWN:]:
        currency, amounts = invoice["currency"], invoice["shown"]
        table.add_row(
            f"invoice {invoice['number']}",
            invoice["period"],
            moment(invoice["issued_at"]),
            f"{minor(amounts['charged_minor'], currency)}",
            f"{minor(amounts['closing_minor'], currency)} {currency}",
        )
    for note in found.credit_notes[-INVOICES_SHOWN:]:
        lowered = shown(note["amount"] + note["tax"], note["currency"])
        table.add_row(
            f"credit note {note['number']}",
            note["period"],
            moment(note["issued_at"]),
            f"-{lowered}",
            f"for {note['invoice_number']}",
        )
    if len(found.invoices) > INVOICES_SHOWN:
        table.caption = f"the last {INVOICES_SHOWN} of {len(found.invoices)} invoices"
        table.caption_justify = "left"
    return table


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
