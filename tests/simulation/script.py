"""What a history consists of, before it happens: deployment, inputs in their order, ticks, injuries.

Two kinds. `ordered` ones let everything settle between phases in which order matters (prices and settings,
then usage and money, then reversals, then closes) and after each tick: their charges, tax and lines must be
those of the undisturbed run. In the others everything comes at once, and verify alone judges.
"""

from dataclasses import dataclass, field, replace

from tests.simulation.injuries import Injury

FIRST, TOGETHER, THEN, LAST = range(4)
"""Phases of a step."""


@dataclass(frozen=True, slots=True)
class Input:
    """One record to be sent; `lane` None: a copy to each."""

    topic: str
    account: str
    lane: int | None
    key: bytes | None
    value: bytes | None
    timestamp: int
    phase: int
    says: str


@dataclass(frozen=True, slots=True)
class Step:
    """Inputs, and the tick after them."""

    inputs: tuple[Input, ...]
    tick: int
    """The time that the ticker writes."""
    now: int
    """The time that it is."""


@dataclass(frozen=True, slots=True)
class Script:
    """One history, before it happens."""

    seed: int
    ordered: bool
    lanes: int
    workers: int
    store: str
    gather_seconds: float
    batch_records: int
    sweep_accounts: int
    """Accounts that a tick wakes in one go."""
    tops_up: bool
    accounts: tuple[str, ...]
    steps: tuple[Step, ...]
    injuries: tuple[Injury, ...]
    crews: tuple[int, ...] = field(default=())
    """How many workers are to run at each step."""

    @property
    def undisturbed(self) -> "Script":
        """The same inputs, one worker, and nothing that hurts."""
        return replace(
            self, workers=1, injuries=(), crews=(), store="memory", gather_seconds=0.0, batch_records=500
        )
