"""All that one lane knows, and the only door to the rules.

Events come in through apply(), time through apply(Tick) and work(); what the rules say is appended
to `outputs`. No clock, no I/O, no randomness: state and outputs are a function of the inputs.
"""

from collections import Counter
from typing import assert_never

from streams.domain import adjustments, closing, opening, payments, pricing, settings, standing, usage
from streams.domain.account import NO_TIME, Account, Waiting
from streams.domain.desk import Desk, Policy
from streams.domain.events import (
    AccountEvent,
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
from streams.domain.outputs import AccountBalance, OpenPeriod, Output
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
        self.outputs: list[Output] = self._desk.outputs
        """What was said, in order. The caller takes it and clears it (outputs.clear()) at each commit."""

    @property
    def time(self) -> int | None:
        """The lane's time: the latest tick acted on."""
        return self._desk.now

    @property
    def decisions(self) -> Counter[str]:
        """Top-up decisions that changed, by reason, since the caller cleared it."""
        return self._desk.decisions

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
        if type(event) is UsageEvent:  # the hot path
            return usage.apply(self._desk, event)
        match event:
            case UsageEvent():
                return usage.apply(self._desk, event)
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

    def balances(self) -> list[AccountBalance]:
        """Return the latest balance of every account touched since this was last asked: once per commit."""
        changed, self._desk.changed = self._desk.changed, {}
        return [self._balance(account) for account in changed.values()]

    def _balance(self, account: Account) -> AccountBalance:
        opening_balance, periods = account.opening, []
        for month in sorted(account.periods):
            period = account.periods[month]
            periods.append(
                OpenPeriod(
                    period=month,
                    opening=opening_balance,
                    received=period.received,
                    charges=period.charges,
                    tax=period.tax,
                )
            )
            opening_balance += period.received - period.charges - period.tax
        pending = account.top_up.pending
        return AccountBalance(
            account_id=account.account_id,
            currency=account.currency,
            balance=account.balance,
            status=account.status,
            entries=account.entries,
            open_periods=tuple(periods),
            top_up=account.top_up.decision,
            pending_minor=pending.amount_minor if pending else None,
            as_of=self._desk.now,
        )

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
        """Apply money to its account, or let it wait for one."""
        account = self._account(event.account_id)
        if account is not None:
            return _apply_money(self._desk, account, event)
        for row in self._desk.shelves.waiting.of_account(event.account_id):
            again = _again(row.event, event)
            if again is not None:
                return again
        self._desk.shelves.waiting.put(self._desk.waiting(event))
        return Outcome.WAITING

    def _settings(self, event: AccountSettings) -> Outcome | Rejected:
        flaw = settings.flaw(self._desk, event)
        if flaw is not None:
            return flaw
        outcome = settings.apply(self._desk, self._account(event.account_id), event)
        if outcome is Outcome.APPLIED:
            for row in self._desk.shelves.waiting.of_account(event.account_id):
                self._retry(row)
        return outcome

    def _price(self, event: PricePublished) -> Outcome | Rejected:
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
        if not price.late and price.valid_from < desk.time + pricing.NOTICE_MS:
            detail = f"valid from {price.valid_from}, read at {desk.time}, and not marked as late"
            return Rejected(reason=Reason.LATE_PRICE, detail=detail)
        desk.add_price(price)
        for row in desk.shelves.waiting.of_meter(price.meter):
            self._retry(row)
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
        before, desk.time = desk.time, max(desk.time, event.time)
        for row in desk.shelves.waiting.all():
            if event.covers(row.event.origin):
                self._settle(row, before)
        desk.forget_before = max(desk.forget_before, desk.time - desk.policy.max_age_ms)
        desk.seen.forget(desk.forget_before)
        desk.keep_lane()
        return Outcome.APPLIED

    def _retry(self, row: Waiting) -> None:
        """Apply a waiting event whose account or price may have come; else it waits on."""
        account = self._account(row.event.account_id)
        if account is not None:
            self._end(row, _apply_waiting(self._desk, account, row.event))

    def _settle(self, row: Waiting, before: int) -> None:
        """End the waiting of an event: open its account by default, or make it a dead letter.

        Its account is opened as of the tick before, so that usage that was waiting when this tick
        was read still finds its month open.
        """
        desk, event = self._desk, row.event
        account = desk.accounts.get(event.account_id)
        if account is None:
            hopeless = self._without_account(event)
            if hopeless is not None:
                self._end(row, hopeless)
                return
            account = opening.open_by_default(desk, event.account_id, before)
        elif account.calendar is None:
            standing.prepare(desk, account)
        outcome = _apply_waiting(desk, account, event)
        if outcome is None:
            outcome = Rejected(reason=Reason.NO_PRICE, detail=f"no price in {account.currency} came in time")
        self._end(row, outcome)

    def _without_account(self, event: AccountEvent) -> Rejected | None:
        """Return why an event cannot even open an account by default, or None."""
        currency = self._desk.policy.default_currency
        if isinstance(event, UsageEvent):
            card = self._desk.card(event.meter, currency)
            if card is None or card.at(event.occurred_at) is None:
                return Rejected(reason=Reason.NO_PRICE, detail=f"no account, and no price in {currency}")
        elif event.currency != currency:
            detail = f"no account, and {event.currency} is not the default currency {currency}"
            return Rejected(reason=Reason.CURRENCY_MISMATCH, detail=detail)
        return None

    def _end(self, row: Waiting, outcome: Outcome | Rejected | None) -> None:
        """Take a waiting event off its shelf, unless it waits on (None)."""
        desk = self._desk
        if outcome is None:
            return
        desk.shelves.waiting.delete(row)
        if isinstance(outcome, Rejected):
            if isinstance(row.event, UsageEvent):
                usage.forget(desk, row.event)
            desk.bury(row.event, outcome)
        elif outcome is not Outcome.WAITING:  # one that waits on in its payment is settled there
            desk.settled_applied += 1


def _apply_money(desk: Desk, account: Account, event: PaymentEvent | Adjustment) -> Outcome | Rejected:
    if isinstance(event, PaymentEvent):
        return payments.apply(desk, account, event)
    return adjustments.apply(desk, account, event)


def _apply_waiting(desk: Desk, account: Account, event: AccountEvent) -> Outcome | Rejected | None:
    """Apply an event that waited; None: it still has no price."""
    if not isinstance(event, UsageEvent):
        return _apply_money(desk, account, event)
    card = desk.card(event.meter, account.currency)
    if card is None:
        return None
    refused = usage.charge(desk, account, event, card)
    if refused is None:
        return Outcome.APPLIED
    return None if refused.reason is Reason.NO_PRICE else refused


def _again(known: AccountEvent, event: PaymentEvent | Adjustment) -> Outcome | Rejected | None:
    """Return what an event is where this one waits already: duplicate, conflict, or None: another."""
    if isinstance(known, PaymentEvent) and isinstance(event, PaymentEvent):
        return Outcome.DUPLICATE if payments.same(known, event) else None
    if isinstance(known, Adjustment) and isinstance(event, Adjustment):
        same = known.adjustment_id == event.adjustment_id
        return adjustments.again(adjustments.content(known), event) if same else None
    return None
