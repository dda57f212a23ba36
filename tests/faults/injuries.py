"""What is done to a running deployment, aimed at its worst moments, and how long it takes to recover.

Every injury waits for its moment (a transaction that is open, a lane that opens) instead of a time, is
counted, and fails where its moment does not come: so no run can pass because nothing happened.
"""

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from confluent_kafka import TopicPartition

from local.process import ProcessId
from streams.topics import LEDGER, PAYMENTS
from tests.faults.deployment import DEADLINE_SECONDS, SESSION_SECONDS, Deployment, Worker, wait_until
from tests.faults.disks import Disk
from tests.faults.report import Kind

FROZEN_SECONDS = SESSION_SECONDS + 1
"""A freeze lasts so long at least: the group has given the frozen one up by then."""


@dataclass(slots=True)
class Injury:
    """One injury and its cure."""

    what: str
    at: float
    """Seconds since 1970."""
    lanes: set[int]
    """Which the victim folded."""
    kind: Kind
    frozen: ProcessId | None = None
    """What goes on when others have committed in its lanes."""
    first: float | None = None
    """Seconds until one of the lanes committed again."""
    all: float | None = None
    """Seconds until each of them had."""
    lane_seconds: dict[int, float] = field(default_factory=dict)
    """The same, lane by lane."""

    def __str__(self) -> str:
        after = "" if self.first is None else f" {self.first:.1f} s, all {self.all:.1f} s"
        return f"lanes {sorted(self.lanes)}{after}" if self.lanes else "-"


@dataclass(slots=True)
class Injuries:
    """Injures a deployment and keeps the account of it."""

    deployment: Deployment
    done: list[Injury] = field(default_factory=list)

    def kills(self) -> list[Injury]:
        """Return the kill -9s."""
        return [i for i in self.done if i.kind in {Kind.WORKER_KILL, Kind.PAYMENTS_KILL}]

    def freezes(self) -> list[Injury]:
        """Return the freezes."""
        return [injury for injury in self.done if injury.kind is Kind.FREEZE]

    def wait_for_recovery(self) -> None:
        """Return once every lane that a victim folded has committed again; then let the frozen go on.

        There must be something to commit in each: load is sent first.
        """
        for injury in self.done:
            if injury.all is None and injury.lanes:
                self._recovered(injury)
            if injury.frozen is not None:
                wait_until(partial(_is_over, injury.at + FROZEN_SECONDS), "the freeze itself")
                injury.frozen.send(signal.SIGCONT)
                injury.frozen = None

    # Each of these goes around sending load: what it does, it does while that is being folded.

    @contextmanager
    def kill_in_a_transaction(self, victim: Worker, topic: str = LEDGER.name) -> Iterator[None]:
        """Kill the child as soon as records of one of its lanes stand uncommitted in a topic."""
        child, lanes = self._folding(victim)
        with self._aim(topic, lanes) as has_written:
            yield
            wait_until(has_written, f"a transaction of lanes {lanes} in {topic}", poll=0)
            self._kill(f"kill in a transaction ({topic})", child, lanes)

    @contextmanager
    def freeze_in_a_transaction(self, victim: Worker, topic: str = LEDGER.name) -> Iterator[None]:
        """Stop the child in the middle of a transaction."""
        child, lanes = self._folding(victim)
        with self._aim(topic, lanes) as has_written:
            yield
            wait_until(has_written, f"a transaction of lanes {lanes} in {topic}", poll=0)
            self._freeze(f"freeze in a transaction ({topic})", child, lanes)

    @contextmanager
    def freeze(self, victim: Worker) -> Iterator[None]:
        """Stop the child before the load comes."""
        child, lanes = self._folding(victim)
        self._freeze("freeze", child, lanes)
        yield

    @contextmanager
    def kill_after_a_commit(self, victim: Worker) -> Iterator[None]:
        """Kill the child when it has committed a part of the load: it is in the middle of the rest."""
        child, lanes = self._folding(victim)
        sent = time.time()
        yield
        wait_until(lambda: self.deployment.journal.after(sent, lanes), f"a commit of lanes {lanes}", poll=0)
        self._kill("kill after a commit", child, lanes)

    @contextmanager
    def kill_while_opening(self, victim: Worker) -> Iterator[None]:
        """Kill the child, then its successor when that has opened a first lane: others are being restored."""
        child, lanes = self._folding(victim)
        yield
        openings = victim.openings
        self._kill("kill before the next", child, lanes)
        wait_until(lambda: victim.openings > openings, f"a lane opened by {victim.log.stem}", poll=0.002)
        successor = victim.child()
        assert successor is not None, f"{victim.log.stem} has no child"
        self._kill("kill while opening lanes", successor, lanes)

    @contextmanager
    def kill_at(self, victim: Worker, point: str) -> Iterator[None]:
        """Let the child kill itself at a point of its next commit."""
        child, lanes = self._folding(victim)
        victim.order_death(point)
        yield
        wait_until(lambda: not child.is_alive(), f"death at: {point}", poll=0.001)
        self._injured(f"kill at: {point}", lanes)

    @contextmanager
    def kill_after(self, victim: Worker, seconds: float) -> Iterator[None]:
        """Kill the child some time after the load is sent, whatever it does then."""
        child, lanes = self._folding(victim)
        yield
        time.sleep(seconds)
        self._kill("kill at random", child, lanes)

    def kill_in_the_restore(self, successor: Worker, point: str) -> None:
        """Return when the child that opens the lanes of the last victim has died at a point of the restore.

        The order was given when it was started.
        """
        wait_until(lambda: not successor.is_dying_ordered, f"death at: {point}", poll=0.001)
        self._injured(f"kill at: {point}", self.done[-1].lanes)

    def break_stores(self, disk: Disk, ways: Iterable[str]) -> None:
        """Break the stores of a worker that is down, in the first of the ways that finds its files there."""
        how = next(way for way in ways if disk.has_files_for(way))
        disk.injure(how)
        self._injured(how, set(), Kind.STORE)

    @contextmanager
    def kill_supervisor(self, victim: Worker) -> Iterator[None]:
        """Kill the supervisor; the child must die with it."""
        child, lanes = self._folding(victim)
        yield
        victim.kill()
        self._injured("kill of the supervisor", lanes)
        wait_until(lambda: not child.is_alive(), "the child's end with its supervisor", seconds=10)

    @contextmanager
    def kill_payments(self) -> Iterator[None]:
        """Kill the payment consumer; start another when the load is sent."""
        yield
        self.deployment.payments[-1].kill()
        self._injured("kill of the payment consumer", set(), Kind.PAYMENTS_KILL)
        self.deployment.start_payments()

    @contextmanager
    def kill_payments_while_answering(self) -> Iterator[None]:
        """Kill the payment consumer when it has answered a part of the commands; start another."""
        with self._aim(PAYMENTS.name, set(range(self.deployment.settings.lanes))) as has_written:
            yield
            wait_until(has_written, "a payment event", poll=0)
            with self.kill_payments():
                pass

    @contextmanager
    def broker(
        self, what: str, injure: Callable[[], object], kind: Kind = Kind.BROKER_KILL
    ) -> Iterator[None]:
        """Do something to the broker, or to the way to it, while a transaction is open."""
        lanes = set(range(self.deployment.settings.lanes))
        with self._aim(LEDGER.name, lanes) as has_written:
            yield
            wait_until(has_written, "a transaction", poll=0)
            injury = self._injured(what, lanes, kind)
            injure()
            injury.at = time.time()

    @contextmanager
    def _aim(self, topic: str, lanes: set[int]) -> Iterator[Callable[[], bool]]:
        """Give a function that tells whether a record came in one of the lanes, committed or not."""
        deployment = self.deployment
        reader = deployment.reader("read_uncommitted")
        name, ends = deployment.settings.topic(topic), deployment.ends(topic)
        reader.assign([TopicPartition(name, lane, ends[lane]) for lane in lanes])

        def has_written() -> bool:
            message = reader.poll(0.05)
            return message is not None and message.error() is None

        try:
            yield has_written
        finally:
            reader.close()

    def _folding(self, victim: Worker) -> tuple[ProcessId, set[int]]:
        """Return the child and its lanes, once it has some."""
        wait_until(victim.lanes, f"lanes of {victim.log.stem}")
        child, lanes = victim.child(), victim.lanes()
        assert child is not None, f"{victim.log.stem} has no child"
        return child, lanes

    def _kill(self, what: str, child: ProcessId, lanes: set[int]) -> None:
        child.send(signal.SIGKILL)
        self._injured(what, lanes)
        wait_until(lambda: not child.is_alive(), "the end of what was killed", seconds=10, poll=0.001)

    def _freeze(self, what: str, child: ProcessId, lanes: set[int]) -> None:
        child.send(signal.SIGSTOP)
        self._injured(what, lanes, Kind.FREEZE).frozen = child

    def _injured(self, what: str, lanes: set[int], kind: Kind = Kind.WORKER_KILL) -> Injury:
        injury = Injury(what, time.time(), lanes, kind)
        self.done.append(injury)
        return injury

    def _recovered(self, injury: Injury) -> None:
        journal = self.deployment.journal
        wait_until(
            lambda: len(journal.after(injury.at, injury.lanes)) == len(injury.lanes),
            f"a commit of each of the lanes {sorted(injury.lanes)} after: {injury.what}",
            seconds=DEADLINE_SECONDS,
        )
        seen = journal.after(injury.at, injury.lanes)
        injury.lane_seconds = {lane: moment - injury.at for lane, moment in seen.items()}
        injury.first, injury.all = min(injury.lane_seconds.values()), max(injury.lane_seconds.values())


def _is_over(moment: float) -> bool:
    return time.time() > moment


def table(title: str, rows: Sequence[tuple[str, object]]) -> str:
    """Return a small table for people."""
    width = max(len(name) for name, _ in rows)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in rows)])
