"""Ten thousand made-up histories, and every law on each. A failure names its seed and its shortest story."""

import os

import pytest

from tests.laws.check import check

HISTORIES = 10_000
CHUNK = 500
FIRST = int(os.environ.get("EVERGREEN_LAWS_FIRST_SEED", "0"))
"""Another first seed makes other histories."""


@pytest.mark.parametrize("first", range(FIRST, FIRST + HISTORIES, CHUNK))
def test_every_law_holds_in_every_history(first: int) -> None:
    for seed in range(first, first + CHUNK):
        check(seed)
