"""What a lane remembers of one account and of its payments: plain state, one owner, changed in place.

Owns the shape only. Balances change in ledger.py alone. Underscored fields are worked out from the
others when an account is first touched (prepare() in standing.py) and are not stored.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streams.domain.events import AccountEvent, AutomaticTopUp, TaxRate
from streams.domain.outputs import Movement, Status
from streams.domain.periods import EVER, Calendar, Zones

if TYPE_CHECKING:
    from streams.domain.pricing import RateCard

NEVER = 2**62
"""A moment later than any."""
NO_TIME = -(2**62)
"""The time of a lane before its first tick: earlier than any."""

ROW_NUMBERS = 65_000
"""Rows of an account are numbered in a circle of so many, which is more than it has at any time."""

RowKey = tuple[int, str, int, int | None]
"""Month of occurred_at, meter, price version, tax rate (None: untaxed)."""


@dataclass(slots=True)
class Part:
    """What one invoice carried of a month's row, less what was credited of it since."""

    invoice: int
    """The invoice's sequence number."""
    period: int
    quantity: int
    amount: int
    tax: int


@dataclass(slots=True)
class MonthRow:
    """One month of one meter at one price version and tax rate: what was counted, and what was invoiced."""

    number: int
    """Names the row in its account, from 0 to ROW_NUMBERS - 1; remembered with each event that it counts."""
    quantity: int = 0
    amount: int = 0
    """P(quantity)."""
    tax: int = 0
    """T(quantity)."""
    charges: int = 0
    """Bookings on this row that no document carries yet."""
    invoiced_quantity: int = 0
    invoiced_amount: int = 0
    invoiced_tax: int = 0
    parts: list[Part] = field(default_factory=list)
    """The invoices that carried it, in order; they add up to what was invoiced."""


@dataclass(slots=True)
class Period:
    """A billing period that has entries and no invoice yet."""

    received: int = 0
    charges: int = 0
    tax: int = 0
    movements: list[Movement] = field(default_factory=list)


@dataclass(slots=True)
class Pending:
    """A top-up command that waits for the provider's final word."""

    command_id: str
    episode: int
    attempt: int
    amount_minor: int
    currency: str
    payment_method_ref: str
    consent: str | None
    made_at: int
    expires_at: int
    sent_at: int
    """When it, or the request to cancel it, was last sent."""
    action_at: int | None = None
    """When the provider first asked for the customer's action."""
    cancel_at: int | None = None
    """When the provider was asked to cancel it."""
    cancel_is_decline: bool = False
    """Asked to cancel because the customer did not act: the answer cancelled counts as a decline."""


@dataclass(slots=True)
class Ended:
    """A command of this month that ended without money; should money come after all, it counts again."""

    command_id: str
    amount_minor: int


@dataclass(slots=True)
class TopUp:
    """Where the automatic top-up of one account stands; topup.py alone changes it."""

    episode: int = 0
    attempt: int = 0
    episode_open: bool = False
    pending: Pending | None = None
    made_at: int = NO_TIME
    """When the last command was made."""
    retry_at: int = NO_TIME
    """No attempt before this: the back-off after declines."""
    paused: bool = False
    method: str = ""
    """The method in force at the last settings that named one."""
    resumes: int = 0
    declines: dict[str, int] = field(default_factory=dict)
    """Per payment method, since it last succeeded."""
    month: int = EVER
    taken_minor: int = 0
    """What commands made in `month` (account's zone) took or may still take."""
    ended: list[Ended] = field(default_factory=list)
    told_month: int = EVER
    """Month of the last monthly_limit_reached, and the limit when it was last reached."""
    told_limit: int = 0
    decision: str = "off"
    """Why there is or is not a top-up now: a word of topup.Decision."""


@dataclass(slots=True)
class Account:
    """Who pays."""

    wake_at: int
    """The least lane time at which something is due; NEVER: nothing. The engine's index."""
    account_id: str
    currency: str
    opened_at: int | None
    """Lane time of its opening."""
    by_default: bool
    """Opened by its first usage or payment with the deployment's defaults, and never set up since."""
    zones: Zones
    first_open: int
    """First billing period that is not closed."""
    revision: int = 0
    tax_rates: tuple[TaxRate, ...] = ()
    """By valid_from."""
    automatic_top_up: AutomaticTopUp | None = None
    warning_level_minor: int | None = None
    overdraft_minor: int = 0
    closed: bool = False
    closed_at: int | None = None
    """Lane time at which the close ended the running period; None: open, or closed and not ended yet."""
    cut_at: int | None = None
    """Where the last close cut a period in two: what is left of that month begins there."""
    balance: int = 0
    opening: int = 0
    """Balance at the start of the first open period: the closing balance of the last invoice."""
    entries: int = 0
    """Number of the last ledger entry."""
    invoices: int = 0
    credit_notes: int = 0
    status: Status = Status.SUSPENDED
    status_since: int | None = None
    told_status: Status = Status.SUSPENDED
    """The status of the last mail, or the first one."""
    mail_at: int = NEVER
    """First lane time at which a changed status may be mailed."""
    periods: dict[int, Period] = field(default_factory=dict)
    rows: dict[RowKey, MonthRow] = field(default_factory=dict)
    rows_made: int = 0
    """How many rows there ever were."""
    top_up: TopUp = field(default_factory=TopUp)

    calendar: Calendar | None = field(default=None, compare=False, repr=False)
    """None: not prepared."""
    cards: "dict[str, RateCard]" = field(default_factory=dict, compare=False, repr=False)
    """Rate cards of its currency, by meter."""
    minor: int = field(default=1, compare=False, repr=False)
    """Pico of one minor unit of its currency."""
    closes_at: int = field(default=NO_TIME + 1, compare=False, repr=False)
    """When first_open closes."""
    due_at: int = field(default=NO_TIME + 1, compare=False, repr=False)
    """min(wake_at, closes_at): from then on the account must be woken before anything touches it."""
    calm_from: int = field(default=0, compare=False, repr=False)
    """While calm_from <= balance < calm_until neither status nor top-up can change by a charge."""
    calm_until: int = field(default=0, compare=False, repr=False)


@dataclass(slots=True)
class Waiting:
    """An event that waits: for an account or a price (in the lane), or for its payment (in the payment)."""

    number: int
    """Its place in the lane's order of waiting."""
    event: AccountEvent


@dataclass(slots=True)
class Taken:
    """A refund, dispute, dispute won or return that was applied."""

    kind: str
    """As the payment event's kind."""
    reference: str
    amount: int


@dataclass(slots=True)
class Payment:
    """What is remembered of one payment, for ever."""

    account_id: str
    payment_id: str
    paid: int = 0
    """Credited by its success; 0: not succeeded (yet)."""
    command_id: str | None = None
    taken: list[Taken] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    """Kinds that move no money and were applied."""
    waiting: list[Waiting] = field(default_factory=list)


@dataclass(slots=True)
class Adjusted:
    """An adjustment that was applied, for ever."""

    account_id: str
    adjustment_id: str
    content: bytes
    """Digest of what it said."""
    entry: int
    """Number of its (first) ledger entry."""


@dataclass(slots=True)
class LaneState:
    """What a lane knows that belongs to no account."""

    time: int | None = None
    """The latest tick acted on."""
    forget_before: int = 0
    """The forget line: usage before it is too old. Never goes back."""
    waited: int = 0
    """Events that ever waited; the number of the last."""
