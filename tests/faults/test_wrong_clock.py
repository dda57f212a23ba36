"""A ticker whose clock is far ahead, near the end of a month: no month closes before its time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from producers import records
from producers.records import Tier
from streams.topics import DEAD_LETTERS, INVOICES, LEDGER
from tests.faults.deployment import LANES, Deployment, assert_holds, wait_until
from tests.faults.outcome import reasons
from tests.faults.report import Entry, Kind

pytestmark = pytest.mark.kafka

AHEAD = (timedelta(minutes=2), timedelta(days=32), timedelta(days=400))
"""The second is in the next month, or the one after that, whatever day it is."""
ACCOUNTS = 12


def test_a_ticker_that_is_far_ahead_closes_no_month_and_takes_no_money(
    deploy: Callable[..., Deployment], report: Entry
) -> None:
    auto = deploy("auto", clock="auto", tick_seconds=5)
    worker = auto.start_worker()

    use_and_tick_ahead(auto)
    wait_until(
        lambda: auto.count(DEAD_LETTERS.name) == len(AHEAD) * LANES, "a dead letter for each wrong tick"
    )
    worker.kill()  # the next one restores what these ticks left behind: nothing
    auto.start_worker()
    use(auto, "later")
    wait_until(lambda: auto.count(LEDGER.name) == 2 * ACCOUNTS, "the charges")
    for running in auto.workers[1:]:
        running.end()
    topics, found = auto.verify()
    report.inject(Kind.CLOCK, len(AHEAD))
    report.took(auto)
    report.judged(found)

    assert_holds(found)
    assert reasons(topics) == {"tick_ahead": len(AHEAD) * LANES}
    assert auto.count(INVOICES.name) == 0


def test_the_same_ticks_close_the_month_where_the_clock_is_set_by_hand(
    deploy: Callable[..., Deployment],
) -> None:
    manual = deploy("manual")
    manual.start_worker()

    use_and_tick_ahead(manual)
    manual.settle()

    assert manual.count(INVOICES.name) == ACCOUNTS


def use_and_tick_ahead(deployment: Deployment) -> None:
    """Open accounts, charge some usage of now, then send the ticks of a wrong clock."""
    now = datetime.now(UTC)
    emitter = deployment.emitter
    emitter.price(
        meter="api-calls",
        currency="USD",
        version=1,
        unit="call",
        model="per_unit",
        tiers=[Tier(up_to=None, unit_price="0.01")],
        valid_from=now - timedelta(days=40),
        late=True,
    )
    for account in range(ACCOUNTS):
        emitter.settings(
            account_id=f"acct-{account}",
            revision=1,
            currency="USD",
            zone="UTC",
            changed_at=now,
            changed_by="clock",
        )
    emitter.flush()
    deployment.settle()
    use(deployment, "first")
    wait_until(lambda: deployment.count(LEDGER.name) == ACCOUNTS, "the first charges")
    for ahead in AHEAD:
        # Not by emitter.tick, which refuses it where the clock is not set by hand.
        emitter.emit(emitter.encoder.tick(records.tick(time=now + ahead, ticker="far-ahead")))
    emitter.flush()


def use(deployment: Deployment, event_id: str) -> None:
    """Send one event of now for each account."""
    for account in range(ACCOUNTS):
        deployment.emitter.usage(
            account_id=f"acct-{account}",
            source="clock",
            event_id=event_id,
            meter="api-calls",
            quantity=1,
            occurred_at=datetime.now(UTC),
        )
    deployment.emitter.flush()
