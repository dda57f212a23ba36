"""The shipped worker with one planted bug, supervised as it is shipped: `python -m tests.faults.broken_worker BUG`.

Each bug is one that a plausible mistake would make; the storms must find every one of them.
"""

import sys
from collections.abc import Callable, Iterable, Mapping

from streams.agents.seen import SeenShelf
from streams.lanes import lane, transaction
from streams.lanes.transaction import KeyValue, LaneProducer


def commit_offsets_before_state() -> None:
    """Commit the offsets in a transaction of their own, before the one with the state and the outputs."""
    commit = LaneProducer.commit

    async def in_two(
        self: LaneProducer, writes: Mapping[str, Iterable[KeyValue]], offsets: Mapping[str, int]
    ) -> None:
        await commit(self, {}, offsets)
        await commit(self, writes, {})

    LaneProducer.commit = in_two  # type: ignore[method-assign]


def commit_state_before_offsets() -> None:
    """Commit the state and the outputs first, the offsets in a second transaction."""
    commit = LaneProducer.commit

    async def in_two(
        self: LaneProducer, writes: Mapping[str, Iterable[KeyValue]], offsets: Mapping[str, int]
    ) -> None:
        await commit(self, writes, {})
        await commit(self, {}, offsets)

    LaneProducer.commit = in_two  # type: ignore[method-assign]


def forget_ids() -> None:
    """Take every usage event for a new one."""
    SeenShelf.get = lambda self, digest: None  # type: ignore[method-assign]


def start_empty() -> None:
    """Restore nothing."""

    async def nothing(*_: object) -> int:
        return 0

    lane.restore = nothing


BUGS: Mapping[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (commit_offsets_before_state, commit_state_before_offsets, forget_ids, start_empty)
}


def main(bug: str, *once: str) -> int:
    """Run a worker with the bug; supervised unless `--once` follows."""
    if once:
        from streams.app import run

        BUGS[bug]()
        return run()
    from cli.worker import _supervise

    return _supervise([sys.executable, "-m", "tests.faults.broken_worker", bug, "--once"])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
