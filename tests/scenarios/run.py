"""Plays a scenario against the rules and says where they differ from its table.

Beside each row's own words the runner checks at every step what must hold always: ledger numbers
without gap, each balance from the one before, an output for every change of status and of the decision to
top up or not, and that a command sent again is the same.
"""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace

from streams.domain.account import Account
from streams.domain.book import Book, Policy
from streams.domain.events import Event
from streams.domain.outcomes import Outcome
from streams.domain.outputs import (
    CommandKind,
    LedgerEntry,
    Output,
    Party,
    Status,
    StatusChanged,
    TopUpCommand,
    TopUpDecided,
)
from streams.domain.reasons import Rejected
from streams.domain.shelves import Shelves
from tests.laws.restart import Tables, published, restarted
from tests.scenarios import said, steps
from tests.scenarios.table import Row, Scenario
from tests.scenarios.values import TIME, moment, shown, shown_minor
from tests.unit.domain.build import DAY, HOUR, MINUTE, AccountDict, dict_shelves

DIGITS = {"USD": 2, "EUR": 2, "JPY": 0, "KWD": 3}
_UNITS = {"minutes": MINUTE, "hours": HOUR, "days": DAY, "minute": MINUTE, "hour": HOUR, "day": DAY}


@dataclass(slots=True)
class Said:
    """What accounts have been told so far, for the checks of every step."""

    numbers: Counter[str] = field(default_factory=Counter)
    balances: Counter[str] = field(default_factory=Counter)
    statuses: dict[str, Status] = field(default_factory=dict)
    decisions: dict[str, str] = field(default_factory=dict)
    commands: dict[tuple[str, CommandKind], TopUpCommand] = field(default_factory=dict)


class Player:
    """One lane, its clock and the table's words."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.policy = _policy(scenario, scenario.deployment)
        self.shelves: Shelves = dict_shelves()
        self.tables = Tables()
        self.book = Book(self.policy, self.shelves)
        self.context = steps.Context(currency=self.policy.default_currency, digits=dict(DIGITS))
        self.told = Said()
        self.balances: dict[str, SimpleNamespace] = {}
        """The latest balance record of each account, as gateways see it."""

    def play(self, row: Row) -> None:
        """Do one step and compare it with its row; raises TableError on words, AssertionError on results."""
        scenario, context = self.scenario, self.context
        self._read_clock(row)
        try:
            actions = steps.read(row.what, context)
        except ValueError as error:
            raise scenario.error(row.line, str(error)) from None
        outputs: list[Output] = []
        outcome: Outcome | Rejected | None = None
        for action in actions:
            outcome = self._do(action) or outcome
            outputs += self.book.outputs
            self.book.outputs.clear()
        self._compare(row, outcome, outputs)

    def _do(self, action: steps.Action) -> Outcome | Rejected | None:
        match action:
            case steps.Look():
                return None
            case steps.Restart(deployment):
                self._commit()
                if deployment:
                    self.policy = _policy(self.scenario, deployment)
                self.shelves = restarted(self.shelves, self.tables)
                self.book = Book(self.policy, self.shelves)
                return None
            case steps.Sweep(accounts):
                if accounts is not None:
                    self.book.work(accounts)
                while accounts is None and self.book.work(1):
                    pass
                return None
            case _:
                event: Event = action
                return self.book.apply(event)

    def _commit(self) -> None:
        """Take the balances that the end of a batch would put out."""
        touched = self.book.touched()
        self.balances |= {account.account_id: published(account) for account in touched}
        assert isinstance(self.shelves.accounts, AccountDict)
        self.tables.commit(self.shelves.accounts, touched)

    def _read_clock(self, row: Row) -> None:
        try:
            now = moment(row.when) if row.when else self.context.now
        except ValueError:
            raise self.scenario.error(row.line, f"{row.when!r} is no moment: {TIME}") from None
        if now == 0:
            raise self.scenario.error(row.line, "the first step says when it happens")
        if now < self.context.now:
            raise self.scenario.error(row.line, f"{row.when} is before the step above")
        self.context.now = now

    def _compare(self, row: Row, outcome: Outcome | Rejected | None, outputs: list[Output]) -> None:
        context, expected = self.context, list(row.outputs)
        self._commit()
        problems = self._check(outputs)
        got = said.words(outputs, DIGITS.__getitem__, expected)
        if isinstance(outcome, Rejected):
            got.append(f"dead letter {outcome.reason}")
        elif outcome is Outcome.DUPLICATE:
            got.append("duplicate")
        elif outcome is Outcome.WAITING:
            got.append("waits")
        account = self.shelves.accounts.get(context.account)
        if account is not None:
            got += _shown_balance(self.balances[context.account], expected)
        missing, extra = Counter(expected) - Counter(got), Counter(got) - Counter(expected)
        problems += [f"missing: {item}" for item in missing.elements()]
        problems += [f"not expected: {item}" for item in extra.elements()]
        problems += self._stands(row, account)
        if problems:
            place = f"{self.scenario.path.name}:{row.line}: {row.what}"
            raise AssertionError("\n  ".join([place, *problems]))

    def _stands(self, row: Row, account: Account | None) -> list[str]:
        """Compare the balance and status of the account that the step named."""
        if account is None:
            return [] if (row.balance, row.status) == ("-", "-") else ["there is no account yet"]
        problems = []
        digits = DIGITS[account.currency]
        try:
            same = Decimal(row.balance).scaleb(12) == account.balance
        except ArithmeticError:
            raise self.scenario.error(row.line, f"{row.balance!r} is no balance") from None
        if not same:
            problems.append(f"balance {shown(account.balance, digits)} instead of {row.balance}")
        if account.status != row.status:
            problems.append(f"status {account.status} instead of {row.status}")
        return problems

    def _check(self, outputs: list[Output]) -> list[str]:
        """Check what must hold at every step, whatever the table says."""
        told, problems = self.told, []
        for output in outputs:
            match output:
                case LedgerEntry():
                    who = output.account_id
                    told.numbers[who] += 1
                    told.balances[who] += output.amount
                    if output.number != told.numbers[who] or output.balance_after != told.balances[who]:
                        problems.append(f"entry {output.number} does not follow from the one before")
                case StatusChanged():
                    if told.statuses.get(output.account_id) is output.status:
                        problems.append(f"status {output.status} was said twice")
                    told.statuses[output.account_id] = output.status
                case TopUpDecided():
                    if told.decisions.get(output.account_id) == output.decision:
                        problems.append(f"decision {output.decision} was said twice")
                    told.decisions[output.account_id] = output.decision
                case TopUpCommand():
                    before = told.commands.setdefault((output.command_id, output.kind), output)
                    if before != output:
                        problems.append(f"command {output.command_id} was sent again with other content")
                    self.context.commands[output.command_id] = output.amount_minor
                case _:
                    pass
        accounts = self.shelves.accounts
        assert isinstance(accounts, AccountDict)
        for account_id, account in accounts.rows.items():
            if told.statuses.get(account_id) is not account.status:
                problems.append(f"account {account_id} became {account.status} and nothing said so")
            if account.balance != told.balances[account_id]:
                problems.append(f"the balance of {account_id} is not the sum of its entries")
            if told.decisions.get(account_id, "off") != account.top_up.decision:
                problems.append(f"{account_id}: {account.top_up.decision} was decided and nothing said so")
            latest = self.balances[account_id]
            if (latest.balance, latest.status) != (account.balance, account.status):
                problems.append(f"the balance record of {account_id} is not up to date")
        return problems


def play(scenario: Scenario) -> None:
    """Play a scenario from its first row to its last."""
    player = Player(scenario)
    for row in scenario.rows:
        player.play(row)


def _shown_balance(balance: SimpleNamespace, expected: list[str]) -> list[str]:
    """Return what an account's balance record says, of what a step asks for."""
    digits, said = DIGITS[balance.currency], []
    if any(item.startswith("reason ") for item in expected):
        said.append(f"reason {balance.top_up}")
    if any(item.startswith("refundable ") for item in expected):
        left = balance.refundable_minor
        said.append(f"refundable {'nothing' if left is None else shown_minor(left, digits)}")
    if any(item.startswith("opened by ") for item in expected):
        said.append("opened by default" if balance.by_default else "opened by settings")
    return said


def _policy(scenario: Scenario, deployment: str) -> Policy:
    """Return the deployment of a scenario: USD, UTC and production rules unless it says otherwise."""
    settings: dict[str, object] = {
        "max_age_ms": 35 * DAY,
        "grace_ms": HOUR,
        "min_interval_ms": 5 * MINUTE,
        "default_currency": "USD",
        "default_zone": "UTC",
        "manual_clock": False,
    }
    for item in filter(None, deployment.split(", ")):
        name, _, value = item.partition(" ")
        match name, value.split():
            case "manual", ["clock"]:
                settings["manual_clock"] = True
            case "currency", [currency] if currency in DIGITS:
                settings["default_currency"] = currency
            case "zone", [zone]:
                settings["default_zone"] = zone
            case (("grace" | "max_age" | "min_interval"), [number, unit]) if unit in _UNITS:
                settings[f"{name}_ms"] = int(number) * _UNITS[unit]
            case _:
                raise scenario.error(scenario.line + 1, f"a deployment has no {item!r} (README.md)")
    seller = Party(name="Seller", address=("1 Way",), country="US", tax_id="S1")
    return Policy(seller=seller, minor_digits=DIGITS, **settings)  # type: ignore[arg-type]
