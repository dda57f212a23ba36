"""The Faust table of what is committed: the rows of the lanes that are here, as their stores have them."""

import faust
import pytest

from streams.lanes.job import KeyedStore
from streams.lanes.spaces import MemorySpace
from streams.lanes.view import View


def store(**rows: bytes) -> KeyedStore:
    found = KeyedStore(MemorySpace())
    for key, value in rows.items():
        found.apply(key.encode(), value)
    return found


@pytest.fixture
def view() -> View:
    return View(faust.App("test", broker="kafka://none", store="memory://"), name="rows", partitions=2)


def test_it_shows_what_the_lanes_have_and_have_committed_since(view: View) -> None:
    one, two = store(a=b"1"), store(b=b"2")
    view.show(0, one)
    view.show(1, two)

    one.apply(b"c", b"3")
    two.apply(b"b", b"4")

    assert dict(view) == {b"a": b"1", b"b": b"4", b"c": b"3"}
    assert len(view) == 3
    assert view[b"b"] == b"4"
    assert b"nobody" not in view


def test_a_lane_that_went_is_not_shown_and_one_that_came_back_is_as_it_is_now(view: View) -> None:
    view.show(0, store(a=b"1"))
    view.show(1, store(b=b"2"))

    view.hide(0)
    view.hide(0)

    assert dict(view) == {b"b": b"2"}
    view.show(0, store(a=b"5"))
    assert view[b"a"] == b"5"
