"""The Kafka of `evergreen stack`: a background service of this checkout, meant to outlive who started it.

With Docker, docker-compose.yml is that service; so nothing here starts a container.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from local import runs
from local.errors import LocalError
from local.kafka import VARIABLE, checked
from local.places import state_directory
from local.process import ProcessId, start_in_background
from local.progress import Progress, reporter
from local.server import answers, installation

STATUS_DEADLINE_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A Kafka that is there. `pid` and `log` are known for our own only."""

    bootstrap_servers: str
    found: str
    answers: bool = True
    pid: int | None = None
    log: Path | None = None


class Up(NamedTuple):
    stack: Stack
    started: bool


class Down(NamedTuple):
    pid: int | None
    in_order: bool
    data: Path | None


def up(*, state_dir: Path | None = None, progress: bool = True) -> Up:
    """The Kafka of EVERGREEN_BOOTSTRAP_SERVERS, else ours: running, or started on the port and data it had.

    LocalError if the first does not answer, or ours cannot be started.
    """
    home = _home(state_dir)
    with runs.locked(home):
        run = runs.read(home)
        if address := _foreign_address(run):
            return Up(Stack(bootstrap_servers=checked(address), found=VARIABLE), started=False)
        if run is None or run.broker is None or not run.broker.is_alive():
            return Up(_start(home, port=run.port if run else 0, progress=reporter(progress)), started=True)
        stack = _ours(home, run, run.broker)
        if not stack.answers:
            raise LocalError(
                f"process {stack.pid} is our Kafka but does not answer on {stack.bootstrap_servers}; "
                f"its log is {stack.log}, `evergreen stack down` ends it"
            )
        return Up(stack, started=False)


def status(*, state_dir: Path | None = None) -> Stack | None:
    """What `up` would find; None if it would have to start one."""
    home = _home(state_dir)
    run = runs.read(home)
    if address := _foreign_address(run):
        there = answers(address, within_s=STATUS_DEADLINE_S)
        return Stack(bootstrap_servers=address, found=VARIABLE, answers=there)
    if run is None or run.broker is None or not run.broker.is_alive():
        return None
    return _ours(home, run, run.broker)


def down(*, state_dir: Path | None = None, wipe: bool = False) -> Down:
    """Stop our Kafka if it runs. Its port stays for the next `up`, and so does its data unless `wipe`."""
    home = _home(state_dir)
    with runs.locked(home):
        run = runs.read(home)
        broker = run.broker if run and run.broker and run.broker.is_alive() else None
        in_order = broker.end() if broker else True
        if run:
            runs.write(home, runs.Run(owner=None, port=run.port))
        if wipe:
            shutil.rmtree(_data(home), ignore_errors=True)
        return Down(broker.pid if broker else None, in_order, _data(home) if _data(home).exists() else None)


def _start(home: Path, *, port: int, progress: Progress) -> Stack:
    node = installation(progress).node(_data(home), port=port)
    with progress.step("Starting Kafka in the background"):
        broker = start_in_background(node.command(), output=node.console)
        run = runs.Run(owner=None, broker=broker, port=node.port)
        try:
            runs.write(home, run)
            node.wait(broker.is_alive)
        except BaseException:
            broker.kill()
            raise
    return _ours(home, run, broker)


def _ours(home: Path, run: runs.Run, broker: ProcessId) -> Stack:
    address = _address(run)
    return Stack(
        bootstrap_servers=address,
        found="our background process",
        answers=answers(address, within_s=STATUS_DEADLINE_S),
        pid=broker.pid,
        log=_data(home) / "kafka.log",
    )


def _foreign_address(run: runs.Run | None) -> str | None:
    """EVERGREEN_BOOTSTRAP_SERVERS, unless an `up` of ours exported it: that stays set after our `down`."""
    address = os.environ.get(VARIABLE)
    return None if run is not None and address == _address(run) else address or None


def _address(run: runs.Run) -> str:
    return f"127.0.0.1:{run.port}"


def _home(state_dir: Path | None) -> Path:
    return state_directory(state_dir) / "stack"


def _data(home: Path) -> Path:
    return home / "kafka"
