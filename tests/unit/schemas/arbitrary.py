"""Hypothesis strategies: any record that a schema allows; and a record as its values."""

from typing import Any

from hypothesis import strategies as st

from schemas.binary import LIMIT
from schemas.wire import Record

MILLISECONDS = st.integers(min_value=0, max_value=4_102_444_800_000)
DECIMALS = st.integers(min_value=1 - LIMIT, max_value=LIMIT - 1)
PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(min_value=-(2**31), max_value=2**31 - 1),
    "long": st.integers(min_value=-(2**63), max_value=2**63 - 1),
    "string": st.text(max_size=12),
    "bytes": st.binary(max_size=12),
}


def records(definition: Record) -> st.SearchStrategy[Record]:
    """Return a strategy of the records that a schema allows."""
    strategy: st.SearchStrategy[Record] = _values(definition, {})
    return strategy


def _values(node: Any, named: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    if isinstance(node, list):
        return st.one_of([_values(branch, named) for branch in node])
    if isinstance(node, str):
        return PRIMITIVES[node] if node in PRIMITIVES else named[node]
    match node:
        case {"logicalType": "decimal"}:
            return DECIMALS
        case {"logicalType": "timestamp-millis"}:
            return MILLISECONDS
        case {"type": "enum"}:
            named[node["name"]] = st.sampled_from(node["symbols"])
            return named[node["name"]]
        case {"type": "array"}:
            return st.lists(_values(node["items"], named), max_size=3)
        case {"type": "map"}:
            return st.dictionaries(st.text(max_size=5), _values(node["values"], named), max_size=3)
        case {"type": "record"}:
            named[node["name"]] = st.fixed_dictionaries(
                {field["name"]: _values(field["type"], named) for field in node["fields"]}
            )
            return named[node["name"]]
    return _values(node["type"], named)


def as_values(value: Any, node: Any, kind: type[list[Any]] | type[tuple[Any, ...]] = list) -> Any:
    """Return a value with each record in it as its values in the order of the schema."""
    return _as_values(value, node, kind, {})


def _as_values(value: Any, node: Any, kind: Any, named: dict[str, Any]) -> Any:
    if isinstance(node, str):
        return _as_values(value, named[node], kind, named) if node in named else value
    if isinstance(node, list):
        return None if value is None else _as_values(value, node[1], kind, named)
    if "name" in node:
        named[node["name"]] = node
    match node["type"]:
        case "array":
            return [_as_values(item, node["items"], kind, named) for item in value]
        case "record":
            return kind([_as_values(value[f["name"]], f["type"], kind, named) for f in node["fields"]])
    return value
