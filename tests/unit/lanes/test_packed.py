"""Packed entries against a dict, whatever is put and deleted in whatever order."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.lanes.packed import MOST_A_BUCKET, PackedEntries

KEY_BYTES, VALUE_BYTES = 16, 12

# Few different keys, which come again; alike in their last bytes, in the first ones, or in none.
firsts = st.sampled_from([b"\0" * 8, b"\xff" * 8, b"12345678"])
keys = st.builds(lambda first, last: first + last.to_bytes(8, "big"), firsts, st.integers(0, 40))
values = st.binary(min_size=VALUE_BYTES, max_size=VALUE_BYTES)
steps = st.lists(st.tuples(keys, st.none() | values), max_size=300)


def packed() -> PackedEntries:
    return PackedEntries(KEY_BYTES, VALUE_BYTES)


def spread(number: int) -> bytes:
    """Return a key as evenly spread as a digest."""
    return number.to_bytes(8, "big") + (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big")


@given(steps)
def test_entries_are_a_dict(steps: list[Any]) -> None:
    entries, expected = packed(), dict[bytes, bytes]()
    for key, value in steps:
        if value is None:
            entries.delete(key)
            expected.pop(key, None)
        else:
            entries.put(key + value)
            expected[key] = value

        assert entries.get(key) == value
        assert len(entries) == len(expected)

    assert {key: entries.get(key) for key, _ in steps} == {key: expected.get(key) for key, _ in steps}


def test_entries_that_grow_and_shrink_keep_every_key() -> None:
    entries, count = packed(), 20_000
    for number in range(count):
        entries.put(spread(number) + number.to_bytes(VALUE_BYTES, "big"))
    for number in range(0, count, 3):
        entries.delete(spread(number))

    for number in range(count):
        expected = None if number % 3 == 0 else number.to_bytes(VALUE_BYTES, "big")
        assert entries.get(spread(number)) == expected
    assert len(entries) == count - len(range(0, count, 3))


def test_buckets_stay_small_and_no_entry_splits_more_than_one() -> None:
    entries, most = packed(), 0
    for number in range(20_000):
        before = len(entries._buckets)
        entries.put(spread(number) + bytes(VALUE_BYTES))
        most = max(most, len(entries._buckets) - before)

    longest = max(map(len, entries._buckets)) // (KEY_BYTES + VALUE_BYTES)
    assert most == 1
    assert len(entries._buckets) * MOST_A_BUCKET >= len(entries)
    assert longest < 8 * MOST_A_BUCKET


def test_looking_ahead_meets_buckets_of_what_is_there_and_of_what_is_not_and_changes_nothing() -> None:
    entries, empty = packed(), packed()
    for number in range(100):
        entries.put(spread(number) + b"\0" * (VALUE_BYTES - 1) + b"\1")
    before = dict(entries.items())

    met = entries.look_ahead([spread(7), spread(8) + bytes(VALUE_BYTES), spread(7)])

    assert met == 3  # each bucket's last byte
    assert dict(entries.items()) == before
    assert empty.look_ahead([spread(7)]) == 0


def test_a_key_inside_of_other_entries_is_not_found() -> None:
    entries, key = packed(), spread(7)
    value, other = key[:VALUE_BYTES], key[VALUE_BYTES:] + bytes(KEY_BYTES - len(key[VALUE_BYTES:]))
    entries.put(spread(1) + value)
    entries.put(other + value)

    assert entries.get(key) is None
