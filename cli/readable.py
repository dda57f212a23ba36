"""Records as people read them: decimals in units, moments in ISO 8601, by the schema of their type."""

import json
from typing import Any

from producers.values import moment
from schemas.wire import SCALE, Record, definition


def record(name: str, content: Record) -> str:
    """Return a record as indented JSON, its amounts and moments as text."""
    return json.dumps(_value(definition(name), content, {}), indent=2, ensure_ascii=False)


def exact_text(pico: int) -> str:
    """Return an exact amount or quantity as emitters take it: no separators, no needless zeros."""
    whole, rest = divmod(abs(pico), 10**SCALE)
    text = f"{whole}" + (f".{rest:0{SCALE}d}".rstrip("0") if rest else "")
    return f"-{text}" if pico < 0 else text


def key(data: bytes | None) -> str | None:
    """Return a key as text where it is text, else in hex."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"0x{data.hex()}"


def _value(node: Any, value: Any, named: dict[str, Record]) -> Any:
    if value is None:
        return None
    if isinstance(node, list):
        return _value(next(option for option in node if option != "null"), value, named)
    if isinstance(node, str):
        return _value(named[node], value, named) if node in named else value
    match node.get("logicalType"):
        case "decimal":
            return exact_text(value)
        case "timestamp-millis":
            try:
                return moment(value).isoformat(timespec="milliseconds")
            except OverflowError:
                return value
    match node["type"]:
        case "record":
            named[node["name"]] = node
            return {f["name"]: _value(f["type"], value[f["name"]], named) for f in node["fields"]}
        case "array":
            return [_value(node["items"], item, named) for item in value]
        case "bytes":
            return value.hex()
        case _:
            return value
