"""One lane's book between wire and batch: what is counted when a batch is committed."""

from dataclasses import dataclass
from typing import Any

import pytest

from producers import records
from producers.records import AutomaticTopUp, Consent
from schemas import wire
from streams import app, metrics
from streams.agents.job import BillingFold, BillingJob
from streams.agents.seen import SeenShelf, SeenStore
from streams.lanes.job import Batch, KeyedStore
from streams.lanes.spaces import MemorySpace
from streams.partition import partition_of
from streams.settings import Settings
from streams.topics import BALANCES, DEAD_LETTERS, JOURNAL, PROFILES, SETTINGS, STATE_TABLES, USAGE
from tests.batches import new_batch, records_of, written

SCHEMAS = wire.fixed()
NOW = 1_736_510_400_000


@dataclass
class Read:
    """A consumed record."""

    offset: int
    key: bytes
    value: bytes
    timestamp: int = NOW
    headers: tuple[tuple[str, bytes], ...] = ()


@pytest.fixture
def fold() -> BillingFold:
    return opened()


def opened(lanes: int = 1) -> BillingFold:
    """Return the fold of a lane without state."""
    settings = Settings(bootstrap_servers="none", lanes=lanes, clock="manual")
    stores: dict[str, Any] = {
        name: SeenStore(MemorySpace()) if name == SeenShelf.TABLE else KeyedStore(MemorySpace())
        for name in (*STATE_TABLES, BALANCES.name, PROFILES.name)
    }
    return BillingFold(BillingJob(settings, app.policy(settings), SCHEMAS, worker="one"), 0, stores)


def topped_up(account_id: str, revision: int = 1, *, enabled: bool = True) -> bytes:
    """Return settings as they come: automatic top-up of 50.00 below 20.00."""
    record = records.settings(
        account_id=account_id,
        revision=revision,
        currency="USD",
        zone="UTC",
        changed_at="2025-01-10T00:00Z",
        changed_by="test",
        automatic_top_up=AutomaticTopUp(
            enabled=enabled,
            threshold_minor=2_000,
            amount_minor=5_000,
            payment_method_ref="card-1",
            consent=Consent(given_by="u1", given_at="2025-01-10T00:00Z", text_version="1"),
        ),
    )
    return SCHEMAS.codec("account-settings").encode(record)


def usage(account_id: str, event_id: str) -> bytes:
    """Return a usage event as it comes."""
    record = records.usage(
        account_id=account_id,
        source="test",
        event_id=event_id,
        meter="calls",
        quantity=1,
        occurred_at="2025-01-10T12:00Z",
    )
    return SCHEMAS.codec("usage-event").encode(record)


def counted() -> dict[str, float]:
    """Return the metric of top-up decisions, by reason."""
    (family,) = metrics.TOP_UP_DECISIONS.collect()
    return {s.labels["reason"]: s.value for s in family.samples if s.name.endswith("_total")}


def commit(fold: BillingFold, *values: bytes) -> None:
    """Fold settings, and commit the batch."""
    batch = new_batch()
    fold.apply(SETTINGS.name, [Read(n, b"acme", value) for n, value in enumerate(values)], batch)
    list(fold.seal(batch))
    fold.committed(batch)


def test_a_decision_about_a_top_up_is_counted_by_its_reason_when_it_changed(fold: BillingFold) -> None:
    before = counted()

    commit(fold, topped_up("acme"), topped_up("acme", 2))  # no tick yet: needed, and no time
    commit(fold, topped_up("acme", 3))
    commit(fold, topped_up("acme", 4, enabled=False))

    moved = {reason: count - before.get(reason, 0) for reason, count in counted().items()}
    assert {reason: count for reason, count in moved.items() if count} == {"no_time": 1, "off": 1}


def test_of_records_folded_together_each_has_its_own_end() -> None:
    here, elsewhere = (
        next(n for n in map(str, range(99)) if partition_of(n.encode(), 2) == p) for p in (0, 1)
    )
    fold, batch = opened(lanes=2), new_batch()
    said = [
        (here, usage(here, "1")),
        (elsewhere, usage(elsewhere, "1")),
        (here, usage(elsewhere, "2")),
        (here, b"no usage"),
        (here, usage(here, "1")),
        (here, usage(here, "2")),
    ]

    fold.apply(USAGE.name, [Read(n, key.encode(), value) for n, (key, value) in enumerate(said)], batch)

    letters = [SCHEMAS.decode(value)[1] for _, value in records_of(batch)[DEAD_LETTERS.name]]
    assert [(letter["offset"], letter["reason"]) for letter in letters] == [
        (1, "wrong_partition"),
        (2, "key_mismatch"),
        (3, "bad_magic"),
    ]
    entry = journal(fold, batch)
    assert [entry[name] for name in ("waiting", "duplicate", "dead")] == [2, 1, 3]


def journal(fold: BillingFold, batch: Batch) -> dict[str, Any]:
    """Commit a batch, and return what its journal entry tells."""
    list(fold.seal(batch))
    fold.committed(batch)
    [(_, value)] = records_of(batch)[JOURNAL.name]
    return SCHEMAS.decode(value)[1]


def test_the_journal_tells_where_inputs_stood_for_the_ticks_of_a_batch(fold: BillingFold) -> None:
    ticks = [SCHEMAS.codec("tick").encode({"time": NOW + n, "ticker": "t"}) for n in range(2)]
    ends = {USAGE.name: 7, SETTINGS.name: 0}

    ticked = new_batch()
    for offset, tick in enumerate(ticks):
        fold.barrier(Read(offset, b"t", tick), ends, ticked)

    told = [{"topic": USAGE.name, "offset": 7}, {"topic": SETTINGS.name, "offset": 0}]
    assert journal(fold, ticked)["stood"] == told
    assert journal(fold, new_batch())["stood"] == []


def test_ends_asked_again_within_a_batch_stop_the_lane(fold: BillingFold) -> None:
    batch = new_batch()
    fold.barrier(Read(0, b"t", b"no tick"), {USAGE.name: 7}, batch)

    with pytest.raises(AssertionError, match="asked again"):
        fold.barrier(Read(1, b"t", b"no tick"), {USAGE.name: 8}, batch)


def test_accounts_encoded_while_a_batch_goes_on_leave_what_one_seal_at_its_end_leaves() -> None:
    left: list[Batch] = []
    for records_before in (1, 100):  # one account: spread where it had one record, not where it had a hundred
        fold = opened()
        before = new_batch(records_before)
        fold.apply(SETTINGS.name, [Read(0, b"acme", topped_up("acme"))], before)
        list(fold.seal(before))
        fold.committed(before)

        batch = new_batch()
        parts = [("acme", 2), ("zeta", 1)], [("acme", 3), ("nova", 1)]
        for offset, part in enumerate(parts):
            read = [
                Read(n, name.encode(), topped_up(name, revision)) for n, (name, revision) in enumerate(part)
            ]
            fold.apply(SETTINGS.name, read, batch)
            assert ("accounts" in batch.writes) is (records_before == 1)
            tick = SCHEMAS.codec("tick").encode({"time": NOW + offset * 60_000, "ticker": "t"})
            fold.barrier(Read(offset, b"t", tick), {USAGE.name: 7}, batch)
            while fold.work(batch):
                pass
        list(fold.seal(batch))
        left.append(batch)

    early, late = left
    assert written(early) == written(late)
    first, last = records_of(early), records_of(late)
    assert len(first.pop(BALANCES.name)) > len(last.pop(BALANCES.name))  # of what is written, the last counts
    assert {topic: sorted(out) for topic, out in first.items()} == {
        topic: sorted(out) for topic, out in last.items()
    }
