"""A Kafka of our own to kill, deployments on it, and at the end of the run what was injected: report.py."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import local
from tests.faults import report as reports
from tests.faults.deployment import Deployment

_TABLES = pytest.StashKey[list[str]]()
_ENTRIES = pytest.StashKey[list[reports.Entry]]()


@pytest.fixture(scope="session")
def own_kafka() -> Iterator[local.Broker]:
    """A Kafka that only the fault tests use: they may kill it."""
    with local.broker(own=True, progress=False) as broker:
        yield broker


@pytest.fixture
def servers(own_kafka: local.Broker) -> str:
    """Where deployments are made; a module with a Kafka of another kind says its own."""
    return own_kafka.bootstrap_servers


@pytest.fixture
def deploy(
    servers: str, prefix: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Deployment]]:
    """Make deployments by name, with settings; what runs in them dies with the test."""
    failed, made = request.session.testsfailed, list[Deployment]()

    def deployed(name: str, **settings: Any) -> Deployment:
        deployment = Deployment(servers, f"{prefix}{name}.", tmp_path / name, **settings)
        made.append(held.enter_context(deployment))
        return deployment

    with ExitStack() as held:
        yield deployed
        if request.session.testsfailed > failed:
            for deployment in made:
                deployment.ask_what_they_do()


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say what a test injected: at once (-s, or on failure) and at the end of the run."""

    def say(text: str) -> None:
        print(f"\n{text}", flush=True)
        request.config.stash.setdefault(_TABLES, []).append(text)

    return say


@pytest.fixture
def report(request: pytest.FixtureRequest) -> reports.Entry:
    """This test's part of the report of the run."""
    entry = reports.Entry(request.node.name.removeprefix("test_"))
    request.config.stash.setdefault(_ENTRIES, []).append(entry)
    return entry


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report; fail a run that was asked for more than it injected."""
    entries, size = session.config.stash.get(_ENTRIES, []), session.config.getoption("--faults-asked")
    if entries or size:
        reports.write(entries, size)
    if size and reports.lacking(entries, size) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was injected, test by test, and what was lacking."""
    config = terminalreporter.config
    entries, size = config.stash.get(_ENTRIES, []), config.getoption("--faults-asked")
    if tables := config.stash.get(_TABLES, []):
        terminalreporter.section("faults injected")
        for text in tables:
            terminalreporter.write_line(text)
    if entries:
        terminalreporter.section(f"faults: {reports.REPORT}")
        for line in reports.table(entries):
            terminalreporter.write_line(line)
    for line in reports.lacking(entries, size) if size else ():
        terminalreporter.write_line(f"TOO LITTLE INJECTED  {line}", red=True)
