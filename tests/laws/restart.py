"""A worker's end and its successor's start, without Kafka: state to Avro bytes and back into new objects."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from schemas import wire
from streams.agents import states
from streams.agents.balances import BalanceWriter
from streams.agents.shelves import AccountShelf
from streams.domain.account import Account
from streams.domain.shelves import Shelves
from streams.lanes.job import KeyedStore
from streams.lanes.spaces import MemorySpace
from streams.topics import BALANCES
from tests.batches import new_batch, take
from tests.unit.domain.build import (
    AccountDict,
    AdjustmentDict,
    LaneCell,
    PaymentDict,
    PriceList,
    ProfileDict,
    SeenDict,
    WaitingDict,
    dict_shelves,
)

_SCHEMAS = wire.fixed()
_WRITER = BalanceWriter(_SCHEMAS.codec("account-balance"))
_PAYMENT = _SCHEMAS.codec("state-payment")
_ADJUSTED = _SCHEMAS.codec("state-adjustment")
_LANE = _SCHEMAS.codec("state-lane")
_WAITING = _SCHEMAS.codec("state-waiting")
_PRICE = _SCHEMAS.codec("price")


def published(account: Account) -> SimpleNamespace:
    """Return an account's balance as its readers have it."""
    data = _WRITER.encode(account, account.account_id.encode())
    return SimpleNamespace(**_SCHEMAS.codec("account-balance").decode(data))


class Tables:
    """The two tables of a lane's accounts, which hold what was committed."""

    def __init__(self) -> None:
        self._stores = {name: KeyedStore(MemorySpace()) for name in (AccountShelf.STATES, BALANCES.name)}

    def shelf(self) -> AccountShelf:
        """Return the shelf that a worker has over them when it starts."""
        states, balances = self._stores.values()
        return AccountShelf(
            states, balances, _SCHEMAS.codec("state-account"), _SCHEMAS.codec("account-balance")
        )

    def commit(self, accounts: AccountDict, touched: list[Account]) -> None:
        """Write what a batch touched, as a lane does."""
        shelf, batch = self.shelf(), new_batch()
        for account in touched:
            shelf.put(accounts.rows[account.account_id])
        list(shelf.seal(touched, batch))
        take(batch, self._stores)


def restarted(old: Shelves, tables: Tables) -> Shelves:
    """Return shelves that hold what a restart would find: each object encoded and decoded again."""
    new = dict_shelves()
    assert isinstance(old.accounts, AccountDict)
    assert isinstance(old.payments, PaymentDict)
    assert isinstance(old.adjustments, AdjustmentDict)
    assert isinstance(old.prices, PriceList)
    assert isinstance(old.profiles, ProfileDict)
    assert isinstance(old.lane, LaneCell)
    assert isinstance(old.waiting, WaitingDict)
    assert isinstance(old.seen, SeenDict)
    accounts = tables.shelf()
    for account_id in old.accounts.rows:
        account = accounts.get(account_id)
        assert account is not None, f"{account_id} is in no table"
        new.accounts.put(account)
    for payment in old.payments.rows.values():
        new.payments.put(_again(_PAYMENT, states.payment_record, states.payment_of, payment))
    for adjusted in old.adjustments.rows.values():
        new.adjustments.put(_again(_ADJUSTED, states.adjusted_record, states.adjusted_of, adjusted))
    for price in old.prices.rows:
        new.prices.put(_again(_PRICE, states.price_record, states.price_of, price))
    for row in old.waiting.rows.values():
        new.waiting.put(_again(_WAITING, states.waiting_record, states.waiting_of, row))
    if old.lane.state is not None:
        new.lane.put(_again(_LANE, states.lane_record, states.lane_of, old.lane.state))
    for account_id, profile in old.profiles.rows.items():
        new.profiles.put(account_id, profile)  # their topic holds them, not the lane
    for digest, (content, occurred_at) in old.seen.rows.items():
        new.seen.add(digest, content, occurred_at)
    return new


def _again(codec: wire.Codec, write: Callable[[Any], Any], read: Callable[[Any], Any], value: Any) -> Any:
    return read(codec.decode(codec.encode(write(value))))
