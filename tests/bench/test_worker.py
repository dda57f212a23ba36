"""What only bench/ can leave out of a worker, and that nobody else can."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from bench import worker
from bench.workload import Shape
from streams import app
from streams.agents.job import BillingJob
from streams.lanes import lane, transport
from streams.topics import ALL, JOURNAL, LEDGER
from tests.batches import written
from tests.bench.folding import Folding

SHAPE = Shape(events=2_000, accounts=50)


def folded(**more: Callable[..., BillingJob]) -> Folding:
    folding = Folding(shape=SHAPE, **more)
    folding.fold(folding.fetches)
    return folding


def test_without_the_ledger_everything_else_is_the_same_to_the_byte():
    whole, job_alone = folded(), folded(open_job=worker.LEDGERLESS_JOB)

    assert whole.outputs(LEDGER.name)
    assert not job_alone.outputs(LEDGER.name)
    for topic in ALL:
        if topic is not LEDGER:
            assert job_alone.outputs(topic.name) == whole.outputs(topic.name), topic.name
    assert [written(batch) for batch in job_alone.made] == [written(batch) for batch in whole.made]
    assert whole.outputs(JOURNAL.name)


@pytest.mark.parametrize("switch", [["--without", "ledger"], ["--without-ledger"], ["--no-ledger"]])
def test_the_shipped_worker_refuses_to_leave_anything_out(switch: list[str]):
    done = subprocess.run(
        [sys.executable, "-m", "cli", "worker", *switch], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "No such option" in done.stderr


def test_what_is_left_out_is_what_a_worker_is_put_together_of(monkeypatch: pytest.MonkeyPatch):
    places = [(app, "BillingJob"), (lane, "LaneProducer"), (transport, "ConsumerReach")]
    before = [getattr(*place) for place in places]
    for place, value in zip(places, before, strict=True):
        monkeypatch.setattr(*place, value)  # put back at the end

    for what in ("ledger", "transactions"):
        worker.leave_out(what)

    after = [getattr(*place) for place in places]
    assert after == [worker.LEDGERLESS_JOB, worker.PlainProducer, worker.CommittingReach]
    assert worker.LEDGERLESS_JOB.func is before[0]
    assert all(issubclass(new, old) for new, old in zip(after[1:], before[1:], strict=True))
