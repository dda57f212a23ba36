"""Runs one command that must not outlive its owner: `python -I guard.py COMMAND...`, started by process.py.

The owner holds the other end of our stdin and writes nothing. When it ends, even by SIGKILL, the system
closes that end, and we kill the command. Being the command's parent we cannot mistake another process for it.
On Linux the command also dies with us. (An owner that forks without exec shares its end with its forks: they
must end too.)

Why not PR_SET_PDEATHSIG straight from the owner: it follows the thread that started the command, not the
process, and running Python between fork and exec is not safe in an owner with threads. Here is one thread.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def main(command: list[str]) -> int:
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=sys.stderr,
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - no thread has been started yet
    )
    threading.Thread(target=_kill_when_owner_is_gone, args=(child,), daemon=True).start()
    with contextlib.suppress(BrokenPipeError):  # the owner is gone already: the thread sees it too
        print(child.pid, flush=True)
    return child.wait()


def die_with_parent() -> Callable[[], None] | None:
    """What makes a Linux child die with this process, by whatever death; a preexec_fn for one thread."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before this was arranged
            os._exit(1)

    return arrange


def _kill_when_owner_is_gone(child: "subprocess.Popen[bytes]") -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    child.kill()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    os._exit(code & 0xFF)  # nothing to tidy up, and the thread may be waiting for the owner
