"""What is noted beside a committed offset."""

from types import SimpleNamespace
from typing import Any

import pytest

from streams.lag import _is_noted


class Garbled:
    """A partition whose note has other memory behind it."""

    @property
    def metadata(self) -> str:
        return b"unfinished\x00\x9c".decode()


@pytest.mark.parametrize(
    ("partition", "noted"),
    [
        (SimpleNamespace(metadata=None), False),
        (SimpleNamespace(metadata=""), False),
        (SimpleNamespace(metadata="unfinished"), True),
        (Garbled(), True),
    ],
    ids=["none", "empty", "unfinished", "garbled"],
)
def test_a_note_is_seen_whatever_stands_behind_it(partition: Any, noted: bool) -> None:
    assert _is_noted(partition) is noted
