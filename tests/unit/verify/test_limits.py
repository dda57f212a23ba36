"""What retention took away is said, and what is left is still checked."""

from tests.unit.verify.history import History, pico, settings
from tests.unit.verify.scenario import ACME, month
from verify.check import check
from verify.partitions import partition_of

LANE = partition_of(ACME.encode(), 2)


def remove_head(h: History, topic: str, count: int) -> None:
    """Let retention take the first records of acme's partition."""
    log = h.topics.log(topic, LANE)
    log.start = log.records[count].offset if count < len(log.records) else log.end
    del log.records[:count]


def test_charges_whose_event_was_removed_are_counted_not_broken() -> None:
    h = month()

    remove_head(h, "usage-events", 3)

    report = check(h.topics, settings())
    assert report.failing() == set()
    assert report.checks[1].notes == [
        "2 charges have no event to compare with: the head of usage-events was removed"
    ]
    assert any("usage-events was removed" in note for note in report.checks[7].notes)


def test_amounts_are_checked_from_the_ledger_also_where_usage_was_removed() -> None:
    h = month()
    remove_head(h, "usage-events", 3)

    h.edit("ledger-entries", {"event_id": "u1", "kind": "charge"}, amount=-pico("1.5"))

    assert 2 in check(h.topics, settings()).failing()


def test_a_copy_of_a_removed_event_is_a_duplicate_without_a_second_charge() -> None:
    h = month()
    remove_head(h, "usage-events", 1)  # u1; its second copy and its conflict are still there

    assert check(h.topics, settings()).failing() == set()


def test_time_goes_on_where_ticks_were_removed() -> None:
    h = month()

    remove_head(h, "clock-ticks", 2)

    assert check(h.topics, settings()).failing() == set()


def test_an_account_whose_first_entries_were_removed_is_not_summed() -> None:
    h = month()

    remove_head(h, "ledger-entries", 4)

    report = check(h.topics, settings())
    assert report.failing() == set()
    assert report.checks[0].notes == [
        "1 accounts not summed: the head of their ledger was removed by retention"
    ]
    h.edit("ledger-entries", {"account_id": ACME, "kind": "credit"}, balance_after=0)
    assert 6 in check(h.topics, settings()).failing()
