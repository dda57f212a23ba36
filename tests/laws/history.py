"""Made-up histories of one lane: what customers, back office, provider and clock do, in any order.

A function of a seed. The provider answers the commands that the rules make, so a history is made while it
is played. Two kinds: `anything` may happen, or the topics may be interleaved freely between two ticks
(`free_order`): no automatic top-up, and prices and taxes announced ahead, as domain.md says.
"""

from dataclasses import dataclass
from itertools import accumulate
from random import Random

from streams.domain.events import (
    AccountSettings,
    Adjustment,
    AdjustmentKind,
    AutomaticTopUp,
    Consent,
    Event,
    Origin,
    PaymentEvent,
    PaymentKind,
    Price,
    PriceModel,
    PricePublished,
    ReversedUsage,
    TaxRate,
    Tick,
    Tier,
    UsageEvent,
)
from streams.domain.outputs import CommandKind, TopUpCommand
from tests.laws.playing import Play
from tests.unit.domain.build import DAY, HOUR, MINUTE, at, money

SECOND = 1_000
ACCOUNTS = ("a", "b", "c")
METERS = ("calls", "gb")
ZONES = ("UTC", "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati", "Pacific/Niue", "Europe/Berlin")
STARTS = tuple(at(day) for day in ("2024-02-20", "2025-01-20", "2025-03-25", "2025-10-20", "2024-12-28"))
QUANTITIES = tuple(money(q) for q in ("0", "0.3", "1", "1", "4", "6", "12", "100.000000000001"))
AMOUNTS = (1, 250, 1_000, 1_999, 5_000)
LADDERS = (
    (Tier(money(5), money("0.1")), Tier(money(9), money("0.004")), Tier(None, money("0.001"))),
    (Tier(money("2.5"), money("0.333333333333")), Tier(None, money("0.25"))),
)
SHORT = (5 * SECOND, 5 * SECOND, MINUTE, 7 * MINUTE, HOUR, 2 * HOUR)
LONG = (5 * HOUR, DAY, 3 * DAY, 12 * DAY, 20 * DAY)
VERY_LONG = 40 * DAY
ANNOUNCED = 25 * DAY
"""Further ahead than ticks of a history of free order are apart."""
ANSWERS = (
    *[PaymentKind.SUCCEEDED] * 8,
    *[PaymentKind.FAILED] * 6,
    *[PaymentKind.REQUIRES_ACTION] * 3,
    *[PaymentKind.UNAVAILABLE] * 2,
    PaymentKind.REFUSED,
    *[PaymentKind.CANCELLED] * 2,
)
FOLLOWING = (
    *[PaymentKind.REFUNDED] * 3,
    *[PaymentKind.DISPUTED] * 4,
    *[PaymentKind.DISPUTE_WON] * 3,
    PaymentKind.RETURNED,
)


@dataclass(slots=True)
class History:
    """A seed's inputs in their order, already played once."""

    seed: int
    free_order: bool
    events: list[Event]
    play: Play


class World:
    """Everybody around the lane."""

    def __init__(self, seed: int, *, free_order: bool) -> None:
        self.random = Random(seed)
        self.free_order = free_order
        self.now = self.random.choice(STARTS) + self.random.randrange(8 * DAY)
        self.play = Play()
        self.events: list[Event] = []
        self.offset = 0
        self.had_tick = False
        self.revisions = dict.fromkeys(ACCOUNTS, 0)
        self.rates: dict[str, tuple[TaxRate, ...]] = dict.fromkeys(ACCOUNTS, ())
        self.versions: dict[tuple[str, str], int] = {}
        self.used: list[UsageEvent] = []
        self.paid: list[PaymentEvent] = []
        self.adjusted: list[Adjustment] = []
        self.commands: list[TopUpCommand] = []
        self.currency = dict.fromkeys(ACCOUNTS, "USD")
        if not free_order and self.random.random() < 0.3:
            self.currency["b"] = "JPY"

    def run(self, count: int) -> None:
        """Let things happen; at the end ticks settle what waits."""
        self.open()
        random = self.random
        actions = {
            self.usage: 50,
            self.again: 9,
            self.payment: 8,
            self.follow: 8,
            self.adjustment: 5,
            self.reversal: 7,
            self.settings: 0 if self.free_order else 7,
            self.price: 2,
        }
        choices, weights = list(actions), list(accumulate(actions.values()))
        while len(self.events) < count:
            chance = random.random()
            if chance < 0.22:
                self.tick()
            elif self.commands and chance < 0.45:
                self.answer()
            else:
                self.now += random.choice((0, 0, SECOND, MINUTE))
                random.choices(choices, cum_weights=weights)[0]()
            if self.free_order and chance > 0.96:
                self.settings()
        self.now += 10 * SECOND
        self.send(Tick(time=self.now, origin=self.origin("clock-ticks")))

    def open(self) -> None:
        """Publish the first prices and settings, some of them later than the first usage."""
        random = self.random
        for meter in METERS:
            for currency in sorted({"USD", *self.currency.values()}):
                if random.random() < 0.95:
                    self.publish(meter, currency, valid_from=0, late=True)
        if random.random() < 0.5:
            self.usage()
        for account_id in ("a", "b"):
            if random.random() < 0.9:
                self.settings(account_id)

    def send(self, event: Event) -> None:
        """Let an event happen, and look which commands it led to."""
        self.events.append(event)
        for output in self.play.send(event).said:
            if type(output) is TopUpCommand and output.kind is CommandKind.CHARGE:
                self.commands.append(output)

    def origin(self, topic: str) -> Origin:
        """Return the next record's place, written now."""
        self.offset += 1
        return Origin(topic, 0, self.offset, self.now, b"k", b"v")

    def tick(self) -> None:
        """Let time pass: mostly little, sometimes to an edge of a month, sometimes far."""
        random = self.random
        self.had_tick = True
        chance = random.random()
        if chance < 0.5:
            self.now += random.choice(SHORT)
        elif chance < 0.65:
            account = self.play.shelves.accounts.get(random.choice(ACCOUNTS))
            if account is not None and account.calendar is not None:
                end = account.calendar.end(account.calendar.month_of(self.now))
                edge = end + random.choice((-1, 0, HOUR - 1, HOUR))
                if edge > self.now and not (self.free_order and edge - self.now > LONG[-1]):
                    self.now = edge
        elif chance < 0.97 or self.free_order:
            self.now += random.choice(LONG)
        else:
            self.now += VERY_LONG
        time = self.now
        chance = random.random()
        if chance < 0.05:
            time += random.choice((61 * SECOND, 14 * DAY))  # a wrong clock
        elif chance < 0.1:
            time -= random.choice((MINUTE, DAY))  # the other ticker, behind
        self.send(Tick(time=time, origin=self.origin("clock-ticks")))

    def usage(self) -> None:
        """Use something: now, late, too late, at an edge of a month, or ahead of time."""
        random = self.random
        account_id = random.choice(ACCOUNTS)
        chance = random.random()
        moment = self.now
        if chance < 0.25:
            moment -= random.choice((MINUTE, 2 * HOUR, 3 * DAY, 10 * DAY, 20 * DAY, 36 * DAY))
        elif chance < 0.35:
            account = self.play.shelves.accounts.get(account_id)
            if account is not None and account.calendar is not None:
                start = account.calendar.start(account.calendar.month_of(self.now))
                moment = start + random.choice((-1, 0, 1))
        elif chance < 0.4:
            moment += random.choice((4 * MINUTE, 6 * MINUTE))
        quantity = random.choice(QUANTITIES) if chance < 0.99 else -1
        name = f"e{len(self.used)}"
        event = UsageEvent(
            account_id,
            "api",
            name,
            random.choice(METERS),
            quantity,
            moment,
            self.origin("usage-events"),
        )
        self.used.append(event)
        self.send(event)

    def again(self) -> None:
        """Deliver something a second time, or its id with other content."""
        random = self.random
        kind = random.random()
        if kind < 0.6 and self.used:
            old = random.choice(self.used[-6:])
            quantity, moment = old.quantity, old.occurred_at
            if random.random() < 0.25:
                quantity, moment = random.choice(((quantity + 1, moment), (quantity, moment + 1)))
            place = self.origin("usage-events")
            self.send(
                UsageEvent(old.account_id, old.source, old.event_id, old.meter, quantity, moment, place)
            )
        elif kind < 0.85 and self.paid:
            self.send(random.choice(self.paid))
        elif self.adjusted:
            self.send(random.choice(self.adjusted))

    def payment(self) -> None:
        """Pay by hand; sometimes it fails, sometimes the currency is wrong."""
        random = self.random
        account_id = random.choice(ACCOUNTS)
        chance = random.random()
        self.pay(
            account_id,
            f"p{random.randrange(8)}",
            PaymentKind.SUCCEEDED if chance < 0.85 else PaymentKind.FAILED,
            random.choice(AMOUNTS),
            currency="EUR" if chance > 0.98 else None,
        )

    def follow(self) -> None:
        """Refund, dispute, win or return a payment, that may not have succeeded yet."""
        random = self.random
        known = [p for p in self.paid if p.kind is PaymentKind.SUCCEEDED]
        if known and random.random() < 0.7:
            paid = random.choice(known)
            account_id, payment_id, most = paid.account_id, paid.payment_id, paid.amount_minor
        else:
            account_id, payment_id, most = random.choice(ACCOUNTS), f"p{random.randrange(8)}", 1_000
        kind, reference = random.choice(FOLLOWING), f"r{random.randrange(2)}"
        amount = most if random.random() < 0.4 else random.randrange(1, most + 2)
        disputed = [p for p in self.paid if p.kind is PaymentKind.DISPUTED]
        if kind is PaymentKind.DISPUTE_WON and disputed:
            dispute = random.choice(disputed)
            account_id, payment_id = dispute.account_id, dispute.payment_id
            amount, reference = dispute.amount_minor, dispute.reference or reference
        self.pay(account_id, payment_id, kind, amount, reference=reference)

    def pay(
        self,
        account_id: str,
        payment_id: str,
        kind: PaymentKind,
        amount_minor: int,
        *,
        currency: str | None = None,
        reference: str | None = None,
        command_id: str | None = None,
        hard: bool = False,
    ) -> None:
        """Let the provider say something."""
        moment = self.now - self.random.choice((0, 0, 0, MINUTE, DAY))
        event = PaymentEvent(
            account_id=account_id,
            payment_id=payment_id,
            kind=kind,
            amount_minor=amount_minor,
            currency=currency or self.currency[account_id],
            occurred_at=moment,
            reference=reference,
            command_id=command_id,
            hard_decline=hard,
            origin=self.origin("payment-events"),
        )
        self.paid.append(event)
        self.send(event)

    def answer(self) -> None:
        """Answer a command, mostly finally; sometimes contradict oneself later, sometimes be silent."""
        random = self.random
        place = random.randrange(len(self.commands))
        command = self.commands[place]
        kind = random.choice(ANSWERS)
        final = kind is not PaymentKind.REQUIRES_ACTION
        if random.random() < 0.85 if final else False:
            del self.commands[place]
        if random.random() < 0.03:
            return
        payment_id = f"pay-{command.command_id}"
        if kind is PaymentKind.REFUSED:
            payment_id = f"lookup-{command.command_id}"
        by_webhook = kind is PaymentKind.SUCCEEDED and random.random() < 0.15
        if by_webhook:  # names no command; the answer follows, or is lost
            self.pay(command.account_id, payment_id, kind, command.amount_minor)
            if random.random() < 0.2:
                return
        self.pay(
            command.account_id,
            payment_id,
            kind,
            command.amount_minor,
            command_id=command.command_id,
            hard=random.random() < 0.15,
        )

    def adjustment(self) -> None:
        """Give goodwill or take it, with an id that may have been used."""
        random = self.random
        account_id = random.choice(ACCOUNTS)
        amount = random.choice((1, money("0.77"), money(5), money(120)))
        event = Adjustment(
            account_id=account_id,
            adjustment_id=f"a{random.randrange(12)}",
            kind=random.choice((AdjustmentKind.CREDIT, AdjustmentKind.DEBIT)),
            amount=amount,
            currency=self.currency[account_id],
            reason="goodwill",
            author="op",
            occurred_at=self.now - random.choice((0, 0, DAY, 40 * DAY)),
            origin=self.origin("adjustments"),
        )
        self.adjusted.append(event)
        self.send(event)

    def reversal(self) -> None:
        """Take usage back: as it was sent, or not; twice, or before it comes."""
        random = self.random
        if not self.used:
            return
        old = random.choice(self.used if random.random() < 0.5 else self.used[-8:])
        event_id = old.event_id if random.random() < 0.9 else f"e{len(self.used)}"
        event = Adjustment(
            account_id=old.account_id,
            adjustment_id=f"v{random.randrange(30)}",
            kind=AdjustmentKind.REVERSAL,
            amount=None,
            currency=self.currency[old.account_id],
            reason="goodwill",
            author="op",
            occurred_at=self.now,
            usage=ReversedUsage(
                source=old.source,
                event_id=event_id,
                meter=old.meter,
                quantity=old.quantity + (random.random() < 0.05),
                occurred_at=old.occurred_at,
            ),
            origin=self.origin("adjustments"),
        )
        self.adjusted.append(event)
        self.send(event)

    def settings(self, account_id: str | None = None) -> None:
        """Set an account up or change it; in a history of free order only what is announced changes."""
        random = self.random
        account_id = account_id or random.choice(ACCOUNTS)
        new = not self.revisions[account_id]
        if self.free_order and (account_id == "c" or (new and self.had_tick)):
            return
        self.revisions[account_id] += 1 if new else random.choice((1, 1, 1, 2))
        revision = self.revisions[account_id]
        lost = not new and random.random() < 0.1
        if lost:
            revision -= 1  # to another writer
        rates = self.rates[account_id]
        if not rates and (not self.free_order or new):
            if random.random() < 0.7:
                rates = (TaxRate(0, money("0.19")),)
        elif random.random() < 0.3:
            since = self.now + (ANNOUNCED if self.free_order else random.choice((-DAY, 0, 5 * DAY)))
            if all(rate.valid_from != since for rate in rates):
                rates = (*rates, TaxRate(since, random.choice((0, money("0.0725"), money("0.2")))))
        if not lost:
            self.rates[account_id] = rates
        event = AccountSettings(
            account_id=account_id,
            revision=revision,
            currency=self.currency[account_id],
            zone=random.choice(ZONES) if random.random() < 0.7 else "UTC",
            tax_rates=rates,
            automatic_top_up=None if self.free_order else self.top_up(),
            warning_level_minor=random.choice((None, 500, 3_000)),
            overdraft_minor=random.choice((0, 0, 1_000)),
            closed=not self.free_order and random.random() < 0.06,
            changed_at=self.now,
            changed_by="op",
            origin=self.origin("account-settings"),
        )
        self.send(event)

    def top_up(self) -> AutomaticTopUp | None:
        """Return some rule of automatic top-up, or none."""
        random = self.random
        if random.random() < 0.15:
            return None
        by_target = random.random() < 0.3
        threshold = random.choice((0, 1_000, 2_000))
        return AutomaticTopUp(
            enabled=random.random() < 0.9,
            threshold_minor=threshold,
            amount_minor=None if by_target else random.choice((500, 2_500)),
            target_minor=threshold + random.choice((1, 4_000)) if by_target else None,
            monthly_limit_minor=random.choice((None, None, 400, 4_000, 7_777)),
            payment_method_ref=random.choice(("card-1", "card-1", "card-2")),
            consent=Consent(given_by="u", given_at=0, text_version="v1") if random.random() < 0.95 else None,
            resumes=self.revisions["a"] // 3,
        )

    def price(self) -> None:
        """Publish another version: announced, marked as late, or too late."""
        random = self.random
        meter, currency = random.choice(METERS), random.choice(sorted(set(self.currency.values())))
        if (meter, currency) not in self.versions:
            self.publish(meter, currency, valid_from=0, late=True)
        elif self.free_order:
            self.publish(meter, currency, valid_from=self.now + ANNOUNCED, late=False)
        else:
            valid_from = self.now + random.choice((-3 * DAY, -HOUR, MINUTE, HOUR, 5 * DAY))
            self.publish(meter, currency, valid_from=valid_from, late=random.random() < 0.5)

    def publish(self, meter: str, currency: str, *, valid_from: int, late: bool) -> None:
        """Publish the next version of a price."""
        random = self.random
        version = self.versions[meter, currency] = self.versions.get((meter, currency), 0) + 1
        model = random.choice((PriceModel.VOLUME, *PriceModel))
        tiers = random.choice(LADDERS)
        if model in {PriceModel.PER_UNIT, PriceModel.PACKAGE}:
            tiers = (Tier(None, random.choice((money("0.0333"), money(3), 1))),)
        price = Price(
            meter=meter,
            currency=currency,
            version=version,
            unit="u",
            valid_from=valid_from,
            late=late,
            model=model,
            tiers=tiers,
            package_size=money(5) if model is PriceModel.PACKAGE else None,
            free_allowance=random.choice((None, None, money(3))),
        )
        self.send(PricePublished(price=price, origin=self.origin("prices")))


def make(seed: int) -> History:
    """Return the history of a seed, played: even seeds may be reordered, odd ones have everything."""
    free_order = seed % 2 == 0
    world = World(seed, free_order=free_order)
    world.run(24 + seed % 17)
    return History(seed, free_order, world.events, world.play)
