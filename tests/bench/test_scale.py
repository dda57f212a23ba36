"""Scale: what is said of a run, the page's part, what a deployment needs; and a small run on a real Kafka."""

import json
from pathlib import Path

import pytest

import local
from bench import page as whole_page
from bench import reading
from bench.scale import memory, page, sizing
from bench.scale.deployment import deployed, running, throughput
from bench.scale.measure import Bench, Line, Sizes, line, percentile, slope_per_hour
from bench.scale.measures import MEASURES

ABOUT = page.About(
    machine="2 cores", versions="Evergreen 1", command="python -m bench.scale", date="2025-01-01"
)


def speed(accounts: int, rate: int, *problems: str) -> Line:
    figures = {"events_per_s": rate, "cpu_s_per_million": 20.0, "rss_mb": 100}
    return {"accounts": accounts} | line(f"{accounts:,} accounts", problems, figures)


SPEEDS = [speed(10_000, 50_000), speed(1_000_000, 20_000), speed(10_000, 1, "an event was lost")]


def held(state: str, accounts: int, ids: int, *, account: int, an_id: int) -> Line:
    """A worker that holds 100 MiB, an account so many bytes and an id so many; the same on disk."""
    mb = 100 + (accounts * account + ids * an_id) / 2**20
    about = {"accounts": accounts, "ids": ids, "state": state}
    return about | line(f"{state} {accounts} {ids}", (), {"rss_mb": mb, "disk_mb": mb - 100})


def held_by_all(*, account: int, an_id: int) -> list[Line]:
    return [
        held(state, accounts, ids, account=account, an_id=an_id)
        for state in memory.STATES
        for accounts, ids in ((1_000, 1_000), (1_000, 11_000), (5_000, 5_000))
    ]


def test_a_wrong_run_has_no_number():
    assert SPEEDS[2]["events_per_s"] is None
    assert "| 10,000 accounts | 50,000 | 20.0 | 100 | 1 of 2 |" in page.table(MEASURES["accounts"], SPEEDS)


def test_what_is_asked_and_not_reached_says_so():
    assert "| at least 0.7 | 0.40 | not reached |" in page.asked(MEASURES["accounts"], SPEEDS)


def test_a_percentile_is_a_value_that_was_measured():
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([], 0.5) is None


def test_a_slope_is_told_by_the_hour():
    assert slope_per_hour([(0, 100.0), (10, 101.0), (20, 102.0)]) == pytest.approx(360)
    assert slope_per_hour([(0, 100.0)]) is None


def test_bytes_of_an_account_and_an_id_are_told_apart():
    lines = held_by_all(account=700, an_id=200)

    assert memory.per_unit(lines, sizing.IN_MEMORY, "rss_mb") == pytest.approx((700, 200))
    assert memory.per_unit(lines[:2], sizing.IN_MEMORY, "rss_mb") is None


def test_a_plan_is_worked_out_from_what_was_measured():
    facts = sizing.facts({"accounts": SPEEDS, "memory": held_by_all(account=1_024, an_id=100)})

    assert facts is not None
    assert (facts.accounts, facts.worker_events_per_s) == (1_000_000, 20_000)
    assert facts.worker_mb == pytest.approx(100)
    plan = sizing.plan(facts, events_per_s=100_000, accounts=1_000_000, days=1)
    assert (plan.workers, plan.lanes, plan.ids) == (10, 40, 8_640_000_000)
    assert plan.disk_gb_each == pytest.approx((1_024_000_000 + 864_000_000_000) / 10 / 2**30)


def test_what_rocksdb_gathers_is_counted_once_however_many_ids_there_are():
    held = held_by_all(account=1_024, an_id=100)
    for row in held:
        if row["state"] == sizing.BUILT:
            row["rss_mb"] += row["accounts"] / 10

    facts = sizing.facts({"accounts": SPEEDS, "memory": held})

    assert facts is not None
    assert facts.gathered_mb == pytest.approx(500)
    assert facts.an_id.rocksdb_memory == pytest.approx(100)
    plan = sizing.plan(facts, events_per_s=100_000, accounts=1_000_000, days=1)
    stored = (1_024_000_000 + 864_000_000_000) / 10 / 2**30
    assert plan.memory_gb_each == pytest.approx(stored + (100 + 500) / 1_024)


def test_sizing_without_its_measures_says_so():
    assert "not complete yet" in sizing.sizing({"accounts": SPEEDS})


def test_the_page_has_its_part_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(whole_page, "PAGE", tmp_path / "performance.md")
    monkeypatch.setattr(page, "KEPT", tmp_path / "scale")
    whole_page.PAGE.write_text(f"before\n{page.BEGIN}\nfigures of before\n{page.END}\nafter\n")

    page.keep(MEASURES["accounts"], ABOUT, SPEEDS)
    page.keep(MEASURES["memory"], ABOUT, held_by_all(account=1_024, an_id=100))

    text = whole_page.PAGE.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "figures of before" not in text
    assert text.index("### More accounts") < text.index("### Memory") < text.index("### Sizing")
    assert "| an account | 1,024 | 1,024 | 1,024 |" in text
    assert "For 1,000,000 events/s" in text
    kept = (tmp_path / "scale" / "accounts.jsonl").read_text().splitlines()
    assert json.loads(kept[1]) == SPEEDS[0]


def test_a_small_deployment_is_filled_loaded_and_judged(tmp_path: Path):
    with local.broker(progress=False) as kafka:
        bench = Bench(
            bootstrap_servers=kafka.bootstrap_servers,
            directory=tmp_path,
            sizes=Sizes().small(),
            told=lambda _: None,
        )
        with deployed(bench, "test", 300) as place:
            place.fill(usage_each=1)
            with running(place) as workers:
                place.wait(*workers)
                assert place.problems_of_fill() == []
                figures, problems = throughput(place, workers, 1_000)
                before = sum(reading.ends(place.broker, place.usage_topic).values())
                place.send_at_once(100)
                ends = reading.ends(place.broker, place.usage_topic)  # asked before all markers may be there
                place.wait(*workers)
            assert sum(ends.values()) >= before + 100
            assert problems == []
            assert place.problems(None, 1_301) == ["1700 ledger entries, not 1301"]
    assert figures["events_per_s"] > 0
    assert not list(tmp_path.iterdir())
