"""Which versions of what a measurement was made with."""

import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

from bench.peer_systems import QUIX_REQUIREMENTS, STREAMS
from local.jars import KAFKA_VERSION

OURS = ("faust-streaming", "aiokafka", "confluent-kafka", "fastavro", "rocksdict", "uvloop")
QUIX = r"quixstreams==(.+)"
KAFKA_STREAMS = r"kafka-streams</artifactId>\s*<version>(.+?)<"


def versions() -> str:
    """Return them in one line."""
    return ", ".join(
        [
            f"Evergreen {_commit()}",
            f"Python {platform.python_version()}",
            f"Kafka {KAFKA_VERSION}, one broker",
            *(f"{name} {version}" for name in OURS if (version := _installed(name))),
            f"quixstreams {_pinned(QUIX_REQUIREMENTS, QUIX)}",
            f"kafka-streams {_pinned(STREAMS / 'pom.xml', KAFKA_STREAMS)}",
            *([java] if (java := _java()) else []),
        ]
    )


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _pinned(path: Path, pattern: str) -> str:
    found = re.search(pattern, path.read_text(encoding="utf-8"))
    return found[1] if found else "?"


def _commit() -> str:
    """Return the commit; dirty where anything differs from it but docs/, which a measurement writes."""
    commit = _said(["git", "describe", "--always"])
    if not commit:
        return metadata.version("evergreen")
    return f"{commit}-dirty" if _said(["git", "status", "--porcelain", "--", ":!docs"]) else commit


def _java() -> str:
    found = re.search(r'"(\d[^"]*)"', _said(["java", "-version"]))
    return f"Java {found[1]}" if found else ""


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (done.stdout or done.stderr).strip() if done.returncode == 0 else ""
