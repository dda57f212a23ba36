"""Finds a Kafka, or starts one that dies with its owner: the one resolver of demo, tests and benchmarks."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local import docker, runs
from local.errors import LocalError, UnavailableError
from local.jars import KAFKA_VERSION
from local.places import state_directory
from local.process import OwnedProcess, ProcessId
from local.progress import Progress, reporter
from local.server import Node, answers, installation

VARIABLE = "EVERGREEN_BOOTSTRAP_SERVERS"
EXTERNAL_DEADLINE_S = 10.0


class Broker:
    """A Kafka to talk to. Only one that we run ourselves (`OwnBroker`) can be killed and restarted."""

    can_restart = False
    pid: int | None = None
    log: Path | None = None

    def __init__(self, bootstrap_servers: str, found: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.found = found

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        raise LocalError(f"the Kafka of {self.found} is not ours to kill: ask for local.broker(own=True)")

    def restart(self) -> None:
        """Stop it in order if it runs, and start it on the same port and data; returns when it answers."""
        raise LocalError(f"the Kafka of {self.found} is not ours to restart: ask for local.broker(own=True)")


class OwnBroker(Broker):
    can_restart = True

    def __init__(self, node: Node) -> None:
        super().__init__(node.bootstrap_servers, "a child process")
        self.log = node.log
        self._node = node
        self._owner = ProcessId.of(os.getpid())
        self._start()

    def kill(self) -> None:
        self._process.kill()

    def restart(self) -> None:
        self.stop()
        self._start()

    def stop(self) -> None:
        self._process.end()

    def _start(self) -> None:
        self._process = OwnedProcess(self._node.command(), output=self._node.console)
        self.pid = self._process.pid
        runs.write(
            self._node.directory,
            runs.Run(owner=self._owner, broker=self._process.id, port=self._node.port),
        )
        try:
            self._node.wait(self._process.is_alive)
        except BaseException:
            self._process.kill()
            raise


@contextmanager
def broker(*, state_dir: Path | None = None, progress: bool = True, own: bool = False) -> Iterator[Broker]:
    """A Kafka for the block: that of EVERGREEN_BOOTSTRAP_SERVERS, else one in Docker, else a child process.

    `own=True` asks for the child process whatever else there is, for tests that kill and restart it. What was
    started here is stopped, and its data deleted, when the block ends. It dies with this process in any case.
    LocalError, in one sentence, if there is no Kafka to be had.
    """
    shown = reporter(progress)
    address = os.environ.get(VARIABLE)
    if own:
        with _child_process(state_directory(state_dir), shown) as started:
            yield started
    elif address:
        yield Broker(checked(address), VARIABLE)
    else:
        with _docker_or_child_process(state_directory(state_dir), shown) as started:
            yield started


def checked(address: str) -> str:
    """`address`, if a Kafka answers there; LocalError if not."""
    if not answers(address, within_s=EXTERNAL_DEADLINE_S):
        raise LocalError(
            f"{VARIABLE}={address}: no Kafka answers there within {EXTERNAL_DEADLINE_S:.0f} s; "
            "start it, correct the address, or unset the variable"
        )
    return address


@contextmanager
def _docker_or_child_process(state: Path, shown: Progress) -> Iterator[Broker]:
    with ExitStack() as held:
        try:
            found = Broker(held.enter_context(docker.container(shown)), "Docker")
        except UnavailableError as no_docker:
            try:
                found = held.enter_context(_child_process(state, shown))
            except UnavailableError as no_java:
                raise LocalError(none_found(docker=no_docker, child_process=no_java)) from no_java
        yield found


def none_found(*, docker: UnavailableError, child_process: UnavailableError) -> str:
    return (
        f"no Kafka: set {VARIABLE} to the address of one (it is not set), or start Docker ({docker}), "
        f"or let us run Kafka as a child process ({child_process})"
    )


@contextmanager
def _child_process(state: Path, shown: Progress) -> Iterator[Broker]:
    """Its directory is left behind only when the start failed, for its log; the next start removes it."""
    installed = installation(shown)
    directory = runs.new_directory(state / "brokers")
    with shown.step(f"Starting Kafka {KAFKA_VERSION}"):
        running = OwnBroker(installed.node(directory))
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(directory, ignore_errors=True)
