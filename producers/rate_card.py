"""The rate card file: what every meter costs, as people keep it under version control; docs/rate-card.md.

Reads a file into Price records and says everything that is wrong with it at once, each with line, column and
field. Never guesses: unknown fields are refused, numbers are exact. No Kafka, no clock.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar, get_args

from iso4217 import Currency

from producers.marked_yaml import MarkedYamlError, Node, load
from producers.records import PriceModel, Record
from producers.values import FieldError, currency_code, millis, moment, pico, text, whole
from streams.domain import pricing
from streams.domain.events import Price
from streams.domain.events import PriceModel as Model
from streams.domain.events import Tier as PricedTier

NOTICE_MS = pricing.NOTICE_MS
METER_FIELDS = ("meter", "currency", "unit", "versions")
VERSION_FIELDS = ("version", "valid_from")
VERSION_OPTIONS = ("late", "model", "unit_price", "tiers", "package_size", "free_allowance", "unit")
Key = tuple[str, str, int]
"""Meter, currency, version: what names a price for ever."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, or (warning) that only may be."""

    line: int
    column: int
    field: str
    text: str
    is_warning: bool = False

    def __str__(self) -> str:
        label = "warning: " if self.is_warning else ""
        return f"{self.line}:{self.column}: {label}{self.field + ': ' if self.field else ''}{self.text}"


@dataclass(frozen=True, slots=True)
class Listed:
    """One price of the file and where its version stands."""

    record: Record
    node: Node
    fields: Mapping[str, Node] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Return what names the price."""
        return key_of(self.record)

    def problem(self, says: str, *, about: str = "", is_warning: bool = False) -> Problem:
        """Return a problem of this price, at one of its fields where that is named."""
        node = self.fields.get(about, self.node)
        return Problem(line=node.line, column=node.column, field=node.path, text=says, is_warning=is_warning)


@dataclass(frozen=True, slots=True)
class Card:
    """What a file says: its prices without a flaw, and all that is wrong, in the order of the file."""

    prices: tuple[Listed, ...]
    problems: tuple[Problem, ...]


def key_of(record: Record) -> Key:
    """Return what names a Price record."""
    return record["meter"], record["currency"], record["version"]


def read(source: str) -> Card:
    """Return the prices of a rate card file and everything that is wrong with it."""
    try:
        root = load(source)
    except MarkedYamlError as e:
        return Card((), (Problem(line=e.line, column=e.column, field="", text=e.problem),))
    reader = _Reader()
    prices = reader.card(root)
    problems = sorted(reader.problems, key=lambda problem: (problem.line, problem.column))
    return Card(tuple(prices), tuple(problems))


def notice(prices: Sequence[Listed], now: int, *, manual_clock: bool) -> list[Problem]:
    """Return a problem for each price that is valid too soon to be new and is not marked as late.

    Where the clock is manual, what time it is there is not known here: only a warning.
    """
    return [
        listed.problem(
            f"{_iso(listed.record['valid_from'])} is less than 10 minutes from now: a new price must be "
            "marked late: true (what was charged before it is read stays as it was)",
            about="valid_from",
            is_warning=manual_clock,
        )
        for listed in prices
        if not listed.record["late"] and listed.record["valid_from"] < now + NOTICE_MS
    ]


def rating(record: Record) -> pricing.Rating:
    """Return a Price record ready to price quantities, by the lanes' own formula."""
    return pricing.Rating(price_of(record))


def price_of(record: Record) -> Price:
    """Return a Price record as the rules' value."""
    tiers = tuple(PricedTier(tier["up_to"], tier["unit_price"]) for tier in record["tiers"])
    return Price(**{**record, "model": Model(record["model"]), "tiers": tiers})


class Place(NamedTuple):
    """What of a version must rise, as far as it can be read, and where it stands."""

    at_number: Node
    at_valid: Node
    number: int | None
    valid_from: int | None


class _Reader:
    """Walks the file once; a value that is wrong is reported and left out."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def report(self, node: Node, says: str) -> None:
        self.problems.append(Problem(line=node.line, column=node.column, field=node.path, text=says))

    def card(self, root: Node) -> list[Listed]:
        top = root.fields(self.report, needed=("meters",), allowed=())
        prices: list[Listed] = []
        first_of: dict[tuple[str, str], Node] = {}
        meters = top["meters"].items(self.report) if "meters" in top else []
        for node in meters:
            prices += self.meter(node, first_of)
        if top and not meters and not self.problems:
            self.report(root, "meters: is empty")
        return prices

    def meter(self, node: Node, first_of: dict[tuple[str, str], Node]) -> list[Listed]:
        fields = node.fields(self.report, needed=METER_FIELDS, allowed=())
        name = self.value(fields.get("meter"), text)
        currency = self.value(fields.get("currency"), _currency)
        unit = self.value(fields.get("unit"), text)
        if name is not None and currency is not None:
            if (name, currency) in first_of:
                before = first_of[name, currency]
                self.report(node, f"{name} in {currency} is given twice, first in line {before.line}")
            first_of.setdefault((name, currency), node)
        versions = fields["versions"].items(self.report) if "versions" in fields else []
        if "versions" in fields and not versions:
            self.report(fields["versions"], "must list at least one version")
        read = [self.version(version, name, currency, unit) for version in versions]
        self.rising([place for place, _ in read])
        return [listed for _, listed in read if listed is not None]

    def version(
        self, node: Node, meter: str | None, currency: str | None, unit: str | None
    ) -> tuple[Place, Listed | None]:
        """Return (place, version, valid_from) as far as they can be read, and the price if it has no flaw."""
        before = len(self.problems)
        fields = node.fields(self.report, needed=VERSION_FIELDS, allowed=VERSION_OPTIONS)
        number = self.value(fields.get("version"), _whole)
        valid_from = self.value(fields.get("valid_from"), millis)
        late = self.value(fields.get("late"), _truth) or False
        model: PriceModel | None = "per_unit"
        if "model" in fields:
            model = self.value(fields["model"], _model)
        own_unit = self.value(fields.get("unit"), text) or unit
        size = self.value(fields.get("package_size"), lambda at, word: pico(at, word, least=1))
        free = self.value(fields.get("free_allowance"), pico)
        tiers = self.tiers(node, fields, model)
        if model == "package" and "package_size" not in fields:
            self.report(node, "package_size is missing: how many units are in one package")
        if model not in {"package", None} and "package_size" in fields:
            self.report(fields["package_size"], f"belongs to a package price, and this one is {model}")
        place = Place(fields.get("version", node), fields.get("valid_from", node), number, valid_from)
        if len(self.problems) > before or None in (meter, currency, own_unit, number, valid_from):
            return place, None
        assert meter is not None and currency is not None and own_unit is not None  # noqa: PT018
        assert number is not None and valid_from is not None  # noqa: PT018
        record: Record = {
            "meter": meter,
            "currency": currency,
            "version": number,
            "unit": own_unit,
            "valid_from": valid_from,
            "late": late,
            "model": model,
            "tiers": tiers,
            "package_size": size,
            "free_allowance": free,
        }
        flaw = pricing.flaw(price_of(record), _MINOR_DIGITS)  # the lanes' own word goes last
        if flaw is not None:
            self.report(node, flaw.detail)
            return place, None
        return place, Listed(record, node, fields)

    def tiers(self, version: Node, fields: Mapping[str, Node], model: PriceModel | None) -> list[Record]:
        """Return the tiers of a version, from `tiers` or from the one `unit_price`."""
        if "unit_price" in fields and "tiers" in fields:
            self.report(fields["tiers"], "give either unit_price or tiers, not both")
        if "unit_price" in fields:
            unit_price = self.value(fields["unit_price"], pico)
            if model in {"graduated", "volume"}:
                self.report(fields["unit_price"], f"a {model} price needs tiers")
            return [{"up_to": None, "unit_price": unit_price or 0}]
        if "tiers" not in fields:
            self.report(version, "unit_price is missing (or tiers, of a graduated or volume price)")
            return []
        nodes = fields["tiers"].items(self.report)
        if model in {"per_unit", "package"} and len(nodes) != 1:
            self.report(fields["tiers"], f"a {model} price has exactly one tier, not {len(nodes)}")
        elif not nodes:
            self.report(fields["tiers"], "must list at least one tier")
        return self.steps(nodes)

    def steps(self, nodes: list[Node]) -> list[Record]:
        steps: list[Record] = []
        below, below_line = 0, 0
        for at, node in enumerate(nodes):
            is_last = at == len(nodes) - 1
            fields = node.fields(self.report, needed=("unit_price",), allowed=("up_to",))
            unit_price = self.value(fields.get("unit_price"), pico)
            up_to = self.value(fields.get("up_to"), lambda at, word: pico(at, word, least=1))
            if is_last and "up_to" in fields:
                self.report(fields["up_to"], "the last tier has none: no quantity may be without a price")
            elif not is_last and "up_to" not in fields:
                self.report(node, "up_to is missing: only the last tier has no end")
            elif up_to is not None and up_to <= below:
                self.report(fields["up_to"], f"must be above the tier before (line {below_line}): tiers rise")
            if up_to is not None:
                below, below_line = up_to, node.line
            steps.append({"up_to": up_to, "unit_price": unit_price or 0})
        return steps

    def rising(self, versions: list[Place]) -> None:
        """Report versions that do not rise, and ones that would be valid before an earlier one."""
        last_number: int | None = None
        last_valid: int | None = None
        for at_number, at_valid, number, valid_from in versions:
            if number is not None and last_number is not None and number <= last_number:
                self.report(at_number, f"{number} must be above the one before it, {last_number}")
            if valid_from is not None and last_valid is not None and valid_from < last_valid:
                self.report(at_valid, "must not be before the version before it is valid")
            last_number = last_number if number is None else number
            last_valid = last_valid if valid_from is None else valid_from

    def value(self, node: Node | None, convert: Callable[[str, str], _Value]) -> _Value | None:
        """Return a scalar's value; None where it is missing or, reported, wrong."""
        word = None if node is None else node.text(self.report)
        if node is None or word is None:
            return None
        try:
            return convert("", word)
        except FieldError as e:
            self.report(node, str(e).removeprefix(": "))
            return None


_MINOR_DIGITS = {currency.code: currency.exponent for currency in Currency if currency.exponent is not None}


def _currency(field: str, word: str) -> str:
    return currency_code(field, word)


def _whole(field: str, word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise FieldError(field, f"{word!r} is not a whole number")
    if len(word) > 18:
        raise FieldError(field, "is too large")
    return whole(field, int(word), least=1)


def _truth(field: str, word: str) -> bool:
    if word not in {"true", "false"}:
        raise FieldError(field, f"{word!r} is neither true nor false")
    return word == "true"


def _model(field: str, word: str) -> PriceModel:
    for known in get_args(PriceModel):
        if word == known:
            return known  # type: ignore[no-any-return]
    raise FieldError(field, f"{word!r} is none of {', '.join(get_args(PriceModel))}")


def _iso(milliseconds: int) -> str:
    return moment(milliseconds).isoformat(timespec="minutes")
