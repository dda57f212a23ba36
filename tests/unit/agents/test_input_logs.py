"""A topic that was made anew is not taken for the one that was read."""

import pytest

from streams.agents.input_logs import InputLogs
from streams.lanes.job import Run
from streams.lanes.restore import LogChangedError

OLD, NEW = {"usage": "id-1", "ticks": "id-2"}, {"usage": "id-3", "ticks": "id-2"}


def kept(ids: dict[str, str], *runs: Run) -> bytes | None:
    return InputLogs(2, ids, None).took(runs)


def test_the_same_topics_are_read_on() -> None:
    logs = InputLogs(2, OLD, kept(OLD, Run("usage", 0, 163)))

    assert logs.took([]) == kept(OLD, Run("usage", 0, 163))


def test_a_topic_made_anew_stops_the_lane_and_the_alarm_says_where_it_was_and_what_to_do() -> None:
    read = kept(OLD, Run("usage", 0, 100), Run("usage", 100, 163))

    with pytest.raises(LogChangedError) as alarm:
        InputLogs(2, NEW, read)

    text = str(alarm.value)
    assert text.startswith("usage-2: ")
    assert all(part in text for part in ("id-1", "id-3", "offset 163", "EVERGREEN_ACCEPT_TOPICS=id-3"))


def test_one_that_the_operator_accepts_is_read_from_its_start() -> None:
    logs = InputLogs(2, NEW, kept(OLD, Run("usage", 0, 163)), accepted=["id-3"])

    assert logs.took([]) == kept(NEW)


def test_a_topic_that_a_new_version_adds_is_no_other_topic() -> None:
    logs = InputLogs(2, OLD | {"adjustments": "id-9"}, kept(OLD))

    assert logs.took([]) == kept(OLD | {"adjustments": "id-9"})


def test_without_ids_nothing_is_kept() -> None:
    assert kept({}, Run("usage", 0, 163)) is None
