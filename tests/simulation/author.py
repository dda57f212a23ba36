"""Draws a script from its seed: what customers, back office, provider and clock do."""

from dataclasses import replace
from random import Random
from typing import Any

from schemas.wire import fixed
from streams import topics as names
from streams.domain.periods import ZoneFrom, calendar
from tests.simulation import injuries
from tests.simulation.script import FIRST, LAST, THEN, TOGETHER, Input, Script, Step
from tests.unit.domain.build import DAY, HOUR, MINUTE, at, money
from verify.partitions import partition_of

SECOND = 1_000
ZONES = ("UTC", "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati", "Pacific/Niue", "Europe/Berlin")
STARTS = tuple(at(day) for day in ("2024-02-20", "2025-01-22", "2025-03-20", "2025-10-18", "2024-12-24"))
METERS = ("calls", "gb")
QUANTITIES = tuple(money(q) for q in ("0", "0.3", "1", "1", "4", "6", "12", "100.000000000001"))
AMOUNTS = (1, 250, 1_000, 1_999, 5_000)
LADDERS = (
    (("5", "0.1"), ("9", "0.004"), (None, "0.001")),
    (("2.5", "0.333333333333"), (None, "0.25")),
)
ANNOUNCED = 25 * DAY
CODECS = {
    "usage-events": "usage-event",
    "payment-events": "payment-event",
    "account-settings": "account-settings",
    "account-profiles": "account-profile",
    "prices": "price",
    "adjustments": "adjustment",
    "clock-ticks": "tick",
}


class Author:
    """Draws a script."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.seed = seed
        self.ordered = seed % 2 == 0
        self.lanes = random.choice((1, 1, 2, 3))
        self.tops_up = random.random() < 0.6
        self.now = random.choice(STARTS) + random.randrange(6 * DAY)
        self.accounts = [f"a{n}" for n in random.sample(range(40), random.choice((1, 2, 3, 4)))]
        self.zones = {a: random.choice(ZONES) for a in self.accounts}
        self.currency = dict.fromkeys(self.accounts, "USD")
        if random.random() < 0.2:
            self.currency[self.accounts[-1]] = "JPY"
        self.unknown = {a for a in self.accounts if random.random() < 0.15 and self.currency[a] == "USD"}
        self.revisions = dict.fromkeys(self.accounts, 0)
        self.rates: dict[str, list[tuple[int, int]]] = {a: [] for a in self.accounts}
        self.closed: set[str] = set()
        self.versions: dict[tuple[str, str], int] = {}
        self.used: list[dict[str, Any]] = []
        self.paid: list[dict[str, Any]] = []
        self.adjusted: list[Input] = []
        self.inputs: list[Input] = []

    def write(self) -> Script:
        """Return the script."""
        random = self.random
        steps = []
        count = 3 + random.randrange(6)
        for number in range(count):
            if number == 0:
                self.open()
            for _ in range(random.choice((0, 2, 4, 7, 10))):
                self.something()
            steps.append(self.step())
        workers = random.choice((1, 1, 2, 3))
        crews = tuple(random.choice((1, 2, 3)) if random.random() < 0.2 else workers for _ in steps)
        return Script(
            seed=self.seed,
            ordered=self.ordered,
            lanes=self.lanes,
            workers=workers,
            store=random.choice(("memory", "rocksdb")),
            gather_seconds=random.choice((0.0, 0.05, 0.5)),
            batch_records=random.choice((1, 5, 500, 500)),
            sweep_accounts=random.choice((1, 1, 500)),
            tops_up=self.tops_up,
            accounts=tuple(self.accounts),
            steps=tuple(steps),
            injuries=tuple(injuries.drawn(random, most=6)),
            crews=crews,
        )

    # -- what happens

    def open(self) -> None:
        """Publish the first prices and settings, some later than the first usage."""
        random = self.random
        if random.random() < 0.4:
            self.usage()
        for meter in METERS:
            for currency in sorted(set(self.currency.values()) | {"USD"}):
                if random.random() < 0.95:
                    self.price(meter, currency, valid_from=0, late=True)
        for account in self.accounts:
            if account not in self.unknown and random.random() < 0.9:
                self.settings(account)
            if random.random() < 0.5:
                self.profile(account)

    def something(self) -> None:
        """Let one thing happen."""
        random = self.random
        self.now += random.choice((0, 0, SECOND, MINUTE))
        chance = random.random()
        if chance < 0.52:
            self.usage()
        elif chance < 0.60:
            self.usage_again()
        elif chance < 0.70:
            self.payment()
        elif chance < 0.77:
            self.follow()
        elif chance < 0.82:
            self.adjustment()
        elif chance < 0.89:
            self.reversal()
        elif chance < 0.95:
            self.change()
        elif chance < 0.97:
            self.next_price()
        elif chance < 0.985:
            self.profile(random.choice(self.accounts))
        else:
            self.poison()

    def step(self) -> Step:
        """Let time pass, often to an edge of somebody's month, and tick."""
        random = self.random
        chance = random.random()
        if chance < 0.3:
            self.now += random.choice((5 * SECOND, MINUTE, 7 * MINUTE, HOUR, 2 * HOUR))
        elif chance < 0.75:
            zone = self.zones[random.choice(self.accounts)]
            months = calendar((ZoneFrom(0, zone),))
            edge = months.end(months.month_of(self.now)) + random.choice((-1, 0, HOUR - 1, HOUR, HOUR))
            if self.now < edge <= self.now + 32 * DAY:
                self.now = edge
        else:
            self.now += random.choice((5 * HOUR, DAY, 3 * DAY, 12 * DAY, 20 * DAY))
        tick = self.now
        chance = random.random()
        if chance < 0.04:
            tick += random.choice((61 * SECOND, 14 * DAY))
        elif chance < 0.08:
            tick -= random.choice((MINUTE, DAY))
        made, self.inputs = tuple(self.inputs), []
        return Step(made, tick, self.now)

    def put(
        self, topic: str, account: str, content: dict[str, Any], phase: int, *, key: bytes | None = None
    ) -> Input:
        """Send a record."""
        value = fixed().codec(CODECS[topic]).encode(content)
        lane = None if topic == names.PRICES.name else partition_of(account.encode(), self.lanes)
        made = Input(topic, account, lane, key or account.encode(), value, self.now, phase, repr(content))
        self.inputs.append(made)
        return made

    def usage(self) -> None:
        """Use something: now, late, too late, at an edge of a month, or ahead of time."""
        random = self.random
        account = random.choice(self.accounts)
        chance, moment = random.random(), self.now
        if chance < 0.25:
            moment -= random.choice((MINUTE, 2 * HOUR, 3 * DAY, 10 * DAY, 20 * DAY, 36 * DAY))
        elif chance < 0.45:
            months = calendar((ZoneFrom(0, self.zones[account]),))
            moment = months.start(months.month_of(self.now)) + random.choice(
                (-1, 0, 1, -30 * MINUTE, 30 * MINUTE)
            )
        elif chance < 0.5:
            moment += random.choice((4 * MINUTE, 6 * MINUTE))
        content = {
            "account_id": account,
            "source": "api",
            "event_id": f"e{len(self.used)}",
            "meter": random.choice(METERS),
            "quantity": random.choice(QUANTITIES) if chance < 0.99 else -1,
            "occurred_at": moment,
        }
        self.used.append(content)
        self.put(names.USAGE.name, account, content, TOGETHER)

    def usage_again(self) -> None:
        """Send usage a second time, or its id with other content."""
        random = self.random
        if self.used:
            content = dict(random.choice(self.used[-6:]))
            if random.random() < 0.2:
                content["quantity"] += 1
            self.put(names.USAGE.name, content["account_id"], content, TOGETHER)

    def payment(self) -> None:
        """Pay by hand, sometimes again."""
        random = self.random
        account = random.choice(self.accounts)
        if self.paid and random.random() < 0.25:
            content = random.choice(self.paid)
            self.put(names.PAYMENTS.name, content["account_id"], content, TOGETHER)
            return
        self.pay(
            account,
            f"{account}-p{random.randrange(8)}",
            "succeeded" if random.random() < 0.9 else "failed",
            random.choice(AMOUNTS),
        )

    def follow(self) -> None:
        """Refund, dispute, win or return a payment that may not have come yet."""
        random = self.random
        known = [p for p in self.paid if p["kind"] == "succeeded"]
        account, most = random.choice(self.accounts), 1_000
        payment = f"{account}-p{random.randrange(8)}"
        if known and random.random() < 0.7:
            paid = random.choice(known)
            account, payment, most = paid["account_id"], paid["payment_id"], paid["amount_minor"]
        kind = random.choice(("refunded", "refunded", "disputed", "disputed", "dispute_won", "returned"))
        amount = most if random.random() < 0.4 else random.randrange(1, most + 2)
        self.pay(account, payment, kind, amount, f"r{random.randrange(2)}")

    def pay(self, account: str, payment: str, kind: str, amount: int, reference: str | None = None) -> None:
        """Let the provider say something that no command asked for."""
        content = {
            "account_id": account,
            "payment_id": payment,
            "kind": kind,
            "amount_minor": amount,
            "currency": self.currency[account] if self.random.random() < 0.98 else "EUR",
            "occurred_at": self.now - self.random.choice((0, 0, 0, MINUTE, DAY)),
            "reference": reference,
            "command_id": None,
            "payment_method_ref": None,
            "decline_code": None,
            "hard_decline": False,
            "action_url": None,
        }
        self.paid.append(content)
        self.put(names.PAYMENTS.name, account, content, TOGETHER)

    def adjustment(self) -> None:
        """Give goodwill or take it; sometimes twice."""
        random = self.random
        if self.adjusted and random.random() < 0.25:
            self.inputs.append(replace(random.choice(self.adjusted), timestamp=self.now))
            return
        account = random.choice(self.accounts)
        content = {
            "account_id": account,
            "adjustment_id": f"j{len(self.adjusted)}",
            "kind": random.choice(("credit", "debit")),
            "amount": random.choice((1, money("0.77"), money(5), money(120))),
            "currency": self.currency[account],
            "reason": "goodwill",
            "author": "op",
            "occurred_at": self.now - random.choice((0, 0, DAY, 40 * DAY)),
            "usage": None,
        }
        self.adjusted.append(self.put(names.ADJUSTMENTS.name, account, content, TOGETHER))

    def reversal(self) -> None:
        """Take usage back: as it was sent or not, twice, or before it comes."""
        random = self.random
        if not self.used:
            return
        old = random.choice(self.used if random.random() < 0.5 else self.used[-6:])
        usage = {name: old[name] for name in ("source", "event_id", "meter", "quantity", "occurred_at")}
        if random.random() < 0.05:
            usage["quantity"] += 1
        if random.random() < 0.1:
            usage["event_id"] = f"e{len(self.used)}"
        content = {
            "account_id": old["account_id"],
            "adjustment_id": f"v{len(self.adjusted)}",
            "kind": "reversal",
            "amount": None,
            "currency": self.currency[old["account_id"]],
            "reason": "goodwill",
            "author": "op",
            "occurred_at": self.now,
            "usage": usage,
        }
        self.adjusted.append(self.put(names.ADJUSTMENTS.name, old["account_id"], content, THEN))

    def change(self) -> None:
        """Change somebody's settings, or close the account."""
        random = self.random
        account = random.choice(self.accounts)
        if account in self.unknown:
            return
        if random.random() < 0.12 and self.revisions[account]:
            self.closed.add(account)
            self.settings(account, phase=LAST)
        else:
            self.settings(account)

    def settings(self, account: str, phase: int = FIRST) -> None:
        """Set an account up or change it."""
        random = self.random
        first = not self.revisions[account]
        self.revisions[account] += 1
        rates = self.rates[account]
        if not rates and random.random() < 0.7:
            rates.append((0, money("0.19")))
        elif random.random() < 0.3:
            since = self.now + random.choice((-DAY, 0, 5 * DAY, ANNOUNCED))
            if all(known != since for known, _ in rates):
                rates.append((since, random.choice((0, money("0.0725"), money("0.2")))))
                rates.sort()
        if not first and random.random() < 0.2:
            self.zones[account] = random.choice(ZONES)
        content = {
            "account_id": account,
            "revision": self.revisions[account],
            "currency": self.currency[account],
            "zone": self.zones[account],
            "tax_rates": [{"valid_from": since, "rate": rate} for since, rate in rates],
            "automatic_top_up": self.top_up() if self.tops_up else None,
            "warning_level_minor": random.choice((None, 500, 3_000)),
            "overdraft_minor": random.choice((0, 0, 1_000)),
            "closed": account in self.closed and phase == LAST,
            "changed_at": self.now,
            "changed_by": "op",
        }
        self.put(names.SETTINGS.name, account, content, phase)
        if random.random() < 0.1:
            self.inputs.append(self.inputs[-1])

    def top_up(self) -> dict[str, Any] | None:
        """Return some rule of automatic top-up, or none."""
        random = self.random
        if random.random() < 0.1:
            return None
        by_target = random.random() < 0.3
        threshold = random.choice((0, 1_000, 2_000))
        consent = {"given_by": "u", "given_at": 0, "text_version": "v1"}
        return {
            "enabled": random.random() < 0.95,
            "threshold_minor": threshold,
            "amount_minor": None if by_target else random.choice((500, 2_500)),
            "target_minor": threshold + random.choice((1, 4_000)) if by_target else None,
            "monthly_limit_minor": random.choice((None, 400, 4_000, 7_777)),
            "payment_method_ref": random.choice(("card-1", "card-1", "card-2")),
            "consent": consent if random.random() < 0.95 else None,
            "resumes": 0,
        }

    def profile(self, account: str) -> None:
        """Say who somebody is, or erase it."""
        random = self.random
        if random.random() < 0.2:
            lane = partition_of(account.encode(), self.lanes)
            self.inputs.append(
                Input(names.PROFILES.name, account, lane, account.encode(), None, self.now, FIRST, "erased")
            )
            return
        content = {
            "account_id": account,
            "name": f"Customer {random.randrange(99)}",
            "address": ["1 Street"],
            "country": "US",
            "tax_id": None,
            "email": f"{account}@example.com",
            "language": "en",
        }
        self.put(names.PROFILES.name, account, content, FIRST)

    def next_price(self) -> None:
        """Publish another version: announced, marked as late, or too late."""
        random = self.random
        meter, currency = random.choice(METERS), random.choice(sorted(set(self.currency.values())))
        if (meter, currency) not in self.versions:
            self.price(meter, currency, valid_from=0, late=True)
            return
        moment = self.now + random.choice((-3 * DAY, -HOUR, MINUTE, HOUR, 5 * DAY, ANNOUNCED))
        self.price(meter, currency, valid_from=moment, late=random.random() < 0.5)

    def price(self, meter: str, currency: str, *, valid_from: int, late: bool) -> None:
        """Publish the next version of a price."""
        random = self.random
        version = self.versions[meter, currency] = self.versions.get((meter, currency), 0) + 1
        model = random.choice(("volume", "volume", "per_unit", "graduated", "package"))
        tiers = [
            {"up_to": None if end is None else money(end), "unit_price": money(cost)}
            for end, cost in random.choice(LADDERS)
        ]
        if model in {"per_unit", "package"}:
            tiers = [{"up_to": None, "unit_price": random.choice((money("0.0333"), money(3), 1))}]
        content = {
            "meter": meter,
            "currency": currency,
            "version": version,
            "unit": "u",
            "valid_from": valid_from,
            "late": late,
            "model": model,
            "tiers": tiers,
            "package_size": money(5) if model == "package" else None,
            "free_allowance": random.choice((None, None, money(3))),
        }
        self.put(names.PRICES.name, "", content, FIRST, key=f"{meter}/{currency}/{version}".encode())

    def poison(self) -> None:
        """Send what cannot be read, or does not belong where it stands."""
        random = self.random
        if not self.inputs:
            return
        victim = random.choice(self.inputs)
        if not victim.value or victim.lane is None:
            return
        damaged = random.choice(
            (
                replace(victim, value=victim.value[: random.randrange(len(victim.value))]),
                replace(victim, key=None),
                replace(victim, key=b"nobody"),
                replace(victim, lane=(victim.lane + 1) % self.lanes),
                replace(victim, value=victim.value + b"\x00"),
            )
        )
        self.inputs.append(replace(damaged, says=f"damaged {victim.says}"))


def written(seed: int) -> Script:
    """Return the script of a seed."""
    return Author(seed).write()
