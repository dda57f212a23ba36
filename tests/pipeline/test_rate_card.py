"""`evergreen prices publish` on a real broker: a version once for ever, in every lane."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.pipeline.deployment import Deploy, Deployment

pytestmark = pytest.mark.kafka

CARD = """\
meters:
  - meter: api-calls
    currency: USD
    unit: call
    versions:
      - {{version: 1, valid_from: 2024-01-01T00:00Z, late: true, unit_price: 0.01}}
{more}"""
SECOND = "      - {version: 2, valid_from: 2024-06-01T00:00Z, late: true, unit_price: 0.02}\n"


@pytest.fixture
def shop(deploy: Deploy) -> Deployment:
    return deploy()


def card(directory: Path, more: str = "", *, price: str = "0.01") -> str:
    file = directory / "card.yaml"
    file.write_text(CARD.format(more=more).replace("0.01", price))
    return str(file)


def test_a_card_is_published_to_every_lane_once_however_often_it_is_published(
    shop: Deployment, tmp_path: Path
) -> None:
    first = shop.run("prices", "publish", card(tmp_path))
    again = shop.run("prices", "publish", card(tmp_path))
    more = shop.run("prices", "publish", card(tmp_path, SECOND))

    assert (first.returncode, again.returncode, more.returncode) == (0, 0, 0), first.stderr
    assert "1 price published, 0 published before" in first.stdout
    assert "0 prices published, 1 published before" in again.stdout
    assert "api-calls USD version 2, valid from 2024-06-01 00:00 UTC: published" in more.stdout
    found = [(read.partition, read.key) for read in shop.read("prices")]
    assert found == [(lane, f"api-calls/USD/{version}".encode()) for lane in (0, 1) for version in (1, 2)]


def test_a_changed_version_is_refused_with_where_and_why_and_nothing_is_published(
    shop: Deployment, tmp_path: Path
) -> None:
    shop.run("prices", "publish", card(tmp_path))

    refused = shop.run("prices", "publish", card(tmp_path, SECOND, price="0.03"))

    assert refused.returncode == 1
    assert "card.yaml:6:9: meters[0].versions[0]: version 1 is published already and never changes" in (
        refused.stderr
    )
    assert len(shop.read("prices")) == 2


def test_a_dry_run_says_what_would_be_done_and_does_nothing(shop: Deployment, tmp_path: Path) -> None:
    said = shop.run("prices", "publish", "--dry-run", card(tmp_path, SECOND))

    assert said.returncode == 0, said.stderr
    assert "2 prices would be published" in said.stdout
    assert shop.read("prices") == []


def test_a_publication_that_was_cut_off_is_completed(shop: Deployment, tmp_path: Path) -> None:
    shop.run("prices", "publish", card(tmp_path))
    whole = shop.read("prices")
    other = shop.run("prices", "publish", card(tmp_path))
    shop.send("prices", b"api-calls/USD/2", _second(shop), partition=1)
    shop.flush()

    said = shop.run("prices", "publish", card(tmp_path, SECOND))

    assert "0 prices published" in other.stdout
    assert "version 2, valid from 2024-06-01 00:00 UTC: published (some lanes had it)" in said.stdout
    assert {read.partition for read in shop.read("prices") if read.key == b"api-calls/USD/2"} == {0, 1}
    assert len(shop.read("prices")) == len(whole) + 3


def test_what_the_lanes_refused_is_no_price_and_may_be_published_as_it_should_be(
    deploy: Deploy, tmp_path: Path
) -> None:
    shop = deploy()
    shop.worker()
    shop.tick("2024-03-01T00:00Z")
    shop.emit.emit(shop.emit.encoder.price(shop.schemas.decode(_second(shop), "price")[1] | {"late": False}))
    shop.tick("2024-07-01T00:00Z")
    late = shop.schemas.decode(_second(shop), "price")[1] | {"version": 1, "late": False, "valid_from": 0}
    shop.emit.emit(shop.emit.encoder.price(late))
    shop.settle()

    said = shop.run("prices", "publish", card(tmp_path))

    assert [letter["reason"] for letter in shop.records("dead-letters")] == ["late_price", "late_price"]
    assert said.returncode == 1  # version 2 stands already
    assert (
        "version 1 is new, but 2 of api-calls in USD is published already: give it version 3" in said.stderr
    )


def test_list_shows_what_is_in_force_at_a_time(shop: Deployment, tmp_path: Path) -> None:
    shop.run("prices", "publish", card(tmp_path, SECOND))

    before = shop.run("prices", "list", "--at", "2024-05-31T23:59Z")
    after = shop.run("prices", "list", "--at", "2024-06-01T00:00Z")
    never = shop.run("prices", "list", "--at", "2023-12-31T00:00Z")
    shop.emit.tick("2024-02-01T00:00Z")
    shop.flush()
    now = shop.run("prices", "list")

    assert "0.01 per call" in before.stdout
    assert "0.02" not in before.stdout
    assert "0.02 per call" in after.stdout
    assert "no price in force at 2023-12-31 00:00 UTC" in never.stdout
    assert "in force at 2024-02-01 00:00 UTC" in now.stdout
    assert "version 1" in now.stdout


def test_a_new_price_that_is_valid_at_once_must_say_so_but_a_published_one_may_grow_old(
    deploy: Deploy, tmp_path: Path
) -> None:
    shop = deploy(clock="auto")
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat(timespec="seconds")
    line = f"      - {{version: 2, valid_from: '{soon}', unit_price: 0.02}}\n"
    shop.run("prices", "publish", card(tmp_path))

    refused = shop.run("prices", "publish", card(tmp_path, line))
    shop.emit.emit(shop.emit.encoder.price(shop.schemas.decode(_second(shop), "price")[1] | {"late": False}))
    shop.flush()
    grown = shop.run("prices", "check", card(tmp_path, SECOND.replace("late: true, ", "")))

    assert refused.returncode == 1
    assert "versions[1].valid_from" in refused.stderr
    assert "must be marked late: true" in refused.stderr
    assert (grown.returncode, grown.stderr) == (0, "")


def _second(shop: Deployment) -> bytes:
    return shop.schemas.codec("price").encode(
        {
            "meter": "api-calls",
            "currency": "USD",
            "version": 2,
            "unit": "call",
            "valid_from": 1_717_200_000_000,
            "late": True,
            "model": "per_unit",
            "tiers": [{"up_to": None, "unit_price": 20_000_000_000}],
            "package_size": None,
            "free_allowance": None,
        }
    )
