"""`evergreen worker`: one worker, kept running.

A worker that meets anything doubtful stops before it commits; this restarts it, with growing pauses.
What cannot work at the first start ends it at once: bad settings, no broker, missing topics.
"""

import gc
import signal
import subprocess
import sys
import time
from typing import Annotated

import typer

CONFIG_EXIT = 2
"""The child's exit code where a restart would not help."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
STEADY_SECONDS = 60.0
"""A worker that ran this long starts over with the first pause."""


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
    if once:
        # All that is imported stays: to look through it again and again was a twentieth of the start.
        gc.disable()
        from streams.app import run

        gc.freeze()
        gc.enable()
        raise typer.Exit(run(replay=replay))
    command = [sys.executable, "-m", "cli", "worker", "--once", *(["--replay"] if replay else [])]
    raise typer.Exit(_supervise(command))


def _supervise(command: list[str]) -> int:
    """Run the command again and again until it exits 0 or cannot work, or this process is told to stop."""
    from local.guard import die_with_parent  # all of local/, which a worker itself has no use for

    stopping = False
    child: subprocess.Popen[bytes] | None = None

    def stop(signum: int, frame: object) -> None:
        nonlocal stopping
        stopping = True
        if child is not None:
            child.send_signal(signum)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    pause, has_run = FIRST_PAUSE_SECONDS, False
    while True:
        began = time.monotonic()
        child = subprocess.Popen(
            command,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - this process has one thread
            start_new_session=True,
        )
        if stopping:  # told while the child was being started, which therefore knows nothing of it
            child.send_signal(signal.SIGTERM)
        code = child.wait()
        if stopping or code == 0 or (code == CONFIG_EXIT and not has_run):
            return 0 if stopping else code
        has_run = True  # settings that worked once will again: it is the broker that is away
        if time.monotonic() - began > STEADY_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        print(f"worker ended with {code}; starting again in {pause:g} s", file=sys.stderr, flush=True)
        deadline = time.monotonic() + pause
        while not stopping and time.monotonic() < deadline:
            time.sleep(0.05)
        if stopping:
            return 0
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
