"""What a lane remembers of one account and of its payments: plain state, one owner, changed in place.

Owns the shape only. Balances change in ledger.py alone. Fields that are not compared are worked out from
the others when an account is first touched (prepare() in standing.py) and are not stored. What is read again
at each miss of the cache has an __init__ of its own: a dataclass's stays interpreted where this is compiled.
A tuple where it can be one: the garbage collector looks at it once, at a list again and again.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mypy_extensions import mypyc_attr

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

_shared: dict[Any, Any] = {}


def shared(key: Any) -> Any:
    """Return one object for all keys of rows that are equal.

    There are few, each in many accounts: so looking one up reads no memory of the account's own.
    """
    return _shared.setdefault(key, key)


@mypyc_attr(acyclic=True)
@dataclass(slots=True)
class Part:
    """What one invoice carried of a month's row, less what was credited of it since."""

    invoice: int
    """The invoice's sequence number."""
    period: int
    quantity: int
    amount: int
    tax: int


@mypyc_attr(acyclic=True)
@dataclass(slots=True, init=False)
class MonthRow:
    """One month of one meter at one price version and tax rate: what was counted, and what was invoiced."""

    number: int
    """Names the row in its account, from 0 to ROW_NUMBERS - 1; remembered with each event that it counts."""
    quantity: int
    amount: int
    """P(quantity)."""
    tax: int
    """T(quantity)."""
    charges: int
    """Bookings on this row that no document carries yet."""
    named: bytes | None = field(compare=False, repr=False)
    """Its key as it was written; one object for all rows of the key. None: not yet."""
    start: int = field(compare=False, repr=False)
    """Where it begins among its account's rows as they were written last."""
    size: int = field(compare=False, repr=False)
    """Bytes it has there; 0: it is not among them."""

    invoiced_quantity: int
    invoiced_amount: int
    invoiced_tax: int
    parts: tuple[Part, ...]
    """The invoices that carried it, in order; they add up to what was invoiced."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.quantity = 0
        self.amount = 0
        self.tax = 0
        self.charges = 0
        self.invoiced_quantity = 0
        self.invoiced_amount = 0
        self.invoiced_tax = 0
        self.parts = ()
        self.named = None
        self.start = 0
        self.size = 0


@mypyc_attr(acyclic=True)
@dataclass(slots=True, init=False)
class Period:
    """A billing period that has entries and no invoice yet."""

    month: int
    received: int
    charges: int
    tax: int
    movements: tuple[Movement, ...]

    def __init__(self, month: int) -> None:
        self.month = month
        self.received = 0
        self.charges = 0
        self.tax = 0
        self.movements = ()

    def closing(self, opening: int) -> int:
        """Return the balance at its end: what the next one opens with."""
        return opening + self.received - self.charges - self.tax


@mypyc_attr(acyclic=True)
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


@mypyc_attr(acyclic=True)
@dataclass(slots=True)
class Ended:
    """A command of this month that ended without money; should money come after all, it counts again."""

    command_id: str
    amount_minor: int


@mypyc_attr(acyclic=True)
@dataclass(slots=True, init=False)
class TopUp:
    """Where the automatic top-up of one account stands; topup.py alone changes it."""

    decision: str
    """Why there is or is not a top-up now: a word of topup.Decision."""
    pending: Pending | None
    episode: int
    attempt: int
    episode_open: bool
    made_at: int
    """When the last command was made."""
    retry_at: int
    """No attempt before this: the back-off after declines."""
    paused: bool
    method: str
    """The method in force at the last settings that named one."""
    resumes: int
    declines: dict[str, int]
    """Per payment method, since it last succeeded."""
    month: int
    taken_minor: int
    """What commands made in `month` (account's zone) took or may still take."""
    ended: tuple[Ended, ...]
    told_month: int
    """Month of the last monthly_limit_reached, and the limit when it was last reached."""
    told_limit: int

    def __init__(self) -> None:
        self.episode = 0
        self.attempt = 0
        self.episode_open = False
        self.pending = None
        self.made_at = NO_TIME
        self.retry_at = NO_TIME
        self.paused = False
        self.method = ""
        self.resumes = 0
        self.declines = {}
        self.month = EVER
        self.taken_minor = 0
        self.ended = ()
        self.told_month = EVER
        self.told_limit = 0
        self.decision = "off"


@mypyc_attr(acyclic=True)
@dataclass(slots=True, init=False)
class Account:
    """Who pays.

    What each charge reads or changes comes first: so it lies together in memory, which is what an event costs
    where there are many accounts.
    """

    account_id: str
    balance: int
    entries: int
    """Number of the last ledger entry."""
    first_open: int
    """First billing period that is not closed."""
    closed: bool
    is_written: bool = field(compare=False, repr=False)
    """The store has all of it that a charge leaves as it is. Who changes more says so: settle()."""
    calm_from: int = field(compare=False, repr=False)
    """While calm_from <= balance < calm_until neither status nor top-up can change by a charge."""
    calm_until: int = field(compare=False, repr=False)
    due_at: int = field(compare=False, repr=False)
    """min(wake_at, closes_at): from then on the account must be woken before anything touches it."""
    calendar: Calendar | None = field(compare=False, repr=False)
    """None: not prepared."""
    cards: "dict[str, RateCard]" = field(compare=False, repr=False)
    """Rate cards of its currency, by meter."""
    tax_rates: tuple[TaxRate, ...]
    """By valid_from."""
    periods: tuple[Period, ...]
    """The open ones in order of time; mostly one, for which a dict would be four times as far spread."""
    rows: dict[RowKey, MonthRow]
    opening: int
    """Balance at the start of the first open period: the closing balance of the last invoice."""
    touched: Any = field(compare=False, repr=False)
    """The desk's round in which it was touched last."""
    as_of: int = field(compare=False, repr=False)
    """Lane time of its last change, NO_TIME before the first tick; known until the batch ends."""
    said: Any = field(compare=False, repr=False)
    """What its balance says that a charge leaves as it is, as it was written; None: it changed: settle()."""
    last: bytes | None = field(compare=False, repr=False)
    """Its balance as it was written last; None: not yet, or more than one of its rows changed since."""
    rows_at: int = field(compare=False, repr=False)
    """Where its rows begin there."""
    changed: MonthRow | None = field(compare=False, repr=False)
    """The row that changed since: row_changed()."""
    place: Any = field(compare=False, repr=False)
    """Where its balance stands among the committed ones; the shelf's."""
    currency: str

    rows_made: int
    """How many rows there ever were."""
    by_default: bool
    """Opened by its first usage or payment with the deployment's defaults, and never set up since."""
    wake_at: int
    """The least lane time at which something is due; NEVER: nothing. The engine's index."""
    indexed_at: int = field(compare=False, repr=False)
    """wake_at as the store's index has it; before any: not at all."""
    status: Status
    revision: int
    top_up: TopUp

    minor: int = field(compare=False, repr=False)
    """Pico of one minor unit of its currency."""
    closes_at: int = field(compare=False, repr=False)
    """When first_open closes."""
    opened_at: int | None
    """Lane time of its opening."""
    zones: Zones
    automatic_top_up: AutomaticTopUp | None
    warning_level_minor: int | None
    overdraft_minor: int
    closed_at: int | None
    """Lane time at which the close ended the running period; None: open, or closed and not ended yet."""
    cut_at: int | None
    """Where the last close cut a period in two: what is left of that month begins there."""
    invoices: int
    credit_notes: int
    status_since: int | None
    told_status: Status
    """The status of the last mail, or the first one."""
    mail_at: int
    """First lane time at which a changed status may be mailed."""

    def __init__(  # noqa: PLR0917
        self,
        wake_at: int,
        account_id: str,
        currency: str,
        opened_at: int | None,
        by_default: bool,
        zones: Zones,
        first_open: int,
    ) -> None:
        self.wake_at = wake_at
        self.account_id = account_id
        self.currency = currency
        self.opened_at = opened_at
        self.by_default = by_default
        self.zones = zones
        self.first_open = first_open
        self.revision = 0
        self.tax_rates = ()
        self.automatic_top_up = None
        self.warning_level_minor = None
        self.overdraft_minor = 0
        self.closed = False
        self.closed_at = None
        self.cut_at = None
        self.balance = 0
        self.opening = 0
        self.entries = 0
        self.invoices = 0
        self.credit_notes = 0
        self.status = Status.SUSPENDED
        self.status_since = None
        self.told_status = Status.SUSPENDED
        self.mail_at = NEVER
        self.periods = ()
        self.rows = {}
        self.rows_made = 0
        self.top_up = TopUp()
        self.calendar = None
        self.cards = {}
        self.minor = 1
        self.closes_at = NO_TIME + 1
        self.due_at = NO_TIME + 1
        self.calm_from = 0
        self.calm_until = 0
        self.indexed_at = NO_TIME - 1
        self.is_written = False
        self.touched = None
        self.as_of = NO_TIME
        self.said = None
        self.last = None
        self.rows_at = 0
        self.changed = None
        self.place = None

    def row_changed(self, row: MonthRow) -> None:
        """Have a row written anew with the next balance; who changes one says so."""
        if self.changed is None:
            self.changed = row
        elif self.changed is not row:
            self.last = None

    def period(self, month: int) -> Period | None:
        """Return an open period; None: it has no entries."""
        for period in self.periods:
            if period.month == month:
                return period
        return None

    @property
    def refundable_minor(self) -> int | None:
        """What is left for refund when it is closed; None: it is open."""
        return max(0, self.balance) // self.minor if self.closed else None


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
