"""What is done to a running deployment, aimed at its worst moments, and how long it takes to recover.

Every injury waits for its moment (a transaction that is open, a lane that opens) instead of a time, is
counted, and fails where its moment does not come: so no run can pass because nothing happened.
"""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from confluent_kafka import TopicPartition

from local.process import ProcessId
from streams.topics import LEDGER
from tests.faults.deployment import DEADLINE_SECONDS, SESSION_SECONDS, Deployment, Worker, wait_until


@dataclass(slots=True)
class Injury:
    """One injury and its cure."""

    what: str
    at: float
    lanes: set[int]
    """Which the victim folded."""
    first: float | None = None
    """Seconds until one of them committed again."""
    all: float | None = None
    """Seconds until each of them had."""


@dataclass(slots=True)
class Injuries:
    """Injures a deployment and keeps the account of it."""

    deployment: Deployment
    done: list[Injury] = field(default_factory=list)

    def kills(self) -> list[Injury]:
        """Return the kill -9s."""
        return [injury for injury in self.done if injury.what.startswith("kill")]

    def freezes(self) -> list[Injury]:
        """Return the freezes."""
        return [injury for injury in self.done if injury.what.startswith("freeze")]

    @contextmanager
    def kill_in_a_transaction(self, victim: Worker, topic: str = LEDGER.name) -> Iterator[None]:
        """Around sending load: kill the child as soon as records of a lane of its stand uncommitted in a topic."""
        with self._aim(topic) as uncommitted_lane:
            yield
            child = self._folding(victim)
            wait_until(
                lambda: uncommitted_lane() in self.deployment.journal.owned_by(victim.signature),
                f"an open transaction of {victim.log.stem} in {topic}",
                poll=0,
            )
            self._kill(f"kill in a transaction ({topic})", child, victim)

    @contextmanager
    def freeze_in_a_transaction(self, victim: Worker, topic: str = LEDGER.name) -> Iterator[None]:
        """Around sending load: stop the child in a transaction until others commit in its lanes; then let it go on."""
        with self._aim(topic) as uncommitted_lane:
            yield
            child = self._folding(victim)
            lanes = self.deployment.journal.owned_by(victim.signature)
            wait_until(
                lambda: uncommitted_lane() in lanes,
                f"an open transaction of {victim.log.stem} in {topic}",
                poll=0,
            )
            with self._stopped(child):
                injury = self._injured(f"freeze in a transaction ({topic})", lanes)
                self._others_took_over(injury)

    def freeze(self, victim: Worker) -> None:
        """Stop the child, wherever it is, until others commit in its lanes; then let it go on."""
        child = self._folding(victim)
        lanes = self.deployment.journal.owned_by(victim.signature)
        with self._stopped(child):
            injury = self._injured("freeze", lanes)
            self._others_took_over(injury)

    def kill(self, victim: Worker, what: str = "kill while folding") -> None:
        """Kill the child as soon as it has committed something from now on: it is in the middle of the rest."""
        child = self._folding(victim)
        self._kill(what, child, victim)

    def kill_while_opening(self, victim: Worker) -> None:
        """Kill the child when it has opened a lane, then its successor when that has opened one: others are opening."""
        self.kill(victim, "kill before the next")
        openings = victim.openings
        wait_until(lambda: victim.openings > openings, f"a lane opened by {victim.log.stem}", poll=0.005)
        child = victim.child()
        assert child is not None
        self._kill("kill while opening lanes", child, victim)

    def kill_supervisor(self, victim: Worker) -> None:
        """Kill the supervisor; the child must die with it."""
        child = self._folding(victim)
        lanes = self.deployment.journal.owned_by(victim.signature)
        victim.kill()
        self._injured("kill of the supervisor", lanes)
        wait_until(lambda: not child.is_alive(), "the child's end with its supervisor", seconds=10)

    def kill_payments(self) -> None:
        """Kill the payment consumer; another is started."""
        process = next(p for p in reversed(self.deployment.processes) if "payments" in p.log.name)
        process.kill()
        self._injured("kill of the payment consumer", set())
        self.deployment.start_payments()

    def wait_for_recovery(self) -> None:
        """Return once every lane that the last victim folded has committed again."""
        if self.done:
            self._recovered(self.done[-1])

    @contextmanager
    def _aim(self, topic: str) -> Iterator[Callable[[], int]]:
        """Give a function that returns the lane of a record that came just now, committed or not; else -1."""
        deployment = self.deployment
        reader = deployment.reader("read_uncommitted")
        name = deployment.settings.topic(topic)
        reader.assign([TopicPartition(name, lane, end) for lane, end in deployment.ends(topic).items()])

        def lane_of_the_next() -> int:
            message = reader.poll(0.05)
            if message is None or message.error() is not None:
                return -1
            return message.partition() or 0

        try:
            yield lane_of_the_next
        finally:
            reader.close()

    def _folding(self, victim: Worker) -> ProcessId:
        """Return the child once it has committed something after now: it runs, and has lanes."""
        since = time.monotonic()

        def has_committed() -> bool:
            signature = victim.signature
            return any(
                commit.at > since and commit.worker == signature
                for commit in self.deployment.journal.commits[-50:]
            )

        wait_until(has_committed, f"a commit of {victim.log.stem}", poll=0.005)
        child = victim.child()
        assert child is not None, f"{victim.log.stem} has no child"
        return child

    def _kill(self, what: str, child: ProcessId, victim: Worker) -> None:
        lanes = self.deployment.journal.owned_by(victim.signature)
        child.send(signal.SIGKILL)
        self._injured(what, lanes)
        wait_until(lambda: not child.is_alive(), "the end of what was killed", seconds=10, poll=0.001)

    @contextmanager
    def _stopped(self, child: ProcessId) -> Iterator[None]:
        child.send(signal.SIGSTOP)
        try:
            yield
        finally:
            child.send(signal.SIGCONT)

    def _others_took_over(self, injury: Injury) -> None:
        self._recovered(injury)
        assert injury.all is not None
        assert injury.all > SESSION_SECONDS - 1, "its lanes moved before its session was over"

    def _injured(self, what: str, lanes: set[int]) -> Injury:
        injury = Injury(what, time.monotonic(), lanes)
        self.done.append(injury)
        return injury

    def _recovered(self, injury: Injury) -> None:
        if injury.all is not None or not injury.lanes:
            return
        journal = self.deployment.journal
        wait_until(
            lambda: len(journal.after(injury.at, injury.lanes)) == len(injury.lanes),
            f"a commit of each of the lanes {sorted(injury.lanes)} after: {injury.what}",
            seconds=DEADLINE_SECONDS,
        )
        since = sorted(journal.after(injury.at, injury.lanes).values())
        injury.first, injury.all = since[0] - injury.at, since[-1] - injury.at


def table(title: str, rows: Sequence[tuple[str, object]]) -> str:
    """Return a small table for people."""
    width = max(len(name) for name, _ in rows)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in rows)])
