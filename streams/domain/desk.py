"""Where the rules work: the policy, the shelves, the lane's time, and what was said since the last commit.

One per lane, shared by all rule modules; the caller sees only Book. Decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from streams.domain.account import NO_TIME, Account, LaneState, Waiting
from streams.domain.events import AccountEvent, Price
from streams.domain.outputs import DeadLetter, Notification, NotificationKind, Output, Party
from streams.domain.pricing import RateCard
from streams.domain.reasons import Rejected
from streams.domain.shelves import Shelves


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a deployment decides; the same for all of its lanes."""

    max_age_ms: int
    """How long after occurred_at usage can be charged and its id is remembered."""
    grace_ms: int
    """Between the end of a period and its close."""
    min_interval_ms: int
    """Between two attempts of an automatic top-up."""
    default_currency: str
    default_zone: str
    seller: Party
    minor_digits: Mapping[str, int]
    """Every currency that accounts may have, with the digits of its minor unit (at most 4)."""
    manual_clock: bool = False
    """Ticks may jump ahead (tests, demos)."""


class Desk:
    """Everything a rule may reach."""

    __slots__ = (
        "accounts",
        "awaited",
        "cards",
        "forget_before",
        "lane",
        "outputs",
        "policy",
        "round",
        "seen",
        "settled_applied",
        "settled_dead",
        "shelves",
        "time",
        "touched",
    )

    def __init__(self, policy: Policy, shelves: Shelves) -> None:
        self.policy = policy
        self.shelves = shelves
        self.accounts = shelves.accounts
        self.seen = shelves.seen
        self.lane = shelves.lane.get() or LaneState()
        self.time: int = NO_TIME if self.lane.time is None else self.lane.time
        """The lane's time; NO_TIME before its first tick."""
        self.forget_before: int = self.lane.forget_before
        self.cards: dict[str, dict[str, RateCard]] = {}
        """Rate cards read so far, by currency and meter."""
        self.awaited: dict[tuple[str, str, str], list[Waiting]] = {}
        """Reversals that wait for a usage event, by its account, source and id: in step with the shelf."""
        self.outputs: list[Output] = []
        self.touched: list[Account] = []
        """Accounts touched since the book was last asked for them; each knows it by `round`."""
        self.round: object = object()
        """Another one each time that `touched` begins anew."""
        self.settled_applied = 0
        self.settled_dead = 0

    @property
    def now(self) -> int | None:
        """The lane's time as records have it."""
        return None if self.time == NO_TIME else self.time

    def move_time(self, time: int) -> None:
        """Make this the lane's time; it never goes back."""
        self.time = max(self.time, time)

    def take_touched(self) -> list[Account]:
        """Return the accounts touched since this was last asked, and begin `touched` anew."""
        touched, self.touched = self.touched, []
        self.round = object()
        return touched

    def keep(self, account: Account) -> None:
        """Put back an account of which more than a charge changed."""
        self.touch(account)
        self.accounts.put(account)

    def touch(self, account: Account) -> None:
        """Have an account's balance said at the next commit."""
        account.as_of = self.time
        if account.touched is not self.round:
            account.touched = self.round
            self.touched.append(account)

    def keep_lane(self) -> None:
        """Put back the lane's state."""
        self.lane.time = self.now
        self.lane.forget_before = self.forget_before
        self.shelves.lane.put(self.lane)

    def card(self, meter: str, currency: str) -> RateCard | None:
        """Return a meter's rate card in a currency, read from the shelf at most once."""
        cards = self.cards_of(currency)
        card = cards.get(meter)
        if card is None:
            prices = self.shelves.prices.of(meter, currency)
            if prices:
                card = cards[meter] = RateCard(prices)
        return card

    def cards_of(self, currency: str) -> dict[str, RateCard]:
        """Return the rate cards of a currency that were read so far: one live dict."""
        cards = self.cards.get(currency)
        if cards is None:
            cards = self.cards[currency] = {}
        return cards

    def add_price(self, price: Price) -> None:
        """Keep a new price version."""
        self.shelves.prices.put(price)
        versions = self.shelves.prices.of(price.meter, price.currency)
        self.cards_of(price.currency)[price.meter] = RateCard(versions)

    def waiting(self, event: AccountEvent) -> Waiting:
        """Return a new place in the lane's order of waiting for an event."""
        self.lane.waited += 1
        self.keep_lane()
        return Waiting(self.lane.waited, event)

    def bury(self, event: AccountEvent, why: Rejected) -> None:
        """Make a dead letter of an event that waited."""
        self.settled_dead += 1
        self.outputs.append(
            DeadLetter(
                origin=event.origin,
                reason=why.reason,
                detail=why.detail,
                account_id=event.account_id,
                rejected_at=self.now,
            )
        )

    def notify(
        self, account: Account, kind: NotificationKind, cause: str, moment: int, details: dict[str, str]
    ) -> None:
        """Tell the customer once per cause; `moment` stands in for the lane's time before its first tick."""
        self.outputs.append(
            Notification(
                account_id=account.account_id,
                notification_id=f"{account.account_id}:{kind}:{cause}",
                kind=kind,
                created_at=moment if self.time == NO_TIME else self.time,
                details={"currency": account.currency, **details},
            )
        )
