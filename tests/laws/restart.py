"""A worker's end and its successor's start, without Kafka: state to Avro bytes and back into new objects."""

from collections.abc import Callable
from typing import Any

from schemas import wire
from streams.agents import accounts, states
from streams.domain.shelves import Shelves
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
_ACCOUNT = _SCHEMAS.codec("state-account")
_ACCOUNTS = accounts.AccountRecords(_ACCOUNT.fields)
_PAYMENT = _SCHEMAS.codec("state-payment")
_ADJUSTED = _SCHEMAS.codec("state-adjustment")
_LANE = _SCHEMAS.codec("state-lane")
_WAITING = _SCHEMAS.codec("state-waiting")
_PRICE = _SCHEMAS.codec("price")


def restarted(old: Shelves) -> Shelves:
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
    for account in old.accounts.rows.values():
        new.accounts.put(accounts.account_of(_ACCOUNT.values(_ACCOUNT.encode(_ACCOUNTS.values(account)))))
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
