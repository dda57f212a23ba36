"""Keeps a piece of work running, in a process of its own that is forked from this one.

All that the work needs is imported here, once: on Linux a child has it when it starts, where a new
interpreter would read it all again. And all children go by one name, so that each takes its place in the
consumer group from the last one, however that ended (docs/decisions/0013-forked-workers.md). What a fork must
not take along is not here: the work makes its threads, connections and files itself.
"""

import gc
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from uuid import uuid4

from local.guard import die_with_parent
from streams.app import CONFIG_EXIT

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
STEADY_SECONDS = 60.0
"""Work that ran this long starts over with the first pause."""
STOPS = (signal.SIGTERM, signal.SIGINT)

if sys.platform == "linux":
    _Process = multiprocessing.get_context("fork").Process
else:
    _Process = multiprocessing.get_context("spawn").Process


def supervise(work: Callable[[str], int]) -> int:
    """Run the work until it returns 0 or this process is told to stop; returns the code to exit with.

    The work is given the name and returns its exit code. Whatever else ends it, it is started again, with
    growing pauses; only where it finds at its first start that it cannot work at all, that is the end.
    """
    name = f"worker-{uuid4()}"
    stopping = False
    child: multiprocessing.process.BaseProcess | None = None

    def stop(signum: int, frame: object) -> None:
        nonlocal stopping
        stopping = True
        if child is not None and child.exitcode is None:
            assert child.pid is not None
            os.kill(child.pid, signum)

    for signum in STOPS:
        signal.signal(signum, stop)
    gc.freeze()  # shared with the children as long as nobody writes there
    pause, has_run = FIRST_PAUSE_SECONDS, False
    while not stopping:
        began = time.monotonic()
        starting = _Process(target=_run, args=(work, name, die_with_parent()))
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # what comes now waits until there is a child to tell
        starting.start()
        child = starting
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        child.join()
        code = child.exitcode
        assert code is not None
        if stopping or code == 0 or (code == CONFIG_EXIT and not has_run):
            return 0 if stopping else code
        has_run = True  # settings that worked once will again: it is the broker that is away
        if time.monotonic() - began > STEADY_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        print(f"worker ended with {code}; starting again in {pause:g} s", file=sys.stderr, flush=True)
        deadline = time.monotonic() + pause
        while not stopping and time.monotonic() < deadline:
            time.sleep(0.05)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
    return 0


def _run(work: Callable[[str], int], name: str, arrange_death: Callable[[], None] | None) -> None:
    """Be the child: nobody's but the supervisor's, who tells it to end."""
    if arrange_death is not None:
        arrange_death()
    os.setsid()
    for signum in STOPS:
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    sys.exit(work(name))
