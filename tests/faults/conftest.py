"""A Kafka of our own to kill, deployments on it, and a table of what was injected at the end of the run."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import local
from tests.faults.deployment import Deployment

_TABLES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def own_kafka() -> Iterator[local.Broker]:
    """A Kafka that only the fault tests use: they may kill it."""
    with local.broker(own=True, progress=False) as broker:
        yield broker


@pytest.fixture
def deploy(own_kafka: local.Broker, prefix: str, tmp_path: Path) -> Iterator[Callable[[str], Deployment]]:
    """Make deployments by name; what runs in them dies with the test."""
    with ExitStack() as held:
        yield lambda name: held.enter_context(
            Deployment(own_kafka.bootstrap_servers, f"{prefix}{name}.", tmp_path / name)
        )


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say what a test injected: at once (-s, or on failure) and at the end of the run."""

    def say(text: str) -> None:
        print(f"\n{text}", flush=True)
        request.config.stash.setdefault(_TABLES, []).append(text)

    return say


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the tables."""
    tables = terminalreporter.config.stash.get(_TABLES, [])
    if tables:
        terminalreporter.section("faults injected")
        for text in tables:
            terminalreporter.write_line(text)
