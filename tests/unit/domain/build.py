"""Builders of the rules' tests: a lane over dicts, events with defaults, money and moments as text."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import TypeVar

from streams.domain.account import Account, Adjusted, LaneState, Payment, Waiting
from streams.domain.book import Book, Outcome, Policy
from streams.domain.events import (
    AccountSettings,
    Adjustment,
    AdjustmentKind,
    AutomaticTopUp,
    Consent,
    Event,
    Origin,
    PaymentEvent,
    PaymentKind,
    Price,
    PriceModel,
    PricePublished,
    Profile,
    ProfileChanged,
    ReversedUsage,
    TaxRate,
    Tick,
    Tier,
    UsageEvent,
)
from streams.domain.outputs import Invoice, LedgerEntry, Notification, Output, Party, TopUpCommand
from streams.domain.reasons import Rejected
from streams.domain.shelves import Shelves

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
ACCOUNT = "acme"
CARD = "card-1"

Kind = TypeVar("Kind")
_numbers = count(1)


def money(text: str | int) -> int:
    """Return an amount, quantity or rate as the integer of 10^-12."""
    scaled = Decimal(text) * 10**12
    assert scaled == int(scaled)
    return int(scaled)


def minor_of(text: str) -> int:
    """Return an amount of a currency with two digits in minor units."""
    return money(text) // 10**10


def at(text: str) -> int:
    """Return "2025-01-31 23:59" (UTC; the time may be left out) in ms."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def month(text: str) -> int:
    """Return the month index of "2025-01"."""
    return int(text[:4]) * 12 + int(text[5:]) - 1


START = at("2025-01-10 12:00")


def origin(timestamp: int, topic: str = "usage-events") -> Origin:
    """Return a place in a topic with some bytes."""
    number = next(_numbers)
    return Origin(topic, 0, number, timestamp, b"key", b"value", (("h", b"1"), ("n", None)))


def policy(**changes: object) -> Policy:
    """Return the policy of most tests."""
    usual = Policy(
        max_age_ms=35 * DAY,
        grace_ms=HOUR,
        min_interval_ms=5 * MINUTE,
        default_currency="USD",
        default_zone="UTC",
        seller=Party(name="Seller", address=("1 Way",), country="US", tax_id="S1"),
        minor_digits={"USD": 2, "EUR": 2, "JPY": 0},
        manual_clock=True,
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def usage(
    quantity: str | int = 1,
    *,
    account: str = ACCOUNT,
    id: str | None = None,  # noqa: A002 - reads best
    meter: str = "calls",
    when: int = START,
    read: int | None = None,
    source: str = "api",
) -> UsageEvent:
    """Return a usage event with a new id, or this one."""
    event_id = id or f"e{next(_numbers)}"
    return UsageEvent(
        account, source, event_id, meter, money(quantity), when, origin(when if read is None else read)
    )


def pay(
    amount_minor: int = 1_000,
    *,
    account: str = ACCOUNT,
    id: str | None = None,  # noqa: A002
    kind: PaymentKind = PaymentKind.SUCCEEDED,
    when: int = START,
    **more: object,
) -> PaymentEvent:
    """Return a payment event, a success unless told otherwise."""
    return PaymentEvent(
        account_id=account,
        payment_id=id or f"p{next(_numbers)}",
        kind=kind,
        amount_minor=amount_minor,
        currency=str(more.pop("currency", "USD")),
        occurred_at=when,
        origin=origin(when, "payment-events"),
        **more,  # type: ignore[arg-type]
    )


def answer(
    command: TopUpCommand, kind: PaymentKind, *, when: int | None = None, **more: object
) -> PaymentEvent:
    """Return what the provider says about a command."""
    return pay(
        command.amount_minor,
        account=command.account_id,
        id=f"pay-{command.command_id}",
        kind=kind,
        when=command.made_at if when is None else when,
        command_id=command.command_id,
        **more,
    )


def adjust(
    kind: AdjustmentKind,
    amount: str,
    *,
    id: str | None = None,  # noqa: A002
    when: int = START,
    **more: object,
) -> Adjustment:
    """Return an adjustment."""
    return Adjustment(
        account_id=str(more.pop("account", ACCOUNT)),
        adjustment_id=id or f"a{next(_numbers)}",
        kind=kind,
        amount=money(amount),
        currency="USD",
        reason=str(more.pop("reason", "goodwill")),
        author="op",
        occurred_at=when,
        origin=origin(when, "adjustments"),
    )


def reverse(
    event: UsageEvent,
    *,
    id: str | None = None,  # noqa: A002
    when: int | None = None,
    currency: str = "USD",
) -> Adjustment:
    """Return a reversal of a usage event."""
    moment = event.occurred_at if when is None else when
    return Adjustment(
        account_id=event.account_id,
        adjustment_id=id or f"a{next(_numbers)}",
        kind=AdjustmentKind.REVERSAL,
        amount=None,
        currency=currency,
        reason="counted twice",
        author="op",
        occurred_at=moment,
        usage=ReversedUsage(
            source=event.source,
            event_id=event.event_id,
            meter=event.meter,
            quantity=event.quantity,
            occurred_at=event.occurred_at,
        ),
        origin=origin(moment, "adjustments"),
    )


def settings(
    revision: int = 1,
    *,
    account: str = ACCOUNT,
    tax: str | None = None,
    when: int = START,
    **more: object,
) -> AccountSettings:
    """Return account settings: USD, UTC, untaxed, no top-up, unless told otherwise."""
    rates = (TaxRate(0, money(tax)),) if tax is not None else ()
    usual = AccountSettings(
        account_id=account,
        revision=revision,
        currency="USD",
        zone="UTC",
        tax_rates=rates,
        changed_at=when,
        changed_by="op",
        origin=origin(when, "account-settings"),
    )
    return replace(usual, **more)  # type: ignore[arg-type]


def auto(**changes: object) -> AutomaticTopUp:
    """Return automatic top-up by 50.00 below 20.00, with consent."""
    usual = AutomaticTopUp(
        enabled=True,
        threshold_minor=2_000,
        amount_minor=5_000,
        payment_method_ref=CARD,
        consent=Consent(given_by="u1", given_at=START, text_version="v1"),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def price(
    unit_price: str = "0.01",
    *,
    meter: str = "calls",
    version: int = 1,
    valid_from: int = 0,
    model: PriceModel = PriceModel.PER_UNIT,
    tiers: Sequence[tuple[str | None, str]] | None = None,
    **more: object,
) -> PricePublished:
    """Return a price that is always valid, marked as late so that it may come at any time."""
    steps = tiers or [(None, unit_price)]
    version_of = Price(
        meter=meter,
        currency="USD",
        version=version,
        unit="call",
        valid_from=valid_from,
        late=True,
        model=model,
        tiers=tuple(Tier(None if up is None else money(up), money(each)) for up, each in steps),
    )
    return PricePublished(price=replace(version_of, **more), origin=origin(START, "prices"))  # type: ignore[arg-type]


def profile(name: str = "Ada", *, account: str = ACCOUNT) -> ProfileChanged:
    """Return a profile."""
    person = Profile(
        name=name, address=("2 Street", "Town"), country="DE", tax_id="T1", email="a@b.example", language="en"
    )
    return ProfileChanged(account_id=account, profile=person, origin=origin(START, "account-profiles"))


def tick(moment: int, stood: dict[str, int] | None = None) -> Tick:
    """Return a tick."""
    return Tick(time=moment, origin=origin(moment, "clock-ticks"), stood=stood)


class Lane:
    """One lane over dicts: every send is checked, `said` is all that was ever put out."""

    def __init__(self, *first: Event, shelves: Shelves | None = None, **policy_changes: object) -> None:
        self.shelves = shelves or dict_shelves()
        self.book = Book(policy(**policy_changes), self.shelves)
        self.said: list[Output] = []
        for event in first:
            self.send(event)

    def send(self, event: Event) -> Outcome | Rejected:
        """Apply one event."""
        outcome = self.book.apply(event)
        self.said += self.book.outputs
        self.book.outputs.clear()
        return outcome

    def tick(self, moment: int | str, *, budget: int = 1_000) -> None:
        """Act on a tick and do all the work that it makes due."""
        assert self.send(tick(at(moment) if isinstance(moment, str) else moment)) is Outcome.APPLIED
        self.work(budget)

    def work(self, budget: int = 1_000) -> None:
        """Do all the work that is due."""
        while self.book.work(budget):
            pass
        self.said += self.book.outputs
        self.book.outputs.clear()

    def account(self, account_id: str = ACCOUNT) -> Account:
        """Return the state of an account that exists."""
        account = self.shelves.accounts.get(account_id)
        assert account is not None
        return account

    def all(self, kind: type[Kind]) -> list[Kind]:
        """Return all outputs of a kind."""
        return [output for output in self.said if isinstance(output, kind)]

    @property
    def entries(self) -> list[LedgerEntry]:
        """Return all ledger entries."""
        return self.all(LedgerEntry)

    @property
    def invoices(self) -> list[Invoice]:
        """Return all invoices."""
        return self.all(Invoice)

    @property
    def commands(self) -> list[TopUpCommand]:
        """Return all commands."""
        return self.all(TopUpCommand)

    @property
    def mails(self) -> list[str]:
        """Return the kinds of all notifications."""
        return [n.kind.value for n in self.all(Notification)]


class AccountDict:
    def __init__(self) -> None:
        self.rows: dict[str, Account] = {}

    def get(self, account_id: str) -> Account | None:
        return self.rows.get(account_id)

    def put(self, account: Account) -> None:
        self.rows[account.account_id] = account

    def due(self, time: int, limit: int) -> Sequence[str]:
        due = sorted((a.wake_at, a.account_id) for a in self.rows.values() if a.wake_at <= time)
        return [account_id for _, account_id in due[:limit]]


class PaymentDict:
    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Payment] = {}

    def get(self, account_id: str, payment_id: str) -> Payment | None:
        return self.rows.get((account_id, payment_id))

    def put(self, payment: Payment) -> None:
        self.rows[payment.account_id, payment.payment_id] = payment


class AdjustmentDict:
    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Adjusted] = {}

    def get(self, account_id: str, adjustment_id: str) -> Adjusted | None:
        return self.rows.get((account_id, adjustment_id))

    def put(self, adjusted: Adjusted) -> None:
        self.rows[adjusted.account_id, adjusted.adjustment_id] = adjusted


class PriceList:
    def __init__(self) -> None:
        self.rows: list[Price] = []

    def of(self, meter: str, currency: str) -> Sequence[Price]:
        return [p for p in self.rows if p.meter == meter and p.currency == currency]

    def put(self, price: Price) -> None:
        self.rows.append(price)


class ProfileDict:
    def __init__(self) -> None:
        self.rows: dict[str, Profile] = {}

    def get(self, account_id: str) -> Profile | None:
        return self.rows.get(account_id)

    def put(self, account_id: str, profile: Profile) -> None:
        self.rows[account_id] = profile

    def erase(self, account_id: str) -> None:
        self.rows.pop(account_id, None)


class LaneCell:
    def __init__(self) -> None:
        self.state: LaneState | None = None

    def get(self) -> LaneState | None:
        return self.state

    def put(self, state: LaneState) -> None:
        self.state = state


class WaitingDict:
    def __init__(self) -> None:
        self.rows: dict[int, Waiting] = {}

    def put(self, row: Waiting) -> None:
        self.rows[row.number] = row

    def delete(self, row: Waiting) -> None:
        del self.rows[row.number]

    def of_account(self, account_id: str) -> Sequence[Waiting]:
        return [row for row in self.rows.values() if row.event.account_id == account_id]

    def of_meter(self, meter: str) -> Sequence[Waiting]:
        return [r for r in self.rows.values() if isinstance(r.event, UsageEvent) and r.event.meter == meter]

    def all(self) -> Sequence[Waiting]:
        return list(self.rows.values())


class SeenDict:
    def __init__(self) -> None:
        self.rows: dict[bytes, tuple[bytes, int]] = {}

    def get(self, digest: bytes) -> bytes | None:
        row = self.rows.get(digest)
        return row[0] if row else None

    def add(self, digest: bytes, content: bytes, occurred_at: int) -> None:
        self.rows[digest] = content, occurred_at

    def discard(self, digest: bytes, occurred_at: int) -> None:
        assert self.rows.pop(digest)[1] == occurred_at

    def forget(self, before: int) -> None:
        for digest in [d for d, (_, occurred_at) in self.rows.items() if occurred_at < before]:
            del self.rows[digest]


def dict_shelves() -> Shelves:
    """Return empty shelves over dicts."""
    return Shelves(
        accounts=AccountDict(),
        payments=PaymentDict(),
        adjustments=AdjustmentDict(),
        prices=PriceList(),
        profiles=ProfileDict(),
        lane=LaneCell(),
        waiting=WaitingDict(),
        seen=SeenDict(),
    )
