"""The world of the whole simulation: zones, currencies of 0, 2 and 3 digits, taxes and prices that change.

Pure tables and what follows from them; nobody's real rate card. `market` is the demo's smaller one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from producers import records
from producers.market import DAY_MS, HOUR_MS, Meter, Place
from producers.records import Record, Tier
from producers.values import moment

ZONES = (
    "Pacific/Kiritimati",  # the first to begin a month
    "Pacific/Niue",  # among the last
    "Asia/Almaty",  # on 1 March 2024 midnight came twice: its own rule changed at a month's border
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Asia/Kathmandu",
    "Africa/Cairo",
    "America/Asuncion",  # gave up summer time in October 2024
    "Pacific/Chatham",
    "Africa/Casablanca",  # summer time but for Ramadan
    "America/St_Johns",
    "Antarctica/Troll",  # two hours of summer time
    "Pacific/Apia",
    "Asia/Tokyo",
    "America/Scoresbysund",  # moved by an hour in March 2024
    "Asia/Kolkata",
    "UTC",
    "Europe/London",
    "America/Los_Angeles",
    "Australia/Sydney",
    "America/Sao_Paulo",
    "Asia/Tehran",
    "Pacific/Pago_Pago",
    "Asia/Beirut",
    "America/Havana",
    "America/Santiago",
    "Europe/Moscow",
    "Pacific/Auckland",
    "Asia/Jerusalem",
    "Africa/Nairobi",
    "Antarctica/Vostok",  # moved by two hours in December 2023
    "America/Nuuk",
    "Asia/Gaza",
    "Asia/Yangon",
    "Australia/Eucla",
    "Europe/Istanbul",
    "Pacific/Norfolk",
    "America/Caracas",
    "Atlantic/Azores",
    "Asia/Kabul",
    "America/Phoenix",
    "Africa/Lagos",
    "Pacific/Marquesas",
    "Asia/Dhaka",
    "Europe/Chisinau",
    "America/Mexico_City",
    "Asia/Pyongyang",
    "Pacific/Easter",
    "Africa/Johannesburg",
    "America/Halifax",
    "Asia/Singapore",
    "Europe/Lisbon",
    "Atlantic/Reykjavik",
    "Pacific/Tongatapu",
    "Asia/Hong_Kong",
    "America/Bogota",
    "Indian/Maldives",
    "Africa/Monrovia",
    "Australia/Adelaide",
    "Etc/GMT+12",
)
"""As many as are prime to the number of kinds of customers, so that each kind is found in each zone."""


@dataclass(frozen=True, slots=True)
class _Currency:
    code: str
    minor: int
    """Minor units worth about a dollar."""
    in_a_dollar: str


_CURRENCIES = (
    _Currency("USD", 100, "1"),
    _Currency("EUR", 90, "0.9"),
    _Currency("JPY", 150, "150"),
    _Currency("KWD", 310, "0.31"),
    _Currency("GBP", 80, "0.8"),
    _Currency("INR", 8_300, "83"),
    _Currency("CLP", 950, "950"),
)
_TAXES: tuple[tuple[tuple[int, str], ...], ...] = (
    ((-3650, "0.08"), (40, "0.10"), (200, "0.085")),
    (),
    ((-3650, "0.16"), (-1300, "0.19")),
    ((-3650, "0.20"), (31, "0.21"), (62, "0.205")),
    ((20, "0.05"),),  # untaxed until then
    ((-3650, "0.08875"),),
)


def place(number: int) -> Place:
    """Return where customer `number` lives: every combination comes about."""
    currency = _CURRENCIES[number // 2 % len(_CURRENCIES)]
    return Place(
        currency=currency.code,
        zone=ZONES[number % len(ZONES)],
        country="DE" if currency.code == "EUR" else "US",
        language="de" if currency.code == "EUR" else "en",
        city="Springfield",
        minor=currency.minor,
        rates=_TAXES[number // 3 % len(_TAXES)],
    )


def default_place() -> Place:
    """Return where an account lives that its first usage opens: the deployment's defaults."""
    return Place(currency="USD", zone="UTC", country="US", language="en", city="Springfield", minor=100)


METERS = (
    Meter(
        name="api-calls",
        unit="call",
        step="1",
        most=6_000,
        model="graduated",
        tiers=(("8000", "0.0006"), ("20000", "0.00045"), (None, "0.0003")),
        free_allowance="2000",
    ),
    Meter(
        name="compute-hours",
        unit="hour",
        step="0.000001",
        most=20_000_000,
        model="per_unit",
        tiers=((None, "0.0464"),),
    ),
    Meter(
        name="egress-gb",
        unit="GB",
        step="0.000000000001",
        most=40_000_000_000_000,
        model="volume",  # the 50th GB gives money back
        tiers=(("50", "0.09"), ("200", "0.06"), (None, "0.05")),
    ),
    Meter(
        name="emails",
        unit="thousand e-mails",
        step="1",
        most=1_500,
        model="package",
        tiers=((None, "0.35"),),
        package_size="1000",
        free_allowance="1000",
    ),
    Meter(
        name="storage-gb-hours",
        unit="GB-hour",
        step="0.001",
        most=9_000_000,
        model="per_unit",
        tiers=((None, "0.000031506849"),),
        free_allowance="100",
    ),
    Meter(
        name="gpu-seconds",
        unit="second",
        step="0.001",
        most=3_000_000,
        model="volume",
        tiers=(("3600", "0.0007"), (None, "0.0006")),
        free_allowance="60",
    ),
)
_CHANGES = (Decimal(1), Decimal("1.07"), Decimal("0.93"), Decimal("1.2"), Decimal("0.88"))
"""What the versions of a price cost, in turn, against the first."""
EVERY_MONTHS = 3


def prices(start: int, months: list[int], quiet: tuple[int, int] | None) -> Iterator[tuple[int, str, Record]]:
    """Yield (when published, price or late_price, record) in the order of publication.

    `months` are the first moments of the months (UTC). Each meter changes every third month, in turn: in
    the middle of a month, at the month's very first moment, or late, two days before it is published.
    """
    published: list[tuple[int, str, Record]] = []
    for meter in METERS:
        for currency in _CURRENCIES:
            published.append((start - HOUR_MS, "price", _price(meter, currency, 1, start - 365 * DAY_MS)))
    for at_month, first in enumerate(months):
        for number, meter in enumerate(METERS):
            if (at_month + number) % EVERY_MONTHS or first == start:
                continue
            version = 2 + at_month // EVERY_MONTHS
            match (at_month + number) // EVERY_MONTHS % 3:
                case 0:
                    valid_from, at, kind = first + 11 * DAY_MS, first + 8 * DAY_MS, "price"
                case 1:
                    valid_from, at, kind = first, first - 5 * DAY_MS, "price"
                case _:
                    valid_from, at, kind = first + 5 * DAY_MS, first + 7 * DAY_MS, "late_price"
            if quiet is not None and quiet[0] <= at <= quiet[1]:
                continue
            for currency in _CURRENCIES:
                late = kind == "late_price"
                published.append((at, kind, _price(meter, currency, version, valid_from, late=late)))
    yield from sorted(published, key=lambda entry: entry[0])


def _price(meter: Meter, currency: _Currency, version: int, valid_from: int, *, late: bool = False) -> Record:
    factor = Decimal(currency.in_a_dollar) * _CHANGES[(version - 1) % len(_CHANGES)]
    return records.price(
        meter=meter.name,
        currency=currency.code,
        version=version,
        unit=meter.unit,
        valid_from=moment(valid_from),
        late=late or version == 1,
        model=meter.model,
        tiers=[
            Tier(up_to=up_to, unit_price=(Decimal(dollars) * factor).quantize(Decimal("1e-12")))
            for up_to, dollars in meter.tiers
        ],
        package_size=meter.package_size,
        free_allowance=meter.free_allowance,
    )
