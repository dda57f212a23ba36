"""A FOCUS cost file through the whole pipeline: to the pico what an independent sum over its rows says."""

import csv
from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from pathlib import Path

import pytest

from schemas.wire import Record
from tests.pipeline.deployment import Deploy, Deployment

pytestmark = pytest.mark.kafka

SAMPLE = Path(__file__).parents[2] / "data" / "focus" / "focus_sample_500.csv"
TINY = Decimal("1e-12")
OUTPUTS = ("ledger-entries", "invoices", "dead-letters", "notifications", "top-up-commands", "account-status")
Pair = tuple[str, str]


def pico(amount: Decimal) -> int:
    """Return an amount in units of 10^-12; it must be whole."""
    with localcontext(prec=60):
        scaled = amount / TINY
        assert scaled == int(scaled)
        return int(scaled)


@dataclass(frozen=True)
class Expected:
    """What the file says, by Decimal and csv alone."""

    pairs: dict[Pair, int]
    """Account and price to what it costs: quantity times price summed, then rounded half-even."""
    credits: dict[str, int]

    @property
    def accounts(self) -> dict[str, int]:
        """Accounts to what they are charged."""
        sums: Counter[str] = Counter()
        for (account_id, _), amount in self.pairs.items():
            sums[account_id] += amount
        return dict(sums)


def balances_of(deployment: Deployment) -> dict[str, int]:
    """Return the balance of each account."""
    return {record["account_id"]: record["balance"] for record in deployment.records("balances")}


def expected() -> Expected:
    """Return what the rows of the sample add up to."""
    with SAMPLE.open(encoding="utf-8", newline="") as file, localcontext(prec=60):
        exact: dict[Pair, Decimal] = defaultdict(Decimal)
        credited: dict[str, Decimal] = defaultdict(Decimal)
        for row in csv.DictReader(file):
            if row["ChargeCategory"] == "Usage":
                cost = Decimal(row["PricingQuantity"]) * Decimal(row["ListUnitPrice"])
                exact[row["SubAccountId"], row["SkuPriceId"]] += cost
            else:
                credited[row["SubAccountId"]] -= Decimal(row["BilledCost"])
        return Expected(
            pairs={pair: pico(cost.quantize(TINY, ROUND_HALF_EVEN)) for pair, cost in exact.items()},
            credits={account_id: pico(amount) for account_id, amount in credited.items()},
        )


@dataclass
class Imported:
    """The sample imported once, and its month closed."""

    deployment: Deployment
    entries: list[Record]
    invoices: list[Record]
    expected: Expected

    @property
    def charges(self) -> list[Record]:
        """The ledger's charges."""
        return [entry for entry in self.entries if entry["kind"] == "charge"]


@pytest.fixture(scope="module")
def imported(deploy: Deploy) -> Imported:
    deployment = deploy(lanes=3)
    deployment.worker()
    done = deployment.run("import-focus", str(SAMPLE))
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert "8.744772764808 USD" in done.stdout
    deployment.settle()
    ticked = deployment.run("tick", "2024-10-01T02:00Z")
    assert ticked.stdout == "ticked 2024-10-01T02:00Z in 3 lanes\n", ticked.stderr
    deployment.settle()
    return Imported(
        deployment, deployment.records("ledger-entries"), deployment.records("invoices"), expected()
    )


def test_the_sample_is_what_the_tests_say_it_is() -> None:
    said = expected()

    assert (len(said.pairs), len(said.accounts), sum(said.pairs.values())) == (279, 58, 8_744_772_764_808)
    assert list(said.accounts.values()).count(0) == 7


def test_the_charges_of_the_499_usage_rows_add_up_exactly(imported: Imported) -> None:
    assert len(imported.charges) == 499
    assert sum(-entry["amount"] for entry in imported.charges) == 8_744_772_764_808


def test_each_pair_of_account_and_price_costs_its_sum_rounded_once(imported: Imported) -> None:
    charged: Counter[Pair] = Counter()
    for entry in imported.charges:
        charged[entry["account_id"], entry["meter"]] -= entry["amount"]

    assert len(charged) == 279
    assert dict(charged) == imported.expected.pairs


def test_every_sub_account_has_one_september_invoice_equal_to_the_sum_over_its_rows(
    imported: Imported,
) -> None:
    invoiced = {(i["account_id"], i["period"]): i["charges"] for i in imported.invoices}

    assert len(imported.invoices) == len(invoiced) == 58
    assert invoiced == {(a, "2024-09"): cost for a, cost in imported.expected.accounts.items()}
    assert list(invoiced.values()).count(0) == 7


def test_an_invoice_is_a_statement_of_what_was_charged_and_credited(imported: Imported) -> None:
    for invoice in imported.invoices:
        credit = imported.expected.credits.get(invoice["account_id"], 0)

        assert invoice["number"] == f"{invoice['account_id']}-000001"
        assert (invoice["opening"], invoice["tax"], invoice["received"]) == (0, 0, credit)
        assert invoice["closing"] == credit - invoice["charges"]
        assert invoice["charges"] == invoice["charged"] == sum(line["amount"] for line in invoice["lines"])


def test_each_charge_is_on_exactly_one_invoice(imported: Imported) -> None:
    charged: Counter[tuple[str, str, str, int]] = Counter()
    for entry in imported.charges:
        charged[entry["account_id"], entry["period"], entry["meter"], entry["price_version"]] += entry[
            "quantity"
        ]
    invoiced: Counter[tuple[str, str, str, int]] = Counter()
    lines = 0
    for invoice in imported.invoices:
        for line in invoice["lines"]:
            lines += 1
            key = (invoice["account_id"], invoice["period"], line["meter"], line["price_version"])
            invoiced[key] += line["quantity"]

    assert lines == 279
    assert invoiced == charged


def test_all_invariants_hold_after_the_import(imported: Imported) -> None:
    report = imported.deployment.verify()

    assert {c.number: c.verdict for c in report.checks if c.number in {1, 2, 3, 6, 7, 8, 9}} == dict.fromkeys(
        (1, 2, 3, 6, 7, 8, 9), "holds"
    )


def test_the_same_file_again_changes_nothing_and_is_counted(imported: Imported) -> None:
    deployment = imported.deployment
    before = {topic: len(deployment.read(topic)) for topic in OUTPUTS}
    balances = balances_of(deployment)
    duplicates = deployment.journal("duplicate")

    done = deployment.run("import-focus", str(SAMPLE))
    deployment.settle()
    between = {topic: len(deployment.read(topic)) for topic in OUTPUTS}
    deployment.tick("2024-10-02T00:00Z")

    assert done.returncode == 0
    assert between == before
    assert {topic: len(deployment.read(topic)) for topic in OUTPUTS} == before
    assert before["dead-letters"] == 0
    assert deployment.journal("duplicate") == duplicates + 499 + 1 + 168 * deployment.settings.lanes
    assert balances_of(deployment) == balances
    deployment.verify()
