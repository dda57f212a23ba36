"""The rules' shelves over a lane's tables: decoded objects cached, changed ones encoded once a commit.

Every shelf reads its own uncommitted writes; seal() puts them into the batch, committed() starts anew.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from schemas.wire import Codec, Record, Schemas, WireError
from streams.agents import events, states
from streams.agents.accounts import account_of, account_values
from streams.agents.balances import BalanceWriter, catch_up
from streams.agents.bounded import thin
from streams.agents.wakes import Wakes
from streams.domain import shelves
from streams.domain.account import Account, Adjusted, LaneState, Payment, Waiting
from streams.domain.events import Price, Profile
from streams.domain.reasons import InvariantBroken
from streams.lanes.job import Batch, KeyedStore
from streams.lanes.spaces import Place, Space
from streams.topics import BALANCES

Key = TypeVar("Key")
Value = TypeVar("Value")
CACHED = 50_000
"""Decoded objects that a shelf keeps at most between commits, accounts apart."""
SEALED_AT_ONCE = 100
"""Values that are encoded in one part."""
NUMBER = struct.Struct(">Q")


class Cabinet(Generic[Key, Value]):
    """One table of decoded values, by what names one in the rules; `key_of` gives its key in the table."""

    def __init__(
        self,
        table: str,
        store: KeyedStore,
        codec: Codec,
        *,
        key_of: Callable[[Key], bytes],
        read: Callable[[Any], Value],
        write: Callable[[Value], Record],
        most: int = CACHED,
    ) -> None:
        self._table = table
        self._store = store
        self._codec = codec
        self._key_of = key_of
        self._read = read
        self._write = write
        self._most = most
        self.at_hand: dict[Key, Value] = {}
        """Live objects: of the batch under way all, of those before as many as are kept."""
        self.changed: dict[Key, Value | None] = {}
        """What the batch under way has changed and not encoded yet; None: deleted."""

    def get(self, name: Key) -> Value | None:
        """Return the live object of a name."""
        value = self.at_hand.get(name)
        if value is not None:
            return value
        if name in self.changed:
            return self.changed[name]
        stored = self._store.get(self._key_of(name))
        if stored is None:
            return None
        value = self.at_hand[name] = self._decode(stored)
        return value

    def put(self, name: Key, value: Value) -> None:
        """Keep a changed object."""
        self.changed[name] = self.at_hand[name] = value

    def delete(self, name: Key) -> None:
        """Remove a name."""
        self.at_hand.pop(name, None)
        self.changed[name] = None

    def stored(self) -> Iterator[tuple[bytes, Value]]:
        """Return every committed object by its key in the table, decoded anew."""
        return ((key, self._decode(value)) for key, value in self._store.items())

    def seal(self, batch: Batch) -> Iterator[None]:
        """Encode what changed into the batch, in parts."""
        encode, write = self._codec.encode, self._write
        for number, (name, value) in enumerate(self.changed.items(), 1):
            batch.write(self._table, self._key_of(name), None if value is None else encode(write(value)))
            if not number % SEALED_AT_ONCE:
                yield

    def committed(self) -> None:
        """Start the next batch; what is at hand keeps to its bound."""
        self.changed.clear()
        thin(self.at_hand, self._most)

    def _decode(self, stored: bytes) -> Value:
        return self._read(self._codec.version_of(stored).decode(stored))


class AccountShelf(shelves.Accounts):
    """Accounts by id, indexed by wake_at.

    Two tables hold them: the state, written where more than a charge changed it, and the balance, written
    each time, which has what charges changed since.
    """

    STATES: ClassVar = "accounts"

    def __init__(
        self,
        states: KeyedStore,
        balances: KeyedStore,
        state: Codec,
        balance: Codec,
        most: int = CACHED,
    ) -> None:
        """`most`: accounts that are kept decoded between commits."""
        # A restart looks at every account here, so no more is read of one than its first field, wake_at.
        self._wakes = Wakes((key.decode(), state.first_number(value)) for key, value in states.items())
        self._states = states
        self._balances = balances
        self._state = state
        self._balance = balance
        self._writer = BalanceWriter(balance)
        self._most = most
        self._at_hand: dict[str, Account] = {}

    def get(self, account_id: str) -> Account | None:
        """Return the live account; raises InvariantBroken where its tables do not fit together."""
        account = self._at_hand.get(account_id)
        if account is not None:
            return account
        key = account_id.encode()
        state = self._states.get(key)
        if state is None:
            return None
        account = account_of(self._state.version_of(state).values(state))
        balance = self._balances.get(key)
        if balance is None:
            raise InvariantBroken(f"account {account_id} has a state and no balance: is its topic whole?")
        catch_up(account, self._balance.version_of(balance).values(balance))
        # One that another version of this program wrote is written anew at once: it may know no balance
        # that is ahead of the state, and must not go on from this one.
        account.is_written = state.startswith(self._state.header)
        account.place = self._balances.place(key)
        self._at_hand[account.account_id] = account  # its own text: one fewer to be looked for in memory
        return account

    def look_ahead(self, account_ids: list[str]) -> int:
        """Touch what the next events will of their accounts, so that memory answers several at once.

        Each pass is short, and waits for nothing that the one before did not ask for. Returns a sum over what
        it met: nobody needs to know.
        """
        at_hand, accounts = self._at_hand, []
        for account_id in account_ids:
            hash(account_id)  # a text keeps it
        for account_id in account_ids:
            account = at_hand.get(account_id)
            if account is not None:
                accounts.append(account)
        met = 0
        for account in accounts:
            met += account.entries + len(account.rows) + len(account.periods)
        for account in accounts:
            for row in account.rows.values():
                met += row.charges
                break
            for period in account.periods:
                if period.tax:
                    met += 1
                break
            place: Place | None = account.place
            if place is not None and place.key:
                met += 1
            last = account.last
            if last is not None and not last[-1]:
                met += 1
        return met

    def has(self, account_id: str) -> bool:
        """Tell whether the lane has an account: then it is the lane's own."""
        return account_id in self._at_hand or self._states.get(account_id.encode()) is not None

    def put(self, account: Account) -> None:
        """Keep a changed account and its wake_at."""
        account_id, wake_at = account.account_id, account.wake_at
        self._at_hand[account_id] = account
        if wake_at != account.indexed_at:
            account.indexed_at = wake_at
            self._wakes.set(account_id, wake_at)

    def due(self, time: int, limit: int) -> Sequence[str]:
        """Return account ids whose wake_at <= time, earliest first."""
        return self._wakes.due(time, limit)

    def seal(self, touched: list[Account], batch: Batch) -> Iterator[None]:
        """Encode the balances into the batch, and the states where more than charges changed, in parts."""
        writer = self._writer
        for number, account in enumerate(touched, 1):
            place: Place | None = account.place
            if place is None:
                place = account.place = self._balances.place(account.account_id.encode())
            key = place.key
            batch.write_at(BALANCES.name, place, writer.encode(account, key))
            if not account.is_written:
                batch.write(self.STATES, key, self._state.encode(account_values(account)))
                account.is_written = True
            if not number % SEALED_AT_ONCE:
                yield

    def committed(self) -> None:
        """Start the next batch; what is at hand keeps to its bound."""
        thin(self._at_hand, self._most)


class PaymentShelf(shelves.Payments):
    """Payments by account and payment id."""

    def __init__(self, store: KeyedStore, codec: Codec) -> None:
        self.cabinet = Cabinet(
            "payments",
            store,
            codec,
            key_of=pair_key,
            read=states.payment_of,
            write=states.payment_record,
        )

    def get(self, account_id: str, payment_id: str) -> Payment | None:
        """Return what is remembered of a payment."""
        return self.cabinet.get((account_id, payment_id))

    def put(self, payment: Payment) -> None:
        """Remember a payment."""
        self.cabinet.put((payment.account_id, payment.payment_id), payment)


class AdjustmentShelf(shelves.Adjustments):
    """Adjustments by account and adjustment id."""

    def __init__(self, store: KeyedStore, codec: Codec) -> None:
        self.cabinet = Cabinet(
            "adjustments",
            store,
            codec,
            key_of=pair_key,
            read=states.adjusted_of,
            write=states.adjusted_record,
        )

    def get(self, account_id: str, adjustment_id: str) -> Adjusted | None:
        """Return an applied adjustment."""
        return self.cabinet.get((account_id, adjustment_id))

    def put(self, adjusted: Adjusted) -> None:
        """Remember an applied adjustment."""
        self.cabinet.put((adjusted.account_id, adjusted.adjustment_id), adjusted)


class PriceShelf(shelves.Prices):
    """All price versions, decoded."""

    def __init__(self, store: KeyedStore, codec: Codec) -> None:
        self.cabinet = Cabinet(
            "prices", store, codec, key_of=pair_key, read=states.price_of, write=states.price_record
        )
        self._versions: dict[tuple[str, str], dict[int, Price]] = {}
        for _, price in self.cabinet.stored():
            self._versions.setdefault((price.meter, price.currency), {})[price.version] = price

    def of(self, meter: str, currency: str) -> Sequence[Price]:
        """Return all versions of a meter's price."""
        return list(self._versions.get((meter, currency), {}).values())

    def put(self, price: Price) -> None:
        """Keep a version."""
        self._versions.setdefault((price.meter, price.currency), {})[price.version] = price
        self.cabinet.put((price.meter, price.currency, str(price.version)), price)


class ProfileStore(KeyedStore):
    """What the account-profiles topic holds; a record that is no profile of its key counts as none.

    Such records are dead letters; restoring meets them again and must pass over them again.
    """

    def __init__(self, space: Space, schemas: Schemas) -> None:
        super().__init__(space)
        self._schemas = schemas

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take a committed value that is a profile, or a deletion."""
        if value is not None:
            try:
                _, profile = self._schemas.decode(value, "account-profile")
            except WireError:
                return
            if profile["account_id"].encode() != key:
                return
        super().apply(key, value)


class ProfileShelf(shelves.Profiles):
    """Profiles as their topic holds them: nothing of them enters a changelog."""

    def __init__(self, store: KeyedStore, codec: Codec) -> None:
        self._store = store
        self._codec = codec
        self._fresh: dict[str, Profile | None] = {}

    def get(self, account_id: str) -> Profile | None:
        """Return an account's profile; a stored value that is none counts as none."""
        if account_id in self._fresh:
            return self._fresh[account_id]
        stored = self._store.get(account_id.encode())
        return None if stored is None else events.profile_of(self._codec.version_of(stored).decode(stored))

    def put(self, account_id: str, profile: Profile) -> None:
        """Keep a profile until its record's own value stands in the store."""
        self._fresh[account_id] = profile

    def erase(self, account_id: str) -> None:
        """Forget a profile."""
        self._fresh[account_id] = None

    def committed(self) -> None:
        """Start the next batch."""
        self._fresh.clear()


class LaneShelf(shelves.Lane):
    """The one LaneState."""

    KEY: ClassVar = b"lane"

    def __init__(self, store: KeyedStore, codec: Codec) -> None:
        self.cabinet = Cabinet(
            "lane", store, codec, key_of=bytes, read=states.lane_of, write=states.lane_record
        )

    def get(self) -> LaneState | None:
        """Return the lane's state."""
        return self.cabinet.get(self.KEY)

    def put(self, state: LaneState) -> None:
        """Keep the lane's state."""
        self.cabinet.put(self.KEY, state)


class WaitingShelf(shelves.WaitingRows):
    """Waiting events by number, indexed by account and meter."""

    def __init__(self, store: KeyedStore, codec: Codec) -> None:
        self.cabinet = Cabinet(
            "waiting",
            store,
            codec,
            key_of=NUMBER.pack,
            read=states.waiting_of,
            write=states.waiting_record,
        )
        self._rows: dict[int, Waiting] = {}
        self._by_account: dict[str, dict[int, Waiting]] = {}
        self._by_meter: dict[str, dict[int, Waiting]] = {}
        for _, row in sorted(self.cabinet.stored()):
            self._index(row)

    def put(self, row: Waiting) -> None:
        """Keep a waiting event."""
        self.cabinet.put(row.number, row)
        self._index(row)

    def delete(self, row: Waiting) -> None:
        """Let a waiting event go."""
        self.cabinet.delete(row.number)
        self._rows.pop(row.number)
        for index, name in self._places(row):
            rows = index[name]
            del rows[row.number]
            if not rows:
                del index[name]

    def of_account(self, account_id: str) -> Sequence[Waiting]:
        """Return an account's rows by number."""
        return list(self._by_account.get(account_id, {}).values())

    def of_meter(self, meter: str) -> Sequence[Waiting]:
        """Return a meter's rows by number."""
        return list(self._by_meter.get(meter, {}).values())

    def all(self) -> Sequence[Waiting]:
        """Return all rows by number."""
        return list(self._rows.values())

    def _index(self, row: Waiting) -> None:
        self._rows[row.number] = row
        for index, name in self._places(row):
            index.setdefault(name, {})[row.number] = row

    def _places(self, row: Waiting) -> list[tuple[dict[str, dict[int, Waiting]], str]]:
        places = [(self._by_account, row.event.account_id)]
        meter = getattr(row.event, "meter", None)
        if meter is not None:
            places.append((self._by_meter, meter))
        return places


def pair_key(parts: Sequence[str]) -> bytes:
    """Return a key that no other parts make: each part with its length before it."""
    return b"".join(struct.pack(">I", len(data)) + data for data in (part.encode() for part in parts))
