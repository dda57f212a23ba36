"""What may happen in a scenario: the words of the second column, each with what it means.

WORDS is the whole vocabulary, in the order of README.md. A step becomes one or more inputs of the
lane, or something that the runner does (restart, sweep).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

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
    Profile,
    ProfileChanged,
    ProfileErased,
    ReversedUsage,
    TaxRate,
    Tick,
    Tier,
    UsageEvent,
)
from tests.scenarios.values import NAME, NUMBER, TIME, minor, moment, pico

T, N, ID = TIME, NUMBER, NAME
FIRST_ACCOUNT = "acme"
_ACCOUNT = re.compile(rf"(?:\[({ID})\] )?(.+)")


@dataclass(frozen=True, slots=True)
class Restart:
    """The worker stops and another one reads back what was stored, perhaps in another deployment."""

    deployment: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """At most so many due accounts are woken; None: all of them."""

    accounts: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """Nothing happens; the row says how an account stands."""


Action = Event | Restart | Sweep | Look


@dataclass(slots=True)
class Context:
    """What a step may refer to: when it happens, whose it is, and what went before."""

    currency: str
    digits: dict[str, int]
    now: int = 0
    account: str = FIRST_ACCOUNT
    offset: int = 0
    usage_offsets: dict[str, int] = field(default_factory=dict)
    currencies: dict[str, str] = field(default_factory=dict)
    """Of accounts, as their settings say."""
    commands: dict[str, int] = field(default_factory=dict)
    """Minor amounts of the commands made so far."""

    def origin(self, topic: str, timestamp: int | None = None) -> Origin:
        """Return the next place in a topic."""
        self.offset += 1
        return Origin(topic, 0, self.offset, self.now if timestamp is None else timestamp, b"k", b"v")

    def currency_of_account(self) -> str:
        """Return the currency that an amount of the account is in where the step does not say."""
        return self.currencies.get(self.account, self.currency)

    def minor(self, text: str, currency: str) -> int:
        """Return an amount in minor units."""
        return minor(text, self.digits.get(currency, 2))


Match = re.Match[str]


def read(text: str, context: Context) -> list[Action]:
    """Return what a step means; ValueError where no word of the vocabulary fits."""
    named = _ACCOUNT.fullmatch(text)
    assert named is not None
    context.account = named[1] or FIRST_ACCOUNT
    for pattern, meaning in WORDS:
        match = pattern.fullmatch(named[2])
        if match:
            return meaning(match, context)
    raise ValueError(f"{named[2]!r} is not in the vocabulary (README.md)")


def _tick(match: Match, context: Context) -> list[Action]:
    time = moment(match["saying"]) if match["saying"] else context.now
    stood = None
    if match["id"]:
        if match["id"] not in context.usage_offsets:
            raise ValueError(f"no usage {match['id']} came before this tick")
        stood = _Stood(context.usage_offsets[match["id"]])
    sweep: list[Action] = [] if match["lazy"] else [Sweep(None)]
    return [Tick(time=time, origin=context.origin("clock-ticks"), stood=stood), *sweep]


class _Stood(dict[str, int]):
    """Where inputs ended: usage before a record, everything else where it is now."""

    def __init__(self, usage_end: int) -> None:
        super().__init__({"usage-events": usage_end})

    def __missing__(self, key: str) -> int:
        return 2**62


def _usage(match: Match, context: Context) -> list[Action]:
    stamped = moment(match["stamped"]) if match["stamped"] else context.now
    origin = context.origin("usage-events", stamped)
    context.usage_offsets[match["id"]] = origin.offset
    event = UsageEvent(
        context.account,
        match["source"] or "api",
        match["id"],
        match["meter"],
        pico(match["quantity"]),
        moment(match["at"]) if match["at"] else context.now,
        origin,
    )
    return [event]


_STEP = re.compile(rf"(?P<price>{N}) up to (?P<up>{N})")


def _price(match: Match, context: Context) -> list[Action]:
    package = free = None
    if match["each"]:
        model, tiers = PriceModel.PER_UNIT, (Tier(None, pico(match["each"])),)
    elif match["package"]:
        model, tiers = PriceModel.PACKAGE, (Tier(None, pico(match["package"])),)
        package = pico(match["size"])
    else:
        model = PriceModel(match["model"])
        steps = [_STEP.fullmatch(step) for step in match["steps"].split(", ")]
        if not all(steps):
            raise ValueError("tiers are written '0.10 up to 5, 0.05 up to 10, then 0.01'")
        tiers = (
            *(Tier(pico(step["up"]), pico(step["price"])) for step in steps if step),
            Tier(None, pico(match["then"])),
        )
    if match["free"]:
        free = pico(match["free"])
    price = Price(
        meter=match["meter"],
        currency=match["currency"] or context.currency,
        version=int(match["version"] or 1),
        unit=match["meter"].rstrip("s"),
        valid_from=moment(match["valid"]) if match["valid"] else 0,
        late=bool(match["late"]) or not match["valid"],
        model=model,
        tiers=tiers,
        package_size=package,
        free_allowance=free,
    )
    return [PricePublished(price=price, origin=context.origin("prices"))]


def _settings(match: Match, context: Context) -> list[Action]:
    currency, zone, changed_at = context.currency, "UTC", context.now
    rates: list[TaxRate] = []
    top_up: dict[str, object] = {}
    warn: int | None = None
    overdraft, closed = 0, False
    consent: Consent | None = Consent(given_by="u1", given_at=0, text_version="v1")
    words = match["words"].split(", ") if match["words"] else []
    for word in words:
        if found := re.fullmatch(r"[A-Z]{3}", word):
            currency = word
    context.currencies[context.account] = currency

    def amount(text: str) -> int:
        return context.minor(text, currency)

    for word in words:
        if re.fullmatch(r"[A-Z]{3}", word):
            pass
        elif found := re.fullmatch(r"zone (\S+)", word):
            zone = found[1]
        elif found := re.fullmatch(rf"tax ({N})(?: from ({T}))?", word):
            rates.append(TaxRate(moment(found[2]) if found[2] else 0, pico(found[1])))
        elif found := re.fullmatch(rf"top-up (to )?({N}) below ({N})(?: by ({ID}))?", word):
            top_up["target_minor" if found[1] else "amount_minor"] = amount(found[2])
            top_up |= {
                "enabled": True,
                "threshold_minor": amount(found[3]),
                "payment_method_ref": found[4] or "card-1",
            }
        elif word == "top-up off":
            top_up["enabled"] = False
        elif word == "no consent":
            consent = None
        elif found := re.fullmatch(r"resume (\d+)", word):
            top_up["resumes"] = int(found[1])
        elif found := re.fullmatch(rf"limit ({N})", word):
            top_up["monthly_limit_minor"] = amount(found[1])
        elif found := re.fullmatch(rf"warn below ({N})", word):
            warn = amount(found[1])
        elif found := re.fullmatch(rf"overdraft ({N})", word):
            overdraft = amount(found[1])
        elif found := re.fullmatch(rf"changed at ({T})", word):
            changed_at = moment(found[1])
        elif word == "closed":
            closed = True
        else:
            raise ValueError(f"settings know no {word!r} (README.md)")
    automatic = AutomaticTopUp(consent=consent, **top_up) if top_up else None  # type: ignore[arg-type]
    event = AccountSettings(
        account_id=context.account,
        revision=int(match["revision"]),
        currency=currency,
        zone=zone,
        tax_rates=tuple(rates),
        automatic_top_up=automatic,
        warning_level_minor=warn,
        overdraft_minor=overdraft,
        closed=closed,
        changed_at=changed_at,
        changed_by="op",
        origin=context.origin("account-settings"),
    )
    return [event]


_FOLLOWS = {
    "refund": PaymentKind.REFUNDED,
    "dispute": PaymentKind.DISPUTED,
    "won dispute": PaymentKind.DISPUTE_WON,
    "return": PaymentKind.RETURNED,
}
_ANSWERS = {
    "succeeds": PaymentKind.SUCCEEDED,
    "fails": PaymentKind.FAILED,
    "fails for good": PaymentKind.FAILED,
    "needs action": PaymentKind.REQUIRES_ACTION,
    "unavailable": PaymentKind.UNAVAILABLE,
    "refused": PaymentKind.REFUSED,
    "cancelled": PaymentKind.CANCELLED,
}


def _payment(match: Match, context: Context) -> list[Action]:
    currency = match["currency"] or context.currency_of_account()
    command = match["command"]
    kind = PaymentKind.FAILED if match["said"] else PaymentKind.SUCCEEDED
    if match["follows"]:
        kind = _FOLLOWS[match["follows"]]
    return [
        PaymentEvent(
            account_id=context.account,
            payment_id=match["id"],
            kind=kind,
            amount_minor=context.minor(match["amount"], currency),
            currency=currency,
            occurred_at=moment(match["at"]) if match["at"] else context.now,
            reference=match["reference"],
            command_id=_command_id(command, context) if command else None,
            origin=context.origin("payment-events"),
        )
    ]


def _answer(match: Match, context: Context) -> list[Action]:
    command_id, said = _command_id(match["command"], context), match["said"]
    if command_id not in context.commands:
        raise ValueError(f"no command {match['command']} was made")
    return [
        PaymentEvent(
            account_id=context.account,
            payment_id=match["id"] or f"pay-{match['command']}",
            kind=_ANSWERS[said],
            amount_minor=context.commands[command_id],
            currency=context.currency_of_account(),
            occurred_at=moment(match["at"]) if match["at"] else context.now,
            command_id=command_id,
            decline_code="lost_card" if said == "fails for good" else None,
            hard_decline=said == "fails for good",
            action_url="https://pay.example/3ds" if said == "needs action" else None,
            origin=context.origin("payment-events"),
        )
    ]


def _command_id(short: str, context: Context) -> str:
    episode, attempt = short.split(".")
    return f"{context.account}:{episode}:{attempt}"


def _adjustment(match: Match, context: Context) -> list[Action]:
    reversal = match["kind"] == "reversal"
    usage = None
    if reversal:
        usage = ReversedUsage(
            source=match["source"] or "api",
            event_id=match["event"],
            meter=match["meter"],
            quantity=pico(match["quantity"]),
            occurred_at=moment(match["used"]),
        )
    return [
        Adjustment(
            account_id=context.account,
            adjustment_id=match["id"],
            kind=AdjustmentKind(match["kind"]),
            amount=None if reversal else pico(match["amount"]),
            currency=match["currency"] or context.currency_of_account(),
            reason="goodwill",
            author="op",
            occurred_at=moment(match["at"]) if match["at"] else context.now,
            usage=usage,
            origin=context.origin("adjustments"),
        )
    ]


def _profile(match: Match, context: Context) -> list[Action]:
    origin = context.origin("account-profiles")
    if match["erased"]:
        return [ProfileErased(account_id=context.account, origin=origin)]
    profile = Profile(
        name=match["name"],
        address=("2 Street", "Town"),
        country="DE",
        tax_id="T1",
        email="a@b.example",
        language="en",
    )
    return [ProfileChanged(account_id=context.account, profile=profile, origin=origin)]


_GROUPS = ("id", "reference", "follows", "command", "amount", "currency", "at", "kind", "event", "source")
_MORE = ("meter", "quantity", "used", "name", "erased", "saying", "lazy", "said", "stamped")


def _word(pattern: str) -> re.Pattern[str]:
    """Return a pattern in which every group exists that a meaning may ask for."""
    absent = "".join(f"(?P<{name}>(?!)x)?" for name in (*_GROUPS, *_MORE) if f"(?P<{name}>" not in pattern)
    return re.compile(pattern + absent)


_IN = r"(?: in (?P<currency>[A-Z]{3}))?"
_AT = rf"(?: at (?P<at>{T}))?"
_OPTIONS = (
    rf"(?: v(?P<version>\d+))?{_IN}(?: from (?P<valid>{T}))?"
    rf"(?: marked (?P<late>late))?(?: free (?P<free>{N}))?"
)
_MODEL = (
    rf"(?:(?P<each>{N}) each|(?P<package>{N}) per package of (?P<size>{N})"
    rf"|(?P<model>graduated|volume) (?P<steps>.+), then (?P<then>{N}))"
)

WORDS: list[tuple[re.Pattern[str], Callable[[Match, Context], list[Action]]]] = [
    (
        _word(rf"tick(?: saying (?P<saying>{T}))?(?: read before (?P<id>{ID}))?(?P<lazy> without sweep)?"),
        _tick,
    ),
    (re.compile(r"sweep (\d+)"), lambda match, _: [Sweep(int(match[1]))]),
    (re.compile(r"restart(?: with (.+))?"), lambda match, _: [Restart(match[1] or "")]),
    (re.compile(r"look"), lambda *_: [Look()]),
    (
        _word(
            rf"usage (?P<id>{ID}): (?P<quantity>{N}) (?P<meter>[a-z-]+){_AT}"
            rf"(?: from (?P<source>{ID}))?(?: stamped (?P<stamped>{T}))?"
        ),
        _usage,
    ),
    (_word(rf"price (?P<meter>[a-z-]+){_OPTIONS}: {_MODEL}"), _price),
    (re.compile(r"settings (?P<revision>\d+)(?:: (?P<words>.+))?"), _settings),
    (
        _word(
            rf"payment (?P<id>{ID}): (?P<amount>{N}){_IN}(?: for (?P<command>\d+\.\d+))?"
            rf"(?: (?P<said>fails))?{_AT}"
        ),
        _payment,
    ),
    (
        _word(
            rf"(?P<follows>refund|dispute|won dispute|return) (?P<reference>{ID}) of (?P<id>{ID}):"
            rf" (?P<amount>{N}){_IN}{_AT}"
        ),
        _payment,
    ),
    (
        _word(
            r"command (?P<command>\d+\.\d+) "
            rf"(?P<said>{'|'.join(sorted(_ANSWERS, key=len, reverse=True))})(?: as (?P<id>{ID}))?{_AT}"
        ),
        _answer,
    ),
    (_word(rf"(?P<kind>credit|debit) (?P<id>{ID}): (?P<amount>{N}){_IN}{_AT}"), _adjustment),
    (
        _word(
            rf"(?P<kind>reversal) (?P<id>{ID}) of (?P<event>{ID}): (?P<quantity>{N}) (?P<meter>[a-z-]+)"
            rf" used (?P<used>{T})(?: from (?P<source>{ID}))?{_AT}"
        ),
        _adjustment,
    ),
    (_word(r"profile(?:: (?P<name>.+)|(?P<erased> erased))"), _profile),
]
