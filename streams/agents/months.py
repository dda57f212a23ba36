"""Months as the records have them, encoded once: each entry and each balance names two or more."""

from typing import Final

from schemas.binary import text_bytes
from streams.domain.periods import label

_encoded: Final[dict[int, bytes]] = {}


def month_bytes(month: int) -> bytes:
    """Return a month as YYYY-MM, an Avro string."""
    data = _encoded.get(month)
    if data is None:
        data = _encoded[month] = text_bytes(label(month))
    return data
