"""`evergreen dead-letters list|show|replay`: what could not be applied, and applying it after all."""

import json as json_text
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from cli import readable, unpriced
from cli.errors import one_line
from cli.reading import reading
from cli.show import exact, moment
from consumers import dead_letters, replay
from consumers.dead_letters import Fate, Filter, Letter, Letters
from consumers.reading import Reader, ReadError
from consumers.replay import Plan
from consumers.unpriced import AUTHOR, Booking
from producers import records
from producers.emissions import Emission
from producers.emitter import EmitError, Emitter
from producers.values import FieldError, millis
from producers.values import moment as at
from schemas.wire import Schemas
from streams import records as deployed
from streams.domain.reasons import Reason
from streams.settings import Settings, read

app = typer.Typer(no_args_is_help=True, help="Look at inputs that could not be applied; send them again.")

SHOWN = 500
"""Letters that a table shows, the newest; --json has all."""

ReasonOption = Annotated[str | None, typer.Option(metavar="REASON", help="Only this reason.")]
SinceOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only those that died then or later, by their lane's time.")
]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Only those that died before.")]
AccountOption = Annotated[str | None, typer.Option(metavar="ACCOUNT", help="Only this account.")]
TopicOption = Annotated[
    str | None, typer.Option(metavar="TOPIC", help="Only inputs of this topic, without prefix.")
]


class DeadLettersError(Exception):
    """What was asked for does not exist; one line."""


@app.command("list")
def show_all(
    *,
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    account: AccountOption = None,
    topic: TopicOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document, values in hex.")] = False,
) -> None:
    """List dead letters, oldest first, with what became of each."""
    with one_line(ReadError, FieldError, DeadLettersError):
        wanted = _filter(reason, since, until, account, topic)
        settings = read()
        schemas = deployed.schemas(settings)
        with reading(settings, "dead letters") as reader:
            letters, selected = _letters(reader, settings, schemas, wanted)
    if json:
        print(json_text.dumps([_as_dict(letters, letter) for letter in selected], indent=2))
        return
    if selected:
        Console().print(_table(letters, selected[-SHOWN:]))
    if len(selected) > SHOWN:
        typer.echo(f"the newest {SHOWN} of {len(selected):,}; --json has all")
    typer.echo(_summary(letters, selected))


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="TOPIC-PARTITION-OFFSET", help="As `list` names it.")],
) -> None:
    """Show one dead letter: the whole record, why it died, what to do about it."""
    with one_line(ReadError, DeadLettersError):
        settings = read()
        schemas = deployed.schemas(settings)
        with reading(settings, "dead letters") as reader:
            found = Letters(dead_letters.read(reader, settings, schemas))
            if name not in found.by_name:
                raise DeadLettersError(f"there is no dead letter {name} (evergreen dead-letters list)")
            letter = found.by_name[name]
            letters = Letters(found.all, dead_letters.sent_again(reader, settings, [letter]))
    rows = [
        ("letter", letter.name),
        ("reason", f"{letter.reason}: {letter.detail}"),
        ("account", letter.account or "not readable"),
        ("recorded", f"{_moment(letter.timestamp)} (its Kafka timestamp)"),
        ("died", "before the lane's first tick" if letter.rejected_at is None else _moment(letter.when)),
        ("now", _fate(letters, letter)),
        ("key", str(readable.key(letter.key)) if letter.key is not None else "none"),
        *[("header", f"{header}: {readable.key(value)}") for header, value in letter.headers],
        ("to do", letter.advice.text),
    ]
    for label, text in rows:
        typer.echo(f"{label:<9} {text}")
    decoded = dead_letters.content(letter, schemas)
    if letter.value is None:
        typer.echo("value     none")
    elif decoded is None:
        typer.echo(f"value     {len(letter.value)} bytes that do not decode, in hex:")
        typer.echo(_hex(letter.value))
    else:
        typer.echo(f"value     {decoded[0]}")
        typer.echo(readable.record(*decoded))


@app.command("replay")
def send_again(
    *,
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    account: AccountOption = None,
    topic: TopicOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it is done.")] = False,
    hopeless: Annotated[
        bool,
        typer.Option(
            "--hopeless", help="Also what would die again; after an upgrade that reads it otherwise."
        ),
    ] = False,
) -> None:
    """Send inputs that died again, as they came, through their own topics. Doing it twice changes nothing.

    Usage without a price that is older than the lanes' memory is booked as a debit that names it.
    """
    with one_line(ReadError, FieldError, EmitError, DeadLettersError):
        wanted = _filter(reason, since, until, account, topic)
        settings = read()
        schemas = deployed.schemas(settings)
        with reading(settings, "dead letters") as reader:
            letters, selected = _letters(reader, settings, schemas, wanted)
            events = replay.usage(letters, selected, schemas)
            known = unpriced.gather(
                reader, settings, schemas, events, replay.usage(letters, letters.all, schemas)
            )
        plan = replay.plan(
            letters, selected, lanes=settings.lanes, schemas=schemas, unpriced=known, hopeless=hopeless
        )
        _tell(plan)
        if dry_run or not (plan.resend or plan.book):
            return
        if not yes and not typer.confirm("Go on?"):
            raise DeadLettersError("nothing was sent")
        _send(plan, settings)
    typer.echo(
        f"sent {_count(len(plan.resend), 'record')} again, booked {_count(len(plan.book), 'adjustment')}"
    )


def _filter(
    reason: str | None, since: str | None, until: str | None, account: str | None, topic: str | None
) -> Filter:
    if reason is not None and reason not in dead_letters.REASONS:
        raise DeadLettersError(f"--reason: {reason!r} is none of {', '.join(Reason)}")
    return Filter(
        reason=reason,
        since=None if since is None else millis("--since", since),
        until=None if until is None else millis("--until", until),
        account=account,
        topic=topic,
    )


def _letters(
    reader: Reader, settings: Settings, schemas: Schemas, wanted: Filter
) -> tuple[Letters, list[Letter]]:
    """Return all letters, and those that are meant."""
    found = Letters(dead_letters.read(reader, settings, schemas))
    if wanted.topic is not None:
        wanted = Filter(
            reason=wanted.reason,
            since=wanted.since,
            until=wanted.until,
            account=wanted.account,
            topic=wanted.topic.removeprefix(settings.topic_prefix),
        )
    selected = found.select(wanted)
    return Letters(found.all, dead_letters.sent_again(reader, settings, selected)), selected


def _send(plan: Plan, settings: Settings) -> None:
    with Emitter(settings) as emitter:
        for resend in plan.resend:
            letter = resend.letter
            emitter.emit(
                Emission(letter.topic, letter.key, letter.value, resend.partition, headers=resend.headers)
            )
        for _, booking in plan.book:
            emitter.emit(emitter.encoder.adjustment(_adjustment(booking)))


def _adjustment(booking: Booking) -> records.Record:
    return records.adjustment(
        account_id=booking.account_id,
        adjustment_id=booking.adjustment_id,
        kind=booking.kind,  # type: ignore[arg-type]  # checked there
        amount=readable.exact_text(booking.amount),
        currency=booking.currency,
        reason=booking.reason,
        author=AUTHOR,
        occurred_at=at(booking.occurred_at),
    )


def _tell(plan: Plan) -> None:
    for resend in plan.resend[:SHOWN]:
        moved = f" to partition {resend.partition}" if resend.partition != resend.letter.partition else ""
        typer.echo(f"again     {resend.letter.name} ({resend.letter.reason}){moved}")
    for letter, booking in plan.book[:SHOWN]:
        amount = f"{exact(booking.amount)} {booking.currency}"
        typer.echo(f"{booking.kind:<9} {letter.name} {amount} to {booking.account_id}: {booking.reason}")
    for letter, why in plan.left_out[:SHOWN]:
        typer.echo(f"left out  {letter.name} ({letter.reason}): {why}")
    typer.echo(
        f"{_count(len(plan.resend), 'letter')} to send again, {len(plan.book)} to book as an adjustment, "
        f"{len(plan.left_out)} left out"
    )


def _table(letters: Letters, selected: Sequence[Letter]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("letter", "died", "account", "reason", "now"):
        table.add_column(column, overflow="fold")
    for letter in selected:
        table.add_row(
            letter.name,
            _moment(letter.when).removesuffix(" UTC"),
            letter.account or "-",
            letter.reason,
            letters.fate(letter),
        )
    return table


def _summary(letters: Letters, selected: Sequence[Letter]) -> str:
    reasons = Counter(letter.reason for letter in selected)
    fates = Counter(letters.fate(letter) for letter in selected)
    total = _count(len(selected), "dead letter")
    if not selected:
        return total
    by_reason = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
    by_fate = ", ".join(f"{fates[fate]:,} {fate}" for fate in Fate if fates[fate])
    return f"{total}: {by_reason}; {by_fate}"


def _fate(letters: Letters, letter: Letter) -> str:
    following = letters.next(letter)
    words = str(letters.fate(letter)) + (f", as {following.name}" if following else "")
    return words + (f" (was itself sent again for {letter.replay_of})" if letter.replay_of else "")


def _as_dict(letters: Letters, letter: Letter) -> dict[str, Any]:
    following = letters.next(letter)
    return {
        "letter": letter.name,
        "reason": letter.reason,
        "detail": letter.detail,
        "account_id": letter.account,
        "timestamp": at(letter.timestamp).isoformat(timespec="milliseconds"),
        "rejected_at": None
        if letter.rejected_at is None
        else at(letter.rejected_at).isoformat(timespec="milliseconds"),
        "now": str(letters.fate(letter)),
        "replay_of": letter.replay_of,
        "died_again_as": following.name if following else None,
        "key": readable.key(letter.key),
        "headers": {name: readable.key(value) for name, value in letter.headers},
        "value_hex": None if letter.value is None else letter.value.hex(),
    }


def _moment(milliseconds: int) -> str:
    try:
        return moment(milliseconds)
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds} ms"


def _hex(data: bytes) -> str:
    lines = []
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"  {start:06x}  {row.hex(' '):<47}  {text}")
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
