"""The Faust app over the lanes: what of Faust's start is left out."""

from types import SimpleNamespace

import pytest
from faust.tables.recovery import Recovery

from streams.lanes.app import LanesApp
from streams.lanes.lane import Pace
from tests.unit.lanes.doubles import CLUSTER, Job, World


async def test_the_inputs_are_subscribed_to_at_once_since_all_tables_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch)
    pace = Pace(gather_seconds=0, batch_records=100)
    app = LanesApp(cluster=CLUSTER, job=Job(), pace=pace, observer=world.observer, partitions=2)
    slept: list[float] = []
    started: list[Recovery] = []

    async def sleep(_: object, seconds: float) -> None:
        slept.append(seconds)

    async def start(recovery: Recovery) -> None:
        started.append(recovery)

    monkeypatch.setattr(type(app.tables), "sleep", sleep)
    monkeypatch.setattr(Recovery, "start", start)
    monkeypatch.setattr(
        app, "_consumer", SimpleNamespace(assignment=set, pause_partitions=lambda partitions: None)
    )

    await app.tables.on_start()
    await app.tables.wait_until_tables_registered()

    assert slept == []
    assert started == [app.tables.recovery]
