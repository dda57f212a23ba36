"""The workers and the payment consumer that a command starts by itself: they end with it, however it ends.

One that ends without being told to is started again and counted; what it said is in its log.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from local.process import OwnedProcess

PAYMENTS = "payments"


class Crew:
    """`workers` workers and one payment consumer, as processes of our own."""

    def __init__(self, workers: int, *, seed: int, logs: Path, environment: Mapping[str, str]) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        for log in logs.iterdir():
            log.unlink()
        self._logs = logs
        self._environment = environment
        self._commands = {
            **{f"worker-{n}": ["worker", "--once"] for n in range(1, workers + 1)},
            PAYMENTS: [PAYMENTS, "--seed", str(seed)],
        }
        self._running: dict[str, OwnedProcess] = {}
        self.fell: list[str] = []
        """Names of processes that ended by themselves, each time once."""

    @property
    def workers(self) -> list[str]:
        """The names of the workers."""
        return [name for name in self._commands if name != PAYMENTS]

    def start(self, *names: str) -> None:
        """Start these processes, by default all that do not run."""
        for name in names or self._commands:
            if name not in self._running:
                env = os.environ | {**self._environment, "EVERGREEN_WORKER_NAME": name}
                variables = [f"{k}={v}" for k, v in env.items() if k.startswith("EVERGREEN_")]
                command = ["/usr/bin/env", *variables, sys.executable, "-m", "cli", *self._commands[name]]
                self._running[name] = OwnedProcess(command, output=self._logs / f"{name}.log")

    def kill(self, name: str) -> None:
        """SIGKILL one process; it is not started again by itself."""
        process = self._running.pop(name, None)
        if process is not None:
            process.kill()

    def end(self, *names: str) -> None:
        """End processes in order, by default all; returns when they are gone."""
        for name in names or list(self._running):
            process = self._running.pop(name, None)
            if process is not None:
                process.end()

    def look_after(self) -> None:
        """Start again what ended by itself."""
        for name, process in list(self._running.items()):
            if not process.is_alive():
                self.fell.append(name)
                self.kill(name)
                self.start(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.end()
