"""One Kafka, whichever way it runs: containers have the settings of the child process."""

import re
from pathlib import Path

from local import docker
from local.server import SETTINGS

COMPOSE = (Path(__file__).parents[2] / "docker-compose.yml").read_text()
ITS_OWN = "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"  # compose has one more listener, for this machine


def composed() -> dict[str, str]:
    lines = re.findall(r'^ +(KAFKA_\w+|CLUSTER_ID): "?([^"#\n]*?)"?(?: +#.*)?$', COMPOSE, re.MULTILINE)
    return dict(lines)


def named(settings: dict[str, str]) -> dict[str, str]:
    return {f"KAFKA_{name.replace('.', '_').upper()}": value for name, value in settings.items()}


def test_compose_has_the_settings_of_the_child_process() -> None:
    shared = {name: value for name, value in named(SETTINGS).items() if name != ITS_OWN}

    assert shared.items() <= composed().items()


def test_compose_runs_the_pinned_kafka() -> None:
    assert f"image: {docker.IMAGE}\n" in COMPOSE


def test_the_container_has_the_settings_of_the_child_process() -> None:
    assert named(SETTINGS).items() <= docker.environment(21_000).items()
    assert docker.environment(21_000)["CLUSTER_ID"] == composed()["CLUSTER_ID"]
