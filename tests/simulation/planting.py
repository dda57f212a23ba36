"""How a bug is planted: a function is replaced by one that is given the right one as its first argument."""

from typing import Any

import pytest


def wrap(patch: pytest.MonkeyPatch, owner: Any, name: str, bug: Any) -> None:
    """Replace a function by a bug, that is given the function as its first argument."""
    right = getattr(owner, name)
    patch.setattr(owner, name, lambda *args, **more: bug(right, *args, **more))


def wrap_async(patch: pytest.MonkeyPatch, owner: Any, name: str, bug: Any) -> None:
    right = getattr(owner, name)

    async def wrapped(*args: Any, **more: Any) -> Any:
        return await bug(right, *args, **more)

    patch.setattr(owner, name, wrapped)
