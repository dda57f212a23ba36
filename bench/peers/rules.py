"""The billing rule over accounts held in a dict, shared by both raw loops and stock Faust's agent."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Self

from bench.peers import common
from bench.peers.common import PICO_PER_MINOR, PRICES_MICRO, RECENT, THRESHOLD, TOP_UP_MINOR, month_of


class Account:
    """One account's money, months and the event ids it remembers."""

    __slots__ = ("balance", "months", "pending", "recent", "sequence")

    def __init__(self) -> None:
        self.balance = 0
        self.pending = False
        self.sequence = 0
        self.recent: dict[str, None] = {}  # in order of arrival: a dict keeps order
        self.months: dict[str, dict[str, dict[str, int]]] = {}

    @classmethod
    def load(cls, r: common.Record) -> Self:
        """Return what dump() wrote."""
        a = cls()
        a.balance, a.pending, a.sequence = r["balance"], r["pending"], r["sequence"]
        a.recent, a.months = dict.fromkeys(r["recent"]), r["months"]
        return a

    def dump(self) -> common.Record:
        """Return a plain record."""
        return {
            "balance": self.balance,
            "pending": self.pending,
            "sequence": self.sequence,
            "recent": list(self.recent),
            "months": self.months,
        }


class Billing:
    """All accounts by partition. Money is exact on ints: no Decimal, no datetime."""

    def __init__(self) -> None:
        self.usage_schema = common.schema("usage", logical=False)
        self.payment_schema = common.schema("payment", logical=False)
        self.command_schema = common.schema("topup_command", logical=False)
        self.state_schema = common.schema("account_state")
        self.accounts: dict[int, dict[bytes, Account]] = defaultdict(dict)
        self.changed: dict[int, set[bytes]] = defaultdict(set)
        """Keys changed since the last commit, by partition."""
        self.out: list[tuple[bytes, bytes]] = []
        """Commands to send: key and value."""

    def usage(self, partition: int, key: bytes, value: bytes) -> None:
        """Charge a usage event once."""
        r = common.decode(self.usage_schema, value)
        account = self.account(partition, key)
        command = charge(account, r)
        if command is None:
            return
        self.changed[partition].add(key)
        if command:
            self.out.append((key, common.encode(self.command_schema, common.COMMAND_ID, command)))

    def payment(self, partition: int, key: bytes, value: bytes) -> None:
        """Book a payment event."""
        if book(self.account(partition, key), common.decode(self.payment_schema, value)):
            self.changed[partition].add(key)

    def account(self, partition: int, key: bytes) -> Account:
        """Return an account, a new one where there is none."""
        accounts = self.accounts[partition]
        account = accounts.get(key)
        if account is None:
            account = accounts[key] = Account()
        return account

    def changes(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield (partition, key, encoded state) of each account changed since the last call."""
        for partition, keys in self.changed.items():
            accounts = self.accounts[partition]
            for key in keys:
                state = accounts[key].dump()
                yield partition, key, common.encode(self.state_schema, common.STATE_ID, state)
            keys.clear()

    def restore(self, partition: int, key: bytes, value: bytes) -> None:
        """Take a value of the changelog."""
        self.accounts[partition][key] = Account.load(common.decode(self.state_schema, value))


def charge(account: Account, r: common.Record) -> dict[str, Any] | None:
    """Charge a usage record; return the command to send, {} for none, None for a duplicate."""
    event_id, recent = r["event_id"], account.recent
    if event_id in recent:
        return None
    recent[event_id] = None
    if len(recent) > RECENT:
        del recent[next(iter(recent))]
    meter = r["meter"]
    quantity = int.from_bytes(r["quantity"], "big", signed=True)
    amount = quantity * PRICES_MICRO[meter]
    at = r["occurred_at"]
    account.balance -= amount
    month = account.months.setdefault(month_of(at), {})
    total = month.get(meter)
    if total is None:
        month[meter] = {"quantity": quantity, "charge": amount}
    else:
        total["quantity"] += quantity
        total["charge"] += amount
    if account.balance >= THRESHOLD or account.pending:
        return {}
    account.pending = True
    account.sequence += 1
    account_id = r["account_id"]
    return {
        "command_id": f"topup-{account_id}-{account.sequence}",
        "account_id": account_id,
        "amount_minor": TOP_UP_MINOR,
        "currency": common.CURRENCY,
        "requested_at": at,
    }


def book(account: Account, r: common.Record) -> bool:
    """Book a payment record; False where it moves nothing."""
    status, amount = r["status"], r["amount_minor"] * PICO_PER_MINOR
    if status == "succeeded":
        account.balance += amount
        account.pending = False
    elif status == "refunded":
        account.balance -= amount
    return bool(status != "failed")
