"""There is no room for a worker's stores: it ends, and goes on when there is some."""

import errno
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.faults.deployment import Deployment, Worker, assert_holds, wait_until
from tests.faults.disks import Disk
from tests.faults.inputs import Load
from tests.faults.report import Entry, Kind

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(sys.platform != "linux", reason="limits another process by prlimit"),
]

ROOM_MB = 48


@contextmanager
def no_file_may_grow(disk: Disk, worker: Worker) -> Iterator[None]:
    """Let each write of the folding process fail; the next one started by its supervisor has room again."""
    child = worker.child()
    assert child is not None
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (1, hard))
    yield


@contextmanager
def full(disk: Disk, worker: Worker) -> Iterator[None]:
    """Fill the file system to the last byte, and again with what a worker gives back as it ends or starts."""
    filler, over = disk.path / "filler", threading.Event()

    def fill() -> None:
        with filler.open("wb", buffering=0) as file:
            while not over.is_set():
                try:
                    file.write(bytes(4096))
                except OSError as e:
                    assert e.errno == errno.ENOSPC  # noqa: PT017 - the end that was wanted
                    over.wait(0.01)

    with ThreadPoolExecutor(max_workers=1) as beside:
        filling = beside.submit(fill)
        try:
            yield
        finally:
            over.set()
        filling.result()
    filler.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    """A file system of a few megabytes, where this user may mount one."""
    path = tmp_path / "small"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_MB}m", "evergreen-test", str(path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system; the other test limits files instead")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_worker_whose_files_may_not_grow_ends_and_the_next_goes_on(
    deploy: Callable[..., Deployment], tmp_path: Path, report: Entry
) -> None:
    worker = run(
        deploy("limited", store="rocksdb"), Disk(tmp_path / "limited-disk"), no_file_may_grow, report
    )

    assert worker.restarts == 1


@pytest.mark.long
def test_a_worker_on_a_full_disk_ends_again_and_again_and_goes_on_when_there_is_room(
    deploy: Callable[..., Deployment], small_disk: Disk, report: Entry
) -> None:
    worker = run(deploy("full", store="rocksdb"), small_disk, full, report, restarts=3)

    assert worker.said("No space left on device")


def run(
    deployment: Deployment,
    disk: Disk,
    without_room: Callable[[Disk, Worker], AbstractContextManager[None]],
    report: Entry,
    restarts: int = 1,
) -> Worker:
    """Take the room away while there is load, give it back after some restarts, and judge what came of it."""
    worker = deployment.start_worker(disk=disk)
    for stage in Load(seed=4, accounts=200, events=6_000, stages=6).stages():
        if stage.settled:
            deployment.settle()
        if stage.number == 3:
            deployment.settle()
            with without_room(disk, worker):
                deployment.send(stage.records, stage.tick)
                wait_until(lambda: worker.restarts >= restarts, "the end of the worker without room")
            report.inject(Kind.DISK_FULL)
        else:
            deployment.send(stage.records, stage.tick)
    deployment.settle()
    _, found = deployment.verify()
    report.took(deployment)
    report.judged(found)
    assert_holds(found)
    return worker
