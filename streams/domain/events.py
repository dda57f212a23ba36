"""What may happen to a lane: the closed union of its inputs, decoded and typed.

Money and quantities are integers of 10^-12, `_minor` amounts whole minor units, times milliseconds
since 1970 (UTC). Each event carries its origin, so that a dead letter can name where it stood.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from hashlib import blake2b

from mypy_extensions import mypyc_attr


@mypyc_attr(acyclic=True)
@dataclass(slots=True, init=False)
class Origin:
    """Where an input record stood and its original bytes. Not frozen, and with its own __init__ (a
    dataclass's stays interpreted where this is compiled): one is made per record."""

    topic: str
    """Without the deployment's prefix."""
    partition: int
    offset: int
    timestamp: int
    """The record's Kafka timestamp, ms."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    def __init__(  # noqa: PLR0917
        self,
        topic: str,
        partition: int,
        offset: int,
        timestamp: int,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: tuple[tuple[str, bytes | None], ...] = (),
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers


def identity(account_id: str, source: str, event_id: str) -> bytes:
    """Return the 16-byte digest of what names a usage event for ever."""
    name = f"{len(account_id)}:{account_id}{len(source)}:{source}{event_id}"
    return blake2b(name.encode(), digest_size=16).digest()


@mypyc_attr(acyclic=True)
@dataclass(slots=True, init=False)
class UsageEvent:
    """Something metered happened. Made as Origin is, for its reason; nothing may change one."""

    account_id: str
    source: str
    event_id: str
    meter: str
    quantity: int
    occurred_at: int
    origin: Origin
    digest: bytes = field(compare=False, repr=False)
    """Of what names it: identity()."""

    def __init__(  # noqa: PLR0917
        self,
        account_id: str,
        source: str,
        event_id: str,
        meter: str,
        quantity: int,
        occurred_at: int,
        origin: Origin,
    ) -> None:
        self.account_id = account_id
        self.source = source
        self.event_id = event_id
        self.meter = meter
        self.quantity = quantity
        self.occurred_at = occurred_at
        self.origin = origin
        self.digest = identity(account_id, source, event_id)


@unique
class PaymentKind(StrEnum):
    """What the provider says happened."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REQUIRES_ACTION = "requires_action"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    DISPUTE_WON = "dispute_won"
    RETURNED = "returned"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEvent:
    """What the payment provider says happened to one payment."""

    account_id: str
    payment_id: str
    kind: PaymentKind
    amount_minor: int
    currency: str
    occurred_at: int
    reference: str | None = None
    command_id: str | None = None
    payment_method_ref: str | None = None
    decline_code: str | None = None
    hard_decline: bool = False
    action_url: str | None = None
    origin: Origin


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True)
class TaxRate:
    """A rate from a moment on; 0.19 is 190_000_000_000."""

    valid_from: int
    rate: int


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """The customer's permission to take payments automatically."""

    given_by: str
    given_at: int
    text_version: str


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticTopUp:
    """Permission and rule for taking payments automatically; exactly one of amount and target."""

    enabled: bool
    threshold_minor: int
    amount_minor: int | None = None
    target_minor: int | None = None
    monthly_limit_minor: int | None = None
    payment_method_ref: str
    consent: Consent | None = None
    resumes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """How one account is billed; the highest revision wins."""

    account_id: str
    revision: int
    currency: str
    zone: str
    tax_rates: tuple[TaxRate, ...] = ()
    automatic_top_up: AutomaticTopUp | None = None
    warning_level_minor: int | None = None
    overdraft_minor: int = 0
    closed: bool = False
    changed_at: int
    changed_by: str
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """All the personal data there is of an account."""

    name: str
    address: tuple[str, ...]
    country: str
    tax_id: str | None
    email: str
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChanged:
    """The account's profile is this from now on."""

    account_id: str
    profile: Profile
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileErased:
    """The account's profile is gone."""

    account_id: str
    origin: Origin


@unique
class PriceModel(StrEnum):
    """How tiers price a cumulative monthly quantity."""

    PER_UNIT = "per_unit"
    GRADUATED = "graduated"
    VOLUME = "volume"
    PACKAGE = "package"


@dataclass(frozen=True, slots=True)
class Tier:
    """One step of a price, up to and including a cumulative quantity; None: no end."""

    up_to: int | None
    unit_price: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a meter costs in a currency from a moment on."""

    meter: str
    currency: str
    version: int
    unit: str
    valid_from: int
    late: bool = False
    model: PriceModel
    tiers: tuple[Tier, ...]
    package_size: int | None = None
    free_allowance: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PricePublished:
    """A price arrived on this lane."""

    price: Price
    origin: Origin


@unique
class AdjustmentKind(StrEnum):
    """What an adjustment does."""

    CREDIT = "credit"
    DEBIT = "debit"
    REVERSAL = "reversal"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversedUsage:
    """The usage event that a reversal takes back, as it was sent."""

    source: str
    event_id: str
    meter: str
    quantity: int
    occurred_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """A correction made by the back office; each adjustment_id applies once."""

    account_id: str
    adjustment_id: str
    kind: AdjustmentKind
    amount: int | None
    currency: str
    reason: str
    author: str
    occurred_at: int
    usage: ReversedUsage | None = None
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A moment of time. The caller acts on it after the barrier of domain.md, never before."""

    time: int
    origin: Origin
    stood: Mapping[str, int] | None = None
    """Where each input (without prefix) ended when the tick was read: what waits from there on waits for
    the next tick. None: all that waits settles."""

    def covers(self, origin: Origin) -> bool:
        """Tell whether a record stood in its input when this tick was read."""
        return self.stood is None or origin.offset < self.stood[origin.topic]


AccountEvent = UsageEvent | PaymentEvent | Adjustment
"""What needs an account, and waits where there is none."""
Event = (
    UsageEvent
    | PaymentEvent
    | AccountSettings
    | ProfileChanged
    | ProfileErased
    | PricePublished
    | Adjustment
    | Tick
)
