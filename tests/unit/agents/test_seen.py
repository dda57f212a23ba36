"""Ids remembered for ever and by day: what is committed, what is not yet, and what a restart finds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.agents.seen import AHEAD, DAY_MS, DROPPED_MORE, SeenShelf, SeenStore
from streams.lanes.spaces import MemorySpace
from tests.batches import new_batch

TODAY = 20_000 * DAY_MS


def digest(number: int) -> bytes:
    """Return the 16 bytes that name an event."""
    return number.to_bytes(16, "big")


def content(number: int) -> bytes:
    """Return the 8 bytes that say what an event says."""
    return b"c" + number.to_bytes(7, "big")


@dataclass
class Lane:
    """A shelf over its store, committed as the engine does, with the changelog that a restart reads."""

    store: SeenStore = field(default_factory=lambda: SeenStore(MemorySpace()))
    log: list[tuple[bytes, bytes | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shelf = SeenShelf(self.store)

    def commit(self) -> None:
        batch = new_batch()
        self.shelf.seal(batch)
        for key, value in batch.writes.get(SeenShelf.TABLE, {}).items():
            self.log.append((key, value))
            self.store.apply(key, value)
        self.shelf.committed()

    def restarted(self, log: Iterable[tuple[bytes, bytes | None]] | None = None) -> "Lane":
        """Return the lane as it is restored from the changelog."""
        lane = Lane(log=list(self.log))
        for key, value in self.log if log is None else log:
            lane.store.apply(key, value)
        return lane

    def compacted(self) -> list[tuple[bytes, bytes | None]]:
        """Return the changelog as Kafka may keep it: the last value of each key, in order, no tombstones."""
        last = {key: at for at, (key, _) in enumerate(self.log)}
        return [
            (key, value) for at, (key, value) in enumerate(self.log) if last[key] == at and value is not None
        ]


def test_an_id_is_known_before_and_after_its_commit() -> None:
    lane = Lane()

    lane.shelf.add(digest(1), content(1), TODAY)
    before = lane.shelf.get(digest(1))
    lane.commit()

    assert before == lane.shelf.get(digest(1)) == content(1)
    assert lane.shelf.get(digest(2)) is None
    assert len(lane.store) == 1


def test_a_restart_finds_the_ids_that_were_committed_and_no_others() -> None:
    lane = Lane()
    lane.shelf.add(digest(1), content(1), TODAY)
    lane.commit()
    lane.shelf.add(digest(2), content(2), TODAY)

    restored = lane.restarted()

    assert restored.shelf.get(digest(1)) == content(1)
    assert restored.shelf.get(digest(2)) is None


def test_a_commit_writes_one_block_a_day_under_numbers_that_go_on_after_a_restart() -> None:
    lane = Lane()
    for number in range(5):
        lane.shelf.add(digest(number), content(number), TODAY + number % 2 * DAY_MS)
    lane.commit()
    lane = lane.restarted()
    lane.shelf.add(digest(9), content(9), TODAY)
    lane.commit()

    assert len(lane.log) == len({key for key, _ in lane.log}) == 3


@pytest.mark.parametrize("ids", [1, AHEAD - 1, AHEAD, AHEAD + 1, 2 * AHEAD, 3 * AHEAD + 7])
def test_a_block_of_any_size_is_taken_whole(ids: int) -> None:
    lane = Lane()
    for number in range(ids):
        lane.shelf.add(digest(number), content(number), TODAY)
    lane.shelf.look_ahead([digest(number) for number in range(ids + 1)])
    lane.commit()

    assert len(lane.store) == ids
    assert [lane.shelf.get(digest(number)) for number in range(ids)] == [content(n) for n in range(ids)]


def test_a_batch_without_ids_writes_nothing() -> None:
    lane = Lane()

    lane.commit()

    assert lane.log == []


def test_a_discarded_id_is_forgotten_at_once_and_after_a_restart() -> None:
    lane = Lane()
    lane.shelf.add(digest(1), content(1), TODAY)
    lane.shelf.add(digest(2), content(2), TODAY)
    lane.commit()

    lane.shelf.discard(digest(1), TODAY)
    at_once = lane.shelf.get(digest(1))
    lane.commit()

    assert at_once is None
    for after in (lane, lane.restarted(), lane.restarted(lane.compacted())):
        assert (after.shelf.get(digest(1)), after.shelf.get(digest(2))) == (None, content(2))


def test_an_id_may_be_discarded_in_the_batch_that_added_it() -> None:
    lane = Lane()
    lane.shelf.add(digest(1), content(1), TODAY)

    lane.shelf.discard(digest(1), TODAY)
    lane.commit()

    assert lane.shelf.get(digest(1)) is None
    assert lane.restarted().shelf.get(digest(1)) is None


def test_an_id_that_was_discarded_may_come_again_in_a_later_batch() -> None:
    lane = Lane()
    lane.shelf.add(digest(1), content(1), TODAY)
    lane.commit()
    lane.shelf.discard(digest(1), TODAY)
    lane.commit()

    lane.shelf.add(digest(1), content(7), TODAY)
    lane.commit()

    assert lane.shelf.get(digest(1)) == content(7)
    assert lane.restarted(lane.compacted()).shelf.get(digest(1)) == content(7)


def test_an_id_that_was_discarded_may_come_again_in_the_same_batch() -> None:
    lane = Lane()
    lane.shelf.add(digest(1), content(1), TODAY)
    lane.commit()

    lane.shelf.discard(digest(1), TODAY)
    lane.shelf.add(digest(1), content(7), TODAY)
    within = lane.shelf.get(digest(1))
    lane.commit()

    assert within == content(7)
    assert lane.shelf.get(digest(1)) == content(7)
    assert lane.restarted().shelf.get(digest(1)) == content(7)


def test_days_that_ended_before_the_line_are_dropped_whole_and_the_day_of_the_line_is_kept() -> None:
    lane = Lane()
    for day in range(3):
        lane.shelf.add(digest(day), content(day), TODAY + day * DAY_MS + DAY_MS - 1)
    lane.commit()

    lane.shelf.forget(TODAY + DAY_MS)  # the first moment of the second day
    lane.commit()

    known = [lane.shelf.get(digest(day)) is not None for day in range(3)]
    assert known == [False, True, True]
    lane.shelf.forget(TODAY + 2 * DAY_MS - 1)  # the last moment of the second day
    lane.commit()
    assert lane.shelf.get(digest(1)) == content(1)
    assert len(lane.compacted()) == 2


def test_what_was_dropped_leaves_nothing_in_the_changelog() -> None:
    lane = Lane()
    lane.shelf.add(digest(1), content(1), TODAY)
    lane.commit()
    lane.shelf.discard(digest(1), TODAY)
    lane.commit()

    lane.shelf.forget(TODAY + 5 * DAY_MS)
    lane.commit()

    assert lane.compacted() == []
    assert len(lane.store) == 0


def test_a_day_is_forgotten_at_once_and_its_blocks_go_a_few_a_commit() -> None:
    lane = Lane()
    blocks, size = 7, DROPPED_MORE // 2
    for block in range(blocks):
        for n in range(size):
            lane.shelf.add(digest(block * size + n), content(n), TODAY)
        lane.commit()

    lane.shelf.forget(TODAY + DAY_MS)

    assert all(lane.shelf.get(digest(n)) is None for n in range(blocks * size))
    left = []
    while lane.compacted():
        lane.commit()
        left.append(len(lane.store))
    assert left == [5 * size, 3 * size, size, 0]


def test_the_more_comes_in_the_more_of_what_is_forgotten_is_dropped() -> None:
    lane = Lane()
    for block in range(9):
        lane.shelf.add(digest(block), content(block), TODAY)
        for n in range(DROPPED_MORE - 1):
            lane.shelf.add(digest(1000 * (block + 1) + n), content(n), TODAY)
        lane.commit()

    lane.shelf.forget(TODAY + DAY_MS)
    for n in range(DROPPED_MORE):
        lane.shelf.add(digest(10**6 + n), content(n), TODAY + DAY_MS)
    lane.commit()

    assert len(lane.compacted()) == 9 - 2 + 1


def test_what_is_forgotten_and_not_dropped_yet_stays_forgotten_and_may_come_again() -> None:
    lane = Lane()
    for block in range(3):
        for n in range(DROPPED_MORE):
            lane.shelf.add(digest(block * DROPPED_MORE + n), content(n), TODAY)
        lane.commit()
    last = digest(3 * DROPPED_MORE - 1)
    lane.shelf.forget(TODAY + DAY_MS)
    lane.commit()

    lane = lane.restarted(lane.compacted())
    lane.shelf.forget(TODAY + DAY_MS)  # as the book does when it opens
    forgotten = lane.shelf.get(last)
    lane.shelf.add(last, content(DROPPED_MORE - 1), TODAY + DAY_MS)
    lane.commit()
    lane.commit()

    assert forgotten is None
    assert lane.shelf.get(last) == content(DROPPED_MORE - 1)
    assert len(lane.store) == len(lane.compacted()) == 1


def test_two_ticks_in_one_batch_forget_as_one() -> None:
    lane = Lane()
    lane.shelf.add(digest(1), content(1), TODAY)
    lane.shelf.add(digest(2), content(2), TODAY + DAY_MS)
    lane.commit()

    lane.shelf.forget(TODAY + DAY_MS)
    lane.shelf.forget(TODAY + 2 * DAY_MS)
    lane.commit()

    assert len(lane.store) == 0
    assert lane.compacted() == []


def test_an_id_that_came_again_on_a_later_day_outlives_the_day_of_its_first_coming() -> None:
    """It died waiting, was corrected and sent again: of that event the memory must last as long."""
    lane = Lane()
    lane.shelf.add(digest(1), content(1), TODAY)
    lane.commit()
    lane.shelf.discard(digest(1), TODAY)
    lane.commit()
    lane.shelf.add(digest(1), content(7), TODAY + 9 * DAY_MS)
    lane.commit()

    lane.shelf.forget(TODAY + 5 * DAY_MS)
    lane.commit()

    assert lane.shelf.get(digest(1)) == content(7)
    assert lane.restarted(lane.compacted()).shelf.get(digest(1)) == content(7)


# -- the law: whatever happens, live state, restored state and a plain dict say the same

Step = tuple[str, int, int]
kinds = st.sampled_from(["take", "take", "take", "discard", "tick", "commit"])
steps = st.lists(st.tuples(kinds, st.integers(0, 5), st.integers(0, 3)), max_size=60)


@settings(deadline=None)
@given(steps)
def test_live_and_restored_memory_are_what_a_plain_one_remembers(taken: list[Step]) -> None:
    """Events come as usage does: only ids that are not known are added; ticks go on by days."""
    lane = Lane()
    plain: dict[bytes, tuple[bytes, int]] = {}
    contents: Callable[[], int] = count(1).__next__
    line = TODAY
    for what, number, day in taken:
        name, moment = digest(number), line + day * DAY_MS
        match what:
            case "take":
                if lane.shelf.get(name) is None:
                    says = content(contents())
                    lane.shelf.add(name, says, moment)
                    plain[name] = (says, moment)
            case "discard":
                if lane.shelf.get(name) is not None and name in plain:
                    lane.shelf.discard(name, plain.pop(name)[1])
            case "tick":
                line += day * DAY_MS
                lane.shelf.forget(line)
                lane.commit()
                plain = {known: (says, at) for known, (says, at) in plain.items() if at >= line}
            case "commit":
                lane.commit()
    lane.shelf.forget(line)
    lane.commit()

    for after in (lane, lane.restarted(), lane.restarted(lane.compacted())):
        assert {name: after.shelf.get(name) for name in map(digest, range(6))} == {
            name: plain[name][0] if name in plain else None for name in map(digest, range(6))
        }
