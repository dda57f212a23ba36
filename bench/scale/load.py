"""Bytes of many customers, quickly: whatever is the same in all of them was encoded once.

What every account has: settings with an automatic top-up, one payment that no run uses up, usage.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bench.encoding import SOURCE, text, zigzag
from bench.inputs import ANY, Sender, Told
from bench.peers import common
from bench.workload import CURRENCY, METERS, account_id
from producers import records
from producers.emissions import Emission, Encoder
from producers.records import AutomaticTopUp, Consent, Tier
from schemas.wire import Codec, Record, fixed
from streams import topics

PAID_MINOR = 10**8
"""A million: no run uses it up."""
ID_DIGITS = 26
KINDS = 1024
"""Different meters and quantities that the usage goes round."""
TOLD_EVERY = 50_000


class Customers:
    """Everything that `count` accounts send, from a moment on."""

    def __init__(self, count: int, began_ms: int) -> None:
        self.count = count
        self.began_ms = began_ms
        self.keys = [account_id(n).encode() for n in range(count)]
        schemas = fixed()
        began = datetime.fromtimestamp(began_ms / 1000, UTC)
        self._began = began
        self._settings = _Form(schemas.codec("account-settings"), _settings(began))
        self._payment = _Form(schemas.codec("payment-event"), _payment(began))
        usage = schemas.codec("usage-event")
        rnd = random.Random(1)
        self._head = usage.header + zigzag(len(self.keys[0]))
        self._middle = text(SOURCE) + zigzag(ID_DIGITS)
        self._kinds = [_kind(rnd) for _ in range(KINDS)]
        assert usage.decode(self.usage(7, 0, began_ms))["event_id"] == f"{7:0{ID_DIGITS}}", (
            "the usage-event schema has changed: so must this"
        )

    def usage(self, number: int, account: int, ms: int) -> bytes:
        """Return a usage event's bytes; its id is its number."""
        return b"".join(
            (
                self._head,
                self.keys[account],
                self._middle,
                b"%026d" % number,
                self._kinds[number % KINDS],
                zigzag(ms),
            )
        )

    def prices(self) -> Iterator[Emission]:
        """Yield the price of every meter."""
        encoder = Encoder(fixed())
        for meter in METERS:
            price = records.price(
                meter=meter,
                currency=CURRENCY,
                version=1,
                unit="unit",
                valid_from=self._began - timedelta(days=1),
                late=True,
                tiers=[Tier(unit_price=common.PRICES[meter])],
            )
            yield encoder.price(price)

    def open_all(self, sender: Sender, prefix: str, told: Told) -> None:
        """Send every account's settings and payment."""
        settings, payments = prefix + topics.SETTINGS.name, prefix + topics.PAYMENTS.name
        for n, key in enumerate(self.keys):
            sender.send(settings, ANY, key, self._settings.of(key), self.began_ms)
            sender.send(payments, ANY, key, self._payment.of(key), self.began_ms)
            if n % TOLD_EVERY == 0:
                sender.poll()
                told(f"writing {n:,} of {self.count:,} accounts")

    def send_usage(self, sender: Sender, topic: str, numbers: range, told: Told) -> None:
        """Send the usage events of these numbers, evenly over all accounts but not in their order."""
        count, usage, keys, ms = self.count, self.usage, self.keys, self.began_ms
        step = _step(count)
        for n in numbers:
            account = n * step % count
            sender.send(topic, ANY, keys[account], usage(n, account, ms), ms)
            if n % TOLD_EVERY == 0:
                sender.poll()
                told(f"writing usage event {n - numbers.start:,} of {len(numbers):,}")


class _Form:
    """A record of which only the account differs."""

    def __init__(self, codec: Codec, record: Record) -> None:
        whole, name = codec.encode(record), record["account_id"].encode()
        self._before, found, self._after = whole.partition(name)
        assert found, "the account's id is not in the record"
        assert name not in self._after, "the account's id is in the record twice"

    def of(self, key: bytes) -> bytes:
        return self._before + key + self._after


def _settings(began: datetime) -> Record:
    return records.settings(
        account_id=account_id(0),
        revision=1,
        currency=CURRENCY,
        zone="UTC",
        changed_at=began,
        changed_by="bench",
        automatic_top_up=AutomaticTopUp(
            threshold_minor=common.THRESHOLD // common.PICO_PER_MINOR,
            amount_minor=common.TOP_UP_MINOR,
            payment_method_ref="card",
            consent=Consent(given_by="bench", given_at=began, text_version="1"),
        ),
    )


def _payment(began: datetime) -> Record:
    return records.payment(
        account_id=account_id(0),
        payment_id="first",
        kind="succeeded",
        currency=CURRENCY,
        occurred_at=began,
        amount_minor=PAID_MINOR,
    )


def _kind(rnd: random.Random) -> bytes:
    """Return a meter and a quantity as they stand in a usage event."""
    pico = (1 + rnd.getrandbits(24)) * 10**6
    quantity = pico.to_bytes(pico.bit_length() // 8 + 1, "big")
    return text(rnd.choice(METERS)) + zigzag(len(quantity)) + quantity


def _step(count: int) -> int:
    """Return a prime that the count is no multiple of: steps of it reach every account."""
    return next(prime for prime in (7919, 7907, 7901) if count % prime)
