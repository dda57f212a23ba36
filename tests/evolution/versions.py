"""Two later versions of the schemas, made for tests: what next releases may add to inputs, state and outputs.

Version 1 is what is shipped. A version is a folder like schemas/: its .avsc files, ids.json, and copies of
all versions that it can read.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from schemas import wire
from schemas.wire import Record

LATER_IDS = 1_000
"""Added to an id with each version that changes the schema."""


def _field(name: str, kind: Any, default: Any) -> Record:
    return {"name": name, "type": kind, "default": default, "doc": "Added by a test."}


def _amount() -> Record:
    return {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 12}


def _list_of_records(name: str) -> Record:
    fields = [{"name": "at", "type": "long", "doc": "When."}, _field("why", "string", "")]
    return {"type": "array", "items": {"type": "record", "name": name, "doc": "One.", "fields": fields}}


TEXT = _field("note", "string", "")
NUMBER = _field("seen", "long", 0)
AMOUNT = _field("floor", _amount(), "\u0000")
MAYBE = _field("parent", ["null", "string"], None)

ADDED: Mapping[int, Mapping[str, list[Record]]] = {
    2: {
        "usage-event": [_field("region", "string", "")],
        "account-settings": [MAYBE],
        "account-profile": [_field("phone", "string", "")],
        "price": [AMOUNT],
        "account-balance": [NUMBER],
        "state-account": [TEXT],
        "state-payment": [MAYBE],
        "state-lane": [NUMBER],
        "state-waiting": [TEXT],
    },
    3: {
        "usage-event": [MAYBE],
        "account-balance": [AMOUNT],
        "state-account": [AMOUNT, _field("marks", _list_of_records("Mark"), [])],
        "state-adjustment": [NUMBER],
    },
}
ADDED_INSIDE: Mapping[int, Mapping[str, Mapping[str, list[Record]]]] = {
    3: {"state-account": {"periods": [NUMBER], "rows": [AMOUNT]}},
}
"""By version, record and its field of records."""


def definition(name: str, version: int) -> Record:
    """Return a record type's schema in a version."""
    found = deepcopy(wire.definition(name))
    for later in range(2, version + 1):
        found["fields"] += ADDED[later].get(name, [])
        for field in found["fields"]:
            if inside := ADDED_INSIDE.get(later, {}).get(name, {}).get(field["name"]):
                field["type"]["items"]["fields"] += deepcopy(inside)
    return found


def schema_id(name: str, version: int) -> int:
    """Return its id in a version: another one only where it changed."""
    changes = [later for later in range(2, version + 1) if name in ADDED[later]]
    return wire.fixed_ids()[name] + LATER_IDS * (max(changes, default=1) - 1)


def write(folder: Path, version: int, *, reads: int = 3) -> Path:
    """Write the schemas of a version that reads all versions up to another; return the folder."""
    shutil.copytree(wire.__file__.removesuffix("wire.py"), folder)
    ids = {name: schema_id(name, version) for name in wire.fixed_ids()}
    (folder / "ids.json").write_text(json.dumps(ids))
    for name in ids:
        (folder / f"{name}.avsc").write_text(json.dumps(definition(name, version)))
        for known in range(1, reads + 1):
            copy = folder / "released" / f"{name}.{schema_id(name, known)}.avsc"
            copy.write_text(json.dumps(definition(name, known)))
    return folder


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Make a folder's schemas those of this process for the block."""
    shipped = wire._DIRECTORY
    wire._DIRECTORY = folder  # type: ignore[misc]
    wire.fixed.cache_clear()
    try:
        yield
    finally:
        wire._DIRECTORY = shipped  # type: ignore[misc]
        wire.fixed.cache_clear()


def schemas(folder: Path) -> wire.Schemas:
    """Return the schemas of a folder."""
    with in_use(folder):
        return wire.fixed()
