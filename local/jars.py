"""Kafka's jars: exactly those pinned in kafka-jars.lock, each checked against its SHA-256 before it runs.

The lock is the whole truth: each line is fetched by itself and nothing is resolved here, so that no answer
of a repository can add, drop or change a jar. lock.py rewrites the lock.
"""

import hashlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError, UnavailableError
from local.progress import Progress

KAFKA_VERSION = "4.1.1"
LOCK = Path(__file__).with_name("kafka-jars.lock")
PARALLEL_DOWNLOADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def pinned(lock: Path = LOCK) -> tuple[Jar, ...]:
    """The jars that the lock names, one a line: SHA-256, then group:artifact:version."""
    lines = [line.split() for line in lock.read_text().splitlines() if line and not line.startswith("#")]
    jars = []
    for sha256, coordinates in lines:
        group, artifact, version = coordinates.split(":")
        jars.append(Jar(group=group, artifact=artifact, version=version, sha256=sha256))
    return tuple(jars)


def fetch(jars: tuple[Jar, ...], *, cache: Path, progress: Progress) -> list[Path]:
    """The files of `jars` in `cache`, all checked now. What is missing is downloaded from Maven Central.

    LocalError if a file is not the pinned one, or cannot be had.
    """
    directory = cache / f"kafka-{KAFKA_VERSION}"
    missing = [jar for jar in jars if not (directory / jar.file_name).exists()]
    if missing:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            _download(missing, directory, progress)
        except OSError as error:
            raise UnavailableError(
                f"cannot write Kafka's jars to {directory} ({error}); EVERGREEN_CACHE_DIR moves them"
            ) from error
    for jar in jars:
        _check(directory / jar.file_name, jar)
    return [directory / jar.file_name for jar in jars]


def _download(jars: list[Jar], directory: Path, progress: Progress) -> None:
    """Each jar goes to a directory of its own, is checked there, and is then moved to its place in one step.

    So a download that was cut short is never taken for a jar, and two of us may download at once.
    """
    with (
        tempfile.TemporaryDirectory(dir=directory, prefix="download-") as temporary,
        progress.count(f"Fetching Kafka {KAFKA_VERSION}, once for this user", len(jars)) as done,
        ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool,
    ):

        def download(jar: Jar) -> None:
            path = from_maven_central(jar.group, jar.artifact, jar.version, into=Path(temporary))
            _check(path, jar)
            os.replace(path, directory / jar.file_name)
            done()

        for _ in pool.map(download, jars):
            pass


def from_maven_central(group: str, artifact: str, version: str, *, into: Path) -> Path:
    """Download one jar with jgo's Python resolver, which needs neither Java nor Maven. Not checked here."""
    from jgo.maven import MavenContext, PythonResolver

    context = MavenContext(repo_cache=into, resolver=PythonResolver(), timeout=30)
    try:
        return Path(context.project(group, artifact).at_version(version).artifact().resolve())
    except (OSError, RuntimeError) as error:  # requests' errors are OSErrors; jgo's own are RuntimeErrors
        reason = str(error).splitlines()[0]
        raise UnavailableError(
            f"cannot fetch {group}:{artifact}:{version} from Maven Central: {reason}"
        ) from error


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(path: Path, jar: Jar) -> None:
    actual = sha256_of(path)
    if actual != jar.sha256:
        raise LocalError(
            f"{path} is not the {jar} that {LOCK.name} pins (its SHA-256 is {actual}, not {jar.sha256}): "
            "it was not run; delete it to fetch it again"
        )
