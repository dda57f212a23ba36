"""Kafka in a container, where Docker runs. testcontainers removes it when its owner ends, also by SIGKILL."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from local.errors import UnavailableError
from local.jars import KAFKA_VERSION
from local.progress import Progress
from local.server import SETTINGS, answers, free_ports

IMAGE = f"apache/kafka:{KAFKA_VERSION}"
PING_TIMEOUT_S = 3
CLUSTER_ID = "ZXZlcmdyZWVuLWxvY2FsMQ"


def environment(port: int) -> dict[str, str]:
    """The settings as the image reads them: name.of.setting is KAFKA_NAME_OF_SETTING."""
    settings = SETTINGS | {
        "listeners": f"PLAINTEXT://:{port},CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": "1@localhost:9093",
    }
    return {"CLUSTER_ID": CLUSTER_ID} | {
        f"KAFKA_{name.replace('.', '_').upper()}": value for name, value in settings.items()
    }


@contextmanager
def container(progress: Progress) -> Iterator[str]:
    """The address of a new Kafka; UnavailableError with the reason if Docker is not to be had."""
    kafka = _start(progress)
    try:
        yield f"127.0.0.1:{kafka.port}"
    finally:
        kafka.stop()


@dataclass(frozen=True, slots=True)
class _Container:
    port: int
    stop: Callable[[], object]


def _start(progress: Progress) -> _Container:
    try:
        import docker  # type: ignore[import-untyped]
        from docker.errors import DockerException  # type: ignore[import-untyped]
        from requests import RequestException
        from testcontainers.core.container import DockerContainer
    except ImportError as error:
        raise UnavailableError("the package testcontainers is not installed") from error
    try:
        docker.from_env(timeout=PING_TIMEOUT_S).ping()
    except (DockerException, RequestException) as error:
        raise UnavailableError("no Docker engine answers") from error

    [port] = free_ports(1)
    kafka = DockerContainer(IMAGE)
    kafka.ports[port] = ("127.0.0.1", port)  # with_bind_ports would publish it on every interface
    for name, value in environment(port).items():
        kafka.with_env(name, value)
    try:
        with progress.step(f"Starting {IMAGE} in Docker"):
            kafka.start()
            there = answers(f"127.0.0.1:{port}", within_s=60.0)
    except (DockerException, RequestException) as error:
        kafka.stop()
        raise UnavailableError(f"Docker did not start {IMAGE}: {str(error).splitlines()[0]}") from error
    except BaseException:
        kafka.stop()
        raise
    if not there:  # as from an engine on another machine, whose loopback is not ours
        kafka.stop()
        raise UnavailableError(f"{IMAGE} was started in Docker, but does not answer on 127.0.0.1:{port}")
    return _Container(port, kafka.stop)
