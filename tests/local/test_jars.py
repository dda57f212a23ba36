"""Only the pinned jars run."""

import hashlib
from pathlib import Path

import pytest

from local import jars
from local.errors import LocalError, UnavailableError
from local.jars import KAFKA_VERSION, Jar, fetch, pinned
from local.lock import ROOTS
from local.progress import Silent


def jar(content: bytes, artifact: str = "something") -> Jar:
    return Jar(
        group="org.example", artifact=artifact, version="1.0", sha256=hashlib.sha256(content).hexdigest()
    )


class Repository:
    """Serves `content` for every jar, and counts."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.downloads = 0

    def __call__(self, group: str, artifact: str, version: str, *, into: Path) -> Path:
        self.downloads += 1
        path = into / f"{artifact}.downloaded"
        path.write_bytes(self.content)
        return path


def files(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file())


def test_the_lock_pins_one_version_of_kafka_and_every_root() -> None:
    lock = pinned()

    assert {str(each).split(":")[2] for each in lock if each.group == "org.apache.kafka"} == {KAFKA_VERSION}
    assert {":".join(root) for root in ROOTS} <= {str(each) for each in lock}


def test_the_lock_pins_each_file_once_and_by_a_whole_checksum() -> None:
    lock = pinned()

    assert len({each.file_name for each in lock}) == len(lock)
    assert all(len(bytes.fromhex(each.sha256)) == 32 for each in lock)


def test_what_is_missing_is_downloaded_and_then_never_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(b"a jar")
    monkeypatch.setattr(jars, "from_maven_central", repository)
    wanted = (jar(b"a jar", "one"), jar(b"a jar", "two"))

    first = fetch(wanted, cache=tmp_path, progress=Silent())
    second = fetch(wanted, cache=tmp_path, progress=Silent())

    assert first == second
    assert [path.name for path in first] == ["one-1.0.jar", "two-1.0.jar"]
    assert repository.downloads == 2


def test_a_download_that_is_not_the_pinned_jar_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "from_maven_central", Repository(b"something else"))

    with pytest.raises(
        LocalError, match=r"is not the org\.example:something:1\.0 that kafka-jars\.lock pins"
    ):
        fetch((jar(b"a jar"),), cache=tmp_path, progress=Silent())

    assert files(tmp_path) == []


def test_a_jar_that_changed_in_the_cache_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "from_maven_central", Repository(b"a jar"))
    [path] = fetch((jar(b"a jar"),), cache=tmp_path, progress=Silent())
    path.write_bytes(b"a jat")

    with pytest.raises(LocalError, match="it was not run; delete it to fetch it again") as refusal:
        fetch((jar(b"a jar"),), cache=tmp_path, progress=Silent())

    assert str(path) in str(refusal.value)


def test_a_repository_that_cannot_be_reached_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")

    with pytest.raises(UnavailableError, match=r"cannot fetch org\.example:something:1\.0") as refusal:
        fetch((jar(b"a jar"),), cache=tmp_path, progress=Silent())

    assert "\n" not in str(refusal.value)
