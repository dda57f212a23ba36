"""A replay: the inputs of a deployment folded once more from the first offset, in the order of its journal.

It has its own application id and outputs (EVERGREEN_OUTPUT_PREFIX), so it moves no money and tells nobody.
It ends where the deployment stood when the worker started.
"""

import asyncio
from functools import partial

from confluent_kafka import KafkaException, TopicPartition

from schemas.wire import Schemas
from streams.agents.journal import Journal
from streams.lag import LagError, committed_offsets
from streams.lanes.replay import ReplayingLane
from streams.settings import Settings, SettingsError
from streams.topics import INPUTS

LOOK_SECONDS = 0.25
"""How often a worker asks whether all lanes are at the end."""

Offsets = dict[tuple[str, int], int]


class Replay:
    """One replay, as a worker of it sees it."""

    def __init__(self, settings: Settings, schemas: Schemas) -> None:
        """Raises SettingsError where it would write into the deployment, or there is nothing to replay."""
        if settings.owns_inputs:
            raise SettingsError(
                "EVERGREEN_OUTPUT_PREFIX is not set: a replay writes beside the deployment, never into it"
            )
        self._settings = settings
        deployment = replayed(settings)
        try:
            self._targets = _next_offsets(deployment)
        except KafkaException as e:
            raise LagError(f"cannot ask {settings.bootstrap_servers} for offsets: {e.args[0].str()}") from e
        if not any(target > 0 for target in self._targets.values()):
            raise SettingsError(f"nothing to replay: group {deployment.application} has read nothing")
        journal = Journal(deployment, schemas, self._targets)
        self.make_lane = partial(ReplayingLane, script=journal.steps)

    async def over(self) -> None:
        """Return once every lane has committed what the deployment had when this worker started."""
        while await asyncio.to_thread(self._left):
            await asyncio.sleep(LOOK_SECONDS)

    def _left(self) -> bool:
        try:
            reached = _next_offsets(self._settings)
        except KafkaException:  # a broker that starts or moves: the lanes have their own word on it
            return True
        return any(reached[place] < target for place, target in self._targets.items())


def replayed(settings: Settings) -> Settings:
    """Return the deployment whose inputs are read."""
    return settings.model_copy(update={"output_prefix": ""})


def _next_offsets(settings: Settings) -> Offsets:
    """Return the next offset of the lanes in each input partition; below 1 where they have read nothing."""
    asked = [
        TopicPartition(settings.topic(topic.name), lane) for topic in INPUTS for lane in range(settings.lanes)
    ]
    return committed_offsets(settings.bootstrap_servers, settings.application, asked)
