"""`evergreen simulate --everything`: the whole simulation, sent to processes of its own that are injured.

Workers and the payment consumer are killed at seeded moments, during the closes and elsewhere, and no worker
runs during the long gap. What was done is counted, so that nothing passes because it never happened.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cli.crew import PAYMENTS, Crew
from cli.injuries import Injury, plan
from producers.emitter import EmitError, Emitter
from producers.everything import QUIET_DAYS, Everything
from producers.simulator import Step
from producers.values import moment
from streams.lag import LagError, lag, lanes_group, payments_group, reads_of, wait_for_zero_lag
from streams.settings import Settings

LOGS = Path(".evergreen/simulate")
DEADLINE_SECONDS = 180.0
"""Most time for the lanes and the payment consumer to catch up once."""
GATHER_SECONDS = 0.05
"""Here each batch is waited for: gathering more would only make the steps slower."""
SESSION_SECONDS = 6
"""After this silence of a killed worker its lanes move to another."""


@dataclass(slots=True)
class Injured:
    """What was done to the processes."""

    in_closes: int = 0
    elsewhere: int = 0
    under_way: int = 0
    """Kills after which something was left to do: those that interrupted."""
    payments: int = 0
    moved: int = 0
    """Kills after which the lanes moved to another worker before the killed one came back."""
    downtime_days: int = 0
    fell: Counter[str] = field(default_factory=Counter)
    """Processes that ended by themselves."""


class Whole:
    """One run of the whole simulation against a deployment with a manual clock."""

    def __init__(
        self,
        settings: Settings,
        simulation: Everything,
        crew: Crew,
        emitter: Emitter,
        injuries: Mapping[int, Injury],
    ) -> None:
        if moment(simulation.end) > datetime.now(UTC):
            raise EmitError(f"the simulation would end in the future, at {moment(simulation.end):%Y-%m-%d}")
        self._settings = settings
        self.simulation = simulation
        self._crew = crew
        self._emitter = emitter
        self._injuries = injuries
        self.counts: Counter[str] = Counter()
        """What was sent, by what it is."""
        self.injured = Injured()

    def run(self, on_step: Callable[[Step], None] = lambda _: None) -> None:
        """Send it all, in the order that makes a seed the same charges again; raises LagError, EmitError."""
        self._crew.start()
        for step in self.simulation.steps():
            injury = self._injuries.get(step.number)
            self._send(step, injury)
            self._wait()
            self._emitter.tick(moment(step.tick))
            self._emitter.flush()
            if injury is not None and injury.in_close:
                self._injure(injury)
            self._wait()
            self.counts += step.counts
            self.counts["tick"] += 1
            on_step(step)
        self.injured.fell = Counter(self._crew.fell)

    def _send(self, step: Step, injury: Injury | None) -> None:
        """Send a step's phases, each applied before the next."""
        longest = max(step.phases, key=len)
        for phase in step.phases:
            if not phase:
                continue
            down = step.down and phase is longest
            if down:
                self._crew.end(*self._crew.workers)
                self.injured.downtime_days += QUIET_DAYS
            for emission in phase:
                self._emitter.emit(emission)
            self._emitter.flush()
            if down:
                self._crew.start()
            elif injury is not None and not injury.in_close and phase is longest:
                self._injure(injury)
            self._wait(lanes_only=True)

    def _injure(self, injury: Injury) -> None:
        """Kill a process at its moment, and start it again: at once, or when its lanes have moved."""
        workers = self._crew.workers
        name = PAYMENTS if injury.payments else workers[injury.choice % len(workers)]
        time.sleep(injury.after_ms / 1000)
        self._crew.kill(name)
        self.injured.under_way += self._is_something_left()
        if injury.payments:
            self.injured.payments += 1
        elif injury.in_close:
            self.injured.in_closes += 1
        else:
            self.injured.elsewhere += 1
        if injury.lanes_move and not injury.payments and len(workers) > 1:
            self.injured.moved += 1
            time.sleep(SESSION_SECONDS + 1)
        self._crew.start(name)

    def _is_something_left(self) -> bool:
        """Whether a kill interrupted: records are left to read, or a transaction is open."""
        reads = reads_of(self._settings, [lanes_group(self._settings), payments_group(self._settings)])
        try:
            return any(place.records for place in lag(self._settings.bootstrap_servers, reads))
        except LagError:  # a broker that is gone fails the next wait
            return True  # offsets in a transaction that nobody has ended yet are not told

    def _wait(self, *, lanes_only: bool = False) -> None:
        groups = [lanes_group(self._settings)]
        if not lanes_only:
            groups.append(payments_group(self._settings))
        wait_for_zero_lag(
            self._settings, groups, DEADLINE_SECONDS, progress=lambda _: self._crew.look_after()
        )


def whole(
    settings: Settings,
    *,
    accounts: int,
    months: int,
    seed: int,
    workers: int,
    kills: bool = True,
    payments_kills: bool = True,
    held: ExitStack,
    logs: Path = LOGS,
) -> Whole:
    """Return a run whose processes and connections end with `held`; nothing is sent yet."""
    emitter = held.enter_context(Emitter(settings, ticker="simulator"))
    environment = settings.variables() | {
        "EVERGREEN_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
        "EVERGREEN_GATHER_SECONDS": str(GATHER_SECONDS),
    }
    simulation = Everything(
        seed=seed,
        accounts=accounts,
        months=months,
        lanes=emitter.partitions("usage-events"),
        max_age_days=settings.max_age_days,
        schemas=emitter.encoder.schemas,
    )
    crew = held.enter_context(
        Crew(workers, seed=seed, logs=logs / settings.topic_prefix, environment=environment)
    )
    closes = [simulation.closes(tick) for tick in simulation.ticks]
    injuries = {
        number: injury
        for number, injury in plan(seed, closes).items()
        if kills and (payments_kills or not injury.payments)
    }
    return Whole(settings, simulation, crew, emitter, injuries)
