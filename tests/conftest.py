"""Fixtures that every folder may use: one Kafka for the session, a prefix of its own for each test."""

import itertools
import os
from collections.abc import Iterator

import pytest

import local

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run ask for the size of the fault tests: tests/faults/report.py fails it where they did less."""
    parser.addoption("--faults-asked", choices=["short", "long"], help="fail where less faults were injected")


@pytest.fixture(scope="session")
def kafka() -> Iterator[local.Broker]:
    """A real Kafka, found or started once for the session."""
    with local.broker() as broker:
        yield broker


@pytest.fixture
def prefix() -> str:
    """A topic prefix that no other test of this or another run uses on the same broker."""
    return f"test-{os.getpid()}-{next(_numbers)}."
