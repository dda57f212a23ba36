"""Plays one script: broker, workers, provider and time in one event loop; returns the topics it left."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import KafkaError

from schemas.wire import fixed
from streams import topics as names
from streams.agents import job as job_module
from streams.app import policy
from streams.lanes import lane as lane_module
from streams.lanes import restore as restore_module
from streams.lanes import spaces, transaction
from streams.lanes.transaction import UNFINISHED
from streams.settings import Settings
from streams.topics import STATE_TABLES, changelog
from tests.simulation import clients, disk
from tests.simulation.broker import Broker
from tests.simulation.injuries import Injury, Tally
from tests.simulation.loop import LoopTime, StuckError, VirtualLoop
from tests.simulation.membership import Membership
from tests.simulation.processes import Process, new_task
from tests.simulation.provider import Provider
from tests.simulation.script import FIRST, LAST, Script, Step
from tests.simulation.worker import Worker
from verify.partitions import partition_of
from verify.topics import ACCOUNTS_CHANGELOG, READ, Topics

PATIENCE_SECONDS = 900.0
"""Virtual time within which zero lag must be reached."""
FAULTS = (KafkaError,)
"""What may end a worker though nothing is wrong with it: a request refused, a reply lost."""


class StoppedError(AssertionError):
    """A worker ended itself for a reason that no injury gives, or the lanes do not reach the end."""


@dataclass(slots=True)
class Played:
    """What came of a script."""

    script: Script
    topics: Topics
    done: Counter[str] = field(default_factory=Counter)
    """Injuries that happened."""
    passed: Counter[str] = field(default_factory=Counter)
    """How often each point was passed."""
    told: list[str] = field(default_factory=list)
    commits: int = 0
    aborted: int = 0
    rebalances: int = 0
    records: int = 0
    seconds: float = 0.0
    stale: list[str] = field(default_factory=list)
    """Tables of open lanes that are not what their changelog says."""


@cache
def settings(lanes: int) -> Settings:
    """Return a deployment's settings."""
    return Settings(bootstrap_servers="simulated", lanes=lanes)


class World:
    """Everything of one history."""

    def __init__(self, script: Script, *, verbose: bool = False) -> None:
        self.script = script
        self.random = Random(f"{script.seed}/world")
        self.loop = VirtualLoop()
        self.settings = settings(script.lanes)
        self.policy = policy(self.settings)
        self.schemas = fixed()
        topics = [*(t.name for t in names.ALL), *(changelog("evergreen", table) for table in STATE_TABLES)]
        self.broker = Broker(
            topics,
            script.lanes,
            clock=self.loop.time,
            timeout=20.0,
            schedule=self._soon,
        )
        self.disks = disk.Disks()
        self.disks.on_write = self._on_write
        self.tally = Tally({(i.at, i.nth): i for i in script.injuries})
        self.membership = Membership(self)
        self.provider = Provider(self)
        self.hosts: dict[int, Worker | None] = {}
        self.wanted = 0
        self._lives: Counter[int] = Counter()
        self._now = script.steps[0].now if script.steps else 0
        self._news = asyncio.Event()
        self._fault: BaseException | None = None
        self._verbose = verbose
        self.told: list[str] = []
        self.stale: list[str] = []

    # -- time and messages

    def now_ms(self) -> int:
        """The time of the day at the broker."""
        return self._now

    def latency(self) -> float:
        """How long a message is on its way."""
        chance = self.random.random()
        return 0.0005 + 0.004 * chance if chance < 0.97 else 0.2 * self.random.random()

    def _soon(self, do: Callable[[], None]) -> None:
        def then() -> None:
            do()
            self.broker_changed()

        self.loop.call_later(self.latency(), then)

    def broker_changed(self) -> None:
        """Wake whoever waits for news."""
        self._news.set()

    async def news(self, seconds: float) -> None:
        """Wait until something changed at the broker, or some time."""
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        await asyncio.sleep(self.latency())

    def append(self, topic: str, lane: int, key: bytes | None, value: bytes | None, timestamp: int) -> None:
        """Write a record as a producer without transactions does."""
        self.broker.logs[topic, lane].append(timestamp, [((key, value), ())])
        self.broker_changed()

    # -- injuries

    def due(self, point: str, process: Process) -> Injury | None:
        """Count a passing of a point."""
        injury = self.tally.due(point)
        if injury is not None:
            self.tell(
                process, f"{injury.what} at {point} #{injury.nth} {injury.seconds or ''} {injury.store}"
            )
        return injury

    def died(self, process: Process, store: str) -> None:
        """A worker ended: the supervisor starts it again; its store may not be what it was."""
        assert isinstance(process, Worker)
        if store:
            self.disks.injure(process.directory, store)
        self.tell(process, "is dead")
        self.hosts[process.host] = None
        self.loop.call_later(0.5, lambda: self._start(process.host))

    def faulted(self, process: Process, lane: int, fault: BaseException) -> None:
        """A worker ends itself."""
        self.tell(process, f"lane {lane} stops it: {fault!r}")
        if not isinstance(fault, FAULTS) and self._fault is None:
            self._fault = fault

    def tell(self, process: Process | None, what: str) -> None:
        """Note what happens."""
        if self._verbose:
            name = process.name if process else "-"
            self.told.append(f"{self.loop.time():9.3f} {name:12} {what}")

    def _on_write(self, path: Path, when: str) -> None:
        for worker in self.hosts.values():
            if worker is not None and worker.directory in path.parents:
                worker.pass_point(f"store:{when}")

    # -- workers

    def _start(self, host: int) -> None:
        if host < self.wanted and self.hosts.get(host) is None:
            self._lives[host] += 1
            worker = self.hosts[host] = Worker(self, host, self._lives[host])
            self.tell(worker, "starts")
            worker.start()

    def crew(self, wanted: int) -> None:
        """Have so many workers run."""
        self.wanted = wanted
        for host in range(wanted):
            self._start(host)
        for host, worker in self.hosts.items():
            if host >= wanted and worker is not None:
                worker.kill()

    # -- the play

    async def play(self) -> None:
        """Send every step; at the end reach zero lag."""
        script = self.script
        self.crew(script.workers)
        for work in (self.membership.run(), self.provider.run(), self._expire()):
            self.loop.create_task(work)
        for number, step in enumerate(script.steps):
            if number < len(script.crews):
                self.crew(script.crews[number])
            await self._send(step)
            self.disks.keep_copies()
        self.crew(max(1, script.workers))
        await self.settle()
        await asyncio.sleep(2.0)  # the replies to the last commits
        while self.broker.open_transactions:
            await self.news(0.1)
        self.stale = list(self._stale())

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.broker.expire()

    async def _send(self, step: Step) -> None:
        random = self.random
        for phase in range(FIRST, LAST + 1) if self.script.ordered else (None,):
            inputs = [i for i in step.inputs if phase is None or i.phase == phase]
            for made in inputs:
                self._now = max(self._now, made.timestamp)
                for lane in range(self.script.lanes) if made.lane is None else (made.lane,):
                    self.append(made.topic, lane, made.key, made.value, made.timestamp)
                if random.random() < 0.3:
                    await asyncio.sleep(random.choice((0.0, 0.002, 0.03)))
            if phase is not None and inputs and any(i.phase > phase for i in step.inputs):
                await self.settle()
        self._now = max(self._now, step.now)
        value = self.schemas.codec("tick").encode({"time": step.tick, "ticker": "t"})
        for lane in range(self.script.lanes):
            self.append(names.TICKS.name, lane, b"t", value, self._now)
            if random.random() < 0.3:
                await asyncio.sleep(0.002)
        if self.script.ordered:
            await self.settle()
        else:
            await asyncio.sleep(random.choice((0.0, 0.01, 0.1, 1.0, 20.0)))

    async def settle(self) -> None:
        """Wait for zero lag: every input folded, every sweep done, every command answered."""
        deadline = self.loop.time() + PATIENCE_SECONDS
        while not self._is_settled():
            if self._fault is not None:
                raise StoppedError(f"a worker stopped itself: {self._fault!r}") from self._fault
            if self.loop.time() > deadline:
                raise StoppedError(f"no zero lag within {PATIENCE_SECONDS:g} s: {self._lag()}")
            await self.news(0.25)

    def _stale(self) -> Iterator[str]:
        """Yield the tables of open lanes that differ from what their changelog rebuilds."""
        for worker in self.hosts.values():
            if worker is None or worker.is_frozen:
                continue
            for number in set(worker.group.open_lanes) & set(self.membership.lanes_of(worker)):
                lane = worker.group._lanes[number]
                is_newest = self.broker.is_newest(f"evergreen-{number}", lane._producer._producer._epoch)
                if lane.turning.locked() or not is_newest:
                    continue  # it commits just now; or somebody who thawed has fenced it
                for name, table in lane._tables.items():
                    space = spaces.MemorySpace()
                    store = table.store(space)
                    for record in self.broker.logs[table.topic, number].committed():
                        key = record.key
                        if key is None or (table.source and partition_of(key, self.script.lanes) != number):
                            continue  # a profile in a wrong partition is nobody's here: no matter who kept it
                        store.apply(key, record.value)
                    live = dict(lane._stores[name]._space.items())  # type: ignore[attr-defined]
                    if table.source:
                        live = {k: v for k, v in live.items() if partition_of(k, self.script.lanes) == number}
                    if dict(space.items()) != live:
                        yield f"{worker.name}, lane {number}, table {name}"

    def _is_settled(self) -> bool:
        return not self._lag() and self.provider.is_idle and not self.broker.open_transactions

    def _lag(self) -> list[str]:
        broker = self.broker
        behind = []
        for topic in names.INPUTS:
            for lane in range(self.script.lanes):
                log = broker.logs[topic.name, lane]
                offset, note = broker.offsets.get((topic.name, lane), (0, ""))
                if offset < log.end or note == UNFINISHED:
                    behind.append(f"{topic.name}-{lane} {offset}/{log.end} {note}")
        return behind

    def topics(self) -> Topics:
        """Return what stands in the topics, as verify reads it."""
        found = Topics.empty(self.script.lanes)
        found.schemas = self.schemas
        for name in READ:
            full = changelog("evergreen", "accounts") if name == ACCOUNTS_CHANGELOG else name
            for lane in range(self.script.lanes):
                log = found.logs[name][lane]
                log.records = self.broker.logs[full, lane].committed()
                log.end = self.broker.logs[full, lane].end
        return found


def play(script: Script, *, verbose: bool = False) -> Played:
    """Play a script to its end; raises StoppedError where it has none."""
    Process.forget_all()
    world = World(script, verbose=verbose)
    loop = world.loop
    time = LoopTime(loop, 1.7e9)
    with _seams(world, time):
        asyncio.set_event_loop(loop)
        loop.set_task_factory(new_task)
        try:
            loop.run_until_complete(world.play())
            return Played(
                script=script,
                topics=world.topics(),
                done=world.tally.done,
                passed=world.tally.passed,
                told=world.told,
                commits=world.broker.commits,
                aborted=world.broker.aborted,
                rebalances=world.membership.rebalances,
                records=sum(len(step.inputs) for step in script.steps),
                seconds=loop.time(),
                stale=world.stale,
            )
        except StuckError as error:
            raise StoppedError(f"stuck: {error}") from error
        except StoppedError as error:
            error.add_note("\n".join(world.told[-400:]))
            raise
        finally:
            _close(loop)


def _close(loop: VirtualLoop) -> None:
    """Drop everything that still runs, with no effect on anything."""
    for process in list(Process._by_name.values()):
        process.is_dead = True
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(_gone(tasks))
    asyncio.set_event_loop(None)
    loop.close()


async def _gone(tasks: set["asyncio.Task[Any]"]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


class _seams:  # noqa: N801 - a context manager
    """The names in the shipped modules behind which Kafka, the disk and the clock are."""

    def __init__(self, world: World, time: LoopTime) -> None:
        disks = world.disks
        self._places: list[tuple[Any, str, Any]] = [
            (lane_module, "time", time),
            (spaces, "time", time),
            (spaces, "_opened", disks.open),
            (spaces, "WriteBatch", disk.Batch),
            (spaces, "shutil", SimpleNamespace(rmtree=disks.rmtree)),
            (job_module, "SWEEP_ACCOUNTS", world.script.sweep_accounts),
            (restore_module, "AIOKafkaConsumer", clients.Reader),
            (transaction, "AIOKafkaProducer", clients.Producer),
        ]
        self._before: list[Any] = []

    def __enter__(self) -> None:
        self._before = [getattr(module, name) for module, name, _ in self._places]
        for module, name, stand_in in self._places:
            setattr(module, name, stand_in)

    def __exit__(self, *_: object) -> None:
        for (module, name, _), before in zip(self._places, self._before, strict=True):
            setattr(module, name, before)
