"""How a cache that is full makes room."""

from typing import Any


def thin(cache: dict[Any, Any], most: int) -> None:
    """Where there is more than `most`, drop what is beyond nine tenths of it, spread over all, old and new.

    Who goes round a few more than the bound would meet none of the rest if the oldest went.
    """
    if len(cache) <= most:
        return
    spare = len(cache) - most * 9 // 10
    for key in list(cache)[:: len(cache) // spare]:
        del cache[key]
