"""Which topics a lane lives on, and how far it read them: kept with its own state.

Kafka forgets a group's offsets with the topic, and a topic made anew has the old name. So without this a
lane would begin again at the start of another log and never miss what stood in the one it had not finished;
or, where it is a changelog, go on with accounts that it has forgotten.
"""

import json
from collections.abc import Collection, Mapping, Sequence

from streams.lanes.job import Run
from streams.lanes.restore import LogChangedError

KEY = b"inputs"
"""Its key in the table `lane`; the value is JSON: by topic its id and the next offset."""


class InputLogs:
    """The inputs and changelogs of one lane."""

    def __init__(
        self, lane: int, ids: Mapping[str, str], kept: bytes | None, *, accepted: Collection[str] = ()
    ) -> None:
        """Compare the topics that are there with those read before; raises LogChangedError.

        `ids` are by topic; where there are none, nothing is compared or kept. `accepted` are ids that an
        operator has said may follow upon another topic.
        """
        read: dict[str, tuple[str, int]] = {
            name: (i, n) for name, (i, n) in json.loads(kept or b"{}").items()
        }
        self._logs = {topic: (topic_id, 0) for topic, topic_id in ids.items()}
        for topic, topic_id in ids.items():
            before, offset = read.get(topic, (topic_id, 0))
            if before == topic_id:
                self._logs[topic] = (topic_id, offset)
            elif topic_id not in accepted:
                raise LogChangedError(
                    f"{topic}-{lane}: the topic was made anew (id {topic_id}) since this lane read it "
                    f"(id {before}) up to offset {offset}. Have what it held from there on sent again, "
                    f"then start workers with EVERGREEN_ACCEPT_TOPICS={topic_id}: see docs/operations.md"
                )

    def took(self, runs: Sequence[Run]) -> bytes | None:
        """Enter what a batch has read; return what to keep."""
        for run in runs:
            if run.topic in self._logs:
                self._logs[run.topic] = (self._logs[run.topic][0], run.stop)
        return json.dumps(self._logs).encode() if self._logs else None
