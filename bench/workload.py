"""What happens: usage and payments of many accounts over two months, a function of shape and seed.

Knows neither Kafka nor anybody's wire format.
"""

import bisect
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

Skew = Literal["uniform", "zipf"]
Status = Literal["succeeded", "failed", "refunded"]

START_MS = 1_761_955_200_000
"""2025-11-01T00:00:00Z."""
SPAN_MS = 61 * 86_400_000
"""November and December."""
METERS = ("api_calls", "compute_s", "egress_mb", "storage_gbh", "tokens")
CURRENCY = "USD"
FIRST_PAYMENT_MINOR = 4000
"""Every account begins with this, a minute before the first month."""
DUPLICATES = 0.01
LATELY = 100
"""A duplicate repeats one of so many latest usage events."""
PAYMENT_EVERY = 50
"""One later payment event in so many usage events."""
ZIPF_EXPONENT = 0.9

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TRIPLES = ["".join(triple) for triple in itertools.product(_ALPHABET, repeat=3)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How much of what; the same shape is the same workload to the byte."""

    events: int = 500_000
    """Usage events, duplicates included."""
    accounts: int = 10_000
    skew: Skew = "uniform"
    seed: int = 1

    def __str__(self) -> str:
        return f"{self.events}-{self.accounts}-{self.skew}-{self.seed}"


class Usage(NamedTuple):
    """One usage event; `micro` is its quantity in millionths."""

    account: int
    event_id: str
    meter: int
    micro: int
    ms: int


class Payment(NamedTuple):
    """One payment event; a refund names the payment that it takes back from."""

    account: int
    payment_id: str
    status: Status
    minor: int
    ms: int
    refunds: str | None


def account_id(number: int) -> str:
    """Return an account's id."""
    return f"acct-{number:07d}"


def workload(shape: Shape) -> Iterator[Usage | Payment]:
    """Yield every event in the order of time; a duplicate is an equal Usage once more."""
    rnd = random.Random(shape.seed)
    pick, bits, uniform = _picker(rnd, shape), rnd.getrandbits, rnd.random
    till = _Till()
    for account in range(shape.accounts):
        yield till.pay(account, "succeeded", FIRST_PAYMENT_MINOR, START_MS - 60_000)
    lately: list[Usage] = []
    for n in range(shape.events):
        ms = START_MS + n * SPAN_MS // shape.events
        if n % PAYMENT_EVERY == PAYMENT_EVERY - 1:
            roll = uniform()
            status: Status = "succeeded" if roll < 0.6 else "failed" if roll < 0.8 else "refunded"
            yield till.pay(pick(), status, 100 * (1 + bits(5)), ms)
        if lately and uniform() < DUPLICATES:
            event = lately[bits(20) % len(lately)]
        else:
            event = Usage(pick(), _ulid(ms, bits(80)), bits(16) % len(METERS), 1 + bits(30), ms)
        yield event
        lately.append(event)
        if len(lately) > LATELY:
            del lately[0]


class _Till:
    """Numbers payments, and lets none be refunded beyond what it was: such a refund has failed instead."""

    def __init__(self) -> None:
        self._count = 0
        self._left: dict[int, list[tuple[str, int]]] = {}

    def pay(self, account: int, status: Status, minor: int, ms: int) -> Payment:
        self._count += 1
        payment_id = f"pay-{self._count:09d}"
        paid = self._left.setdefault(account, [])
        if status == "succeeded":
            paid.append((payment_id, minor))
        elif status == "refunded":
            for i, (earlier, left) in enumerate(paid):
                if left >= minor:
                    paid[i] = (earlier, left - minor)
                    return Payment(account, payment_id, "refunded", minor, ms, earlier)
            status = "failed"
        return Payment(account, payment_id, status, minor, ms, None)


def _picker(rnd: random.Random, shape: Shape) -> Callable[[], int]:
    pick, accounts = rnd.random, shape.accounts
    if shape.skew == "uniform":
        return lambda: int(pick() * accounts)
    weights = list(itertools.accumulate(1 / rank**ZIPF_EXPONENT for rank in range(1, accounts + 1)))
    top = weights[-1]
    return lambda: bisect.bisect_left(weights, pick() * top)


def _ulid(ms: int, bits: int) -> str:
    """Return 26 characters: 45 bits of time and 80 random ones in base 32."""
    t = _TRIPLES
    return (
        f"{_ALPHABET[(ms >> 45) & 31]}{t[(ms >> 30) & 32767]}{t[(ms >> 15) & 32767]}{t[ms & 32767]}"
        f"{t[(bits >> 65) & 32767]}{t[(bits >> 50) & 32767]}{t[(bits >> 35) & 32767]}"
        f"{t[(bits >> 20) & 32767]}{t[(bits >> 5) & 32767]}{_ALPHABET[bits & 31]}"
    )
