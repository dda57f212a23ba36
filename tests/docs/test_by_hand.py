"""What docs/domain works out by hand is what the rules do, to the last digit."""

import pytest

from streams.domain.events import Event, PaymentKind, PriceModel
from streams.domain.outcomes import Outcome
from streams.domain.outputs import NotificationKind
from streams.domain.pricing import Rating
from streams.domain.reasons import Rejected
from tests.docs.markdown import ROOT, tables
from tests.docs.prices import published
from tests.unit.domain.build import (
    DAY,
    HOUR,
    START,
    Lane,
    answer,
    at,
    auto,
    minor_of,
    money,
    month,
    pay,
    price,
    reverse,
    settings,
    tick,
    usage,
)

DOMAIN = ROOT / "docs/domain"
_, WORKED, VERSIONS, LATE = tables(DOMAIN / "prices.md")
HALVES = tables(DOMAIN / "rounding.md")[1]
KINDS, PAYMENT, REVERSAL = tables(DOMAIN / "payments.md")
STATUSES, LEVELS, STATUS_MAILS, MAILS = tables(DOMAIN / "status.md")
OPENED, CLOSED = tables(DOMAIN / "account-life.md")
CALLS = [("1000", "0.002"), (None, "0.0015")]


# -- prices


@pytest.mark.parametrize("row", WORKED, ids=lambda row: f"{row['price']}: {row['after']}")
def test_each_model_charges_what_the_page_says(row: dict[str, str]) -> None:
    amount = Rating(published("calls", row["price"]).price).amount

    before, after = amount(money(row["quantity before"])), amount(money(row["after"]))

    assert (before, after) == (money(row["P before"]), money(row["P after"]))
    assert after - before == money(row["charge"])


def test_every_model_is_worked_out() -> None:
    assert {published("calls", row["price"]).price.model for row in WORKED} == set(PriceModel)


def test_halves_are_rounded_as_by_hand() -> None:
    amount = Rating(price("0.000000000001").price).amount

    for row in HALVES:
        before, after = amount(money(row["quantity before"])), amount(money(row["after"]))
        assert after == money(row["P after, half-even"])
        assert after - before == money(row["charge"])


def test_each_version_counts_for_itself_as_by_hand() -> None:
    sixteenth = at("2025-01-16")
    lane = Lane(
        published("calls", "graduated 0.10 up to 5, then 0.01"),
        published("calls", "graduated 0.10 up to 5, then 0.02", more="v2 from 2025-01-16"),
        settings(),
        tick(sixteenth),
    )

    for row in VERSIONS:
        day = at(f"2025-01-{row['occurred on the'][:2]}")
        lane.send(usage(row["usage"].split(",")[0], when=day, read=sixteenth))
        entry = lane.entries[-1]

        assert str(entry.price_version) == row["version"]
        assert -entry.amount == money(row["charge"])
        counted = lane.account().rows[month("2025-01"), "calls", int(row["version"]), None]
        assert counted.quantity == money(row["after"])


def test_a_late_price_counts_from_when_it_arrives() -> None:
    lane = Lane(price("0.10"), settings(), tick(START))
    late = published("calls", "0.20 each", more="v2 from 2025-01-10 marked late")

    for row in LATE:
        read, occurred = (at(f"2025-01-10 {row[name]}") for name in ("arrives", "occurred"))
        if row["version"] == "2":
            lane.send(late)
        lane.send(usage(1, when=occurred, read=read))

        assert str(lane.entries[-1].price_version) == row["version"]
        assert -lane.entries[-1].amount == money(row["charge"])


# -- periods


def test_late_usage_costs_what_the_page_says_and_is_a_late_line() -> None:
    lane = Lane(
        price(meter="api-calls", model=PriceModel.GRADUATED, tiers=CALLS), settings(), tick(at("2025-01-01"))
    )
    lane.send(usage(800, meter="api-calls", when=at("2025-01-10")))
    lane.tick("2025-02-01 01:00")
    lane.tick("2025-02-03")

    lane.send(usage(300, meter="api-calls", when=at("2025-01-31"), read=at("2025-02-03")))
    lane.send(usage(10, meter="api-calls", when=at("2025-02-03")))
    lane.tick("2025-03-01 01:00")

    january, february = lane.invoices
    assert january.charges == money("1.6")
    assert [(line.month - february.period, line.amount) for line in february.lines] == [
        (0, money("0.02")),
        (-1, money("0.55")),
    ]


# -- payments


def kind_of(cell: str) -> PaymentKind:
    return PaymentKind(cell.strip("`"))


def test_every_kind_of_payment_is_in_the_table() -> None:
    kinds = [kind_of(word) for row in KINDS for word in row["kind"].split(", ")]

    assert kinds == [
        *(PaymentKind.SUCCEEDED, PaymentKind.REFUNDED, PaymentKind.DISPUTED, PaymentKind.DISPUTE_WON),
        *(PaymentKind.RETURNED, PaymentKind.FAILED, PaymentKind.REQUIRES_ACTION),
        *(PaymentKind.UNAVAILABLE, PaymentKind.REFUSED, PaymentKind.CANCELLED),
    ]
    assert set(kinds) == set(PaymentKind)


def test_one_payment_goes_as_by_hand() -> None:
    lane = Lane(settings(), tick(START))

    for row in PAYMENT:
        reference = row["reference"] or None
        event = pay(minor_of(row["amount"]), id="p1", kind=kind_of(row["event"]), reference=reference)
        outcome = lane.send(event)

        balance, _, note = row["balance after"].partition(", ")
        assert lane.account().balance == money(balance), row
        assert {"": Outcome.APPLIED, "a duplicate": Outcome.DUPLICATE}.get(note) is (
            None if isinstance(outcome, Rejected) else outcome
        ), row
        payment = lane.shelves.payments.get("acme", "p1")
        assert payment is not None
        won = sum(t.amount for t in payment.taken if t.kind == PaymentKind.DISPUTE_WON)
        taken = sum(t.amount for t in payment.taken if t.kind != PaymentKind.DISPUTE_WON)
        assert payment.paid - taken + won == money(row["may still be taken back"]), row


def test_a_reversal_leaves_what_the_others_cost_as_by_hand() -> None:
    lane = Lane(published("calls", "graduated 0.10 up to 5, then 0.01"), settings(), tick(START))
    a, b = usage(5), usage(3)

    for row, event in zip(REVERSAL, (a, b, reverse(a)), strict=True):
        lane.send(event)

        (counted,) = lane.account().rows.values()
        assert counted.quantity == money(row["quantity after"])
        assert counted.amount == money(row["P after"])
        assert lane.account().balance == money(row["balance"])


# -- status


def test_the_status_follows_the_balance_as_by_hand() -> None:
    lane = Lane(settings(warning_level_minor=1_000), price("0.01"), tick(START))

    for row in LEVELS:
        missing = minor_of(row["balance"]) - lane.account().balance // money("0.01")
        if missing:
            lane.send(pay(missing) if missing > 0 else usage(-missing))
        assert lane.account().status == row["status"].strip("`"), row


def test_the_page_has_every_status_and_every_mail() -> None:
    mails = {word.strip("` ") for row in MAILS for word in row["mail"].split(",")}

    assert [row["status"].strip("`") for row in STATUSES] == ["suspended", "low", "active", "closed"]
    assert mails == {kind.value for kind in NotificationKind}


@pytest.mark.parametrize("row", STATUS_MAILS, ids=lambda row: f"{row['from']} to {row['to']}")
def test_each_change_of_status_is_mailed_as_the_page_says(row: dict[str, str]) -> None:
    befores = ["active", "low", "suspended"] if row["from"] == "any" else words(row["from"])

    for before in befores:
        for after in words(row["to"]):
            lane = standing(before)
            told = len(status_mails(lane))
            change(lane, after)
            lane.tick(START + 3 * DAY)

            expected = [] if row["mail"] == "none" else words(row["mail"])
            assert status_mails(lane)[told:] == expected, (before, after)


def words(cell: str) -> list[str]:
    return [word.strip("`") for word in cell.split(", ")]


def status_mails(lane: Lane) -> list[str]:
    return [mail for mail in lane.mails if mail in {"low_balance", "suspended", "reactivated"}]


BY_SETTINGS = {"active": {}, "low": {"warning_level_minor": 5_000}, "closed": {"closed": True}}


def standing(status: str) -> Lane:
    """Return a lane with an account of 10.00 whose status was told."""
    lane = Lane(settings(), price("1"), tick(START), pay(1_000))
    lane.tick(START + DAY)
    change(lane, status)
    lane.tick(START + 2 * DAY)
    return lane


def change(lane: Lane, status: str) -> None:
    """Bring an account to a status, by settings or, for suspended, by usage."""
    revision = lane.account().revision + 1
    if status == "suspended":
        lane.send(settings(revision))
        lane.send(usage(10))
    else:
        if lane.account().balance <= 0:
            lane.send(pay(1_000))
        lane.send(settings(revision, **BY_SETTINGS[status]))
    assert lane.account().status == status


# -- automatic top-up


@pytest.mark.parametrize(
    ("mode", "taken"), [({}, 10_000), ({"amount_minor": None, "target_minor": 10_000}, 12_000)]
)
def test_a_limit_leaves_what_the_page_says(mode: dict[str, int | None], taken: int) -> None:
    lane = Lane(price("1"), settings(automatic_top_up=auto(monthly_limit_minor=12_000, **mode)))
    lane.send(usage(200))

    lane.tick(START)

    assert [command.amount_minor for command in lane.commands] == [taken]
    lane.send(answer(lane.commands[0], PaymentKind.SUCCEEDED))
    lane.tick(START + HOUR)
    assert lane.account().top_up.decision == "monthly_limit"
    assert lane.mails.count("monthly_limit_reached") == 1


# -- the life of an account


def test_an_account_opens_as_the_page_says() -> None:
    used, first, now = usage(1), settings(1, tax="0.2"), tick(START)
    before = tick(START, stood={"usage-events": used.origin.offset})
    orders: list[list[Event]] = [[used, first, now], [first, used, now], [used, before], [used, now]]

    stands = []
    for events in orders:
        lane = Lane(price("1"), *events)
        account = lane.shelves.accounts.get("acme")
        stands.append("none" if account is None else "`by_default`" if account.by_default else "set up")
    lane.send(settings(1, tax="0.2"))
    stands.append("`by_default`" if lane.account().by_default else "set up")
    charged = lane.account().balance
    lane.send(usage(1))

    assert stands == [row["account"] for row in OPENED]
    assert (charged, lane.account().balance) == (money(-1), money("-2.2"))


def test_an_account_closes_as_by_hand() -> None:
    lane = Lane(price("0.015"), settings(), tick(START), pay(1_000, id="p1"))
    steps: list[Event] = [
        usage(1),
        settings(2, closed=True),
        usage(1),
        pay(996, id="p1", kind=PaymentKind.REFUNDED, reference="r1"),
        tick(at("2025-02-01 01:00")),
    ]

    for row, event in zip(CLOSED, steps, strict=True):
        lane.book.touched()
        lane.send(event)
        lane.work()
        (account,) = lane.book.touched()

        assert account.balance == money(row["balance"])
        left = account.refundable_minor
        assert ("" if left is None else left) == (row["refundable"] and minor_of(row["refundable"])), row
    assert len(lane.invoices) == 2
