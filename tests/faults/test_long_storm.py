"""Forty times from one worker to three and back, each with five kills, a freeze and often a broken store.

What inputs.py sends goes through an undisturbed deployment as well, and must come to the same: test_storm.py
is the same in small. Kills come at random, in open transactions, and at the points of dying_worker.py.

The first worker has a name: when all of it is started again it finds its lanes. The others have none: a kill
or a freeze of theirs outlasts their session, and their lanes move.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import cycle
from random import Random

import pytest

from tests.faults.deployment import (
    DYING_WORKER,
    SESSION_SECONDS,
    Deployment,
    Worker,
    assert_holds,
    wait_until,
)
from tests.faults.disks import BROKEN_FILES, OLD_COPY, WAYS, Disk
from tests.faults.dying_worker import IN_A_COMMIT, IN_A_RESTORE
from tests.faults.injuries import Injuries, table
from tests.faults.inputs import Load, Stage
from tests.faults.outcome import dead_values, differences, outcome
from tests.faults.report import Entry, Kind, percentile, spread
from tests.faults.test_storm import run_undisturbed

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the folding process in /proc"),
]

LANES = 3
"""One for each worker."""
ROUNDS = 40
STAGES_A_ROUND = 4
RECOVERY_SECONDS = SESSION_SECONDS + 5
"""p95 of the time from a kill to the next commit of a lane that the victim had."""


@pytest.mark.timeout(2400)
def test_forty_rounds_of_kills_freezes_rebalances_and_broken_stores_change_nothing(
    deploy: Callable[..., Deployment], tell: Callable[[str], None], report: Entry
) -> None:
    made = Load(seed=17, accounts=3_000, events=200_000, stages=STAGES_A_ROUND * ROUNDS)
    stages = list(made.stages())
    calm, deployment = deploy("calm", lanes=LANES), deploy("long", lanes=LANES, store="rocksdb")
    storm = LongStorm(deployment)

    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=1) as beside:
        undisturbed = beside.submit(run_undisturbed, calm, stages)
        storm.run(stages)
    seconds = time.monotonic() - began
    topics, found = deployment.verify()
    report.took(deployment, storm.injuries)
    report.inject(Kind.REBALANCE, storm.rounds)
    report.judged(found)
    tell(storm.told(f"long storm of {seconds:.0f} s", made, report))

    assert_holds(found)
    assert differences(undisturbed.result(), outcome(topics)) == []
    assert not made.poison - dead_values(topics), "poison that is no dead letter"
    assert storm.thrown_away >= sum(injury.what in BROKEN_FILES for injury in storm.injuries.done)
    assert deployment.aborted() > 0
    assert percentile(report.recoveries, 0.95) < RECOVERY_SECONDS


class LongStorm:
    """One deployment, and what is done to it round by round."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.injuries = Injuries(deployment)
        self.rounds = 0
        self._random = Random(5)
        self._ways = cycle([*WAYS, OLD_COPY])
        self._commit_points = cycle(IN_A_COMMIT)
        self._restore_points = cycle(IN_A_RESTORE)
        self._disks = [Disk(deployment.directory / f"disk-{n}") for n in range(2)]
        self._others: list[Worker] = []
        self.thrown_away = 0
        self._first = self._start(Disk(deployment.directory / "disk-first"), "first")

    def run(self, stages: Sequence[Stage]) -> None:
        """Send the opening, then injure round by round while the rest is sent; return at zero lag."""
        self._left = iter(stages)
        opening = next(self._left)
        self.deployment.send(opening.records, opening.tick)
        self.deployment.settle()
        while self.rounds < ROUNDS:
            self._round()
        self.deployment.settle()

    def _round(self) -> None:
        self._scale_up()
        self._freeze_one_and_kill_another()
        stage = self._send_half(self.injuries.kill_at(self._first, next(self._commit_points)))
        self._replace_first()  # what was frozen meets this load too, as it thinks that it still has its lanes
        self._recover(stage)
        self._scale_down()
        self.rounds += 1

    def _scale_up(self) -> None:
        """Kill the one that has all lanes, and its successor in the restore; then start it and two more.

        Every other time its stores are broken while it is down.
        """
        injuries, first = self.injuries, self._first
        stage = self._send_half(injuries.kill_in_a_transaction(first))
        first.kill()
        if self.rounds % 2:
            injuries.break_stores(first.disk, self._ways)
        else:
            first.disk.keep_a_copy()
        self._replace_first()
        point = next(self._restore_points)
        self._first.order_death(point)
        injuries.kill_in_the_restore(self._first, point)
        self._replace_first()
        self._others = [self._start(disk) for disk in self._disks]
        self._recover(stage)
        wait_until(lambda: all(w.lanes() for w in (self._first, *self._others)), "lanes for each of three")

    def _freeze_one_and_kill_another(self) -> None:
        frozen, killed = self._others if self.rounds % 2 else self._others[::-1]
        stage = self._send_half(self.injuries.freeze_in_a_transaction(frozen))
        with self.injuries.kill_at(killed, next(self._commit_points)):
            self._send_rest(stage)
        killed.kill()
        self._others = [frozen, self._start(killed.disk)]
        self.injuries.wait_for_recovery()

    def _scale_down(self) -> None:
        """Let two of three end, and kill the third meanwhile."""
        stage = self._send_half(self.injuries.kill_after(self._first, self._random.random() / 2))
        for worker in self._others:
            worker.ask_to_end()
        self._replace_first()
        self._recover(stage)
        for worker in self._others:
            worker.end()
            self._leave(worker)
        wait_until(lambda: len(self._first.lanes()) == LANES, "all lanes for the one that is left")

    def _send_half(self, injury: AbstractContextManager[None]) -> Stage:
        """Send the first half of the next stage with an injury; return the stage."""
        stage = next(self._left)
        if stage.settled:
            self.deployment.settle()
        with injury:
            self.deployment.send(stage.records[: len(stage.records) // 2])
        return stage

    def _send_rest(self, stage: Stage) -> None:
        """Send the second half, and the tick: something to commit for each lane."""
        self.deployment.send(stage.records[len(stage.records) // 2 :], stage.tick)

    def _recover(self, stage: Stage) -> None:
        self._send_rest(stage)
        self.injuries.wait_for_recovery()

    def _replace_first(self) -> None:
        self._leave(self._first)
        self._first = self._start(self._first.disk, "first")

    def _start(self, disk: Disk, name: str = "") -> Worker:
        return self.deployment.start_worker(name, DYING_WORKER, disk)

    def _leave(self, worker: Worker) -> None:
        """Kill a worker whose child was killed, before it starts another; note what it said."""
        worker.kill()
        self.thrown_away += worker.said("store thrown away")

    def told(self, title: str, made: Load, report: Entry) -> str:
        """Return what was injected and what it cost."""
        whats = Counter(injury.what for injury in self.injuries.done)
        return table(
            title,
            [
                ("usage records", f"{self.deployment.usage_sent:,}"),
                ("of them again, late", f"{made.again:,}, {made.late:,}"),
                ("poison, other bad records", f"{made.poison.total():,}, {made.bad:,}"),
                ("rounds from one worker to three and back", self.rounds),
                ("workers started", len(self.deployment.workers)),
                ("lanes moved to another worker", self.deployment.journal.moves),
                ("stores thrown away", self.thrown_away),
                ("ledger records in aborted transactions", self.deployment.aborted()),
                ("from a kill to a commit of a lane, s", spread(report.recoveries)),
                *sorted(whats.items()),
            ],
        )
