"""The network between everybody and the broker breaks under load, in every way that it can.

The same load goes undisturbed through another deployment; both must come to the same (test_storm.py says
what that is). Workers and emitter reach the broker through the proxy alone; the test looks on from outside.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Event

import pytest

from producers.emitter import Emitter
from tests.faults.cluster import Proxied, proxied
from tests.faults.deployment import DEADLINE_SECONDS, Deployment, assert_holds, broken, wait_until
from tests.faults.injuries import Injuries, table
from tests.faults.inputs import Load, Stage
from tests.faults.outcome import differences, outcome
from tests.faults.proxy import Api, Proxy
from tests.faults.report import Entry, Kind
from tests.faults.test_storm import run_undisturbed

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the folding process in /proc"),
]

RECOVERY_SECONDS = 45.0
"""Until every lane commits again, from when the fault began: docs/operations.md promises it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break; `arm` is called before the load comes and returns what to do in the middle of it."""

    what: str
    arm: Callable[[Proxy, Deployment], Callable[[], object]]


def at_once(what: str, injure: Callable[[Proxy], int]) -> Fault:
    """Break while a transaction is open; at least one connection must be met."""

    def met(proxy: Proxy) -> None:
        assert injure(proxy) > 0, f"no connection met: {what}"

    return Fault(what, lambda proxy, _: lambda: met(proxy))


def trap(what: str, lay: Callable[[Proxy], Event]) -> Fault:
    """Lay a trap before the load comes; it must spring."""

    def arm(proxy: Proxy, _: Deployment) -> Callable[[], object]:
        sprung = lay(proxy)

        def has_sprung() -> None:
            assert sprung.wait(DEADLINE_SECONDS), f"did not happen: {what}"

        return has_sprung

    return Fault(what, arm)


def reply_lost(api: Api) -> Fault:
    """Lose the reply to a request that the broker has carried out."""
    return trap(f"reply to {api.name} lost", lambda proxy: proxy.lose_reply(api))


def request_lost(api: Api) -> Fault:
    """Lose a request before the broker has it."""
    return trap(f"{api.name} lost", lambda proxy: proxy.lose_request(api))


def reply_lost_at_the_start(api: Api) -> Fault:
    """Kill a worker's child, and lose a reply to the next one while it opens its lanes."""

    def arm(proxy: Proxy, deployment: Deployment) -> Callable[[], object]:
        def injure() -> None:
            worker = deployment.workers[0]
            wait_until(worker.lanes, "its lanes")
            sprung, child = proxy.lose_reply(api), worker.child()
            assert child is not None
            child.kill()
            assert sprung.wait(DEADLINE_SECONDS), f"no reply to {api.name}"

        return injure

    return Fault(f"reply to {api.name} lost at the start", arm)


ALL_THE_TIME = (
    Api.PRODUCE, Api.FETCH, Api.HEARTBEAT,
    Api.ADD_PARTITIONS_TO_TXN, Api.ADD_OFFSETS_TO_TXN, Api.TXN_OFFSET_COMMIT, Api.END_TXN,
)  # fmt: skip
AT_THE_START = (Api.JOIN_GROUP, Api.SYNC_GROUP, Api.OFFSET_FETCH, Api.INIT_PRODUCER_ID)
SHORT = (
    at_once("all connections cut", Proxy.cut),
    reply_lost(Api.END_TXN),
    at_once("messages delayed by 50 ms, for 2 s", lambda proxy: proxy.delay(0.05, 2)),
    at_once("connections refused for 2 s", lambda proxy: proxy.refuse(2)),
    request_lost(Api.PRODUCE),
    at_once("half-open: requests vanish, or replies", lambda proxy: proxy.silence(both=True)),
    at_once("line dead for 2 s", lambda proxy: proxy.hold(2)),
)
"""Each kind."""
LONG = (
    *2
    * (
        at_once("all connections cut", Proxy.cut),
        *map(reply_lost, ALL_THE_TIME),
        request_lost(Api.END_TXN),
        at_once("half-open: requests vanish", Proxy.silence),
        at_once("line dead for 3 s", lambda proxy: proxy.hold(3)),
    ),
    *map(reply_lost_at_the_start, AT_THE_START),
    request_lost(Api.PRODUCE),
    request_lost(Api.TXN_OFFSET_COMMIT),
    at_once("messages delayed by 100 ms, for 5 s", lambda proxy: proxy.delay(0.1, 5)),
    at_once("messages delayed by 1 s, for 10 s", lambda proxy: proxy.delay(1, 10)),
    at_once("connections refused for 4 s", lambda proxy: proxy.refuse(4)),
    at_once("connections refused for longer than a session", lambda proxy: proxy.refuse(9)),
    at_once("half-open: replies vanish", lambda proxy: proxy.silence(replies=True)),
    at_once("half-open: requests vanish, or replies", lambda proxy: proxy.silence(both=True)),
    at_once("line dead for longer than a session", lambda proxy: proxy.hold(9)),
)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A broker behind a network that can be broken."""
    with proxied(tmp_path_factory.mktemp("broker")) as there:
        yield there


@pytest.fixture
def servers(network: Proxied) -> str:
    """Deployments are made, fed and looked at from where the network is whole."""
    return network.broker.bootstrap_servers


@pytest.fixture
def storm(
    network: Proxied, deploy: Callable[[str], Deployment], tell: Callable[[str], None], report: Entry
) -> "Storm":
    return Storm(network, deploy, tell, report)


def test_whatever_the_network_does_nothing_is_lost_or_doubled(storm: "Storm") -> None:
    made = Load(seed=21, accounts=200, events=6_000, stages=len(SHORT) + 2)

    storm.run(made, SHORT, workers=1)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_thirty_network_faults_change_no_charge_tax_line_or_balance(storm: "Storm") -> None:
    assert len(LONG) >= 30
    made = Load(seed=22, accounts=800, events=60_000, stages=len(LONG) + 2)

    storm.run(made, LONG, workers=2)


@pytest.mark.long
def test_a_worker_that_takes_a_commit_without_reply_for_an_abort_is_found(
    network: Proxied, deploy: Callable[[str], Deployment], tell: Callable[[str], None], report: Entry
) -> None:
    bug, deployment = "commit_again_without_reply", deploy("planted")
    go_through_the_proxy(network, deployment)
    deployment.start_worker(module=("tests.faults.broken_worker", bug))
    stages = list(Load(seed=23, accounts=100, events=3_000, stages=6).stages())
    injuries, fault = Injuries(deployment), reply_lost(Api.END_TXN)

    break_once_a_stage(network, deployment, injuries, stages, [fault, fault])
    _, found = deployment.verify()
    shown = [f"{line:.150}" for line in broken(found)[:3]]
    tell("\n  ".join([f"planted: {bug}; broken: invariants {sorted(found.failing())}", *shown]))

    assert found.failing() >= {8}  # which more depends on what was in the batch
    report.inject(Kind.PLANTED)
    report.verdict = "holds"


@dataclass(frozen=True, slots=True)
class Storm:
    """Two deployments of one load; one behind the network."""

    network: Proxied
    deploy: Callable[[str], Deployment]
    tell: Callable[[str], None]
    report: Entry

    def run(self, made: Load, faults: Sequence[Fault], *, workers: int) -> None:
        """Break the network once a stage; all must come to what it comes to in peace."""
        stages = list(made.stages())
        calm, deployment = self.deploy("calm"), self.deploy("network")
        go_through_the_proxy(self.network, deployment)
        for number in range(workers):
            deployment.start_worker(name=f"worker-{number}" if number else "")
        injuries = Injuries(deployment)

        began = time.monotonic()
        with ThreadPoolExecutor(max_workers=1) as beside:
            undisturbed = beside.submit(run_undisturbed, calm, stages)
            break_once_a_stage(self.network, deployment, injuries, stages, faults)
        seconds = time.monotonic() - began
        topics, found = deployment.verify()
        self.report.took(deployment, injuries)
        self.report.judged(found)
        restarts = sum(worker.restarts for worker in deployment.workers)
        rows = [
            ("usage records", f"{deployment.usage_sent:,}"),
            ("of them again, late, bad", f"{made.again:,}, {made.late:,}, {made.bad:,}"),
            ("children started again", restarts),
        ]
        done = [(injury.what, injury) for injury in injuries.done]
        self.tell(table(f"network, {seconds:.0f} s", [*rows, *done]))

        assert_holds(found)
        assert differences(undisturbed.result(), outcome(topics)) == []
        assert len(injuries.done) == len(faults)
        slow = [str(i) for i in injuries.done if i.all is None or i.all > RECOVERY_SECONDS]
        assert slow == []


def break_once_a_stage(
    network: Proxied,
    deployment: Deployment,
    injuries: Injuries,
    stages: Sequence[Stage],
    faults: Sequence[Fault],
) -> None:
    """Send all stages, with the next fault in the middle of each after the opening; return at zero lag."""
    left = list(faults)
    for stage in stages:
        if stage.settled:
            deployment.settle()
        half = len(stage.records) // 2
        injury: AbstractContextManager[None] = nullcontext()
        if stage.number and left:
            fault = left.pop(0)
            injury = injuries.broker(fault.what, fault.arm(network.proxy, deployment), Kind.NETWORK)
        with injury:
            deployment.send(stage.records[:half])
        deployment.send(stage.records[half:], stage.tick)
        injuries.wait_for_recovery()
    deployment.settle()


def go_through_the_proxy(network: Proxied, deployment: Deployment) -> None:
    """Have the deployment's processes and its emitter go through the network; the test's looks do not."""
    address = network.through_the_proxy
    deployment.environment["EVERGREEN_BOOTSTRAP_SERVERS"] = address
    settings = deployment.settings.model_copy(update={"bootstrap_servers": address})
    deployment.emitter = Emitter(settings, ticker="storm")
