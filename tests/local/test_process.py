"""No orphans, and no innocent victims."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import runs
from local.errors import LocalError
from local.process import OwnedProcess, ProcessId

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
IGNORES_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('ready', flush=True)
time.sleep(600)
"""
OWNER = """
import sys
from pathlib import Path
from local import runs
from local.process import OwnedProcess, ProcessId
directory = runs.new_directory(Path(sys.argv[1]))
child = OwnedProcess([sys.executable, "-c", "import time; time.sleep(600)"], output=directory / "log")
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(SLEEP) as process:
        yield process
        process.kill()


def identity(pid: int) -> ProcessId:
    found = ProcessId.of(pid)
    assert found is not None
    return found


def test_a_process_that_has_got_the_number_of_another_is_left_alone(
    sleeper: "subprocess.Popen[bytes]",
) -> None:
    earlier = ProcessId(pid=sleeper.pid, started="another time")

    earlier.kill()
    earlier.end()

    assert sleeper.poll() is None
    assert not earlier.is_alive()


def test_a_process_that_ignores_sigterm_is_killed_when_patience_is_over() -> None:
    stubborn = subprocess.Popen([sys.executable, "-c", IGNORES_SIGTERM], stdout=subprocess.PIPE)
    with stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()

        in_order = identity(stubborn.pid).end(patience_s=0.2)

        assert not in_order
        assert stubborn.wait() == -signal.SIGKILL


def test_an_owned_process_ends_when_it_is_told_to(tmp_path: Path) -> None:
    child = OwnedProcess(SLEEP, output=tmp_path / "log")

    child.end()

    assert not child.is_alive()
    assert ProcessId.of(child.pid) is None


def test_a_command_that_is_not_there_is_an_error_that_names_the_log(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="/nowhere/java could not be started"):
        OwnedProcess(["/nowhere/java"], output=tmp_path / "log")

    assert "/nowhere/java" in (tmp_path / "log").read_text()


def test_an_owned_process_does_not_survive_a_kill_9_of_its_owner(tmp_path: Path, python, until) -> None:  # type: ignore[no-untyped-def]
    with python(OWNER, tmp_path) as owner:
        child = identity(int(owner.stdout.readline()))

        owner.kill()

        until(lambda: not child.is_alive())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends what a killed guard left")
def test_an_owned_process_does_not_survive_a_kill_9_of_its_guard(tmp_path: Path, until) -> None:  # type: ignore[no-untyped-def]
    child = OwnedProcess(SLEEP, output=tmp_path / "log")
    process = identity(child.pid)

    child._guard.kill()

    until(lambda: not process.is_alive())
    child.end()


def test_the_next_start_ends_and_removes_what_a_dead_owner_left(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    dead = ProcessId(pid=os.getpid(), started="another time")
    leftover = runs.new_directory(tmp_path)
    runs.write(leftover, runs.Run(owner=dead, broker=identity(sleeper.pid)))

    runs.new_directory(tmp_path)

    assert sleeper.wait() == -signal.SIGKILL
    assert not leftover.exists()


def test_the_next_start_leaves_the_brokers_of_the_living_alone(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    mine = runs.new_directory(tmp_path)
    runs.write(mine, runs.Run(owner=identity(os.getpid()), broker=identity(sleeper.pid)))

    runs.new_directory(tmp_path)

    assert sleeper.poll() is None
    assert mine.exists()


def test_a_record_cut_short_is_no_record(tmp_path: Path) -> None:
    (tmp_path / runs.RECORD).write_text('{"owner": {"pid": 1')

    assert runs.read(tmp_path) is None
