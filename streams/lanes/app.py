"""A Faust application whose agents receive whole fetches and whose money travels in lanes."""

from collections.abc import Callable, Sequence
from typing import Any

import faust
from faust.tables.manager import TableManager

from streams.lanes.group import LaneGroup
from streams.lanes.job import Job, Observer
from streams.lanes.lane import Fetch, Lane, Pace
from streams.lanes.spaces import MemoryKeeper, OpenKeeper
from streams.lanes.transaction import Cluster
from streams.lanes.transport import Transport


class Tables(TableManager):  # type: ignore[misc]
    """Faust's tables, all of which are there before the app starts."""

    async def on_start(self) -> None:
        """Start as Faust 0.15.3 does, without its second for tables that others add: no lane opens in it."""
        await self._update_channels()
        await self.recovery.start()


class LanesApp(faust.App):  # type: ignore[misc]
    """A faust.App over lanes; `settings` go to Faust as they are.

    `leaves_group`: an orderly end gives the lanes to others at once, also those of a static member.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        job: Job,
        pace: Pace,
        observer: Observer,
        partitions: int,
        open_keeper: OpenKeeper = MemoryKeeper,
        make_lane: Callable[..., Lane] = Lane,
        leaves_group: bool = True,
        **settings: Any,
    ) -> None:
        self.leaves_group = leaves_group
        self.lane_group = LaneGroup(
            job=job,
            cluster=cluster,
            pace=pace,
            observer=observer,
            open_keeper=open_keeper,
            make_lane=make_lane,
        )
        super().__init__(
            cluster.group,
            broker=[f"kafka://{server.strip()}" for server in cluster.bootstrap_servers.split(",")],
            processing_guarantee="exactly_once",
            topic_partitions=partitions,
            topic_disable_leader=True,
            topic_allow_declare=False,
            stream_wait_empty=False,
            broker_max_poll_records=pace.batch_records,
            broker_commit_interval=3600.0,
            key_serializer="raw",
            value_serializer="raw",
            store="memory://",
            table_standby_replicas=0,  # no table is Faust's; with 1 a third worker got none of 4 lanes
            TableManager=Tables,
            web_enabled=False,
            **settings,
        )
        self.agent(self._inputs(job.inputs), name="lanes")(self._deliver)

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self, loop=self.loop)

    def _create_directories(self) -> None:
        """Make none: nothing of Faust's is on disk."""

    def _inputs(self, topics: Sequence[str]) -> Any:
        return self.topic(*topics, key_serializer="raw", value_serializer="raw", acks=False)

    async def _deliver(self, fetches: Any) -> None:
        """The agent: takes whole fetches of every input and gives each to its lane."""
        async for fetch in fetches:
            self.lane_group.deliver(fetch)

    def run_worker(self, loglevel: str = "warn") -> None:
        """Run a Faust worker with this app until SIGTERM or SIGINT; returns never."""
        worker = faust.Worker(
            self, quiet=True, loglevel=loglevel, override_logging=False, redirect_stdouts=False
        )
        worker.spinner = None  # nor an animation
        worker.execute_from_commandline()


__all__ = ["Fetch", "LanesApp"]
