"""Every topic of Evergreen: its name, record types, key, retention. Names nothing else invents.

The table is domain.md's; docs/topics.md says it in words. All account topics have the same number of
partitions: partition n of all of them together is lane n.
"""

from dataclasses import dataclass
from enum import Enum

DAY_MS = 86_400_000


class Keep(Enum):
    """How long a topic keeps its records."""

    LATEST = "latest"  # compacted: the last value of each key
    LONG = "long"  # for ever, until the operator decides otherwise
    MAX_AGE = "max_age"  # longer than usage is remembered, so that a lane can always read what it must know
    WEEK = "week"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic, its name without the deployment's prefix."""

    name: str
    records: tuple[str, ...]
    """Record types it may carry, by the names of their schemas."""
    keep: Keep
    keyed_by_account: bool = True
    is_input: bool = False
    """True where the lanes read it."""
    append_time: bool = False
    """True where the broker stamps the records (LogAppendTime)."""


USAGE = Topic(name="usage-events", records=("usage-event",), keep=Keep.MAX_AGE, is_input=True)
PAYMENTS = Topic(name="payment-events", records=("payment-event",), keep=Keep.LONG, is_input=True)
SETTINGS = Topic(name="account-settings", records=("account-settings",), keep=Keep.LONG, is_input=True)
PROFILES = Topic(name="account-profiles", records=("account-profile",), keep=Keep.LATEST, is_input=True)
PRICES = Topic(name="prices", records=("price",), keep=Keep.LONG, keyed_by_account=False, is_input=True)
ADJUSTMENTS = Topic(name="adjustments", records=("adjustment",), keep=Keep.LONG, is_input=True)
TICKS = Topic(
    name="clock-ticks",
    records=("tick",),
    keep=Keep.MAX_AGE,
    keyed_by_account=False,
    is_input=True,
    append_time=True,
)
LEDGER = Topic(name="ledger-entries", records=("ledger-entry",), keep=Keep.LONG)
JOURNAL = Topic(name="lane-journal", records=("journal-entry",), keep=Keep.LONG, keyed_by_account=False)
BALANCES = Topic(name="balances", records=("account-balance",), keep=Keep.LATEST)
STATUS = Topic(name="account-status", records=("account-status",), keep=Keep.LATEST)
COMMANDS = Topic(name="top-up-commands", records=("top-up-command",), keep=Keep.WEEK)
DECISIONS = Topic(name="top-up-decisions", records=("top-up-decision",), keep=Keep.LONG)
ATTEMPTS = Topic(name="payment-attempts", records=("payment-attempt",), keep=Keep.LATEST)
INVOICES = Topic(name="invoices", records=("invoice", "credit-note"), keep=Keep.LONG)
NOTIFICATIONS = Topic(name="notifications", records=("notification",), keep=Keep.WEEK)
DEAD_LETTERS = Topic(name="dead-letters", records=("dead-letter",), keep=Keep.LONG, keyed_by_account=False)

ALL = (
    USAGE,
    PAYMENTS,
    SETTINGS,
    PROFILES,
    PRICES,
    ADJUSTMENTS,
    TICKS,
    LEDGER,
    JOURNAL,
    BALANCES,
    STATUS,
    COMMANDS,
    DECISIONS,
    ATTEMPTS,
    INVOICES,
    NOTIFICATIONS,
    DEAD_LETTERS,
)
INPUTS = tuple(topic for topic in ALL if topic.is_input)
"""The lane topics; every running version must subscribe to the same ones."""

STATE_TABLES = ("accounts", "payments", "adjustments", "prices", "waiting", "seen-ids", "lane")
"""The lanes' own state, each with a compacted changelog topic; profiles restore from their input topic."""


def changelog(application: str, table: str) -> str:
    """Return the full name of a state table's changelog topic."""
    return f"{application}-{table}-changelog"
