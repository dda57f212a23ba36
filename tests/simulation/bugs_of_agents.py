"""Bugs planted between the wire and the rules: intake, shelves, ids, journal.

Where engine.md's table of holes has a number for it, the docstring says so.
"""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from streams.agents import shelves
from streams.agents.intake import Intake
from streams.agents.job import BillingFold
from streams.agents.seen import SeenShelf, SeenStore
from streams.agents.shelves import AccountShelf, Cabinet, ProfileStore, WaitingShelf
from streams.domain.reasons import Reason, Rejected
from streams.lanes.job import Batch, Run
from streams.topics import BALANCES
from tests.simulation.planting import wrap


def an_exception_skips_the_event(patch: pytest.MonkeyPatch) -> None:
    """Hole 8: a record whose handling raises is passed over, and the offset goes on."""
    calls = [0]

    def take(right: Any, self: BillingFold, origin: Any, event: Any, batch: Batch) -> None:
        calls[0] += 1
        if calls[0] % 97 != 0:  # else it raised, and was skipped
            right(self, origin, event, batch)

    wrap(patch, BillingFold, "_take", take)


def a_codecs_exception_skips_the_record(patch: pytest.MonkeyPatch) -> None:
    """Hole 9: what cannot be decoded leaves no dead letter."""

    def take(right: Any, self: BillingFold, origin: Any, event: Any, batch: Batch) -> None:
        wire = {Reason.TRUNCATED, Reason.UNDECODABLE, Reason.TRAILING_BYTES}
        if isinstance(event, Rejected) and event.reason in wire:
            self._counts.duplicate += 1
            return
        right(self, origin, event, batch)

    wrap(patch, BillingFold, "_take", take)


def dedupe_is_skipped_for_one_batch(patch: pytest.MonkeyPatch) -> None:
    """The first batch after a restart does not ask for remembered ids."""
    start = SeenShelf.__init__

    def begun(self: Any, store: SeenStore) -> None:
        start(self, store)
        self.blind = True

    def get(right: Any, self: Any, digest: bytes) -> bytes | None:
        if self.blind:
            added: bytes | None = self._added.get(digest)
            return added
        found: bytes | None = right(self, digest)
        return found

    def committed(right: Any, self: Any) -> None:
        right(self)
        self.blind = False

    patch.setattr(SeenShelf, "__init__", begun)
    wrap(patch, SeenShelf, "get", get)
    wrap(patch, SeenShelf, "committed", committed)


def the_journal_forgets_a_run(patch: pytest.MonkeyPatch) -> None:
    """The journal tells the last run of a commit only."""

    def journal(right: Any, self: BillingFold, batch: Batch) -> None:
        runs: list[Run] = batch.runs
        batch.runs = runs[-1:]
        right(self, batch)
        batch.runs = runs

    wrap(patch, BillingFold, "_journal", journal)


def waiting_events_are_forgotten_at_a_restart(patch: pytest.MonkeyPatch) -> None:
    """What waits is restored, but not looked at again."""
    start = WaitingShelf.__init__

    def forgetful(self: WaitingShelf, *how: Any) -> None:
        start(self, *how)
        self._rows.clear()
        self._by_account.clear()
        self._by_meter.clear()

    patch.setattr(WaitingShelf, "__init__", forgetful)


def ids_are_forgotten_a_day_early(patch: pytest.MonkeyPatch) -> None:
    """The ids of the day that the forget line stands in are forgotten."""
    forget = SeenShelf.forget
    patch.setattr(SeenShelf, "forget", lambda self, before: forget(self, before + 86_400_000))


def a_changed_payment_is_not_written(patch: pytest.MonkeyPatch) -> None:
    """Of several payments that changed in one batch the last one is not written."""

    def seal(right: Any, self: Cabinet[Any, Any], batch: Batch) -> Iterator[None]:
        if self._table == "payments" and len(self.changed) > 1:
            self.changed.popitem()
        return cast("Iterator[None]", right(self, batch))

    wrap(patch, Cabinet, "seal", seal)


def an_account_touched_again_is_not_encoded_again(patch: pytest.MonkeyPatch) -> None:
    """Of an account that was encoded within a batch already the first state is written."""

    def seal(right: Any, self: AccountShelf, changed: Iterator[Any], batch: Batch) -> Iterator[None]:
        done = {place.key for place in batch.places.get(BALANCES.name, ())}
        left = [account for account in changed if account.account_id.encode() not in done]
        return cast("Iterator[None]", right(self, left, batch))

    wrap(patch, AccountShelf, "seal", seal)


def an_erasure_is_not_kept(patch: pytest.MonkeyPatch) -> None:
    """An erased profile is back in force once its batch is committed."""

    def apply(right: Any, self: ProfileStore, key: bytes, value: bytes | None) -> None:
        if value is not None:
            right(self, key, value)

    wrap(patch, ProfileStore, "apply", apply)


def the_wrong_lane_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    """A record that stands in another account's partition is folded there."""
    patch.setattr(Intake, "placed", lambda self, event: event)


def a_low_status_is_not_said(patch: pytest.MonkeyPatch) -> None:
    """Gateways are not told that an account is low."""

    def emit(right: Any, self: BillingFold, output: Any, batch: Batch) -> None:
        if type(output).__name__ == "StatusChanged" and output.status.value == "low":
            return
        right(self, output, batch)

    wrap(patch, BillingFold, "_emit", emit)


def what_charges_changed_is_not_read_back(patch: pytest.MonkeyPatch) -> None:
    """A restarted lane goes on from each account's state as it was when more than a charge changed it."""
    patch.setattr(shelves, "catch_up", lambda account, values: None)


BUGS = (
    what_charges_changed_is_not_read_back,
    an_exception_skips_the_event,
    a_codecs_exception_skips_the_record,
    dedupe_is_skipped_for_one_batch,
    the_journal_forgets_a_run,
    waiting_events_are_forgotten_at_a_restart,
    ids_are_forgotten_a_day_early,
    a_changed_payment_is_not_written,
    an_account_touched_again_is_not_encoded_again,
    an_erasure_is_not_kept,
    the_wrong_lane_is_not_noticed,
    a_low_status_is_not_said,
)
