"""A second decoder: the Avro specification read strictly, and fastavro beside it. Uses no codec of ours.

fastavro takes what the specification forbids (a boolean of 2, a length below zero, more than 64 bits), so
Strict says what is wrong and where, and whatever it accepts fastavro must read as the same values.
https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

import json
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro

from schemas import wire
from schemas.wire import Record, WireError

FOLDER = Path(wire.__file__).parent
DIGITS = 38


class Flawed(Exception):  # noqa: N818 - says what was found
    """The first flaw of bytes, read from left to right."""


class Strict:
    """Reads one value after the other."""

    def __init__(self, data: bytes) -> None:
        self._source = BytesIO(data)
        self.left = len(data)

    def _bytes(self, count: int) -> bytes:
        if count < 0:
            raise Flawed("undecodable")
        if count > self.left:
            raise Flawed("truncated")
        self.left -= count
        return self._source.read(count)

    def _long(self, bits: int = 64) -> int:
        unsigned = 0
        for place in range(11):
            (byte,) = self._bytes(1)
            if place == 10:  # an eleventh byte, whatever it holds
                raise Flawed("undecodable")
            unsigned += (byte % 128) * 128**place
            if byte < 128:
                break
        if unsigned >= 2**64:
            raise Flawed("undecodable")
        value = unsigned // 2 if unsigned % 2 == 0 else -(unsigned + 1) // 2
        if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise Flawed("undecodable")
        return value

    def value(self, node: Any, named: dict[str, Any]) -> Any:
        """Read a value of a schema."""
        if isinstance(node, list):
            branch = self._long()
            if not 0 <= branch < len(node):
                raise Flawed("undecodable")
            return self.value(node[branch], named)
        if isinstance(node, dict) and node.get("logicalType") == "decimal":
            whole = int.from_bytes(self._bytes(self._long()), "big", signed=True)
            if abs(whole) >= 10**DIGITS:
                raise Flawed("out_of_range")
            return whole
        kind = node["type"] if isinstance(node, dict) else node
        if isinstance(kind, dict | list):
            return self.value(kind, named)
        match kind:
            case "null":
                return None
            case "long" | "int":
                return self._long(64 if kind == "long" else 32)
            case "string":
                try:
                    return self._bytes(self._long()).decode("utf-8", "strict")
                except UnicodeDecodeError:
                    raise Flawed("undecodable") from None
            case "bytes":
                return self._bytes(self._long())
            case "boolean":
                byte = self._bytes(1)
                if byte not in {b"\x00", b"\x01"}:
                    raise Flawed("undecodable")
                return byte == b"\x01"
            case "enum":
                named[node["name"]] = node
                symbol = self._long()
                if not 0 <= symbol < len(node["symbols"]):
                    raise Flawed("undecodable")
                return node["symbols"][symbol]
            case "record":
                named[node["name"]] = node
                return {field["name"]: self.value(field["type"], named) for field in node["fields"]}
            case "array":
                return list(self._items(lambda: self.value(node["items"], named)))
            case "map":
                return dict(
                    self._items(lambda: (self.value("string", named), self.value(node["values"], named)))
                )
        return self.value(named[kind], named)

    def _items(self, item: Any) -> Any:
        while count := self._long():
            if count < 0:
                count = -count
                self._long()  # the block's size in bytes
            for _ in range(count):
                yield item()


@cache
def _types() -> dict[int, tuple[str, Record, Any]]:
    """Return by id the name of a record type, its schema, and the same parsed by fastavro."""
    found = {}
    for path in (FOLDER / "released").glob("*.avsc"):
        name, schema_id = path.stem.split(".")
        schema = json.loads(path.read_text())
        found[int(schema_id)] = (name, schema, fastavro.parse_schema(_plain(schema)))
    return found


def _plain(node: Any) -> Any:
    if isinstance(node, list):
        return [_plain(part) for part in node]
    if not isinstance(node, dict):
        return node
    return {k: _plain(v) for k, v in node.items() if k not in {"logicalType", "precision", "scale", "doc"}}


def _whole(node: Any, value: Any, named: dict[str, Any]) -> Any:
    """Return what fastavro read, with amounts as whole numbers."""
    if isinstance(node, str):
        return _whole(named[node], value, named) if node in named else value
    if isinstance(node, list):
        return None if value is None else _whole(next(n for n in node if n != "null"), value, named)
    if node.get("logicalType") == "decimal":
        return int.from_bytes(value, "big", signed=True)
    match node["type"]:
        case "record":
            named[node["name"]] = node
            return {f["name"]: _whole(f["type"], value[f["name"]], named) for f in node["fields"]}
        case "array":
            return [_whole(node["items"], item, named) for item in value]
        case "enum":
            named[node["name"]] = node
    return value


class Second:
    """Stands where verify has the codec of the product: same questions, answers by Strict and fastavro."""

    def __init__(self) -> None:
        self._read: dict[tuple[bytes, tuple[str, ...]], tuple[str, Record] | WireError] = {}

    def is_current(self, data: bytes) -> bool:
        """All that a fuzzed lane puts out is of the version in use."""
        return True

    def decode(self, data: bytes, *expected: str) -> tuple[str, Record]:
        """Return (record type, record) of wire bytes; raises WireError. Each is read once."""
        found = self._read.get((data, expected))
        if found is None:
            try:
                found = self._decoded(data, expected)
            except WireError as flaw:
                found = flaw
            self._read[data, expected] = found
        if isinstance(found, WireError):
            raise found.with_traceback(None)
        return found

    def _decoded(self, data: bytes, expected: tuple[str, ...]) -> tuple[str, Record]:
        if len(data) < 5:
            raise WireError("truncated", "no header")
        if data[0] != 0:
            raise WireError("bad_magic", "not 0")
        known = _types().get(int.from_bytes(data[1:5], "big"))
        if known is None:
            raise WireError("unknown_schema", "no such id")
        name, schema, parsed = known
        if expected and name not in expected:
            raise WireError("wrong_schema", name)
        source = Strict(data[5:])
        try:
            record = source.value(schema, {})
        except Flawed as flaw:
            raise WireError(str(flaw), "read strictly") from None
        if source.left:
            raise WireError("trailing_bytes", f"{source.left} left")
        stream = BytesIO(data[5:])
        by_fastavro = _whole(schema, fastavro.schemaless_reader(stream, parsed), {})
        if by_fastavro != record or stream.tell() != len(data) - 5:
            raise AssertionError(f"the two judges differ on {data.hex()}: {record} and {by_fastavro}")
        return name, record


def envelope(
    second: Second,
    topic: str,
    types: tuple[str, ...],
    *,
    key: bytes | None,
    value: bytes | None,
    is_ours: bool,
) -> str | None:
    """Return the reason for which a record is dead whatever the rules say, in the order of dead-letters.md.

    Value and key there, header, schema, bytes, key readable, key against account, partition (`is_ours`).
    """
    erases = topic == "account-profiles" and value is None
    if value is None and not erases:
        return "null_value"
    if key is None:
        return "null_key"
    content: Record | None = None
    if value is not None:
        try:
            _, content = second.decode(value, *types)
        except WireError as flaw:
            return flaw.reason
    if topic in {"prices", "clock-ticks"}:
        return None
    try:
        account_id = key.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return "bad_key"
    if content is not None and content["account_id"] != account_id:
        return "key_mismatch"
    return None if is_ours else "wrong_partition"
