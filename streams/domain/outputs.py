"""What the rules say: the closed union of a lane's outputs, in the meaning of the .avsc of the same name.

Months are month indexes (periods.py), money and quantities integers of 10^-12.
"""

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import final

from mypy_extensions import mypyc_attr

from streams.domain.events import Origin, PriceModel
from streams.domain.reasons import Reason


@unique
class EntryKind(StrEnum):
    """What was booked."""

    CHARGE = "charge"
    TAX = "tax"
    PAYMENT = "payment"
    CREDIT = "credit"
    DEBIT = "debit"
    REFUND = "refund"
    DISPUTE = "dispute"
    DISPUTE_WON = "dispute_won"
    RETURN = "return"
    REVERSAL = "reversal"
    REVERSAL_TAX = "reversal_tax"
    WRITE_OFF = "write_off"


@mypyc_attr(acyclic=True)
@final
@dataclass(slots=True, init=False)
class LedgerEntry:
    """One booking on one balance. Neither frozen nor keyword-only, and with its own __init__ (a dataclass's
    stays interpreted where this is compiled): two are made per taxed usage event, and that would double
    the cost of charging. Nothing may change one."""

    account_id: str
    number: int
    kind: EntryKind
    amount: int
    balance_after: int
    currency: str
    period: int
    month: int
    occurred_at: int
    booked_at: int | None
    source: str | None
    event_id: str | None
    meter: str | None
    quantity: int | None
    price_version: int | None
    tax_rate: int | None
    payment_id: str | None
    reference: str | None
    command_id: str | None
    adjustment_id: str | None
    reason: str | None

    def __init__(  # noqa: PLR0917
        self,
        account_id: str,
        number: int,
        kind: EntryKind,
        amount: int,
        balance_after: int,
        currency: str,
        period: int,
        month: int,
        occurred_at: int,
        booked_at: int | None,
        source: str | None = None,
        event_id: str | None = None,
        meter: str | None = None,
        quantity: int | None = None,
        price_version: int | None = None,
        tax_rate: int | None = None,
        payment_id: str | None = None,
        reference: str | None = None,
        command_id: str | None = None,
        adjustment_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        self.account_id = account_id
        self.number = number
        self.kind = kind
        self.amount = amount
        self.balance_after = balance_after
        self.currency = currency
        self.period = period
        self.month = month
        self.occurred_at = occurred_at
        self.booked_at = booked_at
        self.source = source
        self.event_id = event_id
        self.meter = meter
        self.quantity = quantity
        self.price_version = price_version
        self.tax_rate = tax_rate
        self.payment_id = payment_id
        self.reference = reference
        self.command_id = command_id
        self.adjustment_id = adjustment_id
        self.reason = reason


@unique
class Status(StrEnum):
    """Whether service should go on."""

    ACTIVE = "active"
    LOW = "low"
    SUSPENDED = "suspended"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChanged:
    """The account's status is this from now on (topic account-status)."""

    account_id: str
    status: Status
    since: int | None


@unique
class CommandKind(StrEnum):
    """What the payment consumer is asked to do."""

    CHARGE = "charge"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpCommand:
    """The request to take one automatic payment, or to give it up."""

    account_id: str
    command_id: str
    kind: CommandKind
    episode: int
    attempt: int
    amount_minor: int
    currency: str
    payment_method_ref: str
    consent: str | None
    made_at: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpDecided:
    """Why there is or is not a top-up, from now on (topic top-up-decisions)."""

    account_id: str
    decision: str
    """A word of topup.Decision."""
    since: int | None
    balance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A name and address on a document."""

    name: str
    address: tuple[str, ...]
    country: str
    tax_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTier:
    """Part of a line in one tier (package: in packages)."""

    quantity: int
    unit_price: int
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """One month of one meter at one price version and tax rate; a month before the period came late."""

    month: int
    meter: str
    unit: str
    price_version: int
    model: PriceModel
    quantity: int
    amount: int
    amount_minor: int
    tax_rate: int | None
    tax: int
    tiers: tuple[LineTier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxTotal:
    """One rate's sum on a document."""

    rate: int
    base: int
    tax: int


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True)
class Movement:
    """One payment, refund, dispute, return, credit, debit or credit note of a period."""

    kind: str
    """As the ledger entry's, or credit_note."""
    reference: str
    amount: int
    occurred_at: int
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A document's amounts as printed: charged = opening + received - closing, in minor units."""

    opening_minor: int
    received_minor: int
    closing_minor: int
    charged_minor: int
    tax_minor: int
    rounding_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """A month's statement of charges already paid from the balance."""

    account_id: str
    number: str
    sequence: int
    period: int
    period_start: int
    period_end: int
    zone: str
    issued_at: int
    currency: str
    seller: Party
    customer: Party | None
    opening: int
    lines: tuple[InvoiceLine, ...]
    taxes: tuple[TaxTotal, ...]
    movements: tuple[Movement, ...]
    credit_notes: tuple[str, ...]
    charges: int
    tax: int
    received: int
    charged: int
    closing: int
    shown: Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditLine:
    """What is credited of one month of one meter at one price version and tax rate."""

    month: int
    meter: str
    price_version: int
    quantity: int
    amount: int
    tax_rate: int | None
    tax: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNote:
    """What lowers the charges of an earlier invoice."""

    account_id: str
    number: str
    sequence: int
    invoice_number: str
    period: int
    shown_in: int
    issued_at: int
    currency: str
    seller: Party
    customer: Party | None
    lines: tuple[CreditLine, ...]
    amount: int
    tax: int


@unique
class NotificationKind(StrEnum):
    """Which message."""

    INVOICE_READY = "invoice_ready"
    TOP_UP_SUCCEEDED = "top_up_succeeded"
    TOP_UP_FAILED = "top_up_failed"
    ACTION_REQUIRED = "action_required"
    AUTO_TOP_UP_PAUSED = "auto_top_up_paused"
    MONTHLY_LIMIT_REACHED = "monthly_limit_reached"
    LOW_BALANCE = "low_balance"
    SUSPENDED = "suspended"
    REACTIVATED = "reactivated"
    PAYMENT_RECEIVED = "payment_received"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A message that the customer should receive; its id is a function of its cause."""

    account_id: str
    notification_id: str
    kind: NotificationKind
    created_at: int
    details: dict[str, str] = field(hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An input that waited and could not be applied in the end. (What is rejected at once is returned.)"""

    origin: Origin
    reason: Reason
    detail: str
    account_id: str | None
    rejected_at: int | None


Announcement = StatusChanged | TopUpCommand | TopUpDecided | Invoice | CreditNote | Notification | DeadLetter
"""What is said now and then; ledger entries come with each event."""
Output = LedgerEntry | Announcement
"""What a lane emits in order. Balances are asked for apart from it: of a commit only the last counts."""
