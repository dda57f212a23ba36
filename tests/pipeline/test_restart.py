"""What a restart must not change: a month close that was cut off, ids remembered, top-ups made."""

from collections import Counter
from dataclasses import dataclass

import pytest

from consumers.sandbox import Sandbox
from producers.records import AutomaticTopUp, Consent
from schemas.wire import Record
from tests.pipeline.deployment import Deploy, Deployment, publish_price, until

pytestmark = pytest.mark.kafka

ACCOUNTS = 3_000
SEPTEMBER = "2024-09-10T12:00Z"
CLOSE = "2024-10-01T01:00Z"


def use(deployment: Deployment, account_id: str, event_id: str, quantity: int = 7) -> None:
    deployment.emit.usage(
        account_id=account_id,
        source="test",
        event_id=event_id,
        meter="calls",
        quantity=quantity,
        occurred_at=SEPTEMBER,
    )


@pytest.fixture(scope="module")
def closing(deploy: Deploy) -> Deployment:
    """A deployment whose worker was killed in the middle of a month close, and started again."""
    deployment = deploy()
    worker = deployment.worker("one")
    publish_price(deployment)
    for number in range(ACCOUNTS):
        account_id = f"account-{number}"
        deployment.emit.settings(
            account_id=account_id,
            revision=1,
            currency="USD",
            zone="UTC",
            changed_at=SEPTEMBER,
            changed_by="test",
        )
        use(deployment, account_id, "only")
    deployment.tick("2024-09-30T00:00Z")
    assert deployment.journal("applied") == 2 * ACCOUNTS + 2 * deployment.settings.lanes

    deployment.emit.tick(CLOSE)
    deployment.flush()
    until(lambda: deployment.read("invoices"), "the first invoices")
    worker.kill()
    assert 0 < len(deployment.read("invoices")) < ACCOUNTS, "killed in the middle of the sweep"

    deployment.worker("one")
    return deployment


def test_a_month_close_that_was_cut_off_is_finished_with_one_invoice_an_account(closing: Deployment) -> None:
    closing.settle()

    invoices = closing.records("invoices")
    assert Counter(i["account_id"] for i in invoices) == {f"account-{n}": 1 for n in range(ACCOUNTS)}
    assert {i["number"].removeprefix(i["account_id"]) for i in invoices} == {"-000001"}
    assert {(i["period"], i["charges"]) for i in invoices} == {("2024-09", 70_000_000_000)}


def test_the_documents_of_a_close_carry_one_date_whoever_wrote_them(closing: Deployment) -> None:
    closing.settle()

    assert {i["issued_at"] for i in closing.records("invoices")} == {1_727_744_400_000}
    closing.verify()


@dataclass
class Paying:
    """A deployment whose customers are topped up automatically, and what stood before a clean restart."""

    deployment: Deployment
    accounts: list[str]
    before: dict[str, list[Record]]
    exit_code: int


WATCHED = ("ledger-entries", "top-up-commands", "payment-events", "dead-letters", "notifications")


def sent_again(deployment: Deployment, accounts: list[str]) -> None:
    """Send what the emitters send, the same each time."""
    for account_id in accounts:
        deployment.emit.settings(
            account_id=account_id,
            revision=1,
            currency="USD",
            zone="UTC",
            changed_at=SEPTEMBER,
            changed_by="test",
            automatic_top_up=AutomaticTopUp(
                threshold_minor=1_000,
                amount_minor=2_500,
                payment_method_ref="card-1",
                consent=Consent(given_by="user-1", given_at=SEPTEMBER, text_version="1"),
            ),
        )
        for number in range(5):
            use(deployment, account_id, f"event-{number}", quantity=100)
        deployment.emit.payment(
            account_id=account_id,
            payment_id=f"paid-by-{account_id}",
            kind="succeeded",
            amount_minor=100,
            currency="USD",
            occurred_at=SEPTEMBER,
        )
        deployment.emit.adjustment(
            account_id=account_id,
            adjustment_id="goodwill-1",
            kind="credit",
            currency="USD",
            amount="0.01",
            reason="sorry",
            author="test",
            occurred_at=SEPTEMBER,
        )


@pytest.fixture(scope="module")
def paying(deploy: Deploy) -> Paying:
    names = [f"account-{n}" for n in range(60)]
    succeeds = [
        n for n in names if Sandbox().charge({"command_id": f"{n}:1:1", "made_at": 0}).kind == "succeeded"
    ]
    deployment = deploy()
    worker = deployment.worker("one")
    deployment.start("payments")
    publish_price(deployment)
    sent_again(deployment, succeeds)
    for moment in ("2024-09-20T00:00Z", "2024-09-20T01:00Z"):  # the second one mails what the first did
        deployment.tick(moment, payments=True)
    before = {topic: deployment.records(topic) for topic in WATCHED}

    exit_code = worker.stop()
    deployment.worker("one")
    deployment.tick("2024-09-20T06:00Z", payments=True)
    sent_again(deployment, succeeds)
    deployment.tick("2024-09-20T12:00Z", payments=True)
    return Paying(deployment, succeeds, before, exit_code)


def test_a_worker_that_is_told_to_stop_ends_in_order(paying: Paying) -> None:
    assert paying.exit_code == 0


def test_every_account_was_topped_up_once_before_the_restart(paying: Paying) -> None:
    commands = Counter((c["account_id"], c["amount_minor"]) for c in paying.before["top-up-commands"])

    assert commands == {(account_id, 2_500): 1 for account_id in paying.accounts}


def test_why_there_was_a_top_up_or_not_is_the_accounts_history(paying: Paying) -> None:
    deployment, account_id = paying.deployment, paying.accounts[0]

    told = [r for r in deployment.records("top-up-decisions") if r["account_id"] == account_id]
    shown = deployment.run("account", "show", account_id).stdout

    assert [decision["decision"] for decision in told] == ["no_time", "pending", "not_needed"]
    assert [words for words in ("no_time", "pending", "not_needed") if words not in shown] == []


def test_after_a_clean_restart_no_top_up_is_repeated(paying: Paying) -> None:
    for topic in ("top-up-commands", "payment-events"):
        sent = [r for r in paying.deployment.records(topic) if topic != "payment-events" or r["command_id"]]
        assert sent == [r for r in paying.before[topic] if topic != "payment-events" or r["command_id"]]


def test_after_a_clean_restart_what_was_sent_before_is_a_duplicate(paying: Paying) -> None:
    deployment = paying.deployment

    assert deployment.journal("duplicate") == len(paying.accounts) * (1 + 5 + 1 + 1)
    for topic in ("ledger-entries", "dead-letters", "notifications"):
        assert deployment.records(topic) == paying.before[topic], topic


def test_after_a_clean_restart_all_invariants_hold(paying: Paying) -> None:
    report = paying.deployment.verify()

    assert "nothing to check" not in {c.verdict for c in report.checks if c.number in {4, 5}}
