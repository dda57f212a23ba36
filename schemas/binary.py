"""Avro binary over plain values: one Kind a schema node, which writes a value and reads it back.

The hot path of every lane (decision 0011 has the figures), so it is written to be compiled: native
attributes, no closure, no generator. fastavro still reads what an older schema version wrote (wire.py),
and the tests hold every byte against it and against Apache's own library.

Decimals are integers of 10^-12 and timestamps integers of milliseconds, in both directions.
Format: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from collections.abc import Mapping
from typing import Any, Final, cast, final

from librt.strings import BytesWriter, write_i64_be
from mypy_extensions import i64, mypyc_attr, u8

LIMIT: Final = 10**38
"""Decimals lie strictly between -LIMIT and LIMIT in their unit of 10^-12: decimal(38, 12)."""
WORD: Final = (1 << 62) - 1
"""Numbers from -WORD to WORD are native where this is compiled; to compare with a longer one is slow."""
LONG_BYTES: Final = 10
"""Most bytes of a number."""
SHORT_BITS: Final = 56
"""Bits of a number of 8 bytes: with more it may not fit a machine word while it is read."""


class TruncatedError(ValueError):
    """The bytes end inside a value."""


class UndecodableError(ValueError):
    """The bytes are no value of the schema."""


class DecimalRangeError(ValueError):
    """A decimal has more than 38 digits."""


@mypyc_attr(acyclic=True)
@final
class Reader:
    """Bytes and where reading stands."""

    def __init__(self, data: bytes, at: i64) -> None:
        self.data = data
        self.at: i64 = at

    def number(self) -> int:
        """Read a zigzag number of variable length; raises IndexError where the bytes end."""
        data = self.data
        at = self.at
        byte: i64 = data[at]
        at += 1
        found: i64 = byte & 127
        shift: i64 = 7
        while byte > 127:
            if shift >= SHORT_BITS:
                return self._long_number()
            byte = data[at]
            at += 1
            found |= (byte & 127) << shift
            shift += 7
        self.at = at
        return (found >> 1) ^ -(found & 1)

    def _long_number(self) -> int:
        """Read a number of any length."""
        data = self.data
        at: int = self.at
        found = shift = 0
        byte = 128
        while byte > 127:
            byte = data[at]
            at += 1
            found |= (byte & 127) << shift
            shift += 7
            if shift > 7 * LONG_BYTES:
                raise UndecodableError("a number has more than 10 bytes")
        if found >> 64:
            raise UndecodableError("a number has more than 64 bits")
        self.at = at
        return (found >> 1) ^ -(found & 1)

    def whole(self, size: i64) -> int:
        """Read a number of so many bytes, 1 to 7, in two's complement; IndexError where they end."""
        data = self.data
        at = self.at
        end: i64 = at + size
        found: i64 = data[at]
        if found > 127:
            found -= 256
        at += 1
        while at < end:
            found = found << 8 | data[at]
            at += 1
        self.at = at
        return found

    def taken(self, size: int) -> bytes:
        """Read so many bytes."""
        at = self.at
        end = at + size
        if size < 0:
            raise UndecodableError("a length is negative")
        if end > len(self.data):
            raise TruncatedError
        self.at = end
        return self.data[at:end]


def put_number(whole: int, out: BytesWriter) -> None:
    """Append a number of at most 64 bits in zigzag form with variable length."""
    if not -WORD <= whole <= WORD:
        _put_long_number(whole, out)
        return
    number: i64 = whole
    left: i64 = number << 1 ^ number >> 63
    while left > 127:
        out.append(u8(left & 127 | 128))
        left >>= 7
    out.append(u8(left))


def _put_long_number(whole: int, out: BytesWriter) -> None:
    left = whole << 1 if whole >= 0 else ~(whole << 1)
    while left > 127:
        out.append(left & 127 | 128)
        left >>= 7
    out.append(left)


def put_text(text: str, out: BytesWriter) -> None:
    """Append a string, UTF-8."""
    data = text.encode()
    put_number(len(data), out)
    out.write(data)


def put_decimal(whole: int, out: BytesWriter) -> None:
    """Append a decimal(38, 12): two's-complement bytes of a whole number of 10^-12."""
    if not -WORD <= whole <= WORD:
        if not -LIMIT < whole < LIMIT:
            raise OverflowError("a decimal has more than 38 digits")
        size = (whole if whole >= 0 else ~whole).bit_length() // 8 + 1
        put_number(size, out)
        out.write(whole.to_bytes(size, "big", signed=True))
        return
    number: i64 = whole
    rest: i64 = (number ^ number >> 63) >> 7
    spare: i64 = 7  # of the 8 bytes of a machine word
    while rest:
        spare -= 1
        rest >>= 8
    out.append(u8(16 - 2 * spare))  # the number of bytes, zigzag
    write_i64_be(out, number << 8 * spare)
    out.truncate(len(out) - spare)


def put_optional_number(whole: int | None, out: BytesWriter) -> None:
    """Append a union of null and a number."""
    if whole is None:
        out.append(0)
    else:
        out.append(2)
        put_number(whole, out)


def put_optional_text(text: str | None, out: BytesWriter) -> None:
    """Append a union of null and a string."""
    if text is None:
        out.append(0)
    else:
        out.append(2)
        put_text(text, out)


def put_optional_decimal(whole: int | None, out: BytesWriter) -> None:
    """Append a union of null and a decimal(38, 12)."""
    if whole is None:
        out.append(0)
    else:
        out.append(2)
        put_decimal(whole, out)


def text_bytes(text: str) -> bytes:
    """Return a string as put_text() appends it, to be kept where it comes again and again."""
    out = BytesWriter()
    put_text(text, out)
    return out.getvalue()


_LEFT_OUT: Final = object()


class Kind:
    """One node of a schema."""

    def write(self, value: Any, out: BytesWriter) -> None:
        """Append a value's bytes; raises TypeError, ValueError or OverflowError on one that does not fit."""
        raise NotImplementedError

    def read(self, source: Reader) -> Any:
        """Read a value; raises UndecodableError, TruncatedError or IndexError, DecimalRangeError."""
        raise NotImplementedError

    def values(self, source: Reader) -> Any:
        """Read a value in which each record is the list of its values in the order of its schema."""
        return self.read(source)


@final
class Number(Kind):
    """An int or a long: whole numbers only, since others would be cut off without a word."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._least = -(1 << (bits - 1))
        self._most = (1 << (bits - 1)) - 1
        self._usual = min(self._most, WORD)

    def write(self, value: Any, out: BytesWriter) -> None:
        """Append a whole number."""
        if type(value) is not int:
            raise TypeError(f"whole numbers only, not {value!r}")
        whole: int = value
        if not (-self._usual <= whole <= self._usual or self._least <= whole <= self._most):
            raise OverflowError(f"{whole} has more than {self._bits} bits")
        put_number(whole, out)

    def read(self, source: Reader) -> Any:
        """Read a whole number."""
        found = source.number()
        if not (-self._usual <= found <= self._usual or self._least <= found <= self._most):
            raise UndecodableError(f"{found} has more than {self._bits} bits")
        return found


@final
class Text(Kind):
    """A string, UTF-8."""

    def write(self, value: Any, out: BytesWriter) -> None:
        """Append a string."""
        if not isinstance(value, str):
            raise TypeError(f"a string is expected, not {value!r}")
        put_text(value, out)

    def read(self, source: Reader) -> Any:
        """Read a string."""
        data = source.taken(source.number())
        try:
            return data.decode()
        except UnicodeDecodeError as e:
            raise UndecodableError(str(e)) from None


@final
class Octets(Kind):
    """Bytes as they are."""

    def write(self, value: Any, out: BytesWriter) -> None:
        """Append bytes."""
        if not isinstance(value, bytes):
            raise TypeError(f"bytes are expected, not {value!r}")
        put_number(len(value), out)
        out.write(value)

    def read(self, source: Reader) -> Any:
        """Read bytes."""
        return source.taken(source.number())


@final
class Truth(Kind):
    """A boolean."""

    def write(self, value: Any, out: BytesWriter) -> None:
        """Append a truth value."""
        if not isinstance(value, bool):
            raise TypeError(f"True or False is expected, not {value!r}")
        out.append(1 if value else 0)

    def read(self, source: Reader) -> Any:
        """Read a truth value."""
        byte = source.taken(1)
        if byte not in {b"\x00", b"\x01"}:
            raise UndecodableError(f"0x{byte.hex()} is no boolean")
        return byte == b"\x01"


def decimal_of(data: bytes | str) -> int:
    """Return a decimal of its bytes, which defaults have as text of code points 0-255."""
    octets = data.encode("iso-8859-1") if isinstance(data, str) else data
    found = int.from_bytes(octets, "big", signed=True)
    if not -LIMIT < found < LIMIT:
        raise DecimalRangeError
    return found


@final
class Decimal(Kind):
    """A decimal(38, 12): two's-complement bytes of a whole number of 10^-12."""

    def write(self, value: Any, out: BytesWriter) -> None:
        """Append an amount or a quantity."""
        if type(value) is not int:
            raise TypeError(f"whole numbers of 10^-12 only, not {value!r}")
        put_decimal(value, out)

    def read(self, source: Reader) -> Any:
        """Read an amount or a quantity."""
        size = source.number()
        if 0 < size < 8:
            return source.whole(size)
        return decimal_of(source.taken(size))


@final
class Symbol(Kind):
    """An enum, as its text."""

    def __init__(self, symbols: list[str]) -> None:
        self._symbols = symbols
        self._numbers: dict[str, int] = {symbol: n for n, symbol in enumerate(symbols)}

    def write(self, value: Any, out: BytesWriter) -> None:
        """Append a symbol."""
        found = self._numbers.get(value)
        if found is None:
            raise ValueError(f"{value!r} is none of {', '.join(self._symbols)}")
        put_number(found, out)

    def read(self, source: Reader) -> Any:
        """Read a symbol."""
        found = source.number()
        if not 0 <= found < len(self._symbols):
            raise UndecodableError(f"symbol {found} of {len(self._symbols)}")
        return self._symbols[found]


@final
class Optional(Kind):
    """A union of null and one other, in this order."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def write(self, value: Any, out: BytesWriter) -> None:
        """Append a value or that there is none."""
        if value is None:
            out.append(0)
            return
        out.append(2)
        self._kind.write(value, out)

    def read(self, source: Reader) -> Any:
        """Read a value or that there is none."""
        return self._kind.read(source) if _is_there(source) else None

    def values(self, source: Reader) -> Any:
        """Read a value as values, or that there is none."""
        return self._kind.values(source) if _is_there(source) else None


@final
class Array(Kind):
    """Values of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.items = kind

    def write(self, value: Any, out: BytesWriter) -> None:
        """Append all values in one block."""
        if not isinstance(value, list | tuple):
            raise TypeError(f"a list is expected, not {value!r}")
        if value:
            put_number(len(value), out)
            for item in value:
                self.items.write(item, out)
        out.append(0)

    def read(self, source: Reader) -> Any:
        """Read all blocks."""
        found: list[Any] = []
        while count := _block(source):
            for _ in range(count):
                found.append(self.items.read(source))
        return found

    def values(self, source: Reader) -> Any:
        """Read all blocks as values."""
        found: list[Any] = []
        while count := _block(source):
            for _ in range(count):
                found.append(self.items.values(source))
        return found


@final
class Table(Kind):
    """A map of strings to values of one kind."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._text = Text()

    def write(self, value: Any, out: BytesWriter) -> None:
        """Append all pairs in one block."""
        pairs = cast("Mapping[str, Any]", value)
        if pairs:
            put_number(len(pairs), out)
            for name, item in pairs.items():
                self._text.write(name, out)
                self._kind.write(item, out)
        out.append(0)

    def read(self, source: Reader) -> Any:
        """Read all blocks."""
        found: dict[str, Any] = {}
        while count := _block(source):
            for _ in range(count):
                name = self._text.read(source)
                found[name] = self._kind.read(source)
        return found


@final
class Fields(Kind):
    """A record, as a dict; to be written, also as a tuple of its values in the order of the schema."""

    def __init__(self, name: str, defaults: Mapping[str, Any]) -> None:
        """`defaults` as Python values. The fields come after, since they may lead back to this record."""
        self._name = name
        self._defaults = dict(defaults)
        self.names: list[str] = []
        self._kinds: list[Kind] = []

    def add(self, name: str, kind: Kind) -> None:
        """Add the next field."""
        self.names.append(name)
        self._kinds.append(kind)

    def write(self, value: Any, out: BytesWriter) -> None:
        """Append a record; a field that is left out must have a default, one that is unknown is refused."""
        kinds = self._kinds
        if isinstance(value, tuple):  # where each event counts: no dict is made, and no name looked up
            if len(value) != len(kinds):
                raise ValueError(f"{self._name} has {len(kinds)} fields, not {len(value)}")
            for at in range(len(kinds)):
                kinds[at].write(value[at], out)
            return
        if not isinstance(value, dict):
            raise TypeError(f"a record is a dict or a tuple, not {value!r}")
        record: dict[str, Any] = value
        left_out = 0
        for at in range(len(kinds)):
            name = self.names[at]
            item = record.get(name, _LEFT_OUT)
            if item is _LEFT_OUT:
                if name not in self._defaults:
                    raise ValueError(f"{self._name} lacks {name}")
                left_out += 1
                item = self._defaults[name]
            kinds[at].write(item, out)
        if len(record) + left_out != len(kinds):
            unknown = sorted(set(record) - set(self.names))
            raise ValueError(f"{self._name} has no {', '.join(unknown)}")

    def first(self, count: int) -> "Fields":
        """Return a record of the first fields of this one."""
        cut = Fields(self._name, self._defaults)
        for at in range(count):
            cut.add(self.names[at], self._kinds[at])
        return cut

    def default_of(self, name: str) -> Any:
        """Return a field's default as a Python value; raises KeyError where it has none."""
        return self._defaults[name]

    def values(self, source: Reader) -> list[Any]:
        """Read a record as its values."""
        return [kind.values(source) for kind in self._kinds]

    def read(self, source: Reader) -> Any:
        """Read a record."""
        found: dict[str, Any] = {}
        for at in range(len(self._kinds)):
            found[self.names[at]] = self._kinds[at].read(source)
        return found


def record_kind(definition: Mapping[str, Any]) -> Fields:
    """Return what writes and reads a record by its schema."""
    kind = kind_of(definition, {})
    assert isinstance(kind, Fields), "every schema of ours is a record"
    return kind


def kind_of(node: Any, named: dict[str, Kind]) -> Kind:
    """Return the Kind of a schema node; `named` collects the records and enums met on the way."""
    if isinstance(node, list):
        if len(node) != 2 or node[0] != "null":
            raise ValueError(f"a union is null and one other, not {node}")
        return Optional(kind_of(node[1], named))
    if isinstance(node, str):
        return named[node] if node in named else _primitive(node)
    if node.get("logicalType") == "decimal":
        return Decimal()
    match node["type"]:
        case "record":
            fields = node["fields"]
            record = Fields(node["name"], {f["name"]: _default(f) for f in fields if "default" in f})
            named[node["name"]] = record
            for field in fields:
                record.add(field["name"], kind_of(field["type"], named))
            return record
        case "enum":
            named[node["name"]] = symbol = Symbol(node["symbols"])
            return symbol
        case "array":
            return Array(kind_of(node["items"], named))
        case "map":
            return Table(kind_of(node["values"], named))
        case inner:
            return kind_of(inner, named)


def _default(field: Any) -> Any:
    """Return a field's default as a Python value."""
    kind, default = field["type"], field["default"]
    if not isinstance(kind, dict) or kind.get("logicalType") != "decimal":
        return default
    return decimal_of(default)


def _primitive(name: str) -> Kind:
    match name:
        case "string":
            return Text()
        case "long":
            return Number(64)
        case "int":
            return Number(32)
        case "bytes":
            return Octets()
        case "boolean":
            return Truth()
    raise ValueError(f"no kind for {name!r}")


def _is_there(source: Reader) -> bool:
    """Tell whether a value follows in a union of null and one other."""
    branch = source.number()
    if not 0 <= branch <= 1:
        raise UndecodableError(f"branch {branch} of a union of 2")
    return branch == 1


def _block(source: Reader) -> int:
    """Return how many items come next; 0 ends them. A negative count is followed by the block's size."""
    count = source.number()
    if count < 0:
        source.number()
        count = -count
    return count
