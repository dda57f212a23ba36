"""What the tests of local/ share: no address from outside, conditions with a deadline, an owner to kill."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import local

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_kafka_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(local.VARIABLE, raising=False)
    monkeypatch.delenv("EVERGREEN_STATE_DIR", raising=False)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait for a condition, 10 seconds at most."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true within 10 s"
            time.sleep(0.02)

    return wait


@pytest.fixture
def python() -> Callable[..., "contextmanager[subprocess.Popen[str]]"]:
    """A Python process of its own that runs `code`; killed at the end of the block if it still runs."""

    @contextmanager
    def run(code: str, *arguments: object, **environment: str) -> Iterator["subprocess.Popen[str]"]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "HOME": str(Path.home()), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    return run
