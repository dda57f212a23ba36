"""Plays a history against the rules and keeps, step by step, what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from schemas import wire
from streams.agents import accounts, states
from streams.domain.account import Account
from streams.domain.book import Book, Policy
from streams.domain.events import Event, PaymentEvent, PaymentKind, Tick
from streams.domain.outcomes import Outcome
from streams.domain.outputs import Output, TopUpCommand
from streams.domain.reasons import Rejected
from streams.domain.shelves import Shelves
from tests.laws.restart import Tables, published, restarted
from tests.unit.domain.build import (
    AccountDict,
    AdjustmentDict,
    PaymentDict,
    SeenDict,
    WaitingDict,
    dict_shelves,
    origin,
    policy,
)

POLICY: Policy = policy(manual_clock=False)
_ACCOUNT = wire.fixed().codec("state-account")


@dataclass(slots=True)
class Step:
    """One input and what it led to."""

    event: Event
    outcome: Outcome | Rejected
    said: list[Output]


class Play:
    """One lane over dicts. A tick's sweep belongs to its step."""

    def __init__(self) -> None:
        self.shelves: Shelves = dict_shelves()
        self.tables = Tables()
        self.book = Book(POLICY, self.shelves)
        self.steps: list[Step] = []
        self.months: dict[str, int] = {}
        """In which month of its account each command was made."""
        self.balances: dict[str, SimpleNamespace] = {}

    def send(self, event: Event) -> Step:
        """Apply one input; after a tick do all the work that it makes due."""
        outcome = self.book.apply(event)
        if type(event) is Tick:
            while self.book.work(100):
                pass
        return self._keep(event, outcome)

    def send_all(self, events: Iterable[Event]) -> None:
        """Apply a history."""
        for event in events:
            self.send(event)

    def restart(self) -> None:
        """Commit, stop, and go on from what was stored."""
        self.commit()
        self.shelves = restarted(self.shelves, self.tables)
        self.book = Book(POLICY, self.shelves)

    def commit(self) -> None:
        """Take the balances of a batch: of an account's only the last counts."""
        touched = self.book.touched()
        self.balances |= {account.account_id: published(account) for account in touched}
        assert isinstance(self.shelves.accounts, AccountDict)
        self.tables.commit(self.shelves.accounts, touched)

    def work(self, budget: int) -> bool:
        """Do a piece of a sweep as a part of the last step."""
        more = self.book.work(budget)
        self.steps[-1].said += self.book.outputs
        self.book.outputs.clear()
        return more

    def settle(self) -> None:
        """Let two ticks end what waits and mail what changed, and wake every account."""
        for _ in range(2):
            time = (self.book.time or 0) + 1
            self.send(Tick(time=time, origin=origin(time, "clock-ticks")))
        self.poke()

    def poke(self) -> None:
        """Wake every account as the next thing that touches it would: what is due is done then."""
        accounts = self.shelves.accounts
        assert isinstance(accounts, AccountDict)
        for account_id in accounts.rows:
            foreign = PaymentEvent(
                account_id=account_id,
                payment_id="poke",
                kind=PaymentKind.SUCCEEDED,
                amount_minor=1,
                currency="XXX",
                occurred_at=0,
                origin=origin(0, "payment-events"),
            )
            assert isinstance(self.send(foreign).outcome, Rejected)
            self.steps.pop()

    def state(self) -> dict[str, Any]:
        """Return all that the lane remembers, as records that share nothing with it."""
        shelves = self.shelves
        assert isinstance(shelves.accounts, AccountDict)
        assert isinstance(shelves.payments, PaymentDict)
        assert isinstance(shelves.adjustments, AdjustmentDict)
        assert isinstance(shelves.waiting, WaitingDict)
        assert isinstance(shelves.seen, SeenDict)
        lane = shelves.lane.get()
        return {
            "accounts": {k: _account(v) for k, v in shelves.accounts.rows.items()},
            "payments": {k: states.payment_record(v) for k, v in shelves.payments.rows.items()},
            "adjustments": {k: states.adjusted_record(v) for k, v in shelves.adjustments.rows.items()},
            "waiting": {k: states.waiting_record(v) for k, v in shelves.waiting.rows.items()},
            "lane": None if lane is None else states.lane_record(lane),
            "seen": dict(shelves.seen.rows),
        }

    def said(self) -> list[Output]:
        """Return all that was said, in order."""
        return [output for step in self.steps for output in step.said]

    def said_by_account(self) -> dict[str | None, list[Output]]:
        """Return what was said of each account, in order."""
        by_account: dict[str | None, list[Output]] = {}
        for step in self.steps:
            for output in step.said:
                by_account.setdefault(output.account_id, []).append(output)
        return by_account

    def _keep(self, event: Event, outcome: Outcome | Rejected) -> Step:
        said = self.book.outputs[:]
        self.book.outputs.clear()
        for output in said:
            if type(output) is TopUpCommand and output.command_id not in self.months:
                account = self.shelves.accounts.get(output.account_id)
                assert account is not None
                assert account.calendar is not None
                self.months[output.command_id] = account.calendar.month_of(output.made_at)
        step = Step(event, outcome, said)
        self.steps.append(step)
        return step


def played(events: Iterable[Event]) -> Play:
    """Return a history, played."""
    play = Play()
    play.send_all(events)
    return play


def _account(account: Account) -> Any:
    """Return an account's state; what was written of it before must be what would be written now."""
    before = published(account)
    account.said = account.last = None
    assert published(account) == before, account
    return _ACCOUNT.decode(_ACCOUNT.encode(accounts.account_values(account)))
