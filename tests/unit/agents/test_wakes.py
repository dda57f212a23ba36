"""The index by wake_at: what is due is what a plain search finds, also over what a restart found stored."""

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.agents.wakes import Wakes
from streams.domain.account import NEVER

MOMENTS = st.one_of(st.integers(0, 6), st.just(NEVER))
NAMES = st.sampled_from(["a0", "a1", "a2", "a3", "a4"])


@settings(deadline=None)
@given(
    st.dictionaries(NAMES, MOMENTS),
    st.lists(st.tuples(NAMES, MOMENTS), max_size=30),
    st.integers(0, 7),
    st.integers(1, 6),
)
def test_what_is_due_is_what_a_plain_search_finds(
    stored: dict[str, int], moves: list[tuple[str, int]], time: int, limit: int
) -> None:
    wakes, plain = Wakes(stored.items()), dict(stored)

    for name, wake_at in moves:
        wakes.set(name, wake_at)
        plain[name] = wake_at
        wakes.due(time, limit)  # asking changes nothing

    expected = [name for wake_at, name in sorted((w, n) for n, w in plain.items()) if wake_at <= time]
    assert wakes.due(time, limit) == expected[:limit]


def test_a_restart_spends_nothing_but_a_place_in_a_list_on_an_account_that_waits_for_the_close() -> None:
    stored = [(f"account-{number:05}", 1_700_000_000_000 + number % 3) for number in range(10_000)]
    tracemalloc.start()

    wakes = Wakes(stored)

    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 20 * len(stored), "a tuple of two would be 56 bytes, an entry of a dict about 50"
    assert len(wakes.due(NEVER, 20_000)) == len(stored)
