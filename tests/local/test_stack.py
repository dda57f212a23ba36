"""`evergreen stack`: Kafka as a background service that is there until it is told to go."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from typer.testing import CliRunner, Result

import local
from cli.stack import app
from local import kafka, stack
from local.process import ProcessId


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("EVERGREEN_STATE_DIR", str(tmp_path))
    yield tmp_path
    stack.down(wipe=True)


def evergreen_stack(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def exported(up: Result) -> str:
    assert up.exit_code == 0, up.output
    [line] = up.stdout.splitlines()
    export, address = line.split("=")
    assert export == "export EVERGREEN_BOOTSTRAP_SERVERS"
    return address


@pytest.mark.kafka
def test_it_outlives_who_started_it_and_comes_back_with_address_and_data_after_a_kill(  # type: ignore[no-untyped-def]
    state: Path, python, monkeypatch: pytest.MonkeyPatch
) -> None:
    with python("from cli.stack import app; app(['up'])", EVERGREEN_STATE_DIR=str(state)) as starter:
        address = starter.stdout.readline().strip().partition("=")[2]
        starter.wait(30)
    running = stack.status()
    assert running is not None
    assert (running.bootstrap_servers, running.answers) == (address, True)
    assert exported(evergreen_stack("up")) == address, "a second up finds the same"

    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(timeout=10)
    assert running.pid is not None
    killed = ProcessId.of(running.pid)
    assert killed is not None
    killed.kill()
    monkeypatch.setenv(local.VARIABLE, address)  # as the eval of the first up did
    assert evergreen_stack("status").exit_code == 1

    assert exported(evergreen_stack("up")) == address, "the address that the shell still has is ours"
    status = evergreen_stack("status")
    assert status.exit_code == 0
    assert address in status.stdout
    assert "kafka.log" in status.stdout
    assert "kept" in AdminClient({"bootstrap.servers": address}).list_topics(timeout=10).topics

    down = evergreen_stack("down", "--wipe")
    assert "Stopped Kafka, process" in down.stdout
    assert "Its data is deleted." in down.stdout
    assert evergreen_stack("status").exit_code == 1
    assert not (state / "stack" / "kafka").exists()


def test_down_without_anything_to_stop_says_so(state: Path) -> None:
    down = evergreen_stack("down")

    assert down.exit_code == 0
    assert down.stdout == "No Kafka of ours is running.\n"


def test_an_error_is_one_line_on_stderr_and_exit_code_1(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(local.VARIABLE, "127.0.0.1:1")
    monkeypatch.setattr(kafka, "EXTERNAL_DEADLINE_S", 0.3)

    up = evergreen_stack("up")

    assert up.exit_code == 1
    assert up.stdout == ""
    assert up.stderr.startswith("evergreen: EVERGREEN_BOOTSTRAP_SERVERS=127.0.0.1:1: no Kafka answers there")
    assert up.stderr.count("\n") == 1
