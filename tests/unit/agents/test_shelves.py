"""Shelves over a lane's tables: uncommitted writes are read back, a restart finds what was committed."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import wire
from streams.agents.accounts import account_values
from streams.agents.shelves import (
    CACHED,
    AccountShelf,
    AdjustmentShelf,
    Cabinet,
    LaneShelf,
    PaymentShelf,
    PriceShelf,
    ProfileShelf,
    ProfileStore,
    WaitingShelf,
    pair_key,
)
from streams.domain.account import NEVER, Account, Adjusted, LaneState, Payment, Waiting
from streams.domain.events import AdjustmentKind, Profile
from streams.domain.outcomes import Outcome
from streams.domain.periods import ZoneFrom
from streams.domain.reasons import InvariantBroken
from streams.lanes.job import KeyedStore
from streams.lanes.spaces import MemorySpace
from streams.topics import BALANCES
from tests.batches import new_batch, records_of, take, written
from tests.unit.domain.build import START, Lane, adjust, at, dict_shelves, pay, price, reverse, tick, usage
from tests.unit.domain.build import settings as account_settings

SCHEMAS = wire.fixed()
Shelf = Any


def account(account_id: str, wake_at: int = NEVER) -> Account:
    return Account(
        wake_at=wake_at,
        account_id=account_id,
        currency="USD",
        opened_at=None,
        by_default=False,
        zones=(ZoneFrom(0, "UTC"),),
        first_open=0,
    )


def accounts(
    states: KeyedStore | None = None, balances: KeyedStore | None = None, *, most: int = CACHED
) -> AccountShelf:
    return AccountShelf(
        states or KeyedStore(MemorySpace()),
        balances or KeyedStore(MemorySpace()),
        SCHEMAS.codec("state-account"),
        SCHEMAS.codec("account-balance"),
        most,
    )


def waiting(store: KeyedStore | None = None) -> WaitingShelf:
    return WaitingShelf(store or KeyedStore(MemorySpace()), SCHEMAS.codec("state-waiting"))


def prices(store: KeyedStore | None = None) -> PriceShelf:
    return PriceShelf(store or KeyedStore(MemorySpace()), SCHEMAS.codec("price"))


def commit(cabinet: Cabinet[Any, Any], store: KeyedStore) -> dict[bytes, bytes | None]:
    """Commit as the engine does; return what was written."""
    batch = new_batch()
    list(cabinet.seal(batch))
    (written,) = batch.writes.values() or ({},)
    for key, value in written.items():
        store.apply(key, value)
    cabinet.committed()
    return written


def commit_accounts(
    shelf: AccountShelf, states: KeyedStore, balances: KeyedStore, touched: list[Account]
) -> set[str]:
    """Commit these accounts; return the tables written."""
    batch = new_batch()
    list(shelf.seal(touched, batch))
    take(batch, {AccountShelf.STATES: states, BALANCES.name: balances})
    shelf.committed()
    return set(written(batch))


# -- the cabinet


class Note:
    """A stored object that counts how often it is written."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.written = 0


@pytest.fixture
def store() -> KeyedStore:
    return KeyedStore(MemorySpace())


@pytest.fixture
def cabinet(store: KeyedStore) -> Cabinet[bytes, Note]:
    return notes(store)


def notes(store: KeyedStore, most: int = 100) -> Cabinet[bytes, Note]:
    def write(note: Note) -> dict[str, Any]:
        note.written += 1
        return {"time": 0, "ticker": note.text}

    return Cabinet(
        "notes",
        store,
        SCHEMAS.codec("tick"),
        key_of=bytes,
        read=lambda record: Note(record["ticker"]),
        write=write,
        most=most,
    )


def filled(store: KeyedStore, *, most: int, count: int) -> Cabinet[bytes, Note]:
    cabinet = notes(store, most)
    for number in range(count):
        cabinet.put(b"%d" % number, Note(str(number)))
    return cabinet


def test_a_cabinet_hands_out_the_live_object_before_and_after_its_commit(
    cabinet: Cabinet[bytes, Note], store: KeyedStore
) -> None:
    note = Note("one")

    cabinet.put(b"k", note)
    before = cabinet.get(b"k")
    commit(cabinet, store)

    assert before is note
    assert cabinet.get(b"k") is note
    assert cabinet.get(b"other") is None


def test_an_object_is_encoded_once_a_commit_however_often_it_was_put(
    cabinet: Cabinet[bytes, Note], store: KeyedStore
) -> None:
    note = Note("one")
    for text in ("two", "three"):
        note.text = text
        cabinet.put(b"k", note)

    commit(cabinet, store)

    assert note.written == 1
    restored = notes(store).get(b"k")
    assert restored is not None
    assert restored.text == "three"


def test_what_did_not_change_is_not_written_again(cabinet: Cabinet[bytes, Note], store: KeyedStore) -> None:
    cabinet.put(b"k", Note("one"))
    commit(cabinet, store)
    cabinet.get(b"k")

    assert commit(cabinet, store) == {}


def test_a_deleted_object_is_gone_at_once_and_its_tombstone_is_written(
    cabinet: Cabinet[bytes, Note], store: KeyedStore
) -> None:
    cabinet.put(b"k", Note("one"))
    commit(cabinet, store)

    cabinet.delete(b"k")
    at_once = cabinet.get(b"k")
    written = commit(cabinet, store)

    assert at_once is None
    assert written == {b"k": None}
    assert cabinet.get(b"k") is None
    assert dict(store.items()) == {}


def test_what_was_deleted_may_be_put_again(cabinet: Cabinet[bytes, Note], store: KeyedStore) -> None:
    cabinet.put(b"k", Note("one"))
    cabinet.delete(b"k")
    again = Note("two")
    cabinet.put(b"k", again)

    assert cabinet.get(b"k") is again
    commit(cabinet, store)
    assert cabinet.get(b"k") is again


def test_the_cache_is_bounded_between_commits_and_never_loses_an_uncommitted_change(
    store: KeyedStore,
) -> None:
    cabinet = filled(store, most=10, count=25)
    within = [cabinet.get(b"%d" % number) for number in range(25)]
    commit(cabinet, store)

    after = [cabinet.get(b"%d" % number) for number in range(25)]

    assert [note.text for note in within if note] == [note.text for note in after if note]
    assert sum(one is other for one, other in zip(within, after, strict=True)) <= 10


def test_going_round_a_fifth_more_objects_than_the_bound_still_finds_half_of_them_in_the_cache(
    store: KeyedStore,
) -> None:
    cabinet = filled(store, most=100, count=120)
    commit(cabinet, store)

    def round_by_tens() -> list[Note | None]:
        found = []
        for number in range(120):
            found.append(cabinet.get(b"%d" % number))
            if number % 10 == 0:
                commit(cabinet, store)
        return found

    one, other = round_by_tens(), round_by_tens()

    assert sum(first is second for first, second in zip(one, other, strict=True)) >= 60


def test_everything_stored_is_found_after_a_restart(cabinet: Cabinet[bytes, Note], store: KeyedStore) -> None:
    for number in range(3):
        cabinet.put(b"%d" % number, Note(str(number)))
    commit(cabinet, store)

    assert {key: note.text for key, note in notes(store).stored()} == {b"0": "0", b"1": "1", b"2": "2"}


# -- accounts that are due


def test_accounts_are_due_earliest_first_then_by_id() -> None:
    shelf = accounts()
    for name, wake_at in (("c", 5), ("b", 7), ("a", 5), ("never", NEVER), ("later", 9)):
        shelf.put(account(name, wake_at))

    assert shelf.due(7, 10) == ["a", "c", "b"]
    assert shelf.due(4, 10) == []


def test_no_more_than_the_limit_are_due_and_they_stay_so_until_they_are_put() -> None:
    shelf = accounts()
    for number in range(5):
        shelf.put(account(f"a{number}", number))

    first, again = shelf.due(10, 2), shelf.due(10, 2)
    for name in first:
        shelf.put(account(name, NEVER))

    assert first == again == ["a0", "a1"]
    assert shelf.due(10, 10) == ["a2", "a3", "a4"]


def test_an_account_is_due_by_its_last_wake_at_and_once() -> None:
    shelf = accounts()
    for wake_at in (5, 9, 5, 3, 5):
        shelf.put(account("a", wake_at))
    shelf.put(account("b", 5))

    assert shelf.due(4, 10) == []
    assert shelf.due(5, 10) == ["a", "b"]


def test_the_index_of_wakes_is_built_anew_from_what_was_committed() -> None:
    store, balances = KeyedStore(MemorySpace()), KeyedStore(MemorySpace())
    shelf = accounts(store, balances)
    three = [account(name, wake_at) for name, wake_at in (("a", 5), ("b", NEVER), ("c", 3))]
    for one in three:
        shelf.put(one)
    commit_accounts(shelf, store, balances, three)
    shelf.put(account("c", NEVER))  # never committed

    restored = accounts(store, balances)

    assert restored.due(10, 10) == ["c", "a"]
    assert restored.get("a") == account("a", 5)
    assert restored.get("nobody") is None


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.one_of(st.integers(0, 6), st.just(NEVER))), max_size=30),
    st.integers(0, 7),
    st.integers(1, 6),
)
def test_what_is_due_is_what_a_plain_search_finds(puts: list[tuple[int, int]], time: int, limit: int) -> None:
    shelf = accounts()
    plain: dict[str, int] = {}
    for number, wake_at in puts:
        shelf.put(account(f"a{number}", wake_at))
        plain[f"a{number}"] = wake_at
        shelf.due(time, limit)  # asking changes nothing

    expected = [name for wake_at, name in sorted((w, n) for n, w in plain.items()) if wake_at <= time]
    assert shelf.due(time, limit) == expected[:limit]


# -- accounts in two tables

FIRST = usage(2)


class Books:
    """A lane's book over the tables of its accounts, which outlive it."""

    def __init__(self, before: "Books | None" = None, *, most: int = CACHED) -> None:
        self.states = before.states if before else KeyedStore(MemorySpace())
        self.balances = before.balances if before else KeyedStore(MemorySpace())
        self.shelf = accounts(self.states, self.balances, most=most)
        shelves = before.lane.shelves if before else dict_shelves()
        self.lane = Lane(shelves=replace(shelves, accounts=self.shelf))

    def commit(self) -> set[str]:
        """Commit what changed; return the tables written."""
        return commit_accounts(self.shelf, self.states, self.balances, self.lane.book.touched())

    def account(self) -> Account:
        """Return the account."""
        return self.lane.account()


def opened() -> Books:
    """Return books with an account that has money and a month's row, committed."""
    books = Books()
    events = (price(), price(meter="storage"), account_settings(tax="0.19"), tick(START), pay(1_000), FIRST)
    for event in events:
        assert books.lane.send(event) is Outcome.APPLIED
    assert books.commit() == {"accounts", "balances"}
    return books


def test_charges_write_the_balance_alone_and_a_restart_finds_them() -> None:
    books = opened()
    state = dict(books.states.items())

    books.lane.send(usage("1.5", id="more"))
    books.lane.send(usage(4, id="other", meter="storage"))
    written = books.commit()
    again = Books(books).account()

    assert written == {"balances"}
    assert dict(books.states.items()) == state
    assert again == books.account()
    assert again.entries == 7  # a payment, and three charges with their tax
    assert [(key[1], row.number, row.charges) for key, row in again.rows.items()] == [
        ("calls", 0, 2),
        ("storage", 1, 1),
    ]


def test_what_a_restart_found_goes_on_as_if_it_had_never_stopped() -> None:
    books, running = opened(), opened()
    for one in (books, running):
        one.lane.send(usage(4, id="other", meter="storage"))
        one.commit()
    books = Books(books)

    for one in (books, running):
        one.lane.send(usage(5, id="last", meter="storage"))
        one.lane.tick("2025-02-02")
        one.commit()

    assert Books(books).account() == Books(running).account() == running.account()
    assert books.account().rows_made == 2


@pytest.mark.parametrize(
    "event",
    [
        pay(5, id="second"),
        adjust(AdjustmentKind.CREDIT, "0.01"),
        reverse(FIRST),
        usage(2_000),
        usage(1, when=at("2025-02-01")),
    ],
    ids=["money", "credit", "reversal", "a charge that suspends", "a charge that opens a period"],
)
def test_what_changes_more_than_a_charge_writes_the_state_too(event: Any) -> None:
    books = opened()

    assert books.lane.send(event) is Outcome.APPLIED
    written = books.commit()

    assert written == {"accounts", "balances"}
    assert Books(books).account() == books.account()


def test_charges_after_the_state_was_written_within_a_batch_are_in_the_balance() -> None:
    books = opened()
    batch = new_batch()

    books.lane.send(pay(5, id="second"))
    list(books.shelf.seal(books.lane.book.touched(), batch))
    books.lane.send(usage(1, id="after"))
    list(books.shelf.seal(books.lane.book.touched(), batch))
    take(batch, {"accounts": books.states, "balances": books.balances})

    assert len(records_of(batch)["balances"]) == 2
    assert Books(books).account() == books.account()


def test_a_state_of_another_version_is_written_anew_when_it_is_touched() -> None:
    books = opened()
    ((key, state),) = books.states.items()
    before_106 = SCHEMAS.codec("state-account").versions[wire.HEADER.pack(0, 106)]
    books.states.apply(key, before_106.header + state[wire.HEADER_BYTES :])
    again = Books(books)

    again.lane.send(usage(1, id="more"))

    assert again.commit() == {"accounts", "balances"}
    assert dict(books.states.items())[key].startswith(SCHEMAS.codec("state-account").header)


def test_tables_that_do_not_fit_together_stop_the_lane() -> None:
    books = opened()
    ((key, before),) = books.balances.items()
    books.lane.send(pay(5, id="second"))
    books.commit()

    books.balances.apply(key, before)
    with pytest.raises(InvariantBroken, match="its balance ends with entry 3, its state with 4"):
        Books(books).account()
    books.balances.apply(key, None)
    with pytest.raises(InvariantBroken, match="has a state and no balance"):
        Books(books).account()


def test_looking_ahead_meets_the_accounts_at_hand_and_changes_nothing() -> None:
    books = opened()
    before = account_values(books.account())

    met = books.shelf.look_ahead(["acme", "nobody", "acme"])

    # entries, rows, periods; a row's bookings; a period with tax; a place; the balance as written last
    assert met == 2 * ((3 + 1 + 1) + 1 + 1 + 1 + 1)
    assert account_values(books.account()) == before
    assert Books(books).shelf.look_ahead(["acme"]) == 0


def test_a_shelf_has_the_accounts_at_hand_and_those_in_its_tables() -> None:
    books = Books()
    assert not books.shelf.has("acme")

    books.lane.send(account_settings())
    assert books.shelf.has("acme"), "opened in the batch under way"

    books.commit()
    restored = Books(books).shelf
    assert restored.has("acme"), "not read yet"
    assert not restored.has("nobody")


def test_accounts_at_hand_keep_to_their_bound_between_commits() -> None:
    books = Books(most=10)
    ids = [f"a{n}" for n in range(25)]
    for name in ids:
        books.lane.send(account_settings(account=name))

    within = [books.shelf.get(name) for name in ids]
    books.commit()
    after = [books.shelf.get(name) for name in ids]

    assert within == after
    assert sum(one is other for one, other in zip(within, after, strict=True)) <= 10


# -- what waits


def rows(*events: Any) -> list[Waiting]:
    numbers = count(1)
    return [Waiting(next(numbers), event) for event in events]


def test_waiting_events_are_found_by_account_and_meter_in_the_order_of_waiting() -> None:
    shelf = waiting()
    made = rows(usage(account="a", meter="m"), pay(account="a"), usage(account="b", meter="m"))

    for row in made:
        shelf.put(row)

    assert list(shelf.of_account("a")) == made[:2]
    assert list(shelf.of_meter("m")) == [made[0], made[2]]
    assert list(shelf.all()) == made
    assert list(shelf.of_account("nobody")) == list(shelf.of_meter("nothing")) == []


def test_a_row_may_be_deleted_while_one_walks_over_them() -> None:
    shelf = waiting()
    for row in rows(*(usage(account="a", meter="m", id=str(n)) for n in range(5))):
        shelf.put(row)

    for row in shelf.of_meter("m"):
        shelf.delete(row)

    assert list(shelf.all()) == list(shelf.of_account("a")) == list(shelf.of_meter("m")) == []


def test_what_waits_is_the_same_and_in_the_same_order_after_a_restart() -> None:
    store = KeyedStore(MemorySpace())
    shelf = waiting(store)
    made = rows(*(usage(account="a", meter="m", id=str(n)) for n in range(300)), pay(account="a"))
    for row in reversed(made):
        shelf.put(row)
    shelf.delete(made[7])
    commit(shelf.cabinet, store)

    restored = waiting(store)

    assert list(restored.all()) == made[:7] + made[8:]
    assert list(restored.of_account("a")) == list(restored.all())


# -- the others


def test_keys_of_several_parts_are_never_those_of_others() -> None:
    assert pair_key(("a", "bc")) != pair_key(("ab", "c"))
    assert pair_key(("a", "b", "")) != pair_key(("a", "b"))
    assert pair_key(("é", "x")) == pair_key(["é", "x"])


def test_payments_and_adjustments_are_remembered_by_account_and_id() -> None:
    stores = KeyedStore(MemorySpace()), KeyedStore(MemorySpace())
    payments = PaymentShelf(stores[0], SCHEMAS.codec("state-payment"))
    adjustments = AdjustmentShelf(stores[1], SCHEMAS.codec("state-adjustment"))
    payment = Payment("a", "p", paid=5)
    adjusted = Adjusted("a", "x", b"12345678", 3)

    payments.put(payment)
    adjustments.put(adjusted)
    commit(payments.cabinet, stores[0])
    commit(adjustments.cabinet, stores[1])

    assert payments.get("a", "p") is payment
    assert payments.get("b", "p") is None
    assert PaymentShelf(stores[0], SCHEMAS.codec("state-payment")).get("a", "p") == payment
    assert AdjustmentShelf(stores[1], SCHEMAS.codec("state-adjustment")).get("a", "x") == adjusted


def test_all_versions_of_a_price_are_found_before_and_after_a_restart() -> None:
    store = KeyedStore(MemorySpace())
    shelf = prices(store)
    versions = [price(version=version).price for version in (1, 2)]
    other = price(version=1, currency="EUR").price
    for made in (*versions, other):
        shelf.put(made)
    meter = versions[0].meter

    before = list(shelf.of(meter, "USD"))
    commit(shelf.cabinet, store)
    restored = prices(store)

    assert before == versions
    assert sorted(restored.of(meter, "USD"), key=lambda p: p.version) == versions
    assert list(restored.of(meter, "EUR")) == [other]
    assert list(restored.of("nothing", "USD")) == []


def test_the_lanes_state_survives_a_restart() -> None:
    store = KeyedStore(MemorySpace())
    shelf = LaneShelf(store, SCHEMAS.codec("state-lane"))
    assert shelf.get() is None

    shelf.put(LaneState(5, 3, 9))
    commit(shelf.cabinet, store)

    assert LaneShelf(store, SCHEMAS.codec("state-lane")).get() == LaneState(5, 3, 9)


# -- profiles, which their own topic keeps


@pytest.fixture
def profile() -> Profile:
    return Profile(name="A", address=("1",), country="US", tax_id=None, email="a@b.example", language="en")


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    def encode(account_id: str = "a", name: str = "stored") -> bytes:
        return SCHEMAS.codec("account-profile").encode(
            {
                "account_id": account_id,
                "name": name,
                "address": [],
                "country": "US",
                "tax_id": None,
                "email": "a@b.example",
                "language": "en",
            }
        )

    return encode


def test_a_profile_is_read_fresh_then_from_its_topic(profile: Profile, encoded: Callable[..., bytes]) -> None:
    store = ProfileStore(MemorySpace(), SCHEMAS)
    shelf = ProfileShelf(store, SCHEMAS.codec("account-profile"))
    shelf.put("a", profile)
    fresh = shelf.get("a")

    store.apply(b"a", encoded())
    shelf.committed()
    stored = shelf.get("a")
    shelf.erase("a")

    assert fresh == profile
    assert stored is not None
    assert stored.name == "stored"
    assert shelf.get("a") is None


def test_what_is_no_profile_of_its_key_is_passed_over_and_changes_nothing(
    encoded: Callable[..., bytes],
) -> None:
    store = ProfileStore(MemorySpace(), SCHEMAS)
    store.apply(b"a", encoded())

    for value in (b"", b"hello", encoded("b"), encoded()[:-1]):
        store.apply(b"a", value)
        store.apply_all({b"a": value})
    kept = store.get(b"a")
    store.apply(b"a", None)

    assert kept == encoded()
    assert store.get(b"a") is None
