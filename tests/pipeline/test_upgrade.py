"""Schemas change under a running deployment: workers of three versions in a group, on each other's state."""

import re
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from schemas.wire import Schemas
from streams.topics import changelog
from tests.evolution import versions
from tests.pipeline.deployment import DEADLINE_SECONDS, Deploy, Deployment, Process, publish_price

pytestmark = pytest.mark.kafka

ACCOUNTS = 40
AT = 1_725_969_600_000  # 2024-09-10T12:00Z
VERSIONS = (1, 2, 3)
ONE = 10**12


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The schemas of each version; all know all ids, as a release does that teaches readers first."""
    folder = tmp_path_factory.mktemp("schemas")
    return {v: versions.write(folder / str(v), v) for v in VERSIONS}


@pytest.fixture(scope="module")
def by_version(folders: dict[int, Path]) -> dict[int, Schemas]:
    return {v: versions.schemas(folder) for v, folder in folders.items()}


class Upgraded:
    """A deployment, its usage of all versions, and how much of it was sent."""

    def __init__(
        self, deployment: Deployment, folders: dict[int, Path], by_version: dict[int, Schemas]
    ) -> None:
        self.deployment = deployment
        self.sent: Counter[str] = Counter()
        self._folders = folders
        self._by_version = by_version
        self._numbers = count()
        deployment.__dict__["schemas"] = by_version[1]  # verify is of today: it reads later records too
        publish_price(deployment)
        for number in range(ACCOUNTS):  # else usage would wait for the next tick
            deployment.emit.settings(
                account_id=f"account-{number}",
                revision=1,
                currency="USD",
                zone="UTC",
                changed_at="2024-09-10T12:00Z",
                changed_by="test",
            )

    def worker(self, version: int, name: str, **more: str) -> Process:
        """Start a worker of a version."""
        return self.deployment.start_module(
            "tests.evolution.worker",
            str(self._folders[version]),
            str(version),
            EVERGREEN_WORKER_NAME=name,
            **more,
        )

    def use(self, version: int) -> None:
        """Send one usage event as an emitter of a version does."""
        number = next(self._numbers)
        account_id = f"account-{number % ACCOUNTS}"
        event = {
            "account_id": account_id,
            "source": "test",
            "event_id": str(number),
            "meter": "calls",
            "quantity": ONE,
            "occurred_at": AT,
        }
        if version > 1:
            event["region"] = f"region {number}"
        value = self._by_version[version].codec("usage-event").encode(event)
        lane = self.deployment.lane(account_id)
        self.deployment.send("usage-events", account_id.encode(), value, lane)
        self.sent[account_id] += 1

    @contextmanager
    def load(self) -> Iterator[None]:
        """Send usage of all versions all the time."""
        over = threading.Event()

        def pump() -> None:
            while not over.is_set():
                for version in VERSIONS:
                    self.use(version)
                time.sleep(0.01)

        thread = threading.Thread(target=pump)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def folds(self, records: int = 200) -> None:
        """Return when so many more records were folded."""
        deployment = self.deployment
        target = len(deployment.read("ledger-entries")) + records
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(deployment.read("ledger-entries")) < target:
            deployment.check_alive()
            assert time.monotonic() < deadline, f"{records} more records are not folded"
            time.sleep(0.1)

    def check(self) -> None:
        """Fail where an event was lost or charged twice, or verify finds anything."""
        self.deployment.settle()
        charged = Counter(entry["account_id"] for entry in self.deployment.records("ledger-entries"))
        assert charged == self.sent
        balances = {b["account_id"]: b["balance"] for b in self.deployment.records("balances")}
        assert balances == {account: -n * ONE // 100 for account, n in self.sent.items()}
        assert self.deployment.records("dead-letters") == []
        self.deployment.verify()

    def state_ids(self) -> Counter[int]:
        """Return by schema id how many values the accounts' changelog has."""
        name = changelog(self.deployment.settings.application, "accounts")
        renamed = name.removeprefix(self.deployment.settings.topic_prefix)
        return Counter(
            struct.unpack(">I", read.value[1:5])[0] for read in self.deployment.read(renamed) if read.value
        )


@pytest.mark.long
def test_versions_in_one_group_under_load_lose_and_double_nothing(
    deploy: Deploy, folders: dict[int, Path], by_version: dict[int, Schemas]
) -> None:
    upgraded = Upgraded(deploy(gather_seconds=0), folders, by_version)
    one, two = upgraded.worker(1, "one"), upgraded.worker(1, "two")
    upgraded.deployment.tick("2024-09-11T00:00Z")
    with upgraded.load():
        upgraded.folds()
        one.stop()
        one = upgraded.worker(2, "one")  # 2 beside 1
        upgraded.folds()
        two.kill()
        two = upgraded.worker(3, "two")  # 3 beside 2
        upgraded.folds()
        one.kill()
        one = upgraded.worker(1, "one")  # rolled back: 1 beside 3, on what 2 and 3 stored
        upgraded.folds()
        two.stop()  # all lanes go to the oldest
        upgraded.folds()

    upgraded.check()
    assert set(upgraded.state_ids()) == {versions.schema_id("state-account", v) for v in VERSIONS}
    assert one.is_alive()


def test_a_rocksdb_store_of_one_version_is_read_by_another(
    deploy: Deploy, folders: dict[int, Path], by_version: dict[int, Schemas], tmp_path: Path
) -> None:
    upgraded = Upgraded(deploy(store="rocksdb", state_dir=str(tmp_path)), folders, by_version)
    restored: list[int] = []
    for version in (1, 2, 3, 1):
        worker = upgraded.worker(version, "only")
        for number in range(3 * ACCOUNTS):
            upgraded.use(VERSIONS[number % 3])
        upgraded.deployment.tick("2024-09-11T00:00Z")
        told = re.findall(r"lane opened.*restored=(\d+)", worker.said)
        assert len(told) == upgraded.deployment.settings.lanes
        restored += map(int, told)
        worker.stop()

    assert set(restored) == {0}, "each went on with the store that the one before had left"
    assert len(upgraded.state_ids()) == len(VERSIONS)
    upgraded.check()
