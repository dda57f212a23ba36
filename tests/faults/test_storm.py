"""Kills, freezes, broken stores and a changing number of workers under load: nothing is lost or different.

The same load goes through an undisturbed deployment and through a storm; what domain.md says must not
depend on the interleaving (charges, tax, documents, balances, dead letters) must be equal to the last
record. inputs.py says how the load is made so that it must: in short, everything that decides a record is
applied before it is sent, or stands before the tick that closes its month. Ticks are not waited for, so
most kills fall into months' work, and two into the close of a month itself.
"""

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from statistics import median

import pytest

from producers.simulator import Simulation
from streams.topics import COMMANDS, INVOICES, PAYMENTS
from tests.faults.deployment import DYING_WORKER, Deployment, Worker, assert_holds
from tests.faults.disks import BROKEN_FILES, OLD_COPY, Disk
from tests.faults.injuries import Injuries, table
from tests.faults.inputs import Load, Stage
from tests.faults.outcome import Outcome, dead_values, differences, outcome
from tests.faults.report import Entry, Kind

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the folding process in /proc"),
]

ACCOUNTS = 3_000
EVENTS = 101_000
STAGES = 28
AFTER_FREEZES = {11, 20, 26}
"""Two stages on: what was frozen has met a load since."""


@pytest.mark.timeout(600)
def test_a_storm_of_kills_and_freezes_changes_no_charge_tax_document_or_balance(
    deploy: Callable[[str], Deployment], tell: Callable[[str], None], report: Entry
) -> None:
    made = Load(seed=11, accounts=ACCOUNTS, events=EVENTS, stages=STAGES)
    stages = list(made.stages())
    calm, deployment = deploy("calm"), deploy("storm", store="rocksdb")
    storm = Storm(deployment)

    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=1) as beside:  # a storm is mostly waiting
        undisturbed = beside.submit(run_undisturbed, calm, stages)
        storm.run(stages)
    seconds = time.monotonic() - began
    topics, found = deployment.verify()
    report.took(deployment, storm.injuries)
    report.inject(Kind.REBALANCE)
    report.judged(found)
    tell(storm.report(f"storm of {seconds:.0f} s", made))

    assert_holds(found)
    assert differences(undisturbed.result(), outcome(topics)) == []
    assert not made.poison - dead_values(topics), "poison that is no dead letter"
    storm.was_one()


def run_undisturbed(calm: Deployment, stages: Sequence[Stage]) -> Outcome:
    """Send every stage to one worker whom nobody hurts."""
    worker = calm.start_worker()
    for stage in stages:
        if stage.settled:
            calm.settle()
        calm.send(stage.records, stage.tick)
    calm.settle()
    worker.end()
    assert worker.restarts == 0
    return outcome(calm.read())


@pytest.mark.long
def test_kills_of_workers_and_payments_charge_no_automatic_top_up_twice_and_lose_none(
    deploy: Callable[[str], Deployment], tell: Callable[[str], None], report: Entry
) -> None:
    deployment = deploy("top-ups")
    settings = deployment.settings
    simulation = Simulation(
        seed=5, accounts=120, months=1, lanes=settings.lanes, max_age_days=settings.max_age_days
    )
    injuries = Injuries(deployment)
    first, second = deployment.start_worker(name="first"), deployment.start_worker(name="second")
    deployment.start_payments()

    began = time.monotonic()
    for step in simulation.steps():
        half = len(step.records) // 2
        injury: AbstractContextManager[None] = nullcontext()
        match step.number:
            case 4 | 18:
                injury = injuries.kill_in_a_transaction(first)
            case 12 | 25:
                injury = injuries.kill_in_a_transaction(second)
            case 8 | 15 | 22:
                injury = injuries.kill_payments()
        with injury:
            deployment.send(step.records[:half])
        deployment.send(step.records[half:])
        injuries.wait_for_recovery()
        deployment.settle(payments=True)
        if step.number == 0:  # the first tick asks for top-ups of almost every account at once
            with (
                injuries.kill_payments_while_answering(),
                injuries.kill_in_a_transaction(first, COMMANDS.name),
            ):
                deployment.send([], step.tick)
        else:
            deployment.send([], step.tick)
        # Which tick ends the waiting of usage without account depends on which was read after it.
        deployment.settle(payments=True)
    seconds = time.monotonic() - began
    _, found = deployment.verify()
    report.took(deployment, injuries)
    report.judged(found)
    answered = deployment.count(PAYMENTS.name)
    commands = deployment.count(COMMANDS.name)
    tell(
        table(
            f"storm with automatic top-ups of {seconds:.0f} s",
            [
                ("usage records", f"{deployment.usage_sent:,}"),
                ("top-up commands, payment events", f"{commands:,}, {answered:,}"),
                *((injury.what, injury) for injury in injuries.done),
            ],
        )
    )

    assert_holds(found)
    assert len(injuries.kills()) == 9
    assert commands > 300


class Storm:
    """One deployment in a storm: which stage brings which injury."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.injuries = Injuries(deployment)
        self.first = self._start("first")
        self.second: Worker
        self.third: Worker

    def run(self, stages: Sequence[Stage]) -> None:
        """Send every stage, injure, and return at zero lag with one worker left."""
        for stage in stages:
            if stage.settled or stage.number in AFTER_FREEZES:
                self.deployment.settle()
            self._scale(stage.number)
            # Half of the load before the injury and half after it; of a close, what closes as well.
            half = len(stage.records) if stage.closes else len(stage.records) // 2
            with self._injury(stage.number):
                self.deployment.send(stage.records[:half], stage.tick if stage.closes else None)
            if not stage.closes:
                self.deployment.send(stage.records[half:], stage.tick)
                self.injuries.wait_for_recovery()
        self.deployment.settle()

    def _scale(self, stage: int) -> None:
        match stage:
            case 2:
                self.first.disk.keep_a_copy()
            case 4:
                self.second = self._start("second")
            case 6:  # one that is no static member: it leaves at once
                self.third = self._start("")
            case 8:
                self.third.end()
            case 12:  # its supervisor was killed
                self.injuries.break_stores(self.first.disk, [OLD_COPY])
                self.first = self._start("first", self.first.disk)
                self.first.order_death("store open")
                self.injuries.kill_in_the_restore(self.first, "store open")
            case 23:  # its supervisor was killed
                self.injuries.break_stores(self.second.disk, BROKEN_FILES)
                self.second = self._start("second", self.second.disk)
            case 26:
                self.second.end()

    def _start(self, name: str, disk: Disk | None = None) -> Worker:
        return self.deployment.start_worker(name, DYING_WORKER, disk)

    def _injury(self, stage: int) -> AbstractContextManager[None]:
        injuries = self.injuries
        match stage:
            case 2:
                return injuries.kill_in_a_transaction(self.first)
            case 3:
                return injuries.kill_at(self.first, "offsets sent, not committed")
            case 5 | 20:
                return injuries.kill_in_a_transaction(self.second)
            case 7:
                return injuries.kill_after_a_commit(self.second)
            case 9 | 24:
                return injuries.freeze_in_a_transaction(self.second)
            case 11:
                return injuries.kill_supervisor(self.first)
            case 13 | 27:  # the tick of these closes a month
                return injuries.kill_in_a_transaction(self.first, INVOICES.name)
            case 14:
                return injuries.kill_at(self.second, "committed, not in the store")
            case 16:
                return injuries.kill_while_opening(self.first)
            case 18:
                return injuries.freeze(self.second)
            case 22:
                return injuries.kill_supervisor(self.second)
            case _:
                return nullcontext()

    def report(self, title: str, made: Load) -> str:
        """Return what was injected and what it cost."""
        deployment, journal, injuries = self.deployment, self.deployment.journal, self.injuries
        kills = injuries.kills()
        return table(
            title,
            [
                ("usage records", f"{deployment.usage_sent:,}"),
                ("of them again, late, bad", f"{made.again:,}, {made.late:,}, {made.bad:,}"),
                ("kill -9", len(kills)),
                ("freezes", len(injuries.freezes())),
                ("children started again", sum(worker.restarts for worker in deployment.workers)),
                ("lanes opened", sum(worker.openings for worker in deployment.workers)),
                ("lanes moved to another worker", journal.moves),
                ("ledger records in aborted transactions", deployment.aborted()),
                ("commits", len(journal.commits)),
                ("to the first commit after a kill", _seconds([i.first for i in kills])),
                ("to a commit of each lane after a kill", _seconds([i.all for i in kills])),
                *((injury.what, injury) for injury in injuries.done),
            ],
        )

    def was_one(self) -> None:
        """Fail where too little was injected to prove anything."""
        journal, workers = self.deployment.journal, self.deployment.workers
        assert self.deployment.usage_sent >= 100_000
        assert len(self.injuries.kills()) >= 10
        assert len(self.injuries.freezes()) >= 3
        assert sum(worker.restarts for worker in workers) >= 8
        assert sum(worker.said("store thrown away") for worker in workers) >= 1
        assert journal.moves >= 12
        assert self.deployment.aborted() > 0
        assert sum(worker.openings for worker in workers) >= 25


def _seconds(times: Sequence[float | None]) -> str:
    known = [time for time in times if time is not None]
    return f"{median(known):.1f} s median, {max(known):.1f} s at most" if known else "-"
