"""What the check knows of one account while it replays a lane: settings in force, zones, money seen.

Owns which settings record is refused, and which tax rate is in force at a moment.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from iso4217 import Currency

from schemas.wire import Record as Content
from verify import limits
from verify.periods import Zones
from verify.report import Place

MOST_TAX_RATES = 100


@dataclass(slots=True)
class Money:
    """One payment event, adjustment or reversal that has, or would have, its ledger entry."""

    place: Place
    account_id: str
    kind: str
    """Of the ledger entry."""
    amount: int
    """What it adds to the balance; 0 for a reversal, whose amount the prices decide."""
    occurred_at: int
    content: Content
    booked_at: int | None = None
    time_unsure: bool = False
    """True where it is not known when, and so perhaps in which period, it was booked."""
    billed: tuple[int, int] = (0, 0)
    """Its month and its period."""
    entry_moment: int | None = None
    """The moment on its entry where that is not its own: a reversal has its usage event's."""


class Cut(NamedTuple):
    """The close of an account: the period that ran ends then, and what comes later is another part of it."""

    time: int
    period: int
    """The one that ran."""
    causes: int
    """How many charges, reversals and movements were booked before."""


@dataclass(slots=True)
class Account:
    """One account as its lane's inputs made it."""

    account_id: str
    currency: str
    zones: Zones = field(default_factory=Zones)
    settings: Content | None = None
    """The settings in force; None: opened by its first usage, with the deployment's defaults."""
    history: list[tuple[int | None, Content]] = field(default_factory=list)
    """Every settings record applied, with the lane's time when it was."""
    booked: bool = False
    """True once it has a ledger entry."""
    causes: int = 0
    """How many charges, reversals and movements were booked; a tax or write-off follows what caused it."""
    cuts: list[Cut] = field(default_factory=list)
    ended: bool = False
    """Closed, and its running period cut."""
    paid: dict[str, int] = field(default_factory=dict)
    """Amount in minor units of each payment that was credited."""
    taken: dict[tuple[str, str, str | None], int] = field(default_factory=dict)
    """Amount of each refund, dispute, dispute won and return by (entry kind, payment id, reference)."""

    def tax_rate(self, moment: int) -> int | None:
        """Return the tax rate in force at a moment, or None where untaxed."""
        rates = self.settings["tax_rates"] if self.settings else []
        valid = [r for r in rates if r["valid_from"] <= moment]
        return max(valid, key=lambda r: r["valid_from"])["rate"] if valid else None

    @property
    def is_closed(self) -> bool:
        """Whether the settings in force close it."""
        return self.settings is not None and bool(self.settings["closed"])

    def first_open(self, time: int | None, grace_ms: int) -> int:
        """Return the first period that is open at a lane's time."""
        by_time = self.zones.first_open(time, grace_ms)
        return max(by_time, self.cuts[-1].period) if self.cuts else by_time

    def billed_in(self, moment: int, time: int | None, grace_ms: int) -> tuple[int, int]:
        """Return the month of a moment, and the period of what is booked for it at a lane's time.

        The period is the month if that is still open, else the earliest open one.
        """
        month = self.zones.month_of(moment)
        return month, max(month, self.first_open(time, grace_ms))

    @property
    def revision(self) -> int:
        """The last applied revision; 0 before any."""
        return self.settings["revision"] if self.settings else 0

    def settings_at(self, time: int) -> list[Content]:
        """Return every settings record that was in force at some moment while the lane's time was `time`."""
        before = [s for at, s in self.history if at is None or at < time]
        return before[-1:] + [s for at, s in self.history if at == time]


@lru_cache(maxsize=1_000)
def exponent_of(currency: str) -> int | None:
    """Return how many decimals a currency's minor unit has, or None for a currency that nobody can pay in."""
    try:
        exponent = Currency(currency).exponent
    except ValueError:
        return None
    return None if exponent is None else int(exponent)


@lru_cache(maxsize=1_000)
def is_zone(name: str) -> bool:
    """Return whether a time zone of this name is known."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def settings_are_bad(settings: Content) -> bool:
    """Return whether a settings record must be refused, whatever the account."""
    top_up = settings["automatic_top_up"] or {}
    positive = [top_up.get("amount_minor"), top_up.get("target_minor")]
    not_negative = [settings["overdraft_minor"], top_up.get("monthly_limit_minor")]
    return (
        exponent_of(settings["currency"]) is None
        or not is_zone(settings["zone"])
        or any(rate["rate"] < 0 for rate in settings["tax_rates"])
        or any(n is not None and n <= 0 for n in positive)
        or any(n is not None and n < 0 for n in not_negative)
    )


def settings_may_be_bad(settings: Content) -> bool:
    """Return whether the contract leaves open if settings are refused; then the dead letter decides."""
    top_up = settings["automatic_top_up"] or {}
    modes = [top_up.get(name) is not None for name in ("amount_minor", "target_minor")]
    numbers = [settings["warning_level_minor"], top_up.get("threshold_minor"), top_up.get("resumes")]
    amounts = [
        settings["overdraft_minor"],
        *(top_up.get(f"{n}_minor") for n in ("amount", "target")),
        *numbers,
    ]
    target = top_up.get("target_minor")
    moments = [rate["valid_from"] for rate in settings["tax_rates"]]
    return (
        settings_are_bad(settings)
        or settings["revision"] < 1
        or (bool(top_up) and sum(modes) != 1)
        or any(n is not None and n < 0 for n in numbers)
        or any(n is not None and n > limits.MOST_MINOR for n in amounts)
        or any(rate["rate"] > 10**12 for rate in settings["tax_rates"])
        or len(moments) > MOST_TAX_RATES
        or len(set(moments)) != len(moments)
        or limits.is_no_time(settings["changed_at"])
        or (target is not None and target < top_up["threshold_minor"])
        or (bool(top_up) and top_up["enabled"] and not top_up["payment_method_ref"])
    )
