"""Avro binary over plain values: one Kind a schema node, which writes a value and reads it back.

The hot path of every lane (decision 0011 has the figures), so it is written to be compiled: native
attributes, no closure, no generator. fastavro still reads what an older schema version wrote (wire.py),
and the tests hold every byte against it and against Apache's own library.

Decimals are integers of 10^-12 and timestamps integers of milliseconds, in both directions.
Format: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from collections.abc import Mapping
from typing import Any, Final, cast

LIMIT: Final = 10**38
"""Decimals lie strictly between -LIMIT and LIMIT in their unit of 10^-12: decimal(38, 12)."""
SHORT: Final = 8192
"""Numbers below this are written from a table."""
LONG_BYTES: Final = 10
"""Most bytes of a number."""


class TruncatedError(ValueError):
    """The bytes end inside a value."""


class UndecodableError(ValueError):
    """The bytes are no value of the schema."""


class DecimalRangeError(ValueError):
    """A decimal has more than 38 digits."""


class Reader:
    """Bytes and where reading stands."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def number(self) -> int:
        """Read a zigzag number of variable length; raises IndexError where the bytes end."""
        data = self.data
        at = self.at
        byte = data[at]
        at += 1
        if byte < 128:
            self.at = at
            return (byte >> 1) ^ -(byte & 1)
        found = byte & 127
        shift = 7
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


_LOW: Final = (1 << 14) - 1
_MORE: Final[list[bytes]] = [bytes((n & 127 | 128, n >> 7 | 128)) for n in range(_LOW + 1)]
"""14 bits as two bytes that others follow."""
_LAST: Final[list[bytes]] = [
    bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(_LOW + 1)
]
"""At most 14 bits as the last one or two bytes."""


def number(value: int) -> bytes:
    """Return a number in zigzag form with variable length."""
    left = value << 1 if value >= 0 else ~(value << 1)
    made = b""
    while left > _LOW:
        made += _MORE[left & _LOW]
        left >>= 14
    return made + _LAST[left]


_NUMBERS: Final[list[bytes]] = [number(value) for value in range(SHORT)]
_FIRST: Final = b"\x00"
_SECOND: Final = b"\x02"
_TRUE: Final = b"\x01"
_LEFT_OUT: Final = object()


class Kind:
    """One node of a schema."""

    def write(self, value: Any, out: list[bytes]) -> None:
        """Append a value's bytes; raises TypeError, ValueError or OverflowError on one that does not fit."""
        raise NotImplementedError

    def read(self, source: Reader) -> Any:
        """Read a value; raises UndecodableError, TruncatedError or IndexError, DecimalRangeError."""
        raise NotImplementedError


class Number(Kind):
    """An int or a long: whole numbers only, since others would be cut off without a word."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._least = -(1 << (bits - 1))
        self._most = (1 << (bits - 1)) - 1

    def write(self, value: Any, out: list[bytes]) -> None:
        """Append a whole number."""
        if type(value) is not int:
            raise TypeError(f"whole numbers only, not {value!r}")
        whole: int = value
        if 0 <= whole < SHORT:
            out.append(_NUMBERS[whole])
            return
        if not self._least <= whole <= self._most:
            raise OverflowError(f"{whole} has more than {self._bits} bits")
        out.append(number(whole))

    def read(self, source: Reader) -> Any:
        """Read a whole number."""
        found = source.number()
        if not self._least <= found <= self._most:
            raise UndecodableError(f"{found} has more than {self._bits} bits")
        return found


class Text(Kind):
    """A string, UTF-8."""

    def write(self, value: Any, out: list[bytes]) -> None:
        """Append a string."""
        if not isinstance(value, str):
            raise TypeError(f"a string is expected, not {value!r}")
        data = value.encode()
        size = len(data)
        out.append(_NUMBERS[size] if size < SHORT else number(size))
        out.append(data)

    def read(self, source: Reader) -> Any:
        """Read a string."""
        data = source.taken(source.number())
        try:
            return data.decode()
        except UnicodeDecodeError as e:
            raise UndecodableError(str(e)) from None


class Octets(Kind):
    """Bytes as they are."""

    def write(self, value: Any, out: list[bytes]) -> None:
        """Append bytes."""
        if not isinstance(value, bytes):
            raise TypeError(f"bytes are expected, not {value!r}")
        out.append(number(len(value)))
        out.append(value)

    def read(self, source: Reader) -> Any:
        """Read bytes."""
        return source.taken(source.number())


class Truth(Kind):
    """A boolean."""

    def write(self, value: Any, out: list[bytes]) -> None:
        """Append a truth value."""
        if not isinstance(value, bool):
            raise TypeError(f"True or False is expected, not {value!r}")
        out.append(_TRUE if value else _FIRST)

    def read(self, source: Reader) -> Any:
        """Read a truth value."""
        byte = source.taken(1)
        if byte not in {_FIRST, _TRUE}:
            raise UndecodableError(f"0x{byte.hex()} is no boolean")
        return byte == _TRUE


class Decimal(Kind):
    """A decimal(38, 12): two's-complement bytes of a whole number of 10^-12."""

    def write(self, value: Any, out: list[bytes]) -> None:
        """Append an amount or a quantity."""
        if type(value) is not int:
            raise TypeError(f"whole numbers of 10^-12 only, not {value!r}")
        whole: int = value
        if not -LIMIT < whole < LIMIT:
            raise OverflowError("a decimal has more than 38 digits")
        size = (whole if whole >= 0 else ~whole).bit_length() // 8 + 1
        out.append(_NUMBERS[size])
        out.append(whole.to_bytes(size, "big", signed=True))

    def read(self, source: Reader) -> Any:
        """Read an amount or a quantity."""
        found = int.from_bytes(source.taken(source.number()), "big", signed=True)
        if not -LIMIT < found < LIMIT:
            raise DecimalRangeError
        return found


class Symbol(Kind):
    """An enum, as its text."""

    def __init__(self, symbols: list[str]) -> None:
        self._symbols = symbols
        self._numbers: dict[str, bytes] = {symbol: number(n) for n, symbol in enumerate(symbols)}

    def write(self, value: Any, out: list[bytes]) -> None:
        """Append a symbol."""
        found = self._numbers.get(value)
        if found is None:
            raise ValueError(f"{value!r} is none of {', '.join(self._symbols)}")
        out.append(found)

    def read(self, source: Reader) -> Any:
        """Read a symbol."""
        found = source.number()
        if not 0 <= found < len(self._symbols):
            raise UndecodableError(f"symbol {found} of {len(self._symbols)}")
        return self._symbols[found]


class Optional(Kind):
    """A union of null and one other, in this order."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def write(self, value: Any, out: list[bytes]) -> None:
        """Append a value or that there is none."""
        if value is None:
            out.append(_FIRST)
            return
        out.append(_SECOND)
        self._kind.write(value, out)

    def read(self, source: Reader) -> Any:
        """Read a value or that there is none."""
        branch = source.number()
        if branch == 0:
            return None
        if branch != 1:
            raise UndecodableError(f"branch {branch} of a union of 2")
        return self._kind.read(source)


class Array(Kind):
    """Values of one kind."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def write(self, value: Any, out: list[bytes]) -> None:
        """Append all values in one block."""
        if not isinstance(value, list | tuple):
            raise TypeError(f"a list is expected, not {value!r}")
        if value:
            out.append(number(len(value)))
            for item in value:
                self._kind.write(item, out)
        out.append(_FIRST)

    def read(self, source: Reader) -> Any:
        """Read all blocks."""
        found: list[Any] = []
        while count := _block(source):
            for _ in range(count):
                found.append(self._kind.read(source))
        return found


class Table(Kind):
    """A map of strings to values of one kind."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._text = Text()

    def write(self, value: Any, out: list[bytes]) -> None:
        """Append all pairs in one block."""
        pairs = cast("Mapping[str, Any]", value)
        if pairs:
            out.append(number(len(pairs)))
            for name, item in pairs.items():
                self._text.write(name, out)
                self._kind.write(item, out)
        out.append(_FIRST)

    def read(self, source: Reader) -> Any:
        """Read all blocks."""
        found: dict[str, Any] = {}
        while count := _block(source):
            for _ in range(count):
                name = self._text.read(source)
                found[name] = self._kind.read(source)
        return found


class Fields(Kind):
    """A record, as a dict; to be written, also as a tuple of its values in the order of the schema."""

    def __init__(self, name: str, defaults: Mapping[str, Any]) -> None:
        """`defaults` as Python values. The fields come after, since they may lead back to this record."""
        self._name = name
        self._defaults = dict(defaults)
        self._fields: list[tuple[str, Kind]] = []

    def add(self, name: str, kind: Kind) -> None:
        """Add the next field."""
        self._fields.append((name, kind))

    def write(self, value: Any, out: list[bytes]) -> None:
        """Append a record; a field that is left out must have a default, one that is unknown is refused."""
        if isinstance(value, tuple):  # where each event counts: no dict is made, and no name looked up
            if len(value) != len(self._fields):
                raise ValueError(f"{self._name} has {len(self._fields)} fields, not {len(value)}")
            at = 0
            for _, kind in self._fields:
                kind.write(value[at], out)
                at += 1  # noqa: SIM113 - enumerate() would be slower where this is compiled
            return
        if not isinstance(value, dict):
            raise TypeError(f"a record is a dict or a tuple, not {value!r}")
        record: dict[str, Any] = value
        left_out = 0
        for name, kind in self._fields:
            item = record.get(name, _LEFT_OUT)
            if item is _LEFT_OUT:
                if name not in self._defaults:
                    raise ValueError(f"{self._name} lacks {name}")
                left_out += 1
                item = self._defaults[name]
            kind.write(item, out)
        if len(record) + left_out != len(self._fields):
            unknown = sorted(set(record) - {name for name, _ in self._fields})
            raise ValueError(f"{self._name} has no {', '.join(unknown)}")

    def read(self, source: Reader) -> Any:
        """Read a record."""
        found: dict[str, Any] = {}
        for name, kind in self._fields:
            found[name] = kind.read(source)
        return found


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
            record = Fields(node["name"], {f["name"]: f["default"] for f in fields if "default" in f})
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


def _block(source: Reader) -> int:
    """Return how many items come next; 0 ends them. A negative count is followed by the block's size."""
    count = source.number()
    if count < 0:
        source.number()
        count = -count
    return count
