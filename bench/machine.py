"""What processes and the machine have used, from /proc: Linux only."""

import contextlib
import mmap
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
QUIET_CORES = 0.2
TOUCHED = 0.5
"""Of the memory that is free: more than a worker and a broker come to need."""


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds (user and system, every thread) and the most memory in MB of a process and its children."""

    cpu_s: float
    peak_rss_mb: float


def usage(pid: int) -> Usage:
    """Return what a process and its living descendants have used; raises OSError where it is gone."""
    cpu, rss = _cpu(pid), _peak_rss(pid)
    for child in _children(pid):
        try:
            more = usage(child)
        except OSError:
            continue
        cpu, rss = cpu + more.cpu_s, max(rss, more.peak_rss_mb)
    return Usage(cpu, rss)


def resident_mb(pid: int) -> float:
    """Return the memory that a process and its living descendants hold now; OSError where it is gone."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    held = pages * PAGE_BYTES / 2**20
    for child in _children(pid):
        with contextlib.suppress(OSError):
            held += resident_mb(child)
    return held


def busy_seconds() -> float:
    """Return CPU seconds that all cores together were busy since the machine started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) / TICKS_PER_SECOND


def broker_process(bootstrap_servers: str) -> int | None:
    """Return the process of a Kafka on this machine that listens there, None where it is not found."""
    port = bootstrap_servers.rpartition(":")[2]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
            properties = Path(os.fsdecode(words[words.index(b"kafka.Kafka") + 1])).read_text()
        except (OSError, ValueError, IndexError):
            continue
        if f":{port}" in properties:
            return int(path.parent.name)
    return None


def wait_for_quiet(limit_seconds: float) -> float:
    """Wait until hardly anything runs here, no longer than this; return how long that took."""
    began = time.monotonic()
    while time.monotonic() - began < limit_seconds:
        before, since = busy_seconds(), time.monotonic()
        time.sleep(1)
        if busy_seconds() - before < QUIET_CORES * (time.monotonic() - since):
            break
    return time.monotonic() - began


def touch_memory() -> None:
    """Write once to half of the memory that is free.

    A virtual machine has a page of its host's only once it was written to. That first time was a tenth of a
    worker's time with 1,000,000 accounts, as its memory grew; a fortieth once all had been written to.
    """
    pages = int(os.sysconf("SC_AVPHYS_PAGES") * TOUCHED)
    with mmap.mmap(-1, pages * PAGE_BYTES) as memory:
        memory[::PAGE_BYTES] = bytes(pages)


def description() -> str:
    """Return processor, cores, memory and system in one line."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = models[0] if models else platform.machine()
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {platform.release()}"


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def _peak_rss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in path.read_text().split()]
        except OSError:
            continue
    return found
