"""All that one lane knows, and the only door to the rules.

Events come in through apply(), time through apply(Tick) and work(); what the rules say is appended
to `outputs`. No clock, no I/O, no randomness: state and outputs are a function of the inputs.
"""

from typing import assert_never

from streams.domain import adjustments, closing, payments, pricing, settings, standing, usage, waiting
from streams.domain.account import NO_TIME, Account
from streams.domain.desk import Desk, Policy
from streams.domain.events import (
    AccountSettings,
    Adjustment,
    Event,
    PaymentEvent,
    PricePublished,
    ProfileChanged,
    ProfileErased,
    Tick,
    UsageEvent,
)
from streams.domain.outcomes import Outcome
from streams.domain.outputs import Output
from streams.domain.periods import in_range
from streams.domain.reasons import InvariantBroken, Reason, Rejected
from streams.domain.shelves import Shelves

__all__ = ["Book", "Outcome", "Policy"]

TICK_AHEAD_MS = 60_000
"""How far a tick may be ahead of the moment at which the broker wrote it."""


class Book:
    """One lane's rules over one lane's state."""

    def __init__(self, policy: Policy, shelves: Shelves) -> None:
        """The shelves hold the restored state; the book reads the lane's time and rate cards from them."""
        self._desk = Desk(policy, shelves)
        self._desk.seen.forget(self._desk.forget_before)
        waiting.restore(self._desk)
        self.outputs: list[Output] = self._desk.outputs
        """What was said, in order. The caller takes it and clears it (outputs.clear()) at each commit."""

    @property
    def time(self) -> int | None:
        """The lane's time: the latest tick acted on."""
        return self._desk.now

    @property
    def settled_applied(self) -> int:
        """How many events that had waited were applied, since the caller last set it to 0."""
        return self._desk.settled_applied

    @settled_applied.setter
    def settled_applied(self, count: int) -> None:
        self._desk.settled_applied = count

    @property
    def settled_dead(self) -> int:
        """How many events that had waited became dead letters, since the caller last set it to 0."""
        return self._desk.settled_dead

    @settled_dead.setter
    def settled_dead(self, count: int) -> None:
        self._desk.settled_dead = count

    def apply(self, event: Event) -> Outcome | Rejected:
        """Apply one input in the lane's order; bad input comes back as Rejected and changes nothing."""
        if isinstance(event, UsageEvent):  # the hot path
            outcome = usage.apply(self._desk, event)
            if self._desk.awaited and outcome is Outcome.APPLIED:
                account = self._account(event.account_id)
                assert account is not None
                waiting.follow(self._desk, account, event)
            return outcome
        match event:
            case PaymentEvent():
                return payments.flaw(self._desk, event) or self._on_account(event)
            case Adjustment():
                return adjustments.flaw(self._desk, event) or self._on_account(event)
            case AccountSettings():
                return self._settings(event)
            case ProfileChanged():
                self._account(event.account_id)  # due documents first: they carry the profile of before
                self._desk.shelves.profiles.put(event.account_id, event.profile)
                return Outcome.APPLIED
            case ProfileErased():
                self._account(event.account_id)
                self._desk.shelves.profiles.erase(event.account_id)
                return Outcome.APPLIED
            case PricePublished():
                return self._price(event)
            case Tick():
                return self._tick(event)
            case _:
                assert_never(event)

    def work(self, budget: int) -> bool:
        """Wake at most `budget` accounts for which something is due; return whether more are due."""
        desk = self._desk
        if desk.time == NO_TIME:
            return False
        for account_id in desk.accounts.due(desk.time, budget):
            account = self._account(account_id)
            if account is None or account.wake_at <= desk.time:
                raise InvariantBroken(f"account {account_id} was woken and is still due")
        return bool(desk.accounts.due(desk.time, 1))

    def touched(self) -> list[Account]:
        """Return every account touched since this was last asked: their balances are still to be said.

        They are the live ones: who reads them does so before anything else is applied.
        """
        return self._desk.take_touched()

    def _account(self, account_id: str) -> Account | None:
        """Return an account, awake: everything that is due at the lane's time has been done."""
        account = self._desk.accounts.get(account_id)
        if account is not None:
            if account.calendar is None:
                standing.prepare(self._desk, account)
            if account.due_at <= self._desk.time:
                closing.wake(self._desk, account)
        return account

    def _on_account(self, event: PaymentEvent | Adjustment) -> Outcome | Rejected:
        """Apply money to its account, or let it wait: for its account, a reversal for its usage event."""
        desk, account = self._desk, self._account(event.account_id)
        again = waiting.again(desk, event)  # what came too late for the tick that opened its account waits on
        if again is not None:
            return again
        if account is None:
            return waiting.hold(desk, event)
        if isinstance(event, PaymentEvent):
            return payments.apply(desk, account, event)
        outcome = adjustments.apply(desk, account, event)
        return waiting.hold(desk, event) if outcome is Outcome.WAITING else outcome

    def _settings(self, event: AccountSettings) -> Outcome | Rejected:
        flaw = settings.flaw(self._desk, event)
        if flaw is not None:
            return flaw
        outcome = settings.apply(self._desk, self._account(event.account_id), event)
        account = self._account(event.account_id)
        if outcome is Outcome.APPLIED and account is not None:
            waiting.retry_all(self._desk, account)
        return outcome

    def _price(self, event: PricePublished) -> Outcome | Rejected:
        """Take in a price version that was published in time.

        In time by its own record's Kafka timestamp, not by the lane's time: else a price published an hour
        ahead is late for a lane that was down, a late one is in time for a lane that works off a backlog,
        and the lanes' prices differ for good. (Where ticks are set by hand the broker's time is another
        time than that of the prices; there the lane's time decides.)
        """
        desk, price = self._desk, event.price
        flaw = pricing.flaw(price, desk.policy.minor_digits)
        if flaw is not None:
            return flaw
        for known in desk.shelves.prices.of(price.meter, price.currency):
            if known.version == price.version:
                if known == price:
                    return Outcome.DUPLICATE
                detail = f"version {price.version} was published with other content"
                return Rejected(reason=Reason.PRICE_CONFLICT, detail=detail)
        published_at = desk.time if desk.policy.manual_clock else event.origin.timestamp
        if not price.late and price.valid_from < published_at + pricing.NOTICE_MS:
            detail = f"valid from {price.valid_from}, published at {published_at}, and not marked as late"
            return Rejected(reason=Reason.LATE_PRICE, detail=detail)
        desk.add_price(price)
        for row in desk.shelves.waiting.of_meter(price.meter):
            account = self._account(row.event.account_id)
            if account is not None:
                waiting.retry(desk, account, row)
        return Outcome.APPLIED

    def _tick(self, event: Tick) -> Outcome | Rejected:
        """Act on a tick: settle what waited for it, move time and the forget line. work() does the rest."""
        desk = self._desk
        if not in_range(event.time):
            return Rejected(reason=Reason.OUT_OF_RANGE, detail=f"{event.time} is no usable time")
        ahead = event.time - event.origin.timestamp
        if ahead > TICK_AHEAD_MS and not desk.policy.manual_clock:
            detail = f"{ahead} ms ahead of the broker's clock"
            return Rejected(reason=Reason.TICK_AHEAD, detail=detail)
        if desk.time != NO_TIME and desk.accounts.due(desk.time, 1):
            raise InvariantBroken(
                "a tick was acted on while accounts were due at the one before: work() first"
            )
        before = desk.time
        desk.move_time(event.time)
        waiting.settle(desk, event, before)
        desk.forget_before = max(desk.forget_before, desk.time - desk.policy.max_age_ms)
        desk.seen.forget(desk.forget_before)
        desk.keep_lane()
        return Outcome.APPLIED
