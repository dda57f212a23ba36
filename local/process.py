"""Child processes: which one it is, and how it ends. Never signals a number that is someone else's now."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    """A process for good: the system reuses numbers, but not with the same start time."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """The process that has this number now; None if there is none, or only its unreaped remains."""
        started = _start_time(pid)
        return None if started is None else cls(pid=pid, started=started)

    def is_alive(self) -> bool:
        return _start_time(self.pid) == self.started

    def send(self, number: signal.Signals) -> None:
        if self.is_alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def end(self, *, patience_s: float = 20.0) -> bool:
        """SIGTERM, and SIGKILL when `patience_s` is over. Returns when it is gone: True if in order."""
        self.send(signal.SIGTERM)
        if self._is_gone_within(patience_s):
            return True
        self.kill()
        return False

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self._is_gone_within(10.0)

    def _is_gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def _start_time(pid: int) -> str | None:
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        _, _, after_name = stat.rpartition(")")  # a name may hold spaces and brackets
        fields = after_name.split()
        state, threads, ticks_since_boot = fields[0], int(fields[17]), fields[19]
        # A killed process is a zombie as soon as its first thread has ended. Until the last one has, it still
        # holds its ports and files.
        return None if state in "ZX" and threads <= 1 else ticks_since_boot
    ps = subprocess.run(
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = ps.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


class OwnedProcess:
    """A process that lives no longer than its owner, however the owner ends. guard.py says how."""

    def __init__(self, command: list[str], *, output: Path) -> None:
        guard = [sys.executable, "-I", str(Path(__file__).with_name("guard.py")), *command]
        with output.open("ab") as sink:
            # A session of its own: Ctrl-C is the owner's, who then ends the child in order.
            self._guard = subprocess.Popen(
                guard, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink, start_new_session=True
            )
        assert self._guard.stdin is not None
        assert self._guard.stdout is not None
        self._lifeline = self._guard.stdin
        with self._guard.stdout as reports:
            report = reports.readline()
        if not report:
            raise LocalError(f"{command[0]} could not be started; {output} says why")
        self.pid = int(report)
        self.id = ProcessId.of(self.pid)

    def is_alive(self) -> bool:
        return self._guard.poll() is None

    def end(self, *, patience_s: float = 20.0) -> None:
        """SIGTERM, then SIGKILL when `patience_s` is over; returns when the process is gone."""
        if self.id is not None:
            self.id.end(patience_s=patience_s)
        self._close()

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        if self.id is not None:
            self.id.kill()
        self._close()

    def _close(self) -> None:
        self._lifeline.close()
        self._guard.wait(timeout=10.0)


def start_in_background(command: list[str], *, output: Path) -> ProcessId:
    """A process that outlives this one and its terminal."""
    with output.open("ab") as sink:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
        )
    identity = ProcessId.of(child.pid)
    child.returncode = 0  # it is not ours to wait for: no warning when this object goes
    return identity or ProcessId(pid=child.pid, started="gone")
