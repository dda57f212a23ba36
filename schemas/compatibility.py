"""Keeps every released record readable for ever: which change of an .avsc is refused, and why.

A version is released by its copy schemas/released/NAME.ID.avsc; a copy is never changed or removed.
What Avro resolves is decided by Apache's own `avro` package, never here; this module adds what that
package does not look at: logical types, ids and docs. Development only (`avro` is in the dev group).

    python -m schemas.compatibility            says what is wrong, or nothing
    python -m schemas.compatibility release    copies the schemas in use that are not released yet
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaIncompatibilityType

from schemas import wire
from schemas.wire import Record

DIRECTORY = Path(wire.__file__).parent
RELEASED = DIRECTORY / "released"


def problems(
    current: Mapping[str, Record], ids: Mapping[str, int], released: Mapping[str, Mapping[int, Record]]
) -> list[str]:
    """Return what is wrong with the schemas in use, one line each; compatibility is asked in both directions.

    Today's readers read what any released version wrote, and readers of any released version read what
    is written today. Two exceptions. An enum may grow: an old reader refuses the new symbol rather than
    take it for another, so readers are upgraded first. And a record that has another name by now, with the
    one of before as its alias, is meant to be refused by readers of before.
    """
    found = [f"{name}.avsc has no id in ids.json" for name in sorted(current.keys() - ids.keys())]
    found += [f"ids.json names {name}, which has no .avsc" for name in sorted(ids.keys() - current.keys())]
    found += [f"{name} was released and may not be removed" for name in sorted(released.keys() - ids.keys())]
    found += _shared_ids(ids, released)
    for name in sorted(current.keys() & ids.keys()):
        versions = released.get(name, {})
        found += [f"{name}: {field} has no doc" for field in undocumented(current[name])]
        if ids[name] in versions and _meaning(versions[ids[name]]) != _meaning(current[name]):
            found.append(
                f"{name} was changed under its released id {ids[name]}: give it a new id in ids.json"
            )
        for schema_id, version in sorted(versions.items()):
            found += [
                f"{name}: what id {schema_id} wrote could not be read any more: {why}"
                for why in incompatibilities(reader=current[name], writer=version)
            ]
            if wire.full_name(version) in current[name].get("aliases", []):
                continue
            found += [
                f"{name}: readers of id {schema_id} could not read what is written now: {why}"
                for why in incompatibilities(reader=version, writer=current[name], enums_may_grow=True)
            ]
    return found


def unreleased(ids: Mapping[str, int], released: Mapping[str, Mapping[int, Record]]) -> list[str]:
    """Return the record types whose version in use has no released copy."""
    return sorted(name for name, schema_id in ids.items() if schema_id not in released.get(name, {}))


def incompatibilities(*, reader: Record, writer: Record, enums_may_grow: bool = False) -> list[str]:
    """Return why a reader of one schema cannot rightly read what another wrote; empty where it can.

    Schema resolution: https://avro.apache.org/docs/1.12.0/specification/#schema-resolution
    """
    result = ReaderWriterCompatibilityChecker().get_compatibility(
        avro.schema.make_avsc_object(reader), avro.schema.make_avsc_object(writer)
    )
    found = []
    serious = set(result.incompatibilities)
    if enums_may_grow:
        serious.discard(SchemaIncompatibilityType.missing_enum_symbols)
    if serious:
        found = [f"{' '.join(sorted(result.messages))} (at {' '.join(sorted(result.locations))})"]
    ours, theirs = dict(_logical_types(reader)), dict(_logical_types(writer))
    found += [
        f"{path} is {ours[path]} here and {theirs[path]} there"
        for path in sorted(ours.keys() & theirs.keys())
        if ours[path] != theirs[path]
    ]
    return found


def undocumented(node: Any, path: str = "") -> list[str]:
    """Return the paths of the named types and fields that say nothing about themselves."""
    if isinstance(node, list):
        return [missing for branch in node for missing in undocumented(branch, path)]
    if not isinstance(node, dict):
        return []
    here = f"{path}.{node['name']}".lstrip(".") if "name" in node else path
    found = [here] if "name" in node and not str(node.get("doc", "")).strip() else []
    for part in ("type", "items", "values", "fields"):
        found += undocumented(node.get(part), here)
    return found


def on_disk() -> tuple[dict[str, Record], dict[str, int], dict[str, dict[int, Record]]]:
    """Return the schemas in use, their ids, and all released versions, as the files say."""
    current = {path.stem: wire.definition(path.stem) for path in sorted(DIRECTORY.glob("*.avsc"))}
    names = {path.name.split(".")[0] for path in RELEASED.glob("*.avsc")}
    return current, wire.fixed_ids(), {name: wire.released(name) for name in sorted(names)}


def release() -> list[Path]:
    """Copy the versions in use that are not released yet; the caller has seen to it that none is wrong."""
    _, ids, released = on_disk()
    RELEASED.mkdir(exist_ok=True)
    copies = []
    for name in unreleased(ids, released):
        copy = RELEASED / f"{name}.{ids[name]}.avsc"
        copy.write_bytes((DIRECTORY / f"{name}.avsc").read_bytes())
        copies.append(copy)
    return copies


def _shared_ids(ids: Mapping[str, int], released: Mapping[str, Mapping[int, Record]]) -> list[str]:
    owners: dict[int, set[str]] = {}
    for name, schema_id in ids.items():
        owners.setdefault(schema_id, set()).add(name)
    for name, versions in released.items():
        for schema_id in versions:
            owners.setdefault(schema_id, set()).add(name)
    return [f"id {n} is used by {' and '.join(sorted(o))}" for n, o in sorted(owners.items()) if len(o) > 1]


def _meaning(node: Any) -> Any:
    """Return a schema without its docs, which may be improved at any time."""
    if isinstance(node, dict):
        return {key: _meaning(value) for key, value in node.items() if key != "doc"}
    return [_meaning(value) for value in node] if isinstance(node, list) else node


def _logical_types(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every primitive of a schema with its logical type, which schema resolution does not look at."""
    if isinstance(node, list):
        for branch in node:
            if branch != "null":
                yield from _logical_types(branch, path)
    elif isinstance(node, str):
        yield path, "plain"
    elif isinstance(node.get("type"), str) and "logicalType" in node:
        yield path, " ".join(str(node[k]) for k in ("logicalType", "precision", "scale") if k in node)
    elif node["type"] == "record":
        for field in node["fields"]:
            yield from _logical_types(field["type"], f"{path}.{field['name']}".lstrip("."))
    elif node["type"] in {"array", "map"}:
        yield from _logical_types(node.get("items", node.get("values")), f"{path}[]")
    elif isinstance(node["type"], str):
        yield path, "plain"
    else:
        yield from _logical_types(node["type"], path)


def main(arguments: list[str]) -> int:
    """Run the check, or the release after it; returns the exit code."""
    current, ids, released = on_disk()
    found = problems(current, ids, released)
    if arguments == ["release"] and not found:
        for copy in release():
            print(f"released {copy.name}")
        return 0
    found += [
        f"{name} is not released: python -m schemas.compatibility release"
        for name in unreleased(ids, released)
    ]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
