"""One event, one charge, for ever."""

from dataclasses import replace
from itertools import permutations

import pytest

from streams.domain.account import ROW_NUMBERS
from streams.domain.events import PriceModel, TaxRate, identity
from streams.domain.outcomes import Outcome
from streams.domain.outputs import DeadLetter, EntryKind, StatusChanged
from streams.domain.periods import EVER
from streams.domain.reasons import Reason, Rejected
from streams.domain.usage import WAITS, content
from tests.unit.domain.build import DAY, MINUTE, START, Lane, at, money, month, price, settings, tick, usage


def reason(outcome: Outcome | Rejected) -> Reason:
    assert isinstance(outcome, Rejected)
    return outcome.reason


def test_usage_is_charged_at_its_price() -> None:
    lane = Lane(price("0.01"), settings())

    outcome = lane.send(usage("1.50", id="u1"))

    (entry,) = lane.entries
    assert outcome is Outcome.APPLIED
    assert (entry.number, entry.kind, entry.amount) == (1, EntryKind.CHARGE, -money("0.015"))
    assert (entry.source, entry.event_id, entry.meter) == ("api", "u1", "calls")
    assert (entry.quantity, entry.price_version, entry.tax_rate) == (money("1.50"), 1, None)
    assert entry.balance_after == lane.account().balance == -money("0.015")
    assert (entry.period, entry.month, entry.booked_at) == (month("2025-01"), month("2025-01"), None)


def test_usage_is_charged_even_when_the_balance_cannot_cover_it() -> None:
    lane = Lane(price("1"), settings())

    lane.send(usage(5))

    assert lane.account().balance == -money(5)


def test_tax_is_its_own_entry_right_after_its_charge() -> None:
    lane = Lane(price("0.01"), settings(tax="0.19"))

    lane.send(usage(100))

    charge, tax = lane.entries
    assert [charge.kind, tax.kind] == [EntryKind.CHARGE, EntryKind.TAX]
    assert (tax.number, tax.amount, tax.balance_after) == (2, -money("0.19"), -money("1.19"))
    assert (tax.event_id, tax.price_version, tax.tax_rate) == (charge.event_id, 1, money("0.19"))


def test_the_tax_rate_is_the_one_in_force_when_the_usage_happened() -> None:
    rates = (TaxRate(START, money("0.20")), TaxRate(START + 10, money("0.10")))
    lane = Lane(price("1"), settings(tax_rates=rates))

    for moment in (START + 10, START + 9, START - 1):
        lane.send(usage(1, when=moment))

    assert [(e.kind.value, e.amount) for e in lane.entries] == [
        ("charge", -money(1)),
        ("tax", -money("0.1")),
        ("charge", -money(1)),
        ("tax", -money("0.2")),
        ("charge", -money(1)),
    ]


def test_tax_is_rounded_half_even_too() -> None:
    lane = Lane(price("0.000000000001"), settings(tax="0.5"))

    for _ in range(3):
        lane.send(usage(1))

    assert [e.amount for e in lane.entries if e.kind is EntryKind.TAX] == [-1, -1]
    assert lane.account().balance == -3 - 2


def test_a_rate_of_zero_books_no_tax_but_stands_on_the_charge() -> None:
    lane = Lane(price("1"), settings(tax="0"))

    lane.send(usage(1))

    assert [e.tax_rate for e in lane.entries] == [0]


LADDER: list[tuple[str | None, str]] = [("10", "0.10"), (None, "0.01")]


@pytest.mark.parametrize("model", [PriceModel.GRADUATED, PriceModel.VOLUME])
def test_charges_add_up_to_p_whatever_the_order(model: PriceModel) -> None:
    for order in permutations(["4", "7", "0.5", "3"]):
        lane = Lane(price(model=model, tiers=LADDER), settings(tax="0.07"))

        for quantity in order:
            lane.send(usage(quantity))

        total = {PriceModel.GRADUATED: "1.045", PriceModel.VOLUME: "0.145"}[model]
        charged = -sum(e.amount for e in lane.entries if e.kind is EntryKind.CHARGE)
        tax = -sum(e.amount for e in lane.entries if e.kind is EntryKind.TAX)
        assert charged == money(total)
        assert tax == money(total) * 7 // 100


def test_a_volume_price_may_give_money_back() -> None:
    lane = Lane(price(model=PriceModel.VOLUME, tiers=LADDER), settings())

    lane.send(usage(10))
    lane.send(usage(1))

    assert [e.amount for e in lane.entries] == [-money(1), money("0.89")]


def test_quantities_are_counted_anew_each_month_and_at_each_price_version() -> None:
    first = price(model=PriceModel.GRADUATED, tiers=LADDER)
    second = price(model=PriceModel.GRADUATED, tiers=LADDER, version=2, valid_from=at("2025-02-15"))
    lane = Lane(first, second, settings())

    for moment in ("2025-01-31 23:59", "2025-02-01", "2025-02-15"):
        lane.send(usage(10, when=at(moment)))

    assert [(e.amount, e.price_version) for e in lane.entries] == [
        (-money(1), 1),
        (-money(1), 1),
        (-money(1), 2),
    ]


def test_a_second_copy_is_a_duplicate() -> None:
    lane = Lane(price(), settings())

    outcomes = [lane.send(usage(1, id="same")) for _ in range(3)]

    assert outcomes == [Outcome.APPLIED, Outcome.DUPLICATE, Outcome.DUPLICATE]
    assert len(lane.entries) == 1


@pytest.mark.parametrize("other", [{"quantity": 2}, {"meter": "gb"}, {"when": START + 1}])
def test_the_same_id_with_other_content_is_a_conflict(other: dict[str, object]) -> None:
    lane = Lane(price(), price(meter="gb"), settings())
    lane.send(usage(1, id="same"))

    outcome = lane.send(usage(**{"quantity": 1, "id": "same"} | other))  # type: ignore[arg-type]

    assert reason(outcome) is Reason.ID_CONFLICT
    assert len(lane.entries) == 1


def test_ids_of_different_accounts_and_sources_do_not_meet() -> None:
    lane = Lane(price(), settings(), settings(account="other"))

    events = [usage(id="same"), usage(id="same", account="other"), usage(id="same", source="batch")]

    assert [lane.send(event) for event in events] == [Outcome.APPLIED] * 3


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (usage("-0.000000000001"), Reason.NEGATIVE_QUANTITY),
        (usage(when=START + 5 * MINUTE + 1, read=START), Reason.FROM_THE_FUTURE),
        (usage(when=START - 35 * DAY - 1, read=START), Reason.TOO_OLD),
        (usage(10**25), Reason.OUT_OF_RANGE),
        (usage(when=10**16, read=10**16), Reason.OUT_OF_RANGE),
        (usage(when=-1), Reason.TOO_OLD),
    ],
)
def test_impossible_usage_is_rejected_and_changes_nothing(event: object, why: Reason) -> None:
    lane = Lane(price(), settings())
    lane.tick(START)

    outcome = lane.send(event)  # type: ignore[arg-type]

    assert reason(outcome) is why
    assert lane.entries == []
    assert lane.account().rows == {}


def test_usage_on_the_forget_line_or_five_minutes_ahead_is_charged() -> None:
    lane = Lane(price(), settings())
    lane.tick(START)

    outcomes = [lane.send(usage(when=w, read=START)) for w in (START - 35 * DAY, START + 5 * MINUTE)]

    assert outcomes == [Outcome.APPLIED, Outcome.APPLIED]


def test_a_rejected_event_is_not_remembered() -> None:
    lane = Lane(price(), settings())
    lane.send(usage(when=START + DAY, read=START, id="u1"))

    assert lane.send(usage(id="u1")) is Outcome.APPLIED


def test_the_forget_line_never_goes_back() -> None:
    lane = Lane(price(), settings())
    lane.tick(START)

    later = Lane(shelves=lane.shelves, max_age_ms=400 * DAY)
    later.tick(START + 1)

    assert reason(later.send(usage(when=START - 36 * DAY, read=START))) is Reason.TOO_OLD


def test_a_copy_beyond_the_forget_line_is_never_charged_again() -> None:
    lane = Lane(price(), settings())
    lane.send(usage(id="u1"))
    lane.tick(START + 36 * DAY)

    assert reason(lane.send(usage(id="u1"))) is Reason.TOO_OLD
    assert len(lane.entries) == 1


def test_a_book_that_opens_knows_no_more_of_what_its_line_has_passed() -> None:
    lane = Lane(price(), settings(), usage(1), tick(START + 40 * DAY))
    digest = identity("acme", "api", "e1")
    lane.shelves.seen.add(digest, bytes(8), START)  # forgotten, and not dropped yet

    Lane(shelves=lane.shelves)

    assert lane.shelves.seen.get(digest) is None


def test_usage_without_an_account_waits_for_its_settings() -> None:
    lane = Lane(price(), tick(START))

    waiting = lane.send(usage(id="u1"))
    again = lane.send(usage(id="u1"))
    conflict = lane.send(usage(2, id="u1"))
    lane.send(settings(tax="0.5"))

    assert (waiting, again) == (Outcome.WAITING, Outcome.DUPLICATE)
    assert reason(conflict) is Reason.ID_CONFLICT
    assert [e.kind for e in lane.entries] == [EntryKind.CHARGE, EntryKind.TAX]
    assert (lane.book.settled_applied, lane.book.settled_dead) == (1, 0)
    assert lane.shelves.waiting.all() == []
    assert lane.send(usage(id="u1")) is Outcome.DUPLICATE


def test_usage_without_an_account_opens_one_by_default_at_the_next_tick() -> None:
    lane = Lane(price())
    lane.send(usage(id="u1"))

    lane.tick(START)

    account = lane.account()
    assert (account.by_default, account.currency, account.zones[0].zone) == (True, "USD", "UTC")
    assert account.balance == -money("0.01")
    assert [e.booked_at for e in lane.entries] == [START]
    assert [s.status.value for s in lane.all(StatusChanged)] == ["suspended"]
    assert lane.book.settled_applied == 1


def test_usage_that_came_after_the_tick_was_read_waits_for_the_next_one() -> None:
    lane = Lane(price())
    lane.send(usage())
    later = usage(account="other")
    lane.send(later)

    lane.send(tick(START, stood={"usage-events": later.origin.offset}))

    assert lane.shelves.accounts.get("other") is None
    assert [row.event.account_id for row in lane.shelves.waiting.all()] == ["other"]


def test_settings_that_come_later_set_up_an_account_opened_by_default() -> None:
    lane = Lane(price())
    lane.send(usage())
    lane.tick(START)

    lane.send(settings(tax="0.19"))
    lane.send(usage(100))

    assert not lane.account().by_default
    assert [e.kind.value for e in lane.entries] == ["charge", "charge", "tax"]


def test_usage_without_a_price_waits_for_it() -> None:
    lane = Lane(settings(), tick(START))

    assert lane.send(usage()) is Outcome.WAITING
    lane.send(price("2"))

    assert [e.amount for e in lane.entries] == [-money(2)]
    assert lane.book.settled_applied == 1


def test_usage_before_the_first_price_waits_too() -> None:
    lane = Lane(settings(), price("2", valid_from=START + 1))

    assert lane.send(usage()) is Outcome.WAITING
    lane.send(price("1", version=2, valid_from=START))

    assert [e.price_version for e in lane.entries] == [2]


def test_usage_that_never_found_a_price_becomes_a_dead_letter_and_can_be_replayed() -> None:
    lane = Lane(settings())
    event = usage(id="u1")
    lane.send(event)

    lane.tick(START)
    replayed = lane.send(event)
    lane.send(price())

    (letter,) = lane.all(DeadLetter)
    assert (letter.reason, letter.origin, letter.account_id) == (Reason.NO_PRICE, event.origin, "acme")
    assert letter.rejected_at == START
    assert (lane.book.settled_applied, lane.book.settled_dead) == (1, 1)
    assert replayed is Outcome.WAITING
    assert len(lane.entries) == 1


def test_usage_of_an_unknown_meter_opens_no_account() -> None:
    lane = Lane(price())
    lane.send(usage(meter="nonsense"))

    lane.tick(START)

    assert lane.shelves.accounts.get("acme") is None
    assert [letter.reason for letter in lane.all(DeadLetter)] == [Reason.NO_PRICE]


def test_waiting_usage_still_finds_its_month_open_at_the_tick_that_closes_it() -> None:
    lane = Lane(price(), tick(at("2025-01-31 23:00")))
    lane.send(usage(when=at("2025-01-31 23:30")))

    lane.tick("2025-02-01 01:00")

    (invoice,) = lane.invoices
    assert (invoice.period, [line.month for line in invoice.lines]) == (month("2025-01"), [month("2025-01")])


def test_settings_before_or_after_the_usage_make_the_same_charges() -> None:
    events = [usage(3), usage(4, when=at("2025-01-31 20:00"), read=at("2025-01-31 20:00"))]
    first = Lane(price(), settings(tax="0.19", zone="Asia/Tokyo"), *events)
    last = Lane(price(), *events, settings(tax="0.19", zone="Asia/Tokyo"))

    assert first.entries == last.entries
    assert first.account() == last.account()
    assert {e.month for e in first.entries} == {month("2025-01"), month("2025-02")}


def test_an_account_opened_before_any_tick_books_each_month_for_itself() -> None:
    lane = Lane(price(), settings())

    for moment in ("2024-11-05", "2024-12-05", "2025-01-05"):
        lane.send(usage(when=at(moment)))

    assert lane.account().first_open == EVER
    assert [e.period for e in lane.entries] == [month(m) for m in ("2024-11", "2024-12", "2025-01")]


def test_a_price_that_comes_again_is_a_duplicate_and_with_other_content_a_conflict() -> None:
    lane = Lane(price("1"))

    assert lane.send(price("1")) is Outcome.DUPLICATE
    assert reason(lane.send(price("2"))) is Reason.PRICE_CONFLICT


def test_whether_a_price_is_late_is_judged_by_its_own_record_so_that_all_lanes_agree() -> None:
    published = price("1", valid_from=START + 10 * MINUTE, late=False)  # its record is of START
    late = replace(published, price=replace(published.price, version=2, valid_from=START + 10 * MINUTE - 1))

    for lane_time in (
        None,
        START - DAY,
        START,
        START + DAY,
    ):  # fresh, in a backlog, in time, back after a day
        lane = Lane(manual_clock=False)
        if lane_time is not None:
            lane.tick(lane_time)

        assert lane.send(published) is Outcome.APPLIED
        assert reason(lane.send(late)) is Reason.LATE_PRICE


def test_where_ticks_are_set_by_hand_a_price_with_short_notice_by_the_lanes_time_is_late() -> None:
    lane = Lane(tick(START))
    short = price("1", valid_from=START + 10 * MINUTE - 1, late=False)

    assert reason(lane.send(short)) is Reason.LATE_PRICE
    assert lane.send(price("1", valid_from=START + 10 * MINUTE, late=False)) is Outcome.APPLIED
    assert lane.send(replace(short, price=replace(short.price, version=2, late=True))) is Outcome.APPLIED


def test_what_was_charged_before_a_late_price_stays() -> None:
    lane = Lane(price("1"), settings(), usage(1))

    lane.send(price("5", version=2, valid_from=START - 10))
    lane.send(usage(1))

    assert [e.amount for e in lane.entries] == [-money(1), -money(5)]


def test_what_became_of_an_event_is_remembered_in_eight_bytes_with_its_content() -> None:
    lane = Lane(price(), settings(), usage(id="u1"), usage(id="u2", meter="unpriced"))

    remembered = [lane.shelves.seen.get(usage_id("u1")), lane.shelves.seen.get(usage_id("u2"))]

    says = [content("calls", money(1), START), content("unpriced", money(1), START)]
    assert remembered == [says[0] + b"\0\0", says[1] + WAITS]
    assert {len(entry or b"") for entry in remembered} == {8}


def test_what_names_an_event_has_one_digest_for_ever_and_none_of_another_name() -> None:
    names = [("acme", "api", "e1"), ("acme", "ap", "ie1"), ("acm", "eapi", "e1"), ("acme", "api", "e2")]

    digests = [identity(*name) for name in names]

    assert digests[0].hex() == "6ce6b9f0c3b74f21fef43b881e471d9e"  # as changelogs have it
    assert len(set(digests)) == len(names)


def usage_id(event_id: str) -> bytes:
    return identity("acme", "api", event_id)


def test_the_numbers_of_an_accounts_rows_go_in_a_circle() -> None:
    lane = Lane(price(), price(meter="gb"), settings())
    lane.account().rows_made = ROW_NUMBERS - 1

    lane.send(usage())
    lane.send(usage(meter="gb"))

    assert [row.number for row in lane.account().rows.values()] == [ROW_NUMBERS - 1, 0]
