"""What replaying dead letters would do: each letter's fate, and the rule of usage that was never priced."""

from dataclasses import replace
from typing import Any

import pytest

from consumers import dead_letters, replay
from consumers.dead_letters import ADVICE, REPLAY_OF, Fate, Filter, Letter, Letters
from consumers.replay import Plan, Unpriced
from consumers.unpriced import Booking, Desk, Ledger, Nothing, Owner, adjustment_id
from schemas.wire import Record, fixed
from streams.domain.events import Price, PriceModel, Tier, identity
from streams.domain.periods import EVER, ZoneFrom
from streams.domain.pricing import RateCard
from streams.domain.reasons import Reason
from streams.partition import partition_of

ONE = 10**12
DAY = 86_400_000
AT = 1_717_200_000_000
"""2024-06-01T00:00Z"""
LANES = 4


def usage(event_id: str = "e1", **changes: Any) -> Record:
    values = {
        "account_id": "acme",
        "source": "api",
        "event_id": event_id,
        "meter": "calls",
        "quantity": 3 * ONE,
        "occurred_at": AT,
    }
    return values | changes


def letter(reason: str = "no_price", offset: int = 0, **changes: Any) -> Letter:
    event = usage(f"e{offset}")
    made = Letter(
        topic="usage-events",
        partition=0,
        offset=offset,
        timestamp=AT,
        key=b"acme",
        value=fixed().codec("usage-event").encode(event),
        headers=(),
        reason=reason,
        detail="",
        account_id="acme",
        rejected_at=AT + DAY + offset,
        written_at=AT + DAY,
    )
    return replace(made, **changes)


def again(of: Letter, reason: str, offset: int) -> Letter:
    return replace(of, reason=reason, offset=offset, headers=((REPLAY_OF, of.name.encode()),))


def graduated(version: int = 1, valid_from: int = 0) -> Price:
    return Price(
        meter="calls",
        currency="USD",
        version=version,
        unit="call",
        valid_from=valid_from,
        model=PriceModel.GRADUATED,
        tiers=(Tier(4 * ONE, ONE), Tier(None, ONE // 2)),
    )


def desk(
    *,
    ledger: list[Record] | None = None,
    prices: list[Price] | None = None,
    waiting: frozenset[bytes] = frozenset(),
    booked: frozenset[tuple[str, str]] = frozenset(),
    rates: dict[int, int] | None = None,
) -> Desk:
    owner = Owner(currency="USD", zones=(ZoneFrom(EVER, "UTC"),), tax_rates=rates or {})
    known = [graduated()] if prices is None else prices
    return Desk(
        ledger=Ledger(ledger or []),
        cards={("calls", "USD"): RateCard(known)} if known else {},
        owners={"acme": owner},
        default=owner,
        waiting=waiting,
        booked=booked,
    )


def charge(event: Record, **changes: Any) -> Record:
    values = {**event, "kind": "charge", "month": "2024-06", "price_version": 1, "tax_rate": None}
    return values | changes


def plan(
    letters: Letters, *, line: int = 0, priced: bool = True, at: Desk | None = None, hopeless: bool = False
) -> Plan:
    unpriced = Unpriced(
        lines=dict.fromkeys(range(LANES), line), is_priced=lambda *_: priced, desk=at or desk()
    )
    return replay.plan(
        letters, letters.all, lanes=LANES, schemas=fixed(), unpriced=unpriced, hopeless=hopeless
    )


def left_out(made: Plan) -> list[str]:
    return [why for _, why in made.left_out]


# -- letters


def test_every_reason_has_its_advice() -> None:
    assert set(ADVICE) == set(Reason)


def test_a_reason_of_a_newer_version_is_shown_and_not_sent_again() -> None:
    strange = letter("unheard_of")

    assert "newer version" in strange.advice.text
    assert left_out(plan(Letters([strange]))) == ["would die of unheard_of again"]


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (Filter(), 2),
        (Filter(reason="no_price"), 1),
        (Filter(since=AT + DAY + 1), 1),
        (Filter(until=AT + DAY + 1), 1),
        (Filter(account="acme"), 2),
        (Filter(account="other"), 0),
        (Filter(topic="payment-events"), 0),
    ],
)
def test_filters_are_all_true_at_once_since_included_until_not(wanted: Filter, taken: int) -> None:
    letters = Letters([letter("no_price", 0), letter("id_conflict", 1)])

    assert len(letters.select(wanted)) == taken


def test_the_account_of_a_letter_that_did_not_decode_is_its_key() -> None:
    assert letter(account_id=None, value=b"x").account == "acme"
    assert letter(account_id=None, key=b"\xff").account is None
    assert letter(account_id=None, topic="prices").account is None


def test_before_the_lanes_first_tick_a_letter_died_at_its_kafka_timestamp() -> None:
    assert letter(rejected_at=None).when == AT


# -- what is sent again


def test_a_letter_goes_to_the_partition_of_its_key_with_all_headers_and_its_name() -> None:
    wrong = letter("wrong_partition", headers=(("a", b"\xff"), ("b", None)))

    (resend,) = plan(Letters([wrong])).resend

    assert resend.partition == partition_of(b"acme", LANES)
    assert resend.headers == (("a", b"\xff"), ("b", None), (REPLAY_OF, b"usage-events-0-0"))


def test_of_a_chain_only_the_last_letter_is_sent_and_names_only_itself() -> None:
    first = letter()
    letters = Letters([first, again(first, "no_price", 9)], sent_again=[first.name])

    made = plan(letters)

    assert left_out(made) == ["died again as usage-events-0-9, which stands for it"]
    assert made.resend[0].headers == ((REPLAY_OF, b"usage-events-0-9"),)
    assert letters.fate(first) is Fate.DIED_AGAIN


def test_what_was_sent_again_and_lives_is_left_out() -> None:
    sent = letter()

    made = plan(Letters([sent], sent_again=[sent.name]))

    assert left_out(made) == ["was sent again already and has not died since"]


@pytest.mark.parametrize("reason", [reason for reason, advice in ADVICE.items() if not advice.may_succeed])
def test_what_would_die_again_is_sent_only_when_asked_for(reason: Reason) -> None:
    dead = Letters([letter(reason.value)])

    assert left_out(plan(dead)) == [f"would die of {reason.value} again"]
    assert len(plan(dead, hopeless=True).resend) == 1


@pytest.mark.parametrize("topic", ["clock-ticks", "account-profiles"])
def test_ticks_and_profiles_are_never_sent_again(topic: str) -> None:
    made = plan(Letters([letter("wrong_partition", topic=topic)]), hopeless=True)

    assert (made.resend, len(made.left_out)) == ([], 1)


def test_a_price_stays_in_the_lane_whose_copy_it_is() -> None:
    made = plan(Letters([letter("unknown_schema", topic="prices", partition=3, key=b"calls/USD/1")]))

    assert made.resend[0].partition == 3


def test_usage_that_still_has_no_price_is_not_sent_to_die_again() -> None:
    assert "still has no price" in left_out(plan(Letters([letter()]), priced=False))[0]


# -- usage past the forget line


def test_at_the_line_usage_is_sent_again_and_before_it_booked() -> None:
    at_the_line = plan(Letters([letter()]), line=AT)
    past = plan(Letters([letter()]), line=AT + 1)

    assert (len(at_the_line.resend), at_the_line.book) == (1, [])
    ((_, booking),) = past.book
    assert (booking.kind, booking.amount, booking.currency) == ("debit", 3 * ONE, "USD")
    assert booking.occurred_at == AT
    assert "3 call of calls in 2024-06, event e0 from api, at price version 1, without tax" in booking.reason


def test_usage_that_died_too_old_when_it_was_sent_again_is_booked_if_it_began_without_a_price() -> None:
    first = letter()
    chain = Letters([first, again(first, "too_old", 9)])
    alone = Letters([letter("too_old")])
    forged = Letters([first, replace(again(first, "too_old", 9), value=letter(offset=5).value)])

    assert len(plan(chain, line=AT + 1).book) == 1
    assert left_out(plan(alone, line=AT + 1)) == ["would die of too_old again"]
    assert plan(forged, line=AT + 1).book == []


def test_bookings_of_one_month_add_up_to_its_price_and_what_the_ledger_has_counts() -> None:
    found = desk(ledger=[charge(usage("c1", quantity=3 * ONE))])

    first, second = found.book(usage("e1")), found.book(usage("e2"))

    assert isinstance(first, Booking)
    assert isinstance(second, Booking)
    assert first.amount == 2 * ONE  # P(6) - P(3) = 5 - 3
    assert second.amount == ONE + ONE // 2  # P(9) - P(6) = 6.5 - 5


def test_only_the_same_month_version_and_tax_rate_count() -> None:
    others = [
        charge(usage("c1"), month="2024-05"),
        charge(usage("c2"), price_version=2),
        charge(usage("c3"), tax_rate=ONE),
        charge(usage("c4", account_id="other")),
    ]
    reversed_ = [charge(usage("c5")), charge(usage("c5"), kind="reversal")]

    booking = desk(ledger=others + reversed_).book(usage())

    assert isinstance(booking, Booking)
    assert booking.amount == 3 * ONE


def test_what_was_booked_before_counts_and_is_not_booked_again() -> None:
    found = desk(booked=frozenset({("acme", adjustment_id(usage("e1")))}))

    found.count_booked([usage("e1"), usage("e1"), usage("e2")])

    assert isinstance(found.book(usage("e1")), Nothing)
    second = found.book(usage("e2"))
    assert isinstance(second, Booking)
    assert second.amount == 2 * ONE  # P(6) - P(3)


def test_an_event_is_booked_once_however_many_letters_it_has() -> None:
    found = desk()

    assert isinstance(found.book(usage()), Booking)
    assert isinstance(found.book(usage()), Nothing)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (desk(ledger=[charge(usage())]), "was charged after all"),
        (desk(waiting=frozenset({identity("acme", "api", "e1")})), "waits"),
        (desk(prices=[]), "still has no price"),
        (desk(prices=[graduated(valid_from=AT + 1)]), "still has no price"),
        (desk(prices=[replace(graduated(), free_allowance=3 * ONE)]), "costs nothing"),
    ],
)
def test_an_event_is_not_booked_when(found: Desk, why: str) -> None:
    nothing = found.book(usage())

    assert isinstance(nothing, Nothing)
    assert why in nothing.why


def test_the_price_is_the_one_in_force_at_the_events_moment() -> None:
    newer = replace(graduated(2, AT + 1), tiers=(Tier(None, 9 * ONE),), model=PriceModel.PER_UNIT)

    booking = desk(prices=[graduated(), newer]).book(usage())

    assert isinstance(booking, Booking)
    assert booking.amount == 3 * ONE


def test_money_that_a_volume_price_gives_back_is_a_credit() -> None:
    volume = replace(graduated(), model=PriceModel.VOLUME, tiers=(Tier(4 * ONE, ONE), Tier(None, ONE // 10)))

    booking = desk(ledger=[charge(usage("c1"))], prices=[volume]).book(usage())

    assert isinstance(booking, Booking)
    assert (booking.kind, booking.amount) == ("credit", 3 * ONE - 6 * ONE // 10)


def test_the_adjustment_is_named_by_what_names_the_event_and_by_nothing_else() -> None:
    same = usage(quantity=7, occurred_at=5, meter="other")

    assert adjustment_id(usage()) == adjustment_id(same)
    assert adjustment_id(usage(source="a", event_id="bc")) != adjustment_id(usage(source="ab", event_id="c"))


def test_a_letters_content_is_read_where_it_can_be() -> None:
    assert dead_letters.content(letter(), fixed()) == ("usage-event", usage("e0"))
    assert dead_letters.content(letter(topic="payment-events"), fixed()) == ("usage-event", usage("e0"))
    assert dead_letters.content(letter(value=b"x"), fixed()) is None
    assert dead_letters.content(letter(value=None), fixed()) is None
