"""The payment provider at its worst, with the whole pipeline around it: no charge twice, and none lost.

It is out, takes the money and loses the answer, answers late; its words come again, and in any order. What
each of these does to one command is shown in tests/pipeline; here they meet lanes that make the commands.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from consumers.sandbox import Sandbox, Trouble
from producers.emissions import Emission
from producers.simulator import Simulation
from schemas.wire import Record, fixed
from streams.topics import COMMANDS, PAYMENTS, SETTINGS
from tests.faults.deployment import LANES, Deployment, Process, assert_holds, wait_until
from tests.faults.injuries import table
from tests.faults.report import Entry, Kind

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the folding process in /proc"),
]
SEED = 7
TROUBLE = 2_000
"""Of 10,000 posts: half of these are refused at the door, half go through and lose the answer."""
LATE = 8
"""Accounts whose first payment answers late."""
OUTAGES = {3, 9, 16, 23}
AGAIN = 12
"""Events said again after each step, oldest among them."""


@pytest.mark.timeout(600)
def test_a_provider_at_its_worst_charges_nobody_twice_and_loses_no_charge(
    deploy: Callable[[str], Deployment], tell: Callable[[str], None], report: Entry, tmp_path: Path
) -> None:
    deployment, memory = deploy("provider"), tmp_path / "memory" / "sandbox.sqlite"
    sandbox = Sandbox(SEED, memory, TROUBLE)
    simulation = Simulation(seed=6, accounts=100, months=1, lanes=LANES)
    deployment.start_worker()
    deployment.start_worker()
    start_payments(deployment, memory, tmp_path / "payments.log")
    world = World(deployment, sandbox, report)

    for step in simulation.steps():
        deployment.send(step.records)
        deployment.settle(payments=True)
        if step.number == 0:
            world.answers_late([e for e in step.records if e.topic == SETTINGS.name], step.tick)
        elif step.number in OUTAGES:
            world.is_out(step.tick)
        else:
            deployment.send([], step.tick)
        deployment.settle(payments=True)
        world.says_it_again()
        world.customers_act()
        deployment.settle(payments=True)
    _, found = deployment.verify()
    report.took(deployment)
    report.judged(found)
    taken, posts = sandbox.charges(), sandbox.posts()
    events = [event for _, event in world.events()]
    credited = {e["command_id"] for e in events if e["kind"] == "succeeded" and e["command_id"]}
    tell(table("provider", [*world.rows(), ("posted more than once", sum(n > 1 for n in posts.values()))]))

    assert_holds(found)
    assert max(taken.values()) == 1
    assert {command_id for command_id, times in taken.items() if times} == credited
    assert report.injected[Kind.PROVIDER] >= LATE + 2
    assert sum(n > 1 for n in posts.values()) > 0


def start_payments(deployment: Deployment, memory: Path, log: Path) -> None:
    """Start the payment consumer with a provider in trouble."""
    options = ("--seed", str(SEED), "--memory", str(memory), "--trouble", str(TROUBLE))
    deployment.processes.append(Process(deployment.environment, ("cli", "payments", *options), log))


class World:
    """What the provider and its customers do."""

    def __init__(self, deployment: Deployment, sandbox: Sandbox, report: Entry) -> None:
        self._deployment = deployment
        self._sandbox = sandbox
        self._report = report
        self._random = Random(SEED)
        self.late = self.outages = self.again = self.acted = 0

    def rows(self) -> Sequence[tuple[str, object]]:
        """Return what was done."""
        return [
            ("answered late", self.late),
            ("outages that met a command", self.outages),
            ("events said again, in any order", self.again),
            ("paid by the customer, and told twice", self.acted),
            ("top-up commands", self._deployment.count(COMMANDS.name)),
        ]

    def answers_late(self, settings: Sequence[Emission], tick: int) -> None:
        """Keep the first payments of some accounts under way, until all of them were asked for."""
        ids = [f"{(settings[n].key or b'').decode()}:1:1" for n in range(0, len(settings), 3)]
        for command_id in ids:
            self._sandbox.plan(command_id, [Trouble.LATE] * 4)
        self._deployment.send([], tick)
        self._deployment.settle()
        commands = {command["command_id"] for _, command in self._records(COMMANDS.name, "top-up-command")}
        asked = commands & set(ids)
        wait_until(lambda: asked <= self._sandbox.posts().keys(), "the posts")
        self._sandbox.land()
        self.late += len(asked)
        self._report.inject(Kind.PROVIDER, len(asked))
        assert len(asked) >= LATE

    def is_out(self, tick: int) -> None:
        """Be out while the commands of a tick come, until each has its word or waits for one."""
        before, said = self._deployment.count(COMMANDS.name), len(self.events())
        self._sandbox.outage(True)
        self._deployment.send([], tick)
        self._deployment.settle()
        if self._deployment.count(COMMANDS.name) > before:
            wait_until(lambda: len(self.events()) > said, "the word that the provider is out", poll=0.2)
            self.outages += 1
            self._report.inject(Kind.PROVIDER)
        self._sandbox.outage(False)

    def says_it_again(self) -> None:
        """Send old and new payment events again, twice, in any order."""
        events = [emission for emission, _ in self.events()]
        chosen = 2 * self._random.sample(events, min(AGAIN, len(events)))
        self._random.shuffle(chosen)
        self._deployment.send(chosen)
        self.again += len(chosen)

    def customers_act(self) -> None:
        """Have one who must confirm do so; the provider tells it twice, and its old question once more."""
        for emission, event in self.events():
            command_id = event["command_id"]
            if event["kind"] == "requires_action" and self._sandbox.charges().get(command_id) == 0:
                self._sandbox.complete(command_id, event["occurred_at"] + 1)
                known = self._sandbox.lookup(event)
                if known is None or known.kind != "succeeded":  # cancelled meanwhile
                    continue
                paid = {**event, "kind": "succeeded", "occurred_at": known.occurred_at, "action_url": None}
                told = Emission(PAYMENTS.name, emission.key, fixed().codec("payment-event").encode(paid))
                self._deployment.send([told, emission, told])
                self.acted += 1
                return

    def events(self) -> list[tuple[Emission, Record]]:
        """Return all automatic payments' events so far."""
        return [found for found in self._records(PAYMENTS.name, "payment-event") if found[1]["command_id"]]

    def _records(self, topic: str, name: str) -> Iterator[tuple[Emission, Record]]:
        codec = fixed().codec(name)
        for key, value in self._deployment.values(topic):
            yield Emission(topic, key, value), codec.decode(value)
