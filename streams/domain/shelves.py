"""What the rules need to have kept for them: one Protocol a kind of state. Holds no rule.

The engine implements them over a lane's tables, tests over dicts. Objects handed out are the live
ones: the rules change them in place and put() them back; put() must be cheap. All reads see all
earlier writes of the same lane, committed or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.domain.account import Account, Adjusted, LaneState, Payment, Waiting
from streams.domain.events import Price, Profile


class Accounts(Protocol):
    """The lane's accounts, with an index by wake_at."""

    def get(self, account_id: str) -> Account | None:
        """Return the live account, the same object until it is evicted after a commit."""

    def put(self, account: Account) -> None:
        """Keep an account that changed; its wake_at may have changed too."""

    def due(self, time: int, limit: int) -> Sequence[str]:
        """Return at most `limit` account ids whose wake_at <= time, earliest first (then by id)."""


class Payments(Protocol):
    """Payments, for ever."""

    def get(self, account_id: str, payment_id: str) -> Payment | None: ...

    def put(self, payment: Payment) -> None: ...


class Adjustments(Protocol):
    """Adjustments, for ever."""

    def get(self, account_id: str, adjustment_id: str) -> Adjusted | None: ...

    def put(self, adjusted: Adjusted) -> None: ...


class Prices(Protocol):
    """All price versions; few, in memory."""

    def of(self, meter: str, currency: str) -> Sequence[Price]:
        """Return all versions, in any order."""

    def put(self, price: Price) -> None: ...


class Profiles(Protocol):
    """Personal data; its store is the account-profiles topic itself, never the lane's changelog."""

    def get(self, account_id: str) -> Profile | None: ...

    def put(self, account_id: str, profile: Profile) -> None: ...

    def erase(self, account_id: str) -> None: ...


class Lane(Protocol):
    """The one LaneState."""

    def get(self) -> LaneState | None: ...

    def put(self, state: LaneState) -> None: ...


class WaitingRows(Protocol):
    """Events that wait for an account or a price; key: their number."""

    def put(self, row: Waiting) -> None: ...

    def delete(self, row: Waiting) -> None: ...

    def of_account(self, account_id: str) -> Sequence[Waiting]:
        """Return an account's rows by number; the caller may delete while it walks."""

    def of_meter(self, meter: str) -> Sequence[Waiting]:
        """Return the usage events of a meter by number; likewise."""

    def all(self) -> Sequence[Waiting]:
        """Return all rows by number; likewise."""


class Seen(Protocol):
    """Digests of usage events, each with a digest of its content."""

    def get(self, digest: bytes) -> bytes | None: ...

    def add(self, digest: bytes, content: bytes, occurred_at: int) -> None: ...

    def discard(self, digest: bytes, occurred_at: int) -> None: ...

    def forget(self, before: int) -> None:
        """Drop what occurred before a moment."""


@dataclass(slots=True, kw_only=True)
class Shelves:
    """All that one lane has kept."""

    accounts: Accounts
    payments: Payments
    adjustments: Adjustments
    prices: Prices
    profiles: Profiles
    lane: Lane
    waiting: WaitingRows
    seen: Seen
