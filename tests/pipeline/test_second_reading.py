"""EVERGREEN_OUTPUT_PREFIX: another reading of inputs, which leaves the deployment they are of as it is."""

import os

import pytest

from streams import topic_admin
from streams.topics import ALL
from tests.pipeline.deployment import Deploy, Deployment, publish_price

pytestmark = pytest.mark.kafka

AGAIN = f"again-{os.getpid()}."


@pytest.fixture(scope="module")
def first(deploy: Deploy) -> Deployment:
    """A deployment that has billed ten events of five accounts, and closed their month."""
    deployment = deploy()
    deployment.worker()
    deployment.tick("2024-09-01T00:00Z")
    publish_price(deployment)
    for number in range(10):
        deployment.emit.usage(
            account_id=f"account-{number % 5}",
            source="test",
            event_id=str(number),
            meter="calls",
            quantity=number + 1,
            occurred_at="2024-09-10T12:00Z",
        )
    deployment.tick("2024-10-01T01:00Z")
    return deployment


def ends(deployment: Deployment) -> dict[str, int]:
    return {topic.name: len(deployment.read(topic.name)) for topic in ALL}


def test_it_bills_the_same_and_writes_nothing_where_it_reads(deploy: Deploy, first: Deployment):
    before = ends(first)
    again = deploy(
        topic_prefix=first.settings.topic_prefix, output_prefix=AGAIN, clock="auto", tick_seconds=0.05
    )

    again.worker()
    again.settle()

    assert ends(first) == before  # nor a tick, although its clock is automatic
    by_account = {b["account_id"]: b["balance"] for b in again.records("balances")}
    assert by_account == {b["account_id"]: b["balance"] for b in first.records("balances")}
    assert len(by_account) == 5
    journal = again.records("lane-journal")
    assert {run["topic"] for entry in journal for run in entry["runs"]} >= {"usage-events", "prices"}
    assert len(again.records("invoices")) == len(first.records("invoices")) == 5


def test_it_takes_no_payments(deploy: Deploy, first: Deployment):
    again = deploy(topic_prefix=first.settings.topic_prefix, output_prefix=AGAIN)

    done = again.run("payments")

    assert done.returncode == 1
    assert done.stderr == "evergreen: EVERGREEN_OUTPUT_PREFIX is set: a second reading takes no payments\n"


def test_it_makes_no_input(first: Deployment):
    wrong = first.settings.model_copy(update={"topic_prefix": "nowhere.", "output_prefix": AGAIN})

    with pytest.raises(topic_admin.TopicsError, match=r"input topic nowhere\.usage-events is missing"):
        topic_admin.create(wrong)

    assert not topic_admin.found(wrong).keys() & {wrong.topic("usage-events"), wrong.topic("prices")}
