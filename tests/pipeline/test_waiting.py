"""Usage that comes before what it needs: it waits, is charged when that comes, and is never lost."""

from collections import Counter
from itertools import count

import pytest

from producers.records import TaxRate, Tier
from schemas.wire import Record
from tests.pipeline.deployment import Deploy, Deployment

pytestmark = pytest.mark.kafka

AT = "2024-09-10T12:00Z"
_hours = count(1)


@pytest.fixture(scope="module")
def deployment(deploy: Deploy) -> Deployment:
    """One worker, a price of the meter calls in USD and EUR, and a first tick."""
    deployment = deploy()
    deployment.worker("one")
    for currency in ("USD", "EUR"):
        price(deployment, "calls", currency=currency)
    deployment.tick("2024-09-11T00:00Z")
    return deployment


def price(deployment: Deployment, meter: str, *, currency: str = "USD") -> None:
    """Publish that one unit costs 0.10."""
    deployment.emit.price(
        meter=meter,
        currency=currency,
        version=1,
        unit="call",
        valid_from="2024-01-01T00:00Z",
        late=True,
        tiers=[Tier(unit_price="0.10")],
    )


def open_account(deployment: Deployment, account_id: str, *, currency: str = "USD") -> None:
    deployment.emit.settings(
        account_id=account_id,
        revision=1,
        currency=currency,
        zone="UTC",
        tax_rates=[TaxRate(rate="0.20", valid_from="2024-01-01T00:00Z")],
        changed_at=AT,
        changed_by="test",
    )


def use(deployment: Deployment, account_id: str, *event_ids: str, meter: str = "calls") -> None:
    for event_id in event_ids:
        deployment.emit.usage(
            account_id=account_id,
            source="test",
            event_id=event_id,
            meter=meter,
            quantity=1,
            occurred_at=AT,
        )


def pay(deployment: Deployment, account_id: str) -> None:
    deployment.emit.payment(
        account_id=account_id,
        payment_id=f"paid-by-{account_id}",
        kind="succeeded",
        amount_minor=500,
        currency="USD",
        occurred_at=AT,
    )


def next_tick(deployment: Deployment) -> None:
    deployment.tick(f"2024-09-11T{next(_hours):02}:00Z")


def entries(deployment: Deployment, prefix: str) -> list[Record]:
    """Return the ledger entries of the accounts whose ids begin so."""
    return [e for e in deployment.records("ledger-entries") if e["account_id"].startswith(prefix)]


def dead(deployment: Deployment, account_id: str) -> list[str]:
    return [d["reason"] for d in deployment.records("dead-letters") if d["account_id"] == account_id]


def test_usage_before_its_accounts_settings_is_charged_by_them_without_a_tick(
    deployment: Deployment,
) -> None:
    use(deployment, "early", "e1", "e2")
    deployment.settle()
    assert entries(deployment, "early") == []

    open_account(deployment, "early", currency="EUR")
    deployment.settle()

    assert [(e["kind"], e["amount"], e["currency"]) for e in entries(deployment, "early")] == [
        ("charge", -100_000_000_000, "EUR"),
        ("tax", -20_000_000_000, "EUR"),
    ] * 2


def test_a_payment_before_its_accounts_settings_waits_too(deployment: Deployment) -> None:
    pay(deployment, "hasty")
    deployment.settle()
    assert entries(deployment, "hasty") == []

    open_account(deployment, "hasty")
    deployment.settle()

    assert [(e["kind"], e["amount"]) for e in entries(deployment, "hasty")] == [("payment", 5 * 10**12)]


def test_usage_before_its_price_is_charged_by_it_without_a_tick(deployment: Deployment) -> None:
    open_account(deployment, "unpriced")
    use(deployment, "unpriced", "u1", meter="new")
    use(deployment, "unpriced", "u2")
    deployment.settle()
    assert [e["event_id"] for e in entries(deployment, "unpriced")] == ["u2", "u2"]

    price(deployment, "new")
    deployment.settle()

    assert [e["event_id"] for e in entries(deployment, "unpriced")] == ["u2", "u2", "u1", "u1"]


def test_usage_that_no_settings_followed_opens_its_account_by_default_at_the_next_tick(
    deployment: Deployment,
) -> None:
    use(deployment, "nobody", "n1")
    deployment.settle()
    assert entries(deployment, "nobody") == []

    next_tick(deployment)

    assert [(e["event_id"], e["currency"]) for e in entries(deployment, "nobody")] == [("n1", "USD")]


def test_usage_that_no_price_followed_dies_at_the_next_tick_and_is_charged_when_sent_again(
    deployment: Deployment,
) -> None:
    open_account(deployment, "patient")
    use(deployment, "patient", "p1", meter="later")
    next_tick(deployment)
    assert dead(deployment, "patient") == ["no_price"]

    price(deployment, "later")
    use(deployment, "patient", "p1", "p1", meter="later")
    deployment.settle()

    assert [e["kind"] for e in entries(deployment, "patient")] == ["charge", "tax"]
    assert dead(deployment, "patient") == ["no_price"]


def test_settings_and_usage_may_race(deployment: Deployment) -> None:
    names = [f"racer-{n}" for n in range(300)]

    for number, name in enumerate(names):
        steps = [
            lambda n=name: open_account(deployment, n, currency="EUR"),
            lambda n=name: use(deployment, n, "r"),
        ]
        for step in steps if number % 2 else reversed(steps):
            step()
    deployment.settle()

    charged = [(e["account_id"], e["kind"], e["currency"]) for e in entries(deployment, "racer-")]
    assert Counter(charged) == {(n, kind, "EUR"): 1 for n in names for kind in ("charge", "tax")}


def test_what_waits_survives_a_kill_and_is_settled_by_the_next_worker(deployment: Deployment) -> None:
    names = [f"survivor-{n}" for n in range(100)]
    open_account(deployment, "survivor-priced")
    use(deployment, "survivor-priced", "s1", meter="coming")
    use(deployment, "survivor-priced", "s2", meter="never")
    for name in names:
        use(deployment, name, "s1")
        pay(deployment, name)
    deployment.settle()
    assert entries(deployment, "survivor-") == []

    deployment.processes[-1].kill()
    worker = deployment.worker("one")
    for name in names:
        use(deployment, name, "s1")
        pay(deployment, name)
    price(deployment, "coming")
    deployment.settle()
    assert [e["event_id"] for e in entries(deployment, "survivor-")] == ["s1", "s1"]
    next_tick(deployment)

    charged = Counter((e["account_id"], e["kind"]) for e in entries(deployment, "survivor-"))
    assert charged == {(n, kind): 1 for n in names for kind in ("charge", "payment")} | {
        ("survivor-priced", "charge"): 1,
        ("survivor-priced", "tax"): 1,
    }
    assert dead(deployment, "survivor-priced") == ["no_price"]
    assert worker.is_alive()


def test_all_invariants_hold_after_all_that_waiting(deployment: Deployment) -> None:
    deployment.verify()
