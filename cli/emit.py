"""`evergreen emit ...` and `evergreen tick`: single records by options, many from JSON Lines.

Only parses and prints; what a record must look like is said in producers/records.py.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from cli.errors import one_line
from producers import jsonl, records
from producers.emitter import EmitError, Emitter
from producers.focus import FocusError
from producers.records import AutomaticTopUp, Consent, Record, ReversedUsage, TaxRate, Tier
from producers.values import FieldError
from streams.settings import read

app = typer.Typer(no_args_is_help=True, help="Send records to the input topics.")

FromJsonl = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="One JSON object a line instead of the options; - reads standard input."
    ),
]
At = Annotated[
    str | None, typer.Option(metavar="TIME", help="ISO 8601 with zone, e.g. 2024-09-01T00:00Z; default: now.")
]
Text = Annotated[str | None, typer.Option()]
Number = Annotated[int | None, typer.Option()]


def one_line_errors() -> AbstractContextManager[None]:
    """Turn what the user can put right into one line on stderr and exit code 1."""
    return one_line(FieldError, jsonl.LineError, EmitError, FocusError, OSError)


@app.command()
def usage(
    *,
    account: Text = None,
    source: Annotated[str, typer.Option(help="The emitting service.")] = "evergreen-emit",
    event_id: Annotated[str | None, typer.Option(help="Default: a new one, printed.")] = None,
    meter: Text = None,
    quantity: Text = None,
    occurred_at: At = None,
    ce_type: Annotated[str | None, typer.Option(help="Send CloudEvents headers with this type.")] = None,
    from_jsonl: FromJsonl = None,
) -> None:
    """Something metered happened."""

    def build() -> Record:
        return records.usage(
            account_id=_given("--account", account),
            source=source,
            event_id=event_id or str(uuid4()),
            meter=_given("--meter", meter),
            quantity=_given("--quantity", quantity),
            occurred_at=occurred_at or _now(),
        )

    with one_line_errors():
        _send("usage", build, from_jsonl, named_by="event_id", ce_type=ce_type)


@app.command()
def payment(
    *,
    account: Text = None,
    payment_id: Text = None,
    kind: Annotated[str, typer.Option(help="succeeded, refunded, disputed, dispute_won, ...")] = "succeeded",
    amount_minor: Annotated[int, typer.Option(help="Whole minor units: cents for USD.")] = 0,
    currency: Text = None,
    occurred_at: At = None,
    reference: Annotated[str | None, typer.Option(help="The refund's, dispute's or return's own id.")] = None,
    command_id: Annotated[str | None, typer.Option(help="The top-up command that this answers.")] = None,
    payment_method_ref: Text = None,
    decline_code: Text = None,
    hard_decline: bool = False,
    from_jsonl: FromJsonl = None,
) -> None:
    """What the payment provider says happened to a payment."""

    def build() -> Record:
        return records.payment(
            account_id=_given("--account", account),
            payment_id=_given("--payment-id", payment_id),
            kind=kind,  # type: ignore[arg-type]  # checked there
            amount_minor=amount_minor,
            currency=currency or read().default_currency,
            occurred_at=occurred_at or _now(),
            reference=reference,
            command_id=command_id,
            payment_method_ref=payment_method_ref,
            decline_code=decline_code,
            hard_decline=hard_decline,
        )

    with one_line_errors():
        _send("payment", build, from_jsonl, named_by="payment_id")


@app.command()
def settings(
    *,
    account: Text = None,
    revision: Annotated[int, typer.Option(help="One above the account's last; 1 for a new one.")] = 1,
    currency: Text = None,
    zone: Annotated[str | None, typer.Option(help="IANA name; default: the deployment's.")] = None,
    tax_rate: Annotated[
        list[str] | None, typer.Option(metavar="RATE@TIME", help="0.19@2024-01-01T00:00Z; may be repeated.")
    ] = None,
    top_up_threshold: Annotated[
        int | None, typer.Option(help="Minor units; turns automatic top-up on.")
    ] = None,
    top_up_amount: Number = None,
    top_up_target: Number = None,
    top_up_monthly_limit: Number = None,
    payment_method_ref: Text = None,
    consent_by: Annotated[
        str | None, typer.Option(help="Who agreed (a reference); else nothing is taken.")
    ] = None,
    consent_text: Annotated[str, typer.Option(help="Version of the text agreed to.")] = "1",
    resumes: Annotated[int, typer.Option(help="One more than before resumes a paused top-up.")] = 0,
    warning_level: Number = None,
    overdraft: int = 0,
    closed: bool = False,
    changed_at: At = None,
    changed_by: str = "evergreen-emit",
    from_jsonl: FromJsonl = None,
) -> None:
    """How an account is billed; the whole settings under a new revision. Amounts in minor units."""

    def build() -> Record:
        when = changed_at or _now()
        top_up = None
        if top_up_threshold is not None:
            top_up = AutomaticTopUp(
                threshold_minor=top_up_threshold,
                payment_method_ref=_given("--payment-method-ref", payment_method_ref),
                amount_minor=top_up_amount,
                target_minor=top_up_target,
                monthly_limit_minor=top_up_monthly_limit,
                consent=Consent(given_by=consent_by, given_at=when, text_version=consent_text)
                if consent_by
                else None,
                resumes=resumes,
            )
        return records.settings(
            account_id=_given("--account", account),
            revision=revision,
            currency=currency or read().default_currency,
            zone=zone or read().default_zone,
            tax_rates=[_tax_rate(word) for word in tax_rate or ()],
            automatic_top_up=top_up,
            warning_level_minor=warning_level,
            overdraft_minor=overdraft,
            closed=closed,
            changed_at=when,
            changed_by=changed_by,
        )

    with one_line_errors():
        _send("settings", build, from_jsonl, named_by="revision")


@app.command()
def profile(
    *,
    account: Text = None,
    name: Text = None,
    address: Annotated[list[str] | None, typer.Option(help="One line; may be repeated.")] = None,
    country: Annotated[str | None, typer.Option(help="ISO 3166-1 alpha-2.")] = None,
    email: Text = None,
    language: str = "en",
    tax_id: Text = None,
    erase: Annotated[bool, typer.Option("--erase", help="Erase the account's profile.")] = False,
    from_jsonl: FromJsonl = None,
) -> None:
    """The personal data of an account."""

    def build() -> Record:
        return records.profile(
            account_id=_given("--account", account),
            name=_given("--name", name),
            address=address or [],
            country=_given("--country", country),
            email=_given("--email", email),
            language=language,
            tax_id=tax_id,
        )

    with one_line_errors():
        if erase:
            account_id = _given("--account", account)
            with Emitter(read()) as emitter:
                emitter.erase_profile(account_id)
            typer.echo(f"erased the profile of {account_id}")
        else:
            _send("profile", build, from_jsonl, named_by="account_id")


@app.command()
def price(
    *,
    meter: Text = None,
    currency: Text = None,
    version: Annotated[int, typer.Option(help="One above the meter's last in this currency.")] = 1,
    unit: str = "unit",
    valid_from: Annotated[
        str | None, typer.Option(metavar="TIME", help="At least 10 minutes ahead, or --late.")
    ] = None,
    late: Annotated[
        bool, typer.Option("--late", help="Valid at once or before; what was charged stays.")
    ] = False,
    model: Annotated[str, typer.Option(help="per_unit, graduated, volume, package.")] = "per_unit",
    tier: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[UP_TO:]PRICE",
            help="Once a tier, rising, the last without UP_TO: --tier 1000:0.02 --tier 0.01.",
        ),
    ] = None,
    package_size: Text = None,
    free_allowance: Text = None,
    from_jsonl: FromJsonl = None,
) -> None:
    """What a meter costs from a moment on."""

    def build() -> Record:
        return records.price(
            meter=_given("--meter", meter),
            currency=currency or read().default_currency,
            version=version,
            unit=unit,
            valid_from=_given("--valid-from", valid_from),
            late=late,
            model=model,  # type: ignore[arg-type]  # checked there
            tiers=[_tier(word) for word in tier or ()],
            package_size=package_size,
            free_allowance=free_allowance,
        )

    with one_line_errors():
        _send("price", build, from_jsonl, named_by="version")


@app.command()
def adjustment(
    *,
    account: Text = None,
    adjustment_id: Annotated[str | None, typer.Option(help="Default: a new one, printed.")] = None,
    kind: Annotated[str, typer.Option(help="credit, debit or reversal.")] = "credit",
    amount: Annotated[str | None, typer.Option(help="Currency units, up to 12 decimal places.")] = None,
    currency: Text = None,
    reason: Text = None,
    author: str = "evergreen-emit",
    occurred_at: At = None,
    usage_source: Annotated[
        str | None, typer.Option(help="reversal: the usage event as it was sent.")
    ] = None,
    usage_event_id: Text = None,
    usage_meter: Text = None,
    usage_quantity: Text = None,
    usage_occurred_at: Text = None,
    from_jsonl: FromJsonl = None,
) -> None:
    """A correction by the back office."""

    def build() -> Record:
        reversed_usage = None
        if kind == "reversal":
            reversed_usage = ReversedUsage(
                source=_given("--usage-source", usage_source),
                event_id=_given("--usage-event-id", usage_event_id),
                meter=_given("--usage-meter", usage_meter),
                quantity=_given("--usage-quantity", usage_quantity),
                occurred_at=_given("--usage-occurred-at", usage_occurred_at),
            )
        return records.adjustment(
            account_id=_given("--account", account),
            adjustment_id=adjustment_id or str(uuid4()),
            kind=kind,  # type: ignore[arg-type]  # checked there
            amount=amount,
            currency=currency or read().default_currency,
            reason=_given("--reason", reason),
            author=author,
            occurred_at=occurred_at or _now(),
            usage=reversed_usage,
        )

    with one_line_errors():
        _send("adjustment", build, from_jsonl, named_by="adjustment_id")


def tick(time: Annotated[str, typer.Argument(help="ISO 8601 with zone, e.g. 2024-10-01T01:30Z.")]) -> None:
    """Say what time it is, in a deployment whose clock is manual."""
    with one_line_errors():
        deployment = read()
        if deployment.clock != "manual":
            raise EmitError(
                "EVERGREEN_CLOCK is not manual: here the elected worker ticks, by the machine's clock"
            )
        record = records.tick(time=time, ticker="evergreen-tick")
        with Emitter(deployment) as emitter:
            emitter.emit(emitter.encoder.tick(record))
        typer.echo(f"ticked {time} in {emitter.delivered} lanes")


def _send(
    kind: str,
    build: Callable[[], Record],
    from_jsonl: str | None,
    *,
    named_by: str,
    ce_type: str | None = None,
) -> None:
    """Send one built record, or all of a file."""
    if from_jsonl is not None:
        _send_file(kind, from_jsonl, ce_type)
        return
    record = build()
    with Emitter(read()) as emitter:
        emitter.emit(_emission(emitter, kind, record, ce_type))
    typer.echo(f"sent {kind}: {named_by} {record[named_by]}")


def _send_file(kind: str, path: str, ce_type: str | None) -> None:
    sent = 0
    with Emitter(read()) as emitter, _opened(path) as lines:
        try:
            for record in jsonl.read(kind, lines):
                emitter.emit(_emission(emitter, kind, record, ce_type))
                sent += 1
        except jsonl.LineError as e:
            emitter.flush()
            note = f" ({sent} before it were sent; sent again with the corrected file they are duplicates)"
            raise jsonl.LineError(e.line, e.problem + (note if sent else "")) from None
    typer.echo(f"sent {sent} {kind} records")


def _emission(emitter: Emitter, kind: str, record: Record, ce_type: str | None) -> Any:
    if ce_type is not None:
        return emitter.encoder.usage(record, ce_type=ce_type)
    return emitter.encoder.by_kind[kind](record)


@contextmanager
def _opened(path: str) -> Iterator[Iterator[str]]:
    if path == "-":
        yield iter(sys.stdin)
        return
    with Path(path).open(encoding="utf-8") as file:
        yield _decoded(file)


def _decoded(lines: Iterator[str]) -> Iterator[str]:
    number = 1
    try:
        for number, line in enumerate(lines, start=1):  # noqa: B007  # read by the handler
            yield line
    except UnicodeDecodeError as e:
        raise jsonl.LineError(number, f"or one soon after it is not in UTF-8: {e.reason}") from None


def _given(option: str, value: str | None) -> str:
    if value is None:
        raise FieldError(option, "is missing")
    return value


def _tax_rate(word: str) -> TaxRate:
    rate, at, valid_from = word.partition("@")
    if not at:
        raise FieldError("--tax-rate", f"{word!r} does not say from when: write {word}@2024-01-01T00:00Z")
    return TaxRate(rate=rate, valid_from=valid_from)


def _tier(word: str) -> Tier:
    up_to, colon, unit_price = word.rpartition(":")
    return Tier(unit_price=unit_price, up_to=up_to if colon else None)


def _now() -> datetime:
    return datetime.now(UTC)
