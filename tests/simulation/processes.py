"""A process of the simulation: it can be killed or frozen at any point, and nothing of it goes on then."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from tests.simulation.broker import Broker
from tests.simulation.injuries import FREEZE, KILL, Killed

if TYPE_CHECKING:
    from tests.simulation.world import World

Result = TypeVar("Result")
_owner: ContextVar["Process | None"] = ContextVar("owner", default=None)


def new_task(loop: asyncio.AbstractEventLoop, work: Any, **how: Any) -> "asyncio.Task[Any]":
    """Make a task that ends with the process that made it: a loop's task factory."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **how)
    owner = _owner.get()
    if owner is not None:
        owner.adopt(task)
    return task


class Process:
    """Owns the tasks of one worker's life. Its name stands where a broker's address would."""

    _by_name: ClassVar[dict[str, "Process"]] = {}

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.loop = world.loop
        self.broker: Broker = world.broker
        self.name = name
        self.is_dead = False
        self._frozen: asyncio.Event | None = None
        self._tasks: dict[asyncio.Task[Any], None] = {}  # in order, so that a seed is one history
        self._by_name[name] = self

    @classmethod
    def named(cls, name: str) -> "Process":
        """Return a process by its name."""
        return cls._by_name[name]

    @classmethod
    def forget_all(cls) -> None:
        """Begin another history."""
        cls._by_name.clear()

    @property
    def is_frozen(self) -> bool:
        """Whether it is stopped for a while."""
        return self._frozen is not None

    def later(self, do: Callable[[], object]) -> None:
        """Have something done after the time that a message takes."""
        self.loop.call_later(self.world.latency(), do)

    def spawn(self, work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        """Run a task of this process; what it spawns in turn is of this process too."""
        token = _owner.set(self)
        try:
            return self.loop.create_task(work)
        finally:
            _owner.reset(token)

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        """Let a task end with this process."""
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.pop(task, None)
        if not task.cancelled():
            task.exception()  # taken note of: whoever awaits it sees it

    async def point(self, name: str) -> str | None:
        """Pass a point: be killed or frozen here where the history says so; returns another injury's name."""
        what = self.pass_point(name)
        while self._frozen is not None:
            await self._frozen.wait()
        if self.is_dead:
            raise Killed
        return what

    def pass_point(self, name: str) -> str | None:
        """Pass a point of the worker's own code, where a freeze takes effect at the next request."""
        if self.is_dead:
            raise Killed
        injury = self.world.due(name, self)
        if injury is None:
            return None
        if injury.what == KILL:
            self.kill(injury.store)
            raise Killed
        if injury.what == FREEZE:
            self.freeze(injury.seconds)
            return None
        return injury.what

    def freeze(self, seconds: float) -> None:
        """Stop everything of this process for a while."""
        if self._frozen is None:
            frozen = self._frozen = asyncio.Event()

            def thaw() -> None:
                self._frozen = None
                frozen.set()

            self.loop.call_later(seconds, thaw)

    def kill(self, store: str = "") -> None:
        """End this process: no cleanup of it has an effect."""
        if self.is_dead:
            return
        self.is_dead = True
        current = asyncio.current_task(self.loop)
        for task in list(self._tasks):
            if task is not current:
                task.cancel()
        self.world.died(self, store)
