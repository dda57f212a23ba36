"""The lane-journal as the script of a replay: what was folded, in which order, between which ticks."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.wire import Schemas
from streams.lanes.job import Run
from streams.lanes.replay import ScriptError, Step
from streams.settings import Settings
from streams.topics import JOURNAL

Targets = Mapping[tuple[str, int], int]
"""By full name and number of an input partition: the next offset of the deployment that is replayed."""


class Journal:
    """The journal of a deployment as it stood when its next offsets were `targets`."""

    def __init__(self, deployment: Settings, schemas: Schemas, targets: Targets) -> None:
        self._deployment = deployment
        self._codec_of = schemas.codec_of
        self._targets = targets

    async def steps(self, lane: int) -> AsyncGenerator[Step, None]:
        """Yield what a lane's commits folded; raises ScriptError where the journal is not whole."""
        left = {topic: target for (topic, number), target in self._targets.items() if number == lane}
        left = {topic: target for topic, target in left.items() if target > 0}
        if not left:
            return
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._deployment.bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition(self._deployment.topic(JOURNAL.name), lane)])
            commit = 0
            while left:
                for records in (await consumer.getmany(timeout_ms=1_000)).values():
                    for record in records:
                        entry = self._codec_of(record.value, "journal-entry").decode(record.value)
                        commit += 1
                        if entry["commit"] != commit:
                            raise ScriptError(
                                f"the journal of lane {lane} lacks commits {commit} to {entry['commit'] - 1}"
                            )
                        step = self._step(entry)
                        for run in step.runs:
                            if left.get(run.topic, run.stop + 1) <= run.stop:
                                del left[run.topic]
                        yield step
                        if not left:
                            return
        finally:
            await consumer.stop()

    def _step(self, entry: Mapping[str, Any]) -> Step:
        name = self._deployment.topic
        return Step(
            runs=[Run(name(run["topic"]), run["from"], run["to"]) for run in entry["runs"]],
            stood={name(told["topic"]): told["offset"] for told in entry["stood"]},
        )
