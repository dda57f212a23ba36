"""What Python's garbage collector does in a worker."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from streams import garbage


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.set_threshold(*thresholds)
    gc.callbacks[:] = callbacks
    gc.unfreeze()


class Circle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_what_outlives_a_full_collection_is_looked_through_no_more() -> None:
    garbage.tune()
    gc.unfreeze()

    kept = [Circle()]
    garbage.collect_young()
    assert gc.get_freeze_count() == 0
    gc.collect()

    assert gc.get_freeze_count() > 0
    assert not any(known is kept for known in gc.get_objects())


def test_a_cycle_of_late_is_freed() -> None:
    garbage.tune()
    circle = weakref.ref(Circle())
    assert circle() is not None

    garbage.collect_young()

    assert circle() is None


def test_it_is_looked_for_when_there_is_nothing_to_do_and_at_last_even_then() -> None:
    assert not garbage.is_due(29.0, is_busy=False)
    assert garbage.is_due(30.0, is_busy=False)
    assert not garbage.is_due(119.0, is_busy=True)
    assert garbage.is_due(120.0, is_busy=True)


def test_the_first_time_comes_earlier_than_the_others() -> None:
    garbage.tune()
    assert gc.get_threshold()[0] == garbage.FIRST_AFTER

    gc.collect(0)

    assert gc.get_threshold() == garbage.COLLECT_AFTER
