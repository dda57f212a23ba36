"""Two later versions of the schemas: what each wrote the others read, as records and as stored state."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from schemas import compatibility, wire
from schemas.wire import Record, Schemas, WireError
from streams.agents.shelves import Cabinet, ProfileShelf, ProfileStore
from streams.lanes.job import KeyedStore
from streams.lanes.spaces import MemorySpace
from tests.evolution import versions
from tests.unit.schemas.arbitrary import as_values, records

VERSIONS = (1, 2, 3)
CHANGED = sorted({name for added in versions.ADDED.values() for name in added})
PAIRS = [(writer, reader) for writer in VERSIONS for reader in VERSIONS if writer != reader]
PROFILE = {
    "account_id": "acme",
    "name": "Acme",
    "address": ["1 Way"],
    "country": "US",
    "tax_id": None,
    "email": "a@b.c",
    "language": "en",
}


@pytest.fixture(scope="module")
def by_version(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Schemas]:
    """The schemas of each version; each reads all three."""
    folder = tmp_path_factory.mktemp("versions")
    return {v: versions.schemas(versions.write(folder / str(v), v)) for v in VERSIONS}


def as_read(value: Any, writer: Any, reader: Any) -> Any:
    """Return what a reader's schema makes of a value of the writer's: names that both know, else defaults."""
    if isinstance(reader, list):
        return None if value is None else as_read(value, writer[1], reader[1])
    if isinstance(reader, dict) and reader["type"] == "array":
        return [as_read(item, writer["items"], reader["items"]) for item in value]
    if not (isinstance(reader, dict) and reader["type"] == "record"):
        return value
    written = {field["name"]: field["type"] for field in writer["fields"]}
    return {
        field["name"]: as_read(value[field["name"]], written[field["name"]], field["type"])
        if field["name"] in written
        else default(field)
        for field in reader["fields"]
    }


def default(field: Record) -> Any:
    is_amount = isinstance(field["type"], dict) and field["type"].get("logicalType") == "decimal"
    return 0 if is_amount else field["default"]


def test_the_later_versions_are_changes_that_the_compatibility_check_allows() -> None:
    current = {name: versions.definition(name, 3) for name in wire.fixed_ids()}
    ids = {name: versions.schema_id(name, 3) for name in current}
    released = {
        name: {versions.schema_id(name, v): versions.definition(name, v) for v in VERSIONS}
        for name in current
    }

    assert compatibility.problems(current, ids, released) == []


def test_a_version_that_takes_a_field_away_without_default_would_be_refused() -> None:
    shorter = versions.definition("state-account", 1)
    shorter["fields"] = [field for field in shorter["fields"] if field["name"] != "balance"]

    found = compatibility.problems(
        {"state-account": shorter},
        {"state-account": 9_999},
        {"state-account": {101: versions.definition("state-account", 1)}},
    )

    assert any("readers of id 101 could not read what is written now" in line for line in found)


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize(("writer", "reader"), PAIRS)
def test_what_one_version_wrote_another_reads(
    by_version: dict[int, Schemas], name: str, writer: int, reader: int
) -> None:
    written_as, read_as = versions.definition(name, writer), versions.definition(name, reader)
    write, reading = by_version[writer].codec(name).encode, by_version[reader].codec(name)

    @settings(max_examples=10, deadline=None)
    @given(records(written_as))
    def is_read(record: Record) -> None:
        expected = as_read(record, written_as, read_as)

        read = reading.version_of(write(record))
        assert read.decode(write(record)) == expected
        assert read.values(write(record)) == as_values(expected, read_as)
        assert by_version[reader].decode(write(record), name) == (name, expected)

    is_read()


def test_a_field_that_was_left_out_is_written_with_its_default(by_version: dict[int, Schemas]) -> None:
    codec = by_version[3].codec("price")
    price: Record = {
        "meter": "calls", "currency": "USD", "version": 1, "unit": "call", "valid_from": 0, "late": False,
        "model": "per_unit", "tiers": [], "package_size": None, "free_allowance": 0,
    }  # fmt: skip

    assert codec.decode(codec.encode(price)) == price | {"floor": 0}


@pytest.mark.parametrize(("writer", "reader"), PAIRS)
def test_state_that_another_version_stored_is_read_at_once_and_at_a_restart(
    by_version: dict[int, Schemas], writer: int, reader: int
) -> None:
    written_as, read_as = (versions.definition("state-account", v) for v in (writer, reader))

    @settings(max_examples=25, deadline=None)
    @given(records(written_as))
    def is_read(record: Record) -> None:
        store = KeyedStore(MemorySpace())
        store.apply(b"acme", by_version[writer].codec("state-account").encode(record))
        cabinet: Cabinet[bytes, Record] = Cabinet(
            "accounts", store, by_version[reader].codec("state-account"), key_of=bytes, read=dict, write=dict
        )
        expected = as_read(record, written_as, read_as)

        assert list(cabinet.stored()) == [(b"acme", expected)]
        assert cabinet.get(b"acme") == expected

    is_read()


@pytest.mark.parametrize(("writer", "reader"), PAIRS)
def test_a_profile_that_another_version_wrote_is_read(
    by_version: dict[int, Schemas], writer: int, reader: int
) -> None:
    schemas = by_version[reader]
    store = ProfileStore(MemorySpace(), schemas)

    store.apply(b"acme", by_version[writer].codec("account-profile").encode(PROFILE))
    found = ProfileShelf(store, schemas.codec("account-profile")).get("acme")

    assert found is not None
    assert (found.name, found.language) == ("Acme", "en")


def test_state_under_an_id_that_nobody_told_of_stops_the_lane(
    by_version: dict[int, Schemas], tmp_path: Path
) -> None:
    old = versions.schemas(versions.write(tmp_path / "old", 1, reads=1))
    store = KeyedStore(MemorySpace())
    store.apply(
        b"lane", by_version[2].codec("state-lane").encode({"time": 5, "forget_before": 3, "waited": 0})
    )
    cabinet: Cabinet[bytes, Record] = Cabinet(
        "lane", store, old.codec("state-lane"), key_of=bytes, read=dict, write=dict
    )

    with pytest.raises(WireError, match="unknown_schema: no version of state-lane begins with"):
        cabinet.get(b"lane")


def test_every_version_of_an_accounts_state_begins_with_when_to_wake_it() -> None:
    released = [*wire.released("state-account").values(), wire.definition("state-account")]

    assert {(first["fields"][0]["name"], first["fields"][0]["type"]) for first in released} == {
        ("wake_at", "long")
    }  # a restart reads no more of it, whatever the id in its header
