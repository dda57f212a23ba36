"""Where a lane keeps its tables: both keepers under one suite, and what only RocksDB has."""

import contextlib
import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from rocksdict import AccessType, Options, Rdict

from streams.agents.seen import SeenShelf, SeenStore
from streams.app import keepers
from streams.lanes import spaces
from streams.lanes.spaces import (
    BUCKET_KEY_BYTES,
    META,
    STALE_SECONDS,
    BrokenStoreError,
    Keeper,
    MemoryKeeper,
    RocksKeeper,
    Slot,
    Space,
)
from streams.settings import Settings

TOPICS = {"counts": "counts-changelog/id-1", "marks": "marks-changelog/id-2"}
Open = Callable[[int, Mapping[str, str]], Keeper]


@pytest.fixture(params=["memory", "rocksdb, being filled", "rocksdb, filled"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "memory":
        return MemoryKeeper
    is_filled = request.param == "rocksdb, filled"
    return lambda lane, topics: rocks_keeper(tmp_path, lane, topics, is_filled=is_filled)


def rocks_keeper(
    path: Path, lane: int = 0, topics: Mapping[str, str] = TOPICS, *, is_filled: bool = True
) -> RocksKeeper:
    keeper = RocksKeeper(path, lane, topics)
    if is_filled:
        keeper.filled()
    return keeper


def test_entries_are_found_before_and_after_a_flush(opened: Open) -> None:
    keeper = opened(0, TOPICS)
    entries = keeper.space("counts").entries(b"I", 8, 2)
    one, two = b"12345678", b"87654321"
    entries.put(one + b"ab")
    entries.put(two + b"cd")
    entries.put(one + b"ef")
    before = entries.get(one), entries.get(two), len(entries)

    keeper.flush({"counts": 7})
    entries.delete(two)
    keeper.space("counts").put(b"12345678", b"another's")

    assert before == (b"ef", b"cd", 2)
    expected = {b"I" + one: b"ef", b"12345678": b"another's"}
    assert dict(keeper.space("counts").items()) == expected
    assert dict(keeper.space("counts").items(b"I1")) == {b"I" + one: b"ef"}
    assert (entries.get(one), entries.get(two), len(entries)) == (b"ef", None, 1)
    keeper.close()


def test_a_space_reads_its_own_writes_before_and_after_a_flush(opened: Open) -> None:
    keeper = opened(0, TOPICS)
    space = keeper.space("counts")
    space.put(b"a", b"1")
    space.put(b"b", b"2")
    space.delete(b"b")
    before = space.get(b"a"), space.get(b"b")

    keeper.flush({"counts": 7})
    space.delete(b"a")
    space.put(b"c", b"3")

    assert before == (b"1", None)
    assert (space.get(b"a"), space.get(b"c")) == (None, b"3")
    assert dict(space.items()) == {b"c": b"3"}
    keeper.close()


def test_a_value_that_is_written_at_its_place_is_the_next_one_until_it_is_settled(opened: Open) -> None:
    keeper = opened(0, TOPICS)
    space = keeper.space("counts")
    space.put(b"old", b"1")
    keeper.flush({"counts": 1})
    places = [space.place(b"old"), space.place(b"new")]

    for place in places:
        place.next = b"2"
    before = [space.get(b"old"), space.get(b"new")], dict(space.items())
    for place in places:
        space.settle(place)
    keeper.flush({"counts": 2})

    assert before == ([b"1", None], {b"old": b"1"})
    assert [space.get(place.key) for place in places] == [b"2", b"2"]
    assert dict(space.items(b"n")) == {b"new": b"2"}
    assert dict(space.items()) == {b"old": b"2", b"new": b"2"}
    keeper.close()


def test_a_place_stays_the_key_s_whoever_writes_or_deletes_its_value(opened: Open) -> None:
    keeper = opened(0, TOPICS)
    space = keeper.space("counts")
    space.put(b"a", b"1")
    place = space.place(b"a")

    space.put(b"a", b"2")
    put = space.get(b"a")
    space.delete(b"a")
    deleted = space.get(b"a"), dict(space.items())
    place.next = b"3"
    space.settle(place)

    assert (put, deleted) == (b"2", (None, {}))
    assert (space.get(b"a"), dict(space.items())) == (b"3", {b"a": b"3"})
    assert space.get(space.place(b"a").key) == b"3"
    keeper.close()


def test_tables_do_not_see_each_other_and_a_prefix_finds_only_its_own(opened: Open) -> None:
    keeper = opened(0, TOPICS)
    counts, marks = keeper.space("counts"), keeper.space("marks")
    counts.put(b"Bx", b"1")
    counts.put(b"Cx", b"2")
    keeper.flush({})
    counts.put(b"By", b"3")

    found = dict(counts.items(b"B"))

    assert found == {b"Bx": b"1", b"By": b"3"}
    assert dict(marks.items()) == {}
    keeper.close()


def test_rocksdb_goes_on_where_it_was_flushed(tmp_path: Path) -> None:
    keeper = RocksKeeper(tmp_path, 0, TOPICS)
    keeper.space("counts").put(b"a", b"1")
    keeper.flush({"counts": 7})
    keeper.space("counts").put(b"a", b"2")  # never flushed
    keeper.close()

    again = RocksKeeper(tmp_path, 0, TOPICS)

    assert (again.position("counts"), again.position("marks")) == (7, 0)
    assert again.space("counts").get(b"a") == b"1"
    again.close()


@pytest.mark.parametrize("is_filled", [False, True])
def test_rocksdb_walks_over_all_that_it_gathered(tmp_path: Path, *, is_filled: bool) -> None:
    keeper = rocks_keeper(tmp_path, is_filled=is_filled)
    counts, marks = keeper.space("counts"), keeper.space("marks")
    long = b"a key of which more than the part that finds its bucket is that of others: "
    assert len(long) > BUCKET_KEY_BYTES
    given = {long + b"%d" % number: b"%d" % number for number in range(1_000, 0, -1)}
    for key, value in given.items():
        counts.put(key, value)
        marks.put(key[::-1], value)
        if value.endswith(b"0"):
            keeper.flush({})
    counts.delete(long + b"7")
    keeper.flush({})
    del given[long + b"7"]

    assert dict(counts.items()) == given
    assert set(dict(counts.items(long + b"9"))) == {key for key in given if key.startswith(long + b"9")}
    assert len(dict(marks.items())) == 1_000
    assert [counts.get(long + name) for name in (b"1000", b"7", b"1001")] == [b"1000", None, None]
    keeper.close()


def test_what_fills_a_store_is_there_once_it_is_filled(tmp_path: Path) -> None:
    keeper = RocksKeeper(tmp_path, 0, TOPICS)
    counts = keeper.space("counts")
    counts.put(b"2", b"first")
    counts.put(b"1", b"first")
    keeper.flush({"counts": 7})

    keeper.filled()
    counts.put(b"3", b"then")
    counts.put(b"2", b"then")
    keeper.flush({"counts": 8})

    assert dict(counts.items()) == {b"1": b"first", b"2": b"then", b"3": b"then"}
    keeper.close()
    again = rocks_keeper(tmp_path)
    assert again.position("counts") == 8
    assert dict(again.space("counts").items()) == {b"1": b"first", b"2": b"then", b"3": b"then"}
    again.close()


def gathers_in(keeper_path: Path) -> str:
    """Return where RocksDB says, in its options, that it gathers what it has not written to a file."""
    newest = max(keeper_path.glob("OPTIONS-*"))
    told = re.search(r"memtable_factory=\W*(id=)?(\w+)", newest.read_text())
    assert told is not None
    return told[2]


def test_a_store_gathers_in_order_while_it_is_filled_and_then_in_a_hash(tmp_path: Path) -> None:
    """Also one that was opened before: RocksDB keeps its options, and rocksdict took them for ours."""
    for _ in range(2):
        keeper = RocksKeeper(tmp_path, 0, TOPICS)
        assert gathers_in(tmp_path / "lane-0") == "SkipListFactory"

        keeper.filled()

        assert gathers_in(tmp_path / "lane-0") == "HashLinkListRepFactory"
        keeper.close()


def test_a_store_of_before_hashes_is_gone_on_with(tmp_path: Path) -> None:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    database = Rdict(str(tmp_path / "lane-0"), options=options, access_type=AccessType.read_write())
    note = {"topics": TOPICS, "positions": {"counts": 7}, "written_at": int(time.time())}
    database[META] = json.dumps(note).encode()
    for number in range(100):
        database[b"\x01%d" % number] = b"old"
    database.close()

    keeper = rocks_keeper(tmp_path)
    counts = keeper.space("counts")
    counts.put(b"3", b"new")
    counts.put(b"x", b"new")
    keeper.flush({"counts": 8})

    assert keeper.position("counts") == 8
    assert [counts.get(key) for key in (b"2", b"3", b"x", b"y")] == [b"old", b"new", b"new", None]
    assert len(dict(counts.items())) == 101
    keeper.close()


@pytest.mark.parametrize(
    ("fault", "raised", "left"),
    [
        ("IO error: No space left on device", Exception, 7),
        ("Corruption: block checksum mismatch", BrokenStoreError, 0),
    ],
)
def test_a_store_that_cannot_be_opened_anew_is_thrown_away_only_where_it_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, raised: type[Exception], left: int
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise Exception(fault)  # noqa: TRY002 - what rocksdict raises

    keeper = RocksKeeper(tmp_path, 0, TOPICS)
    keeper.flush({"counts": 7})
    with monkeypatch.context() as patch:
        patch.setattr(spaces, "_opened", fails)
        with pytest.raises(raised, match=fault):
            keeper.filled()
    keeper.close()

    again = rocks_keeper(tmp_path)

    assert again.position("counts") == left
    again.close()


def _edit(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    database = Rdict(str(path), options=Options(raw_mode=True), access_type=AccessType.read_write())
    meta = json.loads(database[META])
    change(meta)
    database[META] = json.dumps(meta).encode()
    database.close()


@pytest.mark.parametrize("doubt", ["another topic", "away too long", "broken note", "broken files"])
def test_rocksdb_in_doubt_is_emptied(tmp_path: Path, doubt: str) -> None:
    keeper = RocksKeeper(tmp_path, 0, TOPICS)
    keeper.space("counts").put(b"a", b"1")
    keeper.flush({"counts": 7})
    keeper.close()
    topics, path = TOPICS, tmp_path / "lane-0"
    match doubt:
        case "another topic":
            topics = {**TOPICS, "counts": "counts-changelog/id-9"}
        case "away too long":
            _edit(path, lambda meta: meta.update(written_at=time.time() - STALE_SECONDS - 1))
        case "broken note":
            _edit(path, lambda meta: meta.pop("positions"))
        case "broken files":
            for manifest in path.glob("MANIFEST*"):
                manifest.write_bytes(b"nonsense")

    again = RocksKeeper(tmp_path, 0, topics)

    assert again.position("counts") == 0
    assert again.space("counts").get(b"a") is None
    again.close()


def _with_a_broken_block(path: Path) -> RocksKeeper:
    """Return a keeper of 5,000 counts, some in a block that cannot be read; it opens all the same."""
    for _ in range(2):  # the second opening writes what the first one logged into a table file
        keeper = RocksKeeper(path, 0, TOPICS)
        for n in range(5_000):
            keeper.space("counts").put(b"%06d" % n, b"x" * 50)
        keeper.flush({"counts": 5_000})
        keeper.close()
    for file in (path / "lane-0").glob("*.sst"):
        content = bytearray(file.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 20] = bytes(20 * [0xAA])
        file.write_bytes(content)
    return RocksKeeper(path, 0, TOPICS)


@pytest.mark.parametrize(
    "read",
    [
        lambda space: list(space.items()),
        lambda space: [space.get(b"%06d" % n) for n in range(5_000)],
    ],
    ids=["items", "get"],
)
def test_a_block_that_cannot_be_read_is_no_end_and_the_next_opening_starts_from_nothing(
    tmp_path: Path, read: Callable[[Space], object], capsys: pytest.CaptureFixture[str]
) -> None:
    keeper = _with_a_broken_block(tmp_path)
    assert keeper.position("counts") == 5_000

    with pytest.raises(BrokenStoreError, match="checksum"):
        read(keeper.space("counts"))
    again = RocksKeeper(tmp_path, 0, TOPICS)

    assert "store thrown away" in capsys.readouterr().out
    assert again.position("counts") == 0
    assert dict(again.space("counts").items()) == {}
    again.close()


@pytest.mark.parametrize("is_filled", [False, True])
@pytest.mark.parametrize(
    "use",
    [
        lambda keeper: keeper.flush({"counts": 5_001}),
        lambda keeper: list(keeper.space("counts").items(b"none begins so")),
        lambda keeper: keeper.filled(),
    ],
    ids=["flush", "items", "filled"],
)
def test_a_store_whose_broken_block_rocksdb_meets_by_itself_is_thrown_away_when_it_is_used_next(
    tmp_path: Path, use: Callable[[RocksKeeper], object], *, is_filled: bool
) -> None:
    keeper = _with_a_broken_block(tmp_path)
    if is_filled:
        keeper.filled()
    _compact(keeper)

    with pytest.raises(BrokenStoreError, match="checksum"):
        use(keeper)
    keeper.close()

    _must_start_from_nothing(tmp_path)


def test_a_store_whose_broken_block_is_known_first_when_it_is_closed_is_thrown_away(tmp_path: Path) -> None:
    keeper = _with_a_broken_block(tmp_path)
    keeper.space("counts").put(b"a", b"1")
    keeper.flush({"counts": 5_001})
    _compact(keeper)

    keeper.close()

    _must_start_from_nothing(tmp_path)


def _must_start_from_nothing(path: Path) -> None:
    again = RocksKeeper(path, 0, TOPICS)
    assert again.position("counts") == 0
    again.close()


def _compact(keeper: RocksKeeper) -> None:
    """Have RocksDB meet what is broken, as it does on its own, behind our back."""
    with contextlib.suppress(Exception):
        keeper._database.compact_range(None, None)


def test_a_keeper_that_is_closed_throws_nothing_away(tmp_path: Path) -> None:
    keeper = RocksKeeper(tmp_path, 0, TOPICS)
    keeper.flush({"counts": 7})
    keeper.close()

    with pytest.raises(BrokenStoreError):
        keeper.space("counts").get(b"a")

    again = RocksKeeper(tmp_path, 0, TOPICS)
    assert again.position("counts") == 7
    again.close()


def test_a_store_in_which_ids_lie_in_another_way_is_built_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(bootstrap_servers="none", store="rocksdb", state_dir=str(tmp_path))
    opened = keepers(settings, {"ids": "id-1"})
    topics = {SeenShelf.TABLE: "ids"}
    keeper = opened(0, topics)
    keeper.flush({SeenShelf.TABLE: 7})
    keeper.close()

    same = opened(0, topics)
    gone_on_from = same.position(SeenShelf.TABLE)
    same.close()
    monkeypatch.setattr(SeenStore, "LAYOUT", SeenStore.LAYOUT + 1)
    other = opened(0, topics)

    assert (gone_on_from, other.position(SeenShelf.TABLE)) == (7, 0)
    other.close()


def test_a_slot_is_one_process_s_and_the_next_takes_another(tmp_path: Path) -> None:
    first = Slot(tmp_path)
    second = Slot(tmp_path)

    assert first.path != second.path
