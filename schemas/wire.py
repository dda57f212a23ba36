"""The Confluent wire format over the .avsc files beside this module: 0x00, 4-byte schema id, Avro binary.

Owns every Avro byte of the project, by binary.py and, for what older versions wrote, by fastavro. Records
are plain dicts in which decimals are integers of 10^-12 and timestamps integers of milliseconds since 1970
(UTC), in both directions: no Decimal, no datetime, no float on the way.

Wire format: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/#wire-format
"""

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import fastavro
from fastavro.read import SchemaResolutionError
from librt.strings import BytesWriter

from schemas.binary import (
    DecimalRangeError,
    Reader,
    TruncatedError,
    UndecodableError,
    decimal_of,
    record_kind,
)

Record = dict[str, Any]
Values = tuple[Any, ...]
"""A record's values in the order of its schema."""
Convert = Callable[[Any], Any]

MAGIC = 0
HEADER = struct.Struct(">bI")
HEADER_BYTES = HEADER.size
SCALE = 12
"""Every decimal of the project is decimal(38, 12)."""

_UNREADABLE = (
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    OverflowError,
    MemoryError,
    SchemaResolutionError,  # e.g. a symbol that this version's enum lacks
)
_DIRECTORY = Path(__file__).parent


class WireError(ValueError):
    """Bytes that are no record of an expected schema; `reason` is one word of a closed list."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Codec:
    """Encodes and decodes one record type under one schema id."""

    def __init__(self, name: str, schema_id: int, definition: Record, *, written_as: Record | None = None):
        """`written_as` is the schema that the bytes were written with, where it is an older version."""
        self.name = name
        self.schema_id = schema_id
        self.header = HEADER.pack(MAGIC, schema_id)
        self.fields = record_kind(definition)
        self._older: Older | None = None
        self._written = self.fields
        self._added: Record = {}  # fields that came after, with their defaults
        if written_as is not None:
            known = _known_fields(written_as, definition)
            if known is None:
                self._older = Older(written_as, definition)
            else:
                self._written = self.fields.first(known)
                self._added = {name: self.fields.default_of(name) for name in self.fields.names[known:]}
        self.versions: dict[bytes, Codec] = {}
        """What else is read as this record, by header: Schemas.add_version()."""

    def encode(self, record: Mapping[str, Any] | Values) -> bytes:
        """Return the wire bytes of a record, or of its values in the order of the schema.

        Raises ValueError, TypeError or OverflowError on one that does not fit.
        """
        out = BytesWriter()
        out.write(self.header)
        self.fields.write(record, out)
        return out.getvalue()

    def version_of(self, data: bytes) -> "Codec":
        """Return the codec that reads wire bytes of any version as this record; raises WireError."""
        if data.startswith(self.header):
            return self
        other = self.versions.get(data[:HEADER_BYTES])
        if other is None:
            raise WireError(
                "unknown_schema", f"no version of {self.name} begins with {data[:HEADER_BYTES]!r}"
            )
        return other

    def decode(self, data: bytes) -> Record:
        """Return the record of wire bytes whose header was already checked; raises WireError."""
        if self._older is not None:
            return self._older.decode(self.name, data)
        record = cast("Record", self._read(data, as_values=False))
        for name, default in self._added.items():
            record[name] = copy(default)
        return record

    def values(self, data: bytes) -> Sequence[Any]:
        """Return what decode() does with each record as a list of its values in the order of its schema.

        No dict is made on the hot path.
        """
        if self._older is not None:
            data = self.encode(self._older.decode(self.name, data))
        values = cast("list[Any]", self._read(data, as_values=True))
        for default in self._added.values():
            values.append(copy(default))
        return values

    def _read(self, data: bytes, *, as_values: bool) -> Any:
        source = Reader(data, HEADER_BYTES)
        try:
            found = self._written.values(source) if as_values else self._written.read(source)
        except (TruncatedError, IndexError):
            raise WireError("truncated", f"{self.name} ends early after {len(data)} bytes") from None
        except UndecodableError as e:
            raise WireError("undecodable", f"not a {self.name}: {e}") from None
        except DecimalRangeError:
            raise WireError("out_of_range", "a decimal has more than 38 digits") from None
        if source.at != len(data):
            raise WireError("trailing_bytes", f"{len(data) - source.at} bytes after the {self.name}")
        return found

    def first_number(self, data: bytes) -> int:
        """Return the first field of what encode() made: an int or long, no union. The rest stays unread."""
        return Reader(data, HEADER_BYTES).number()


def _known_fields(written_as: Record, definition: Record) -> int | None:
    """Return how many fields another version has, where those are the first of the one in use and the same.

    Then they are read as quickly. None: it differs otherwise.
    """
    theirs, ours = (_shape(schema["fields"]) for schema in (written_as, definition))
    known = len(theirs)
    if theirs != ours[:known] or not all("default" in field for field in definition["fields"][known:]):
        return None
    return known


def _shape(node: Any) -> Any:
    """Return a schema without what does not show in bytes."""
    if isinstance(node, dict):
        return {k: _shape(v) for k, v in node.items() if k not in {"doc", "default", "aliases"}}
    return [_shape(v) for v in node] if isinstance(node, list) else node


class Older:
    """Reads what another version of a schema wrote as the version in use, by fastavro's resolution."""

    def __init__(self, written_as: Record, read_as: Record) -> None:
        self._writer = fastavro.parse_schema(_plain(written_as))
        self._reader = fastavro.parse_schema(_plain(read_as))
        self._amounts = _converter(read_as, {}) or _same

    def decode(self, name: str, data: bytes) -> Record:
        """Return the record of wire bytes; raises WireError."""
        stream = BytesIO(data)
        stream.seek(HEADER_BYTES)
        try:
            record = fastavro.schemaless_reader(stream, self._writer, self._reader)
        except _UNREADABLE as e:
            # fastavro has IndexError both for an enum or union that is out of range and for a number cut off
            if isinstance(e, EOFError) or (isinstance(e, IndexError) and stream.tell() == len(data)):
                raise WireError("truncated", f"{name} ends early after {len(data)} bytes") from e
            raise WireError("undecodable", f"not a {name}: {e}") from e
        if stream.tell() != len(data):
            raise WireError("trailing_bytes", f"{len(data) - stream.tell()} bytes after the {name}")
        decoded: Record = self._amounts(record)
        return decoded


class Schemas:
    """The schemas in use with their ids: the fixed ones of ids.json, or a registry's."""

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._codecs = {name: Codec(name, schema_id, definition(name)) for name, schema_id in ids.items()}
        self._by_id = {codec.schema_id: codec for codec in self._codecs.values()}

    def codec(self, name: str) -> Codec:
        """Return the codec of a record type by its file name without .avsc; raises KeyError."""
        return self._codecs[name]

    def add_version(self, codec: Codec) -> None:
        """Accept another version of a known record as well, under its own id."""
        self._by_id[codec.schema_id] = codec
        self._codecs[codec.name].versions[codec.header] = codec

    def is_current(self, data: bytes) -> bool:
        """Tell whether wire bytes were written with the version in use of their record type."""
        return self._by_id[HEADER.unpack_from(data)[1]] in self._codecs.values()

    def decode(self, data: bytes, *expected: str) -> tuple[str, Record]:
        """Return (record type, record) of wire bytes; raises WireError, also for a type not expected."""
        codec = self.codec_of(data, *expected)
        return codec.name, codec.decode(data)

    def codec_of(self, data: bytes, *expected: str) -> Codec:
        """Return the codec that a value's header asks for; raises WireError."""
        if len(data) < HEADER.size:
            raise WireError("truncated", f"{len(data)} bytes are less than the 5 of the header")
        magic, schema_id = HEADER.unpack_from(data)
        if magic != MAGIC:
            raise WireError("bad_magic", f"first byte is 0x{data[0]:02x}, not 0x00")
        codec = self._by_id.get(schema_id)
        if codec is None:
            raise WireError("unknown_schema", f"no schema has id {schema_id}")
        if expected and codec.name not in expected:
            raise WireError("wrong_schema", f"a {codec.name} where {' or '.join(expected)} is expected")
        return codec


def definition(name: str) -> Record:
    """Return the schema of a record type as its file says it."""
    loaded: Record = json.loads((_DIRECTORY / f"{name}.avsc").read_text(encoding="utf-8"))
    return loaded


def full_name(definition: Record) -> str:
    """Return a schema's name with its namespace."""
    return f"{definition['namespace']}.{definition['name']}"


def fixed_ids() -> dict[str, int]:
    """Return the id of every record type where no registry gives one."""
    loaded: dict[str, int] = json.loads((_DIRECTORY / "ids.json").read_text(encoding="utf-8"))
    return loaded


def released(name: str) -> dict[int, Record]:
    """Return every released version of a record type by its id, the one in use included."""
    return {
        int(path.name.split(".")[1]): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((_DIRECTORY / "released").glob(f"{name}.*.avsc"))
    }


@cache
def fixed() -> Schemas:
    """Return the schemas with the fixed ids of ids.json; older released versions are read under theirs."""
    schemas = Schemas(fixed_ids())
    for name, current in fixed_ids().items():
        for schema_id, written_as in released(name).items():
            if schema_id != current:
                schemas.add_version(Codec(name, schema_id, definition(name), written_as=written_as))
    return schemas


def _plain(node: Any) -> Any:
    """Return a schema without its logical types, so that fastavro hands over bytes and ints."""
    if isinstance(node, dict):
        return {k: _plain(v) for k, v in node.items() if k not in {"logicalType", "precision", "scale"}}
    return [_plain(v) for v in node] if isinstance(node, list) else node


def _int_of(value: bytes | str) -> int:
    try:
        return decimal_of(value)
    except DecimalRangeError:
        raise WireError("out_of_range", "a decimal has more than 38 digits") from None


def _same(value: Any) -> Any:
    return value


def _converter(node: Any, named: dict[str, Record]) -> Convert | None:
    """Return a function that makes numbers of the amounts in a value, or None where the schema has none."""
    if isinstance(node, list):
        options = [found for found in (_converter(n, named) for n in node) if found]
        if not options:
            return None
        (convert,) = options  # a union here is null and one other
        return lambda value: None if value is None else convert(value)
    if isinstance(node, str):
        return _converter(named[node], {}) if node in named else None
    if node.get("logicalType") == "decimal":
        return _int_of
    match node["type"]:
        case "record":
            named[node["name"]] = node
            fields = [(f["name"], _converter(f["type"], named)) for f in node["fields"]]
            return _record_converter([(name, convert) for name, convert in fields if convert])
        case "array":
            items = _converter(node["items"], named)
            return (lambda values: [items(v) for v in values]) if items else None
        case _:
            return None


def _record_converter(converts: list[tuple[str, Convert]]) -> Convert | None:
    if not converts:
        return None

    def convert_fields(record: Mapping[str, Any]) -> Record:
        converted = dict(record)
        for name, convert in converts:
            if name in converted:
                converted[name] = convert(converted[name])
        return converted

    return convert_fields
