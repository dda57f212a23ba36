"""What the rules need to have kept for them: one abstract class a kind of state. Holds no rule.

The engine implements them over a lane's tables, tests over dicts. Objects handed out are the live
ones: the rules change them in place and put() them back; put() must be cheap. All reads see all
earlier writes of the same lane, committed or not. Abstract classes rather than protocols, since a
compiled call of a method goes straight to it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from streams.domain.account import Account, Adjusted, LaneState, Payment, Waiting
from streams.domain.events import Price, Profile


class Accounts(ABC):
    """The lane's accounts, with an index by wake_at."""

    @abstractmethod
    def get(self, account_id: str) -> Account | None:
        """Return the live account, the same object until it is evicted after a commit."""

    @abstractmethod
    def put(self, account: Account) -> None:
        """Keep an account that is new, or of which more than a charge changed: its wake_at, for one."""

    @abstractmethod
    def due(self, time: int, limit: int) -> Sequence[str]:
        """Return at most `limit` account ids whose wake_at <= time, earliest first (then by id)."""


class Payments(ABC):
    """Payments, for ever."""

    @abstractmethod
    def get(self, account_id: str, payment_id: str) -> Payment | None: ...

    @abstractmethod
    def put(self, payment: Payment) -> None: ...


class Adjustments(ABC):
    """Adjustments, for ever."""

    @abstractmethod
    def get(self, account_id: str, adjustment_id: str) -> Adjusted | None: ...

    @abstractmethod
    def put(self, adjusted: Adjusted) -> None: ...


class Prices(ABC):
    """All price versions; few, in memory."""

    @abstractmethod
    def of(self, meter: str, currency: str) -> Sequence[Price]:
        """Return all versions, in any order."""

    @abstractmethod
    def put(self, price: Price) -> None: ...


class Profiles(ABC):
    """Personal data; its store is the account-profiles topic itself, never the lane's changelog."""

    @abstractmethod
    def get(self, account_id: str) -> Profile | None: ...

    @abstractmethod
    def put(self, account_id: str, profile: Profile) -> None: ...

    @abstractmethod
    def erase(self, account_id: str) -> None: ...


class Lane(ABC):
    """The one LaneState."""

    @abstractmethod
    def get(self) -> LaneState | None: ...

    @abstractmethod
    def put(self, state: LaneState) -> None: ...


class WaitingRows(ABC):
    """Events that wait for an account or a price; key: their number."""

    @abstractmethod
    def put(self, row: Waiting) -> None: ...

    @abstractmethod
    def delete(self, row: Waiting) -> None: ...

    @abstractmethod
    def of_account(self, account_id: str) -> Sequence[Waiting]:
        """Return an account's rows by number; the caller may delete while it walks."""

    @abstractmethod
    def of_meter(self, meter: str) -> Sequence[Waiting]:
        """Return the usage events of a meter by number; likewise."""

    @abstractmethod
    def all(self) -> Sequence[Waiting]:
        """Return all rows by number; likewise."""


class Seen(ABC):
    """Digests of usage events, each with a digest of its content."""

    @abstractmethod
    def get(self, digest: bytes) -> bytes | None: ...

    @abstractmethod
    def add(self, digest: bytes, content: bytes, occurred_at: int) -> None: ...

    @abstractmethod
    def discard(self, digest: bytes, occurred_at: int) -> None: ...

    @abstractmethod
    def forget(self, before: int) -> None:
        """Know no more of the days that ended before a moment; also told when a lane opens."""


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
