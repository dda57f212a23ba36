"""`evergreen worker --replay` whose lanes wait for a file: `python -m tests.pipeline.gathered_replay FILE`.

So that a short replay is not over before all of its workers have lanes.
"""

import asyncio
import sys
from pathlib import Path

from streams import app
from streams.lanes.replay import ReplayingLane


def main() -> int:
    """Run the worker."""
    go = Path(sys.argv[1])
    gather = ReplayingLane._gather

    async def once_all_are_here(self: ReplayingLane) -> None:
        while not (go.exists() or self._stopping):
            await asyncio.sleep(0.02)
        await gather(self)

    ReplayingLane._gather = once_all_are_here  # type: ignore[method-assign]
    return app.run(replay=True)


if __name__ == "__main__":
    sys.exit(main())
