"""Records from JSON Lines: one object a line, the names those of the schemas, times in ISO 8601.

Numbers are read as exact decimals, never as floats. A line that is no record stops the reading, with its
number: what stood before it may be sent again with the corrected file, as duplicates.
"""

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cache, partial
from typing import Any

from producers import records
from producers.records import Record
from producers.values import FieldError

Build = Callable[..., Record]


class LineError(ValueError):
    """A line that is no record; the text begins with `line N`."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


def read(kind: str, lines: Iterable[str]) -> Iterator[Record]:
    """Yield the records of a kind, one a line; empty lines are passed over; raises LineError."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield parse(kind, line)
        except (ValueError, RecursionError) as e:
            raise LineError(number, str(e)) from None


def parse(kind: str, line: str) -> Record:
    """Return the record of one line; raises ValueError that names the field."""
    try:
        found = json.loads(line, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_fields)
    except json.JSONDecodeError as e:
        raise ValueError(f"no JSON: {e.msg} at column {e.colno}") from None
    if not isinstance(found, dict):
        raise FieldError(kind, f"a JSON {type(found).__name__} where an object is expected")
    for field, build in _NESTED.items():
        if found.get(field) is not None and field in _names(_BUILDERS[kind]):
            found[field] = build(field, found[field])
    record: Record = _call("", _BUILDERS[kind], found)
    return record


def _call(at: str, build: Callable[..., Any], values: object) -> Any:
    """Return build(**values), with errors in the words of the file rather than of Python."""
    if not isinstance(values, dict):
        raise FieldError(at, f"{values!r} is no object")
    where = f"{at}." if at else ""
    names = _names(build)
    for name in values:
        if name not in names:
            raise FieldError(where + name, f"is no field (there are {', '.join(names)})")
    for name, required in names.items():
        if required and name not in values:
            raise FieldError(where + name, "is missing")
    return build(**values)


@cache
def _names(build: Callable[..., Any]) -> Mapping[str, bool]:
    """Return the arguments of a builder, each with True where it must be given."""
    parameters = inspect.signature(build).parameters
    return {name: parameter.default is parameter.empty for name, parameter in parameters.items()}


def _listed(build: Callable[..., Any], at: str, values: object) -> list[Any]:
    if not isinstance(values, list):
        raise FieldError(at, f"{values!r} is no list")
    return [_call(f"{at}[{i}]", build, value) for i, value in enumerate(values)]


def _top_up(at: str, values: object) -> records.AutomaticTopUp:
    if isinstance(values, dict) and values.get("consent") is not None:
        values = {**values, "consent": _call(f"{at}.consent", records.Consent, values["consent"])}
    rule: records.AutomaticTopUp = _call(at, records.AutomaticTopUp, values)
    return rule


def _reversed(at: str, values: object) -> records.ReversedUsage:
    event: records.ReversedUsage = _call(at, records.ReversedUsage, values)
    return event


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise FieldError(twice, "stands twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


_BUILDERS: Mapping[str, Build] = {
    "usage": records.usage,
    "payment": records.payment,
    "settings": records.settings,
    "profile": records.profile,
    "price": records.price,
    "adjustment": records.adjustment,
}
_NESTED: Mapping[str, Callable[[str, object], Any]] = {
    "tax_rates": partial(_listed, records.TaxRate),
    "automatic_top_up": _top_up,
    "tiers": partial(_listed, records.Tier),
    "usage": _reversed,
}
