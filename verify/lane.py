"""What the check knows while it replays one lane: time, accounts, ids, what waits, what it expects.

Owns the bookkeeping of decisions; the decisions themselves are in replay.py, usage.py and money.py.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.wire import Record
from streams.settings import Settings
from verify.accounts import Account, Money
from verify.rates import Rates
from verify.report import Place

DAY_MS = 86_400_000
OUTCOMES = ("applied", "waiting", "duplicate", "dead")
SETTLED = ("settled_applied", "settled_dead")

UsageKey = tuple[str, str, str]


@dataclass(slots=True)
class Use:
    """One usage event that was accepted: what it is, and the charge that it must have."""

    offset: int
    partition: int
    account_id: str
    source: str
    event_id: str
    meter: str
    quantity: int
    occurred_at: int
    uncertain: bool = False
    """True where removed events may have decided otherwise: it may be a duplicate of one of them."""
    time_unsure: bool = False
    """True where it is not known when, and so perhaps in which period, it was booked."""
    charged: bool = False
    version: int | None = None
    tax_rate: int | None = None
    booked_at: int | None = None
    billed: tuple[int, int] = (0, 0)
    """Its month and its period."""
    after_close: bool = False
    """True where its account had been closed."""
    reversed_by: str | None = None
    earlier: "Use | None" = None
    """An event under the same id that the lane had forgotten before this one."""

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place("usage-events", self.partition, self.offset)

    @property
    def content(self) -> tuple[str, int, int]:
        """What must be the same for a second copy to be a duplicate."""
        return (self.meter, self.quantity, self.occurred_at)


@dataclass(slots=True)
class Tally:
    """What became of one commit's records: at least so many, and so many more that may count so."""

    place: Place
    fixed: Counter[str] = field(default_factory=Counter)
    extra: Counter[str] = field(default_factory=Counter)
    retained: int = 0
    """Records of its runs that can still be read."""
    absent: int = 0
    """Records of its runs that retention or compaction may have removed, at most."""
    ticks: list[int] = field(default_factory=list)
    """Times of the ticks acted on."""
    stale_ticks: list[int] = field(default_factory=list)
    """Times of ticks that were not ahead of the lane's time."""


@dataclass(slots=True)
class Lane:
    """One lane as its inputs, in the order of its journal, made it."""

    number: int
    settings: Settings
    dead_letters: Mapping[Place, frozenset[str]]
    """Reasons of the dead letters found, by their original's place. Asked only where the contract is open."""
    usage_head_removed: bool = False
    time: int | None = None
    periods_at: int | None = None
    """The time that tells which periods are open: while a tick settles what waited, still the one before."""
    time_unsure: bool = False
    """True within a commit of which ticks were removed, so that not all its times are known."""
    forget_line: int | None = None
    acted: list[int] = field(default_factory=list)
    """The times of all ticks acted on: rising."""
    accounts: dict[str, Account] = field(default_factory=dict)
    rates: Rates = field(default_factory=Rates)
    uses: dict[UsageKey, Use] = field(default_factory=dict)
    money: list[Money] = field(default_factory=list)
    """Payments and adjustments that were applied."""
    seen_money: dict[tuple[str, ...], Money] = field(default_factory=dict)
    """By what names a payment event or adjustment for ever."""
    waiting: dict[str, list[Use | Money]] = field(default_factory=dict)
    """What has no account or no price yet, by account."""
    held: dict[str, list[Money]] = field(default_factory=dict)
    """Refunds, disputes and returns before their payment, by account."""
    outcomes: dict[str, list[tuple[str, int | None]]] = field(default_factory=dict)
    """By command id, the kinds of payment events that answered it, with the lane's time."""
    expected_dead: dict[Place, frozenset[str]] = field(default_factory=dict)
    """Inputs that must be dead letters, with the reasons that are right."""
    profiles: dict[str, list[tuple[int | None, Record | None]]] = field(default_factory=dict)
    """Every profile of an account that was applied, None where it was erased, with the lane's time then."""
    profiles_removed: bool = False
    """True where compaction took profiles away, so that not all that were in force are known."""
    folded: dict[str, int] = field(default_factory=dict)
    """Offset after the last that was folded, by input topic."""
    stood: dict[str, int] = field(default_factory=dict)
    """Where the other inputs ended when the ticks of this commit were read, by topic, as its journal says."""
    tally: Tally = field(default_factory=lambda: Tally(Place("lane-journal", 0, 0)))
    tallies: list[Tally] = field(default_factory=list)

    @property
    def grace_ms(self) -> int:
        """Between the end of a period and its close."""
        return self.settings.grace_minutes * 60_000

    def saw_dead(self, place: Place, *reasons: str) -> bool:
        """Return whether an input was found as a dead letter for one of these reasons."""
        return not self.dead_letters.get(place, frozenset()).isdisjoint(reasons)

    def stood_before_tick(self, item: Use | Money) -> bool:
        """Return whether an item stood in its input when the tick that is acted on was read."""
        place = item.place
        return place.topic not in self.stood or place.offset < self.stood[place.topic]

    def applied(self) -> None:
        """Count a record that took effect."""
        self.tally.fixed["applied"] += 1

    def duplicate(self) -> None:
        """Count a record that had been applied before."""
        self.tally.fixed["duplicate"] += 1

    def either(self, *outcomes: str) -> None:
        """Count a record where the contract does not tell which of these it is."""
        self.tally.extra.update(outcomes)

    def dead(self, place: Place, *reasons: str) -> None:
        """Expect a dead letter for one of these reasons."""
        self.tally.fixed["dead"] += 1
        self.expected_dead[place] = frozenset(reasons)

    def wait(self, item: Use | Money, among: dict[str, list[Use | Money]] | dict[str, list[Money]]) -> None:
        """Let a record wait with its account."""
        self.tally.fixed["waiting"] += 1
        among.setdefault(item.account_id, []).append(item)  # type: ignore[arg-type]

    def settled(self, item: Use | Money, *reasons: str) -> None:
        """Count a waiting record that took effect, or with reasons one that became a dead letter."""
        self.tally.fixed["settled_dead" if reasons else "settled_applied"] += 1
        if reasons:
            self.expected_dead[item.place] = frozenset(reasons)

    def open_account(self, account_id: str) -> Account:
        """Return an account, opened with the deployment's defaults where it is not known."""
        account = self.accounts.get(account_id)
        if account is None:
            account = Account(account_id, self.settings.default_currency)
            self.set_zone(account, self.settings.default_zone)
            self.accounts[account_id] = account
        return account

    def set_zone(self, account: Account, zone: str, made_at: int = 0) -> None:
        """Give an account a zone, from the period on that follows the one in which the change was made."""
        account.zones.change(zone, made_at=made_at, time=self.time, grace_ms=self.grace_ms)

    def pass_time(self, time: int) -> None:
        """Move the lane's time; it never goes back."""
        self.time = time
        self.acted.append(time)

    def forget(self, time: int) -> None:
        """Move the forget line to where a tick puts it; it never goes back."""
        line = time - self.settings.max_age_days * DAY_MS
        self.forget_line = line if self.forget_line is None else max(line, self.forget_line)

    def is_forgotten(self, occurred_at: int) -> bool:
        """Return whether a moment lies before the forget line."""
        return self.forget_line is not None and occurred_at < self.forget_line
