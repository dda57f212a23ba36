"""The simulated market: where customers are (currency, zone, tax) and what the meters cost there.

Pure tables. Prices are chosen so that every price model, a free allowance, a planned change and a late
change occur; nobody's real rate card.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from producers import records
from producers.records import PriceModel, Record, TaxRate, Tier
from producers.values import moment

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where customers live; `minor` is how many of the currency's minor units are worth about a dollar."""

    currency: str
    zone: str
    country: str
    language: str
    city: str
    minor: int
    rates: tuple[tuple[int, str], ...] = ()
    """Tax rates, each with the day counted from the simulation's start (or far before it)."""

    def tax_rates(self, start: int) -> list[TaxRate]:
        """Return the rates for a simulation that starts at this moment."""
        return [TaxRate(rate=rate, valid_from=moment(start + day * DAY_MS)) for day, rate in self.rates]


PLACES = (
    Place(currency="USD", zone="UTC", country="US", language="en", city="Springfield", minor=100),
    Place(
        currency="USD",
        zone="America/New_York",
        country="US",
        language="en",
        city="New York",
        minor=100,
        rates=((-3650, "0.08875"),),
    ),
    Place(
        currency="EUR",
        zone="Europe/Berlin",
        country="DE",
        language="de",
        city="Berlin",
        minor=90,
        rates=((-1500, "0.16"), (-1300, "0.19")),
    ),
    Place(
        currency="JPY",
        zone="Asia/Tokyo",
        country="JP",
        language="ja",
        city="Tokyo",
        minor=150,
        rates=((-3650, "0.08"), (40, "0.10")),  # changes in the second month
    ),
)
ZONES = tuple(dict.fromkeys(place.zone for place in PLACES))
_IN_A_DOLLAR = {"USD": Decimal(1), "EUR": Decimal("0.9"), "JPY": Decimal(150)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """What is counted, and the range of one event's quantity in steps of `step`."""

    name: str
    unit: str
    step: str
    most: int
    model: PriceModel
    tiers: tuple[tuple[str | None, str], ...]
    """(up_to, dollars) in rising order."""
    package_size: str | None = None
    free_allowance: str | None = None
    later_tiers: tuple[tuple[str | None, str], ...] = ()
    """The second version, where there is one."""
    valid_day: int = 0
    published_day: int = 0
    """Of the second version; one published after it is valid is marked late."""


METERS = (
    Meter(
        name="api-calls",
        unit="call",
        step="1",
        most=3_000,
        model="graduated",
        tiers=(("20000", "0.0004"), ("200000", "0.0003"), (None, "0.00025")),
        free_allowance="5000",
        later_tiers=(("30000", "0.00042"), (None, "0.00028")),
        valid_day=30,
        published_day=27,
    ),
    Meter(
        name="compute-hours",
        unit="hour",
        step="0.000001",
        most=8_000_000,
        model="per_unit",
        tiers=((None, "0.0464"),),
        later_tiers=((None, "0.0499"),),
        valid_day=45,
        published_day=44,
    ),
    Meter(
        name="egress-gb",
        unit="GB",
        step="0.000000000001",
        most=20_000_000_000_000,
        model="volume",
        tiers=(("50", "0.09"), ("500", "0.07"), (None, "0.05")),
    ),
    Meter(
        name="emails",
        unit="thousand e-mails",
        step="1",
        most=800,
        model="package",
        tiers=((None, "0.35"),),
        package_size="1000",
    ),
    Meter(
        name="storage-gb-hours",
        unit="GB-hour",
        step="0.001",
        most=5_000_000,
        model="per_unit",
        tiers=((None, "0.000031506849"),),
        later_tiers=((None, "0.000030136986"),),
        valid_day=60,
        published_day=61,
    ),
)


def prices(start: int) -> Iterator[tuple[int, Record]]:
    """Yield every price with the moment at which it is published, in the order of publication."""
    published = [
        (start + day * DAY_MS + 12 * HOUR_MS if day >= 0 else start - HOUR_MS, currency, meter, version)
        for currency in _IN_A_DOLLAR
        for meter in METERS
        for version, day in ((1, -1), (2, meter.published_day))
        if version == 1 or meter.later_tiers
    ]
    for at, currency, meter, version in sorted(published, key=lambda entry: entry[0]):
        yield at, _price(start, currency, meter, version)


def _price(start: int, currency: str, meter: Meter, version: int) -> Record:
    tiers = meter.tiers if version == 1 else meter.later_tiers
    return records.price(
        meter=meter.name,
        currency=currency,
        version=version,
        unit=meter.unit,
        valid_from=moment(start - 365 * DAY_MS if version == 1 else start + meter.valid_day * DAY_MS),
        late=version == 1 or meter.published_day > meter.valid_day,
        model=meter.model,
        tiers=[Tier(up_to=up_to, unit_price=_local(dollars, currency)) for up_to, dollars in tiers],
        package_size=meter.package_size,
        free_allowance=meter.free_allowance,
    )


def _local(dollars: str, currency: str) -> Decimal:
    return (Decimal(dollars) * _IN_A_DOLLAR[currency]).quantize(Decimal("1e-12"))
