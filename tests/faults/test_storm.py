"""Kill -9s, freezes and a changing number of workers under load: nothing is lost, doubled or different.

The same load goes through an undisturbed deployment and through a storm; what domain.md says must not
depend on the interleaving (charges, tax, documents, balances, dead letters) must be equal to the last
record. inputs.py says how the load is made so that it must: in short, everything that decides a record is
applied before it is sent, or stands before the tick that closes its month. Ticks are not waited for, so
most kills fall into months' work, and two into the close of a month itself.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from statistics import median

import pytest

from streams.topics import INVOICES
from tests.faults.deployment import Deployment, Worker
from tests.faults.injuries import Injuries, table
from tests.faults.inputs import Load, Stage
from tests.faults.outcome import differences, outcome

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the folding process in /proc"),
]

ACCOUNTS = 3_000
EVENTS = 101_000
STAGES = 28


def load() -> Load:
    """Return the load of both runs."""
    return Load(seed=11, accounts=ACCOUNTS, events=EVENTS, stages=STAGES)


@pytest.mark.timeout(600)
def test_a_storm_of_kills_and_freezes_changes_no_charge_tax_document_or_balance(
    deploy: Callable[[str], Deployment], tell: Callable[[str], None]
) -> None:
    made = load()
    stages = list(made.stages())
    began = time.monotonic()

    calm = deploy("calm")
    calm.start_worker()
    for stage in stages:
        if stage.settled:
            calm.settle()
        calm.send(stage.records, stage.tick)
    calm.settle()
    calm_seconds = time.monotonic() - began
    for process in calm.processes:
        process.end()
    undisturbed = outcome(calm.verify()[0])

    began = time.monotonic()
    deployment = deploy("storm")
    storm = Storm(deployment)
    storm.run(stages)
    seconds = time.monotonic() - began
    topics, report = deployment.verify()
    tell(storm.report("storm", made, seconds) + f"\n  (the undisturbed run took {calm_seconds:.0f} s)")

    assert report.holds, report.as_dict()
    assert differences(undisturbed, outcome(topics)) == []
    storm.was_one()


class Storm:
    """One deployment in a storm: which stage brings which injury."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.injuries = Injuries(deployment)
        self.first = deployment.start_worker()
        self.second: Worker

    def run(self, stages: Sequence[Stage]) -> None:
        """Send every stage, injure, and return at zero lag with one worker left."""
        for stage in stages:
            if stage.settled:
                self.deployment.settle()
            self.injuries.wait_for_recovery()
            self._scale(stage.number)
            with self._injury_around(stage.number):
                self.deployment.send(stage.records, stage.tick)
            self._injury_after(stage.number)
        self.injuries.wait_for_recovery()
        self.deployment.settle()

    def _scale(self, stage: int) -> None:
        match stage:
            case 4:
                self.second = self.deployment.start_worker(name="second")
            case 11:  # its supervisor was killed
                self.first = self.deployment.start_worker()
            case 20:
                self.second = self.deployment.start_worker(name="second")
            case 26:
                self.second.end()

    def _injury_around(self, stage: int) -> AbstractContextManager[None]:
        injuries = self.injuries
        match stage:
            case 2 | 17 | 21:
                return injuries.kill_in_a_transaction(self.first)
            case 6 | 15:
                return injuries.kill_in_a_transaction(self.second)
            case 8:
                return injuries.freeze_in_a_transaction(self.second)
            case 13:  # the close of September
                return injuries.kill_in_a_transaction(self.first, INVOICES.name)
            case 23:
                return injuries.freeze_in_a_transaction(self.first)
            case 27:  # the close of October
                return injuries.kill_in_a_transaction(self.first, INVOICES.name)
            case _:
                return nullcontext()

    def _injury_after(self, stage: int) -> None:
        injuries = self.injuries
        match stage:
            case 7:
                injuries.kill(self.second)
            case 10:
                injuries.kill_supervisor(self.first)
            case 14:
                injuries.kill_while_opening(self.first)
            case 18:
                injuries.freeze(self.second)
            case 19:
                injuries.kill_supervisor(self.second)

    def report(self, title: str, made: Load, seconds: float) -> str:
        """Return what was injected and what it cost."""
        deployment, journal, injuries = self.deployment, self.deployment.journal, self.injuries
        kills = injuries.kills()
        return table(
            f"{title}: {seconds:.0f} s",
            [
                ("usage records", f"{deployment.usage_sent:,} ({made.again:,} sent again, {made.late:,} late, {made.bad} bad)"),
                ("kill -9", len(kills)),
                ("freezes", len(injuries.freezes())),
                ("children started again", sum(worker.restarts for worker in deployment.workers)),
                ("lanes opened", sum(worker.openings for worker in deployment.workers)),
                ("lanes moved to another worker", journal.moves),
                ("ledger records in aborted transactions", deployment.aborted()),
                ("commits", len(journal.commits)),
                ("to the first commit after a kill", _seconds([i.first for i in kills])),
                ("to a commit of each lane after a kill", _seconds([i.all for i in kills])),
                ("... after a freeze began", _seconds([i.all for i in injuries.freezes()])),
                *((f"  {i.what}", f"{i.first:.1f} s, lanes {sorted(i.lanes)} {i.all:.1f} s" if i.first is not None and i.all is not None else "-") for i in injuries.done),
            ],
        )  # fmt: skip

    def was_one(self) -> None:
        """Fail where too little was injected to prove anything."""
        journal, workers = self.deployment.journal, self.deployment.workers
        assert self.deployment.usage_sent >= 100_000
        assert len(self.injuries.kills()) >= 10
        assert len(self.injuries.freezes()) >= 3
        assert sum(worker.restarts for worker in workers) >= 8
        assert journal.moves >= 12
        assert self.deployment.aborted() > 0
        assert len({commit.worker for commit in journal.commits}) >= 8


def _seconds(times: Sequence[float | None]) -> str:
    known = [time for time in times if time is not None]
    return f"{median(known):.1f} s median, {max(known):.1f} s at most" if known else "-"
