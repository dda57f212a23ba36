"""Small runs on a real Kafka: ours, whole and with something left out, and a peer; all of them right."""

from pathlib import Path

import pytest

import local
from bench.inputs import Inputs, prepared
from bench.running import Care, measure
from bench.systems import SYSTEMS
from bench.workload import Shape

SHAPE = Shape(events=1_000, accounts=40)
SMALL = ("evergreen-rocksdb", "evergreen-job", "evergreen-plain", "raw")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory):
    with local.broker(progress=False) as kafka:
        yield prepared(kafka.bootstrap_servers, SHAPE, tmp_path_factory.mktemp("inputs"), lambda _: None)


@pytest.mark.parametrize("name", SMALL)
def test_a_run_is_right_and_has_its_numbers(name: str, inputs: Inputs, tmp_path: Path):
    care = Care(directory=tmp_path, limit_seconds=120, quiet_seconds=0, keep=False)

    line = measure(SYSTEMS[name], inputs, 1, care, lambda _: None)

    assert line["correct"], line["problems"]
    assert line["events"] > SHAPE.events
    for figure in ("events_per_s", "cpu_s_with_startup", "peak_rss_mb", "seconds"):
        assert line[figure] > 0, figure
    assert not list(tmp_path.iterdir())


def test_inputs_that_are_there_are_used_again(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory):
    directory = tmp_path_factory.mktemp("again")
    told: list[str] = []
    prepared(inputs.bootstrap_servers, SHAPE, directory, told.append)
    told.clear()

    again = prepared(inputs.bootstrap_servers, SHAPE, directory, told.append)

    assert told == ["inputs are there already"]
    assert again.answer == inputs.answer
    assert again.ends == inputs.ends
