"""Kafkas to break: one behind a proxy, and three that hold copies of each other."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.kafka import OwnBroker
from local.progress import reporter
from local.server import Node, free_ports, installation, new_cluster_id
from tests.faults.proxy import Proxy


@dataclass(frozen=True, slots=True)
class Proxied:
    """A broker with two doors: the test's own, and one through a network that can be broken."""

    broker: OwnBroker
    proxy: Proxy

    @property
    def through_the_proxy(self) -> str:
        """Return the address for those who are to be hurt."""
        return f"127.0.0.1:{self.proxy.port}"


@contextmanager
def proxied(directory: Path) -> Iterator[Proxied]:
    """One broker that tells everybody who comes through the proxy to come through it again."""
    installed = installation(reporter(False))
    port, controller, behind, front = free_ports(4)
    node = Node(
        directory=directory,
        java=installed.java,
        jars=installed.jars,
        port=port,
        controller_port=controller,
        settings={
            "listeners": f"PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{behind},"
            f"CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{front}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
        },
    )
    node.prepare()
    broker = OwnBroker(node)
    try:
        with Proxy(front, behind) as proxy:
            yield Proxied(broker, proxy)
    finally:
        broker.stop()


@dataclass(frozen=True, slots=True)
class Three:
    """Three brokers; each record on all of them, safe on two."""

    brokers: list[OwnBroker]

    @property
    def bootstrap_servers(self) -> str:
        """Return all addresses."""
        return ",".join(broker.bootstrap_servers for broker in self.brokers)


@contextmanager
def three(directory: Path) -> Iterator[Three]:
    """Three brokers and controllers with three copies of everything, of which two must have a write."""
    installed = installation(reporter(False))
    ports = free_ports(6)
    voters = ",".join(f"{n}@127.0.0.1:{port}" for n, port in enumerate(ports[3:], 1))
    cluster_id = new_cluster_id()

    def start(number: int) -> OwnBroker:
        node = Node(
            directory=directory / f"broker-{number}",
            java=installed.java,
            jars=installed.jars,
            port=ports[number - 1],
            controller_port=ports[number + 2],
            cluster_id=cluster_id,
            settings={
                "node.id": str(number),
                "controller.quorum.voters": voters,
                "default.replication.factor": "3",
                "min.insync.replicas": "2",
                "offsets.topic.replication.factor": "3",
                "transaction.state.log.replication.factor": "3",
                "transaction.state.log.min.isr": "2",
            },
        )
        node.prepare()
        return OwnBroker(node)

    with ThreadPoolExecutor(3) as pool:  # none answers before another is there to vote
        brokers = list(pool.map(start, (1, 2, 3)))
    try:
        yield Three(brokers)
    finally:
        for broker in brokers:
            broker.kill()  # one by one in order, the last two would wait for a majority
