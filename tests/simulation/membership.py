"""The simulated consumer group: who is a member, and which lanes are whose. Eager, as Faust's is."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.worker import Worker
    from tests.simulation.world import World

SESSION_SECONDS = 10.0


class Membership:
    """Waits at each rebalance for every member it has heard of lately, then gives out the lanes anew."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._heard: dict[Worker, float] = {}
        self._waiting: dict[Worker, asyncio.Future[list[int]]] = {}
        self._current: dict[Worker, list[int]] = {}
        self.rebalances = 0

    def is_member(self, worker: "Worker") -> bool:
        """Whether a worker has its lanes still, as far as it could know by asking."""
        return worker in self._current and not self._waiting

    def lanes_of(self, worker: "Worker") -> list[int]:
        """Return a member's lanes."""
        return self._current.get(worker, [])

    def heard(self, worker: "Worker") -> None:
        """Take note of a heartbeat."""
        if worker in self._heard:
            self._heard[worker] = self._world.loop.time()

    async def join(self, worker: "Worker") -> list[int]:
        """Return the worker's lanes once every member has joined."""
        self._heard[worker] = self._world.loop.time()
        self._current.pop(worker, None)
        waits: asyncio.Future[list[int]] = self._world.loop.create_future()
        self._waiting[worker] = waits
        return await waits

    async def run(self) -> None:
        """Throw out who is silent; give out lanes when all who are left have joined."""
        loop = self._world.loop
        while True:
            await asyncio.sleep(0.5)
            for worker, heard in list(self._heard.items()):
                if loop.time() - heard > SESSION_SECONDS and not self._awaits(worker):
                    self.leave(worker)
            for worker in [w for w in self._waiting if w.is_dead]:
                self._heard.pop(worker, None)
                self._waiting.pop(worker)
            if self._waiting and all(w in self._waiting for w in self._heard):
                self._assign()

    def leave(self, worker: "Worker") -> None:
        """Take a member out: its lanes go to others."""
        self._heard.pop(worker, None)
        had = self._current.pop(worker, None)
        if had:
            self._current.clear()  # the others join again at their next heartbeat

    def _awaits(self, worker: "Worker") -> bool:
        return worker in self._waiting and not worker.is_dead

    def _assign(self) -> None:
        self.rebalances += 1
        random = self._world.random
        members = list(self._waiting)
        lanes = list(range(self._world.script.lanes))
        random.shuffle(lanes)
        now = self._world.loop.time()
        self._current = {worker: [] for worker in members}
        for at, lane in enumerate(lanes):
            self._current[members[at % len(members)]].append(lane)
        for worker, waits in self._waiting.items():
            self._heard[worker] = now
            if not waits.done():
                waits.set_result(sorted(self._current[worker]))
        self._waiting = {}
