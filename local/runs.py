"""Which brokers were started from one state directory, written down for the next start to tidy up."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from local.process import ProcessId

RECORD = "run.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One broker. `owner` is the process it must not outlive; None for a background service."""

    owner: ProcessId | None
    broker: ProcessId | None = None
    port: int = 0


def write(directory: Path, run: Run) -> None:
    """In one step: a reader never sees half a record."""
    draft = directory / f"{RECORD}.{os.getpid()}"
    draft.write_text(json.dumps(asdict(run)))
    draft.replace(directory / RECORD)


def read(directory: Path) -> Run | None:
    """None if nothing was written here, or nothing that we can read."""
    try:
        record = json.loads((directory / RECORD).read_text())
        owner, broker = (
            None if record[who] is None else ProcessId(**record[who]) for who in ("owner", "broker")
        )
        return Run(owner=owner, broker=broker, port=int(record["port"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One process at a time in `directory`, which is made if need be. The lock goes with the process."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def new_directory(parent: Path) -> Path:
    """A directory for a broker of this process. First, what dead owners left behind is ended and removed."""
    with locked(parent):
        _remove_leftovers(parent)
        directory = Path(tempfile.mkdtemp(dir=parent, prefix="broker-"))
        write(directory, Run(owner=ProcessId.of(os.getpid())))
        return directory


def _remove_leftovers(parent: Path) -> None:
    for directory in parent.glob("broker-*"):
        run = read(directory)
        if run is not None and run.owner is not None and run.owner.is_alive():
            continue
        if run is not None and run.broker is not None:
            run.broker.kill()
        shutil.rmtree(directory, ignore_errors=True)
