"""The engine under an application that is not billing, on a real Kafka."""

import signal
import time

import pytest

from streams.lanes.group import FAULT_EXIT
from tests.lanes.conftest import Deployment, wait_until

pytestmark = pytest.mark.kafka


def test_every_record_is_counted_once_and_a_tick_waits_for_what_stood_before_it(
    deployment: Deployment,
) -> None:
    deployment.emit(0, 20_000)
    deployment.tick()

    deployment.start_worker()
    wait_until(lambda: deployment.lag() == 0, 60, "zero lag")

    counted = deployment.counted()
    assert (counted.records, counted.unique, counted.breaks) == (20_000, 20_000, 0)
    assert sum(before for _, before in counted.ticks) == 20_000
    assert sorted(lane for lane, _ in counted.ticks) == [0, 1, 2, 3]


@pytest.mark.long
def test_kills_freezes_and_more_or_fewer_workers_lose_and_double_nothing(deployment: Deployment) -> None:
    first = deployment.start_worker()
    deployment.emit(0, 5_000)
    wait_until(lambda: deployment.lag() == 0, 60, "the first records")
    second = deployment.start_worker()
    for step in range(1, 7):
        deployment.emit(step * 5_000, (step + 1) * 5_000)
        match step:
            case 2 | 5:
                first.kill()
                first.wait()
                first = deployment.start_worker()
            case 3:
                second.send_signal(signal.SIGSTOP)
                time.sleep(8)  # longer than the session timeout of 6 s: its lanes move while it sleeps
                second.send_signal(signal.SIGCONT)
            case 4:
                second.terminate()
                assert second.wait(30) in {0, FAULT_EXIT}  # it may have been fenced when it woke up
                second = deployment.start_worker()
    if first.poll() is not None or second.poll() is not None:  # fenced when it woke up, which ends it
        deployment.start_worker()
    wait_until(lambda: deployment.lag() == 0, 90, "zero lag")

    counted = deployment.counted()
    assert (counted.records, counted.unique, counted.breaks) == (35_000, 35_000, 0)
