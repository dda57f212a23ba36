"""Money in and out: each payment, refund and dispute once, in whatever order they are told."""

from dataclasses import replace
from itertools import permutations

import pytest

from streams.domain.events import AdjustmentKind, PaymentKind
from streams.domain.outcomes import Outcome
from streams.domain.outputs import DeadLetter, EntryKind, Notification
from streams.domain.reasons import Reason, Rejected
from tests.unit.domain.build import (
    DAY,
    START,
    Lane,
    adjust,
    at,
    money,
    month,
    pay,
    reverse,
    settings,
    tick,
    usage,
)

REFUNDED, DISPUTED, WON, RETURNED = (
    PaymentKind.REFUNDED,
    PaymentKind.DISPUTED,
    PaymentKind.DISPUTE_WON,
    PaymentKind.RETURNED,
)


def reason(outcome: Outcome | Rejected) -> Reason:
    assert isinstance(outcome, Rejected)
    return outcome.reason


def test_a_success_is_credited_once() -> None:
    lane = Lane(settings())

    outcomes = [lane.send(pay(1_250, id="p1")) for _ in range(2)]

    (entry,) = lane.entries
    assert outcomes == [Outcome.APPLIED, Outcome.DUPLICATE]
    assert (entry.kind, entry.amount, entry.payment_id) == (EntryKind.PAYMENT, money("12.50"), "p1")
    assert lane.mails == ["payment_received"]


def test_minor_units_follow_the_currency() -> None:
    lane = Lane(settings(currency="JPY"))

    lane.send(pay(500, currency="JPY"))

    assert lane.account().balance == money(500)


@pytest.mark.parametrize(
    ("kind", "entry"),
    [(REFUNDED, EntryKind.REFUND), (DISPUTED, EntryKind.DISPUTE), (RETURNED, EntryKind.RETURN)],
)
def test_money_taken_back_is_its_own_entry_once_per_reference(kind: PaymentKind, entry: EntryKind) -> None:
    lane = Lane(settings(), pay(1_000, id="p1"))

    outcomes = [lane.send(pay(300, id="p1", kind=kind, reference=r)) for r in ("r1", "r1", "r2")]

    assert outcomes == [Outcome.APPLIED, Outcome.DUPLICATE, Outcome.APPLIED]
    assert [(e.kind, e.amount, e.reference) for e in lane.entries[1:]] == [
        (entry, -money(3), "r1"),
        (entry, -money(3), "r2"),
    ]


def test_every_order_of_a_payments_events_comes_to_the_same_balance() -> None:
    for order in permutations(
        [
            pay(1_000, id="p1"),
            pay(200, id="p1", kind=REFUNDED, reference="r1"),
            pay(300, id="p1", kind=DISPUTED, reference="d1"),
            pay(300, id="p1", kind=WON, reference="d1"),
        ]
    ):
        lane = Lane(settings())

        outcomes = [lane.send(event) for event in order]
        waited = outcomes.count(Outcome.WAITING)

        assert lane.account().balance == money(8)
        assert lane.book.settled_applied == waited
        assert sorted(e.kind.value for e in lane.entries) == ["dispute", "dispute_won", "payment", "refund"]


def test_a_refund_that_waits_twice_is_a_duplicate() -> None:
    lane = Lane(settings())

    outcomes = [lane.send(pay(1, id="p1", kind=REFUNDED, reference="r1")) for _ in range(2)]

    assert outcomes == [Outcome.WAITING, Outcome.DUPLICATE]


def test_a_refund_that_passes_the_paid_amount_is_a_dead_letter() -> None:
    lane = Lane(settings(), pay(1_000, id="p1"), pay(600, id="p1", kind=REFUNDED, reference="r1"))

    outcome = lane.send(pay(401, id="p1", kind=DISPUTED, reference="d1"))

    assert reason(outcome) is Reason.REFUND_EXCEEDS_PAYMENT
    assert lane.send(pay(400, id="p1", kind=DISPUTED, reference="d1")) is Outcome.APPLIED


def test_a_waiting_refund_that_passes_the_paid_amount_dies_when_its_turn_comes() -> None:
    lane = Lane(settings())
    first = pay(600, id="p1", kind=REFUNDED, reference="r1")
    second = pay(600, id="p1", kind=REFUNDED, reference="r2")
    lane.send(first)
    lane.send(second)

    lane.send(pay(1_000, id="p1"))

    (letter,) = lane.all(DeadLetter)
    assert (letter.reason, letter.origin) == (Reason.REFUND_EXCEEDS_PAYMENT, second.origin)
    assert (lane.book.settled_applied, lane.book.settled_dead) == (1, 1)
    assert lane.account().balance == money(4)


def test_a_refund_that_waited_while_the_currency_changed_is_no_refund_in_the_new_one() -> None:
    lane = Lane(settings())
    lane.send(pay(300, id="p1", kind=PaymentKind.REFUNDED, reference="r1"))
    lane.send(settings(2, currency="EUR"))

    lane.send(pay(1_000, id="p1", currency="EUR"))

    assert lane.account().balance == money(10)
    assert [letter.reason for letter in lane.all(DeadLetter)] == [Reason.CURRENCY_MISMATCH]


def test_a_dispute_won_gives_back_no_more_than_its_dispute_took() -> None:
    lane = Lane(settings(), pay(1_000, id="p1"), pay(300, id="p1", kind=DISPUTED, reference="d1"))

    outcome = lane.send(pay(301, id="p1", kind=WON, reference="d1"))

    assert reason(outcome) is Reason.REFUND_EXCEEDS_PAYMENT


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (pay(-1), Reason.BAD_PAYMENT),
        (pay(0), Reason.BAD_PAYMENT),
        (pay(5, kind=REFUNDED), Reason.BAD_PAYMENT),
        (replace(pay(5), payment_id=""), Reason.BAD_PAYMENT),
        (pay(5, currency="EUR"), Reason.CURRENCY_MISMATCH),
        (pay(5, when=-1), Reason.OUT_OF_RANGE),
        (pay(2**63 - 1), Reason.OUT_OF_RANGE),
    ],
)
def test_a_bad_payment_is_rejected_and_changes_nothing(event: object, why: Reason) -> None:
    lane = Lane(settings())

    assert reason(lane.send(event)) is why  # type: ignore[arg-type]
    assert lane.entries == []


def test_what_moves_no_money_is_noted_once() -> None:
    lane = Lane(settings())

    outcomes = [lane.send(pay(0, id="p1", kind=PaymentKind.FAILED)) for _ in range(2)]

    assert outcomes == [Outcome.APPLIED, Outcome.DUPLICATE]
    assert lane.entries == []


def test_money_without_an_account_waits_for_settings_and_is_not_doubled() -> None:
    lane = Lane()

    outcomes = [lane.send(pay(500, id="p1", currency="EUR")) for _ in range(2)]
    lane.send(settings(currency="EUR"))

    assert outcomes == [Outcome.WAITING, Outcome.DUPLICATE]
    assert lane.account().balance == money(5)
    assert lane.book.settled_applied == 1


def test_money_without_an_account_opens_one_by_default_at_the_next_tick() -> None:
    lane = Lane(pay(500, id="p1"), pay(100, id="p1", kind=REFUNDED, reference="r1"))

    lane.tick(START)

    assert lane.account().by_default
    assert lane.account().balance == money(4)
    assert (lane.book.settled_applied, lane.book.settled_dead) == (2, 0)


def test_money_without_an_account_in_another_currency_than_the_default_is_a_dead_letter_at_the_tick() -> None:
    lane = Lane(pay(500, currency="EUR"))

    lane.tick(START)

    assert [letter.reason for letter in lane.all(DeadLetter)] == [Reason.CURRENCY_MISMATCH]
    assert lane.shelves.accounts.get("acme") is None


def test_a_payment_in_the_grace_hour_is_the_next_months() -> None:
    lane = Lane(settings(), tick(at("2025-01-31 12:00")))

    lane.send(pay(100, when=at("2025-01-31 23:59")))
    lane.send(pay(100, when=at("2025-02-01 00:30")))

    assert [e.period for e in lane.entries] == [month("2025-01"), month("2025-02")]


def test_credits_and_debits_apply_once() -> None:
    lane = Lane(settings())

    outcomes = [
        lane.send(adjust(AdjustmentKind.CREDIT, "5", id="a1")),
        lane.send(adjust(AdjustmentKind.CREDIT, "5", id="a1")),
        lane.send(adjust(AdjustmentKind.DEBIT, "1.5", id="a2", reason="error")),
    ]

    assert outcomes == [Outcome.APPLIED, Outcome.DUPLICATE, Outcome.APPLIED]
    assert lane.account().balance == money("3.5")
    assert [(e.kind.value, e.adjustment_id, e.reason) for e in lane.entries] == [
        ("credit", "a1", "goodwill"),
        ("debit", "a2", "error"),
    ]


def test_an_adjustment_id_with_other_content_is_a_conflict_even_while_it_waits() -> None:
    lane = Lane()
    lane.send(adjust(AdjustmentKind.CREDIT, "5", id="a1"))

    assert lane.send(adjust(AdjustmentKind.CREDIT, "5", id="a1")) is Outcome.DUPLICATE
    assert reason(lane.send(adjust(AdjustmentKind.CREDIT, "6", id="a1"))) is Reason.ADJUSTMENT_CONFLICT
    lane.send(settings())
    assert reason(lane.send(adjust(AdjustmentKind.DEBIT, "5", id="a1"))) is Reason.ADJUSTMENT_CONFLICT
    assert lane.account().balance == money(5)


def test_a_bad_adjustment_is_rejected() -> None:
    lane = Lane(settings())

    assert reason(lane.send(adjust(AdjustmentKind.CREDIT, "-5"))) is Reason.BAD_ADJUSTMENT
    assert (
        reason(lane.send(replace(adjust(AdjustmentKind.CREDIT, "5"), adjustment_id="")))
        is Reason.BAD_ADJUSTMENT
    )
    assert reason(lane.send(adjust(AdjustmentKind.REVERSAL, "5"))) is Reason.BAD_ADJUSTMENT
    assert reason(lane.send(replace(reverse(usage()), amount=1))) is Reason.BAD_ADJUSTMENT
    assert (
        reason(lane.send(replace(reverse(usage()), kind=AdjustmentKind.DEBIT, amount=1)))
        is Reason.BAD_ADJUSTMENT
    )


def test_notifications_carry_minor_units_and_a_moment_even_before_the_first_tick() -> None:
    lane = Lane(settings())

    lane.send(pay(1_250, id="p1"))

    (mail,) = lane.all(Notification)
    assert (mail.notification_id, mail.created_at) == ("acme:payment_received:p1", START)
    assert mail.details == {
        "currency": "USD",
        "payment_id": "p1",
        "amount_minor": "1250",
        "balance_minor": "1250",
    }


def test_a_notification_is_of_the_lanes_time_however_long_ago_its_cause_was() -> None:
    lane = Lane(settings(), tick(START + DAY))

    lane.send(pay(1_250, when=START))

    (mail,) = lane.all(Notification)
    assert mail.created_at == START + DAY
