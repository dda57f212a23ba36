"""The queue of barriers: each waits until the other inputs are folded to where they then ended."""

from streams.lanes.lane import BarrierQueue
from streams.lanes.spaces import Place
from tests.batches import new_batch, records_of
from tests.unit.lanes.doubles import fetch


def taken(queue: BarrierQueue) -> tuple[int | None, int]:
    """Take one barrier; return its offset and the next one."""
    topic, record, after = queue.take()
    assert topic == "ticks"
    return (None if record is None else record.offset, after)


def test_an_empty_queue_has_nothing_to_ask_and_nothing_due() -> None:
    queue = BarrierQueue()

    assert (queue.unasked, queue.is_due({})) == (0, False)


def test_a_barrier_is_due_once_all_inputs_are_folded_to_their_ends() -> None:
    queue = BarrierQueue()
    queue.put(fetch("ticks", 0))
    assert not queue.is_due({"a": 10, "b": 10})  # its ends are not known yet

    queue.cover(queue.unasked, {"a": 3, "b": 0})

    assert not queue.is_due({"a": 2, "b": 9})
    assert queue.is_due({"a": 3, "b": 0})


def test_a_barrier_that_came_after_the_ends_were_asked_waits_for_its_own() -> None:
    queue = BarrierQueue()
    queue.put(fetch("ticks", 0))
    queue.cover(queue.unasked, {"a": 3})
    queue.put(fetch("ticks", 1))
    assert queue.unasked == 0  # one question at a time

    first = taken(queue)

    assert first == (0, 1)
    assert not queue.is_due({"a": 3})
    assert queue.unasked == 1
    queue.cover(1, {"a": 5})
    assert not queue.is_due({"a": 3})
    assert queue.is_due({"a": 5})


def test_the_barriers_of_one_fetch_are_taken_one_by_one() -> None:
    queue = BarrierQueue()
    queue.put(fetch("ticks", 4, 7, end=9))
    queue.cover(queue.unasked, {})

    assert [taken(queue), taken(queue)] == [(4, 5), (7, 8)]
    assert queue.unasked == 0
    assert not queue.is_due({})


def test_a_fetch_without_records_only_moves_the_offset() -> None:
    queue = BarrierQueue()
    queue.put(fetch("ticks", start=2, end=4))
    queue.cover(queue.unasked, {})

    assert taken(queue) == (None, 4)


def test_a_batch_keeps_outputs_in_order_and_the_last_value_of_a_key() -> None:
    batch = new_batch()

    batch.emit("out", b"1", b"x")
    batch.emit("other", None, None)
    batch.emit("out", b"2", b"y")
    batch.write("t", b"k", b"1")
    batch.write("t", b"gone", b"1")
    batch.write("t", b"k", b"2")
    batch.write("t", b"gone", None)

    assert records_of(batch) == {"out": [(b"1", b"x"), (b"2", b"y")], "other": [(None, None)]}
    assert batch.writes == {"t": {b"k": b"2", b"gone": None}}


def test_a_value_written_at_its_place_is_an_output_at_once_and_its_place_is_noted_once() -> None:
    batch, later = new_batch(), new_batch()
    place, other = Place(b"k", None), Place(b"other", b"0")

    for value in (b"1", b"2"):
        batch.write_at("balances", place, value)
    batch.write_at("balances", other, b"3")
    batch.write("lane", b"l", b"4")
    batch.emit_writes("lane")
    later.write_at("balances", place, b"5")

    assert records_of(batch) == {
        "balances": [(b"k", b"1"), (b"k", b"2"), (b"other", b"3")],
        "lane": [(b"l", b"4")],
    }
    assert batch.places == {"balances": [place, other]}
    assert later.places == {"balances": [place]}
    assert (place.next, place.value, other.value) == (b"5", None, b"0")
