"""How a cache that is full makes room."""

from typing import Any


def thin(cache: dict[Any, Any], most: int) -> None:
    """Drop what is beyond nine tenths of `most`, spread over all there is, old and new.

    Who goes round a few more than the bound would meet none of the rest if the oldest went.
    """
    spare = len(cache) - most * 9 // 10
    for key in list(cache)[:: len(cache) // spare]:
        del cache[key]
