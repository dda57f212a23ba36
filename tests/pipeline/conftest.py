"""A broker for the session, and a deployment of its own for each test: a prefix that nobody else has."""

import uuid
from collections.abc import Iterator

import pytest

import local
from streams.settings import Settings
from tests.pipeline.deployment import Deploy, deployments


@pytest.fixture(scope="session")
def kafka() -> Iterator[local.Broker]:
    with local.broker(progress=False) as broker:
        yield broker


@pytest.fixture
def deployment(kafka: local.Broker) -> Settings:
    return Settings(
        bootstrap_servers=kafka.bootstrap_servers,
        topic_prefix=f"test-{uuid.uuid4().hex[:8]}.",
        lanes=4,
        replication=1,
        clock="auto",
        production=False,
        max_age_days=35,
        schema_registry_url="",
    )


@pytest.fixture(scope="module")
def deploy(kafka: local.Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deploy]:
    """Makes whole deployments; what runs in them ends with the module."""
    with deployments(kafka.bootstrap_servers, tmp_path_factory.mktemp) as made:
        yield made
