"""`evergreen worker`: one worker, kept running.

A worker that meets anything doubtful stops before it commits; its supervisor starts it again.
What cannot work at the first start ends it at once: bad settings, no broker, missing topics.
"""

import gc
from functools import partial
from typing import Annotated

import typer


def worker(
    once: Annotated[bool, typer.Option("--once", help="Do not restart after a fault.")] = False,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay",
            help="Fold what the deployment has folded, in its journal's order, into EVERGREEN_OUTPUT_PREFIX; "
            "then end.",
        ),
    ] = False,
) -> None:
    """Run a worker: fold the lanes that the group gives it. Several share the lanes."""
    # All that is imported stays: to look through it again and again was a twentieth of the start.
    gc.disable()
    from streams.app import run

    gc.freeze()
    gc.enable()
    if once:
        raise typer.Exit(run(replay=replay))
    from cli.supervisor import supervise  # which a worker by itself has no use for

    raise typer.Exit(supervise(partial(run, replay=replay)))
