"""FOCUS files as prices, usage and adjustments: exact, the same bytes each time, every row accounted for."""

import csv
from collections import defaultdict
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from io import StringIO
from pathlib import Path

import pytest

from producers import focus
from producers.emissions import Encoder
from producers.focus import Adjusted, FocusError, Import, Reason, Row, Skipped, Used
from producers.focus_report import Report
from schemas.wire import fixed

SAMPLE = Path(__file__).parents[3] / "data" / "focus" / "focus_sample_500.csv"
TINY = Decimal("1e-12")
ENCODER = Encoder(fixed())


def row(**changes: str) -> Row:
    return {
        "SubAccountId": "acme",
        "ChargeCategory": "Usage",
        "ChargeClass": "NULL",
        "BillingCurrency": "USD",
        "BillingPeriodStart": "2024-09-01 00:00:00",
        "ChargePeriodStart": "2024-09-18 22:00:00",
        "PricingQuantity": "2.00000000000",
        "PricingUnit": "GB",
        "ListUnitPrice": "0.085",
        "BilledCost": "0.17",
        "ProviderName": "AWS",
        "SkuId": "SKU",
        "SkuPriceId": "SKU.PRICE",
        "ChargeDescription": "traffic",
        **changes,
    }


def report_of(planned: Import) -> Report:
    report = Report(prices=len(planned.prices))
    for outcome in planned.outcomes:
        report.add(outcome)
    return report


def used(planned: Import) -> list[Used]:
    return [outcome for outcome in planned.outcomes if isinstance(outcome, Used)]


def payload(planned: Import) -> list[bytes | None]:
    made = [ENCODER.price(price).value for price in planned.prices]
    for outcome in planned.outcomes:
        match outcome:
            case Used():
                made.append(ENCODER.usage(outcome.usage).value)
            case Adjusted():
                made.append(ENCODER.adjustment(outcome.adjustment).value)
    return made


@pytest.fixture(scope="module")
def sample() -> Import:
    return focus.plan(list(focus.rows_of(SAMPLE)))


def test_the_sample_costs_what_an_independent_sum_over_its_rows_says(sample: Import) -> None:
    with SAMPLE.open(encoding="utf-8", newline="") as file, localcontext() as context:
        context.prec = 60
        sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for line in csv.DictReader(file):
            if line["ChargeCategory"] == "Usage":
                cost = Decimal(line["PricingQuantity"]) * Decimal(line["ListUnitPrice"])
                sums[line["SubAccountId"], line["SkuPriceId"]] += cost
        total = sum(cost.quantize(TINY, ROUND_HALF_EVEN) for cost in sums.values())

        unit_prices = {p["meter"]: Decimal(p["tiers"][0]["unit_price"]) * TINY for p in sample.prices}
        planned: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for outcome in used(sample):
            usage = outcome.usage
            planned[usage["account_id"], usage["meter"]] += (
                Decimal(usage["quantity"]) * TINY * unit_prices[usage["meter"]]
            )
        planned_total = sum(cost.quantize(TINY, ROUND_HALF_EVEN) for cost in planned.values())

    assert str(total) == str(planned_total) == "8.744772764808"
    assert len(sums) == len(planned) == 279


def test_the_report_of_the_sample_accounts_for_every_row(sample: Import) -> None:
    report = report_of(sample)

    assert (report.rows, report.used, report.credits, report.debits, report.skipped) == (500, 499, 1, 0, {})
    assert (report.prices, report.pairs, len(report.accounts)) == (168, 279, 58)
    assert report.charges == 8_744_772_764_808


def test_the_credit_of_the_sample_is_an_adjustment_by_its_billed_cost(sample: Import) -> None:
    (credit,) = [o.adjustment for o in sample.outcomes if isinstance(o, Adjusted)]

    assert (credit["account_id"], credit["kind"], credit["amount"]) == (
        "11353890204",
        "credit",
        2_613_700_000_000,
    )


def test_the_same_file_again_is_the_same_bytes(sample: Import) -> None:
    again = focus.plan(list(focus.rows_of(SAMPLE)))

    assert payload(again) == payload(sample)


def test_no_two_rows_of_a_file_share_an_id(sample: Import) -> None:
    assert len({outcome.usage["event_id"] for outcome in used(sample)}) == 499


def test_equal_rows_are_events_of_their_own_and_keep_their_ids_next_time() -> None:
    first, second = used(focus.plan([row(), row()]))
    alone = used(focus.plan([row()]))

    assert first.usage["event_id"] != second.usage["event_id"]
    assert first == alone[0]


def test_the_order_of_columns_does_not_change_an_id() -> None:
    turned = dict(reversed(list(row().items())))

    assert focus.plan([turned]) == focus.plan([row()])


def test_a_price_is_valid_from_its_billing_period_and_late() -> None:
    (price,) = focus.plan([row()]).prices

    assert (price["meter"], price["unit"], price["version"]) == ("SKU.PRICE", "GB", 202409010000)
    assert (price["valid_from"], price["late"]) == (1_725_148_800_000, True)
    assert price["tiers"] == [{"up_to": None, "unit_price": 85_000_000_000}]


@pytest.mark.parametrize(
    ("columns", "meter"),
    [
        ({}, "SKU.PRICE"),
        ({"SkuPriceId": "NULL"}, "SKU"),
        ({"SkuPriceId": "", "SkuId": ""}, "traffic"),
    ],
)
def test_the_meter_is_the_first_name_that_the_row_has(columns: dict[str, str], meter: str) -> None:
    (outcome,) = used(focus.plan([row(**columns)]))

    assert outcome.usage["meter"] == meter


def test_several_prices_of_one_sku_in_a_period_are_several_meters() -> None:
    rows = [row(), row(ListUnitPrice="0.0900"), row(ListUnitPrice="0.09", PricingUnit="TB")]

    planned = focus.plan(rows)

    names = ["SKU.PRICE@0.085", "SKU.PRICE@0.09/GB", "SKU.PRICE@0.09/TB"]
    assert [price["meter"] for price in planned.prices] == names
    assert [outcome.usage["meter"] for outcome in used(planned)] == names


def test_prices_of_two_periods_are_two_versions_of_one_meter() -> None:
    october = {"BillingPeriodStart": "2024-10-01T00:00:00Z", "ChargePeriodStart": "2024-10-02T00:00:00Z"}

    planned = focus.plan([row(), row(ListUnitPrice="0.09", **october)])

    assert [(p["meter"], p["version"]) for p in planned.prices] == [
        ("SKU.PRICE", 202409010000),
        ("SKU.PRICE", 202410010000),
    ]


def test_usage_at_a_time_when_the_next_periods_price_is_in_force_is_not_charged_wrongly() -> None:
    october = {"BillingPeriodStart": "2024-10-01 00:00:00", "ChargePeriodStart": "2024-10-02 00:00:00"}
    stray = row(ChargePeriodStart="2024-10-01 00:00:00")

    planned = focus.plan([stray, row(ListUnitPrice="0.09", **october)])

    assert planned.outcomes[0] == Skipped(1, Reason.OTHER_PRICE)


@pytest.mark.parametrize(
    ("columns", "kind", "amount"),
    [
        ({"ChargeCategory": "Credit", "BilledCost": "-3"}, "credit", 3_000_000_000_000),
        ({"ChargeCategory": "Adjustment", "BilledCost": "0.5"}, "debit", 500_000_000_000),
        ({"ChargeCategory": "Purchase", "BilledCost": "10"}, "debit", 10_000_000_000_000),
        ({"PricingQuantity": "-2", "BilledCost": "-0.17"}, "credit", 170_000_000_000),
        ({"ChargeClass": "Correction"}, "debit", 170_000_000_000),
        ({"ChargePeriodStart": "2024-08-31 23:00:00"}, "debit", 170_000_000_000),
        (
            {"ChargeCategory": "Credit", "BilledCost": "-12345678901234567890123456.123456789012"},
            "credit",
            12345678901234567890123456_123456789012,
        ),
    ],
)
def test_what_is_no_plain_usage_becomes_an_adjustment_by_its_billed_cost(
    columns: dict[str, str], kind: str, amount: int
) -> None:
    (outcome,) = focus.plan([row(**columns)]).outcomes

    assert isinstance(outcome, Adjusted)
    assert (outcome.adjustment["kind"], outcome.adjustment["amount"]) == (kind, amount)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"BillingCurrency": "EUR"}, Reason.OTHER_CURRENCY),
        ({"SubAccountId": "NULL"}, Reason.NO_ACCOUNT),
        ({"SkuPriceId": "", "SkuId": "", "ChargeDescription": ""}, Reason.NO_METER),
        ({"PricingQuantity": "NULL"}, Reason.NO_QUANTITY),
        ({"ListUnitPrice": "NULL"}, Reason.NO_PRICE),
        ({"ListUnitPrice": "-1"}, Reason.NEGATIVE_PRICE),
        ({"ChargeCategory": "Credit", "BilledCost": "NULL"}, Reason.NO_COST),
        ({"ChargeCategory": "Credit", "BilledCost": "0.00"}, Reason.NO_MONEY),
        ({"ChargeCategory": "Tax"}, Reason.TAX),
        ({"ChargeCategory": "Magic"}, Reason.UNKNOWN_CATEGORY),
        ({"BillingPeriodStart": "0001-01-01T00:00:00+23:59"}, Reason.UNREADABLE),
        ({"ChargePeriodStart": "9999-12-31T23:59:59Z"}, Reason.UNREADABLE),
        ({"PricingQuantity": "two"}, Reason.UNREADABLE),
        ({"PricingQuantity": "NaN"}, Reason.UNREADABLE),
        ({"PricingQuantity": "0.0000000000001"}, Reason.UNREADABLE),
        ({"ListUnitPrice": "0.0000000000001"}, Reason.UNREADABLE),
        ({"ChargePeriodStart": "NULL"}, Reason.UNREADABLE),
        ({"BillingPeriodStart": "soon"}, Reason.UNREADABLE),
        ({"SubAccountId": "x" * 2_000}, Reason.UNREADABLE),
        ({"SkuPriceId": "x" * 2_000}, Reason.UNREADABLE),
        ({focus.MALFORMED: "more"}, Reason.MALFORMED),
    ],
)
def test_a_row_that_becomes_nothing_is_skipped_with_its_reason_and_number(
    columns: dict[str, str], reason: Reason
) -> None:
    planned = focus.plan([row(), row(**columns)])

    skipped = planned.outcomes[1]
    assert isinstance(skipped, Skipped)
    assert (skipped.row, skipped.reason) == (2, reason)
    assert len(planned.prices) == 1
    assert report_of(planned).rows == 2


def test_a_row_with_too_many_or_too_few_fields_is_malformed() -> None:
    file = StringIO()
    writer = csv.writer(file)
    writer.writerow(row().keys())
    writer.writerow([*row().values(), "more"])
    writer.writerow(list(row().values())[:-1])
    file.seek(0)

    planned = focus.plan(list(focus.read(file)))

    assert report_of(planned).skipped == {Reason.MALFORMED: 2}


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n"])
def test_a_file_without_the_columns_is_no_focus_file(text: str) -> None:
    with pytest.raises(FocusError, match="column SubAccountId is missing"):
        list(focus.read(StringIO(text)))


def test_a_pair_is_rounded_once_and_half_to_even() -> None:
    rows = [row(PricingQuantity="0.000000000001", ListUnitPrice="0.5") for _ in range(3)]

    assert report_of(focus.plan(rows)).charges == 2  # 1.5 of the smallest unit
    assert report_of(focus.plan(rows[:1])).charges == 0  # 0.5
