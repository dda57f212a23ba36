"""Figures, table, picture and page: medians of right runs, and no number for a wrong one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import page, plot
from bench.figures import WISHES, Line, figures

ABOUT = page.About(
    workload="1,000 usage events",
    machine="2 cores",
    versions="Evergreen 1",
    command="python -m bench",
    date="2025-01-01",
    not_run={"quix": "no uv on this machine"},
)


def line(
    system: str, rate: int | None, cpu: float | None = 10.0, *, correct: bool = True, events: int = 1_000
) -> Line:
    return {
        "system": system,
        "title": f"System {system}",
        "events": events,
        "events_per_s": rate,
        "cpu_s_per_million": cpu,
        "peak_rss_mb": 100,
        "broker_cpu_s": 0.005,
        "others_cores": 0.1,
        "correct": correct,
    }


LINES = [
    line("evergreen", 30_000),
    line("streams", 20_000),
    line("faust", 2_000, events=100),
    line("evergreen", 90_000),
    line("streams", 21_000),
    line("evergreen", 50_000),
    line("streams", None, None, correct=False),
    line("raw", None, None, correct=False),
]


def test_a_system_is_told_by_the_median_of_its_right_runs():
    ours, streams, *_ = figures(LINES)

    assert ours.rate is not None
    assert (ours.rate.median, ours.rate.least, ours.rate.most) == (50_000, 30_000, 90_000)
    assert (streams.runs, streams.right) == (3, 2)
    assert ours.broker_cpu is not None
    assert ours.broker_cpu.median == 5.0


def test_a_system_without_a_right_run_has_no_number():
    raw = figures(LINES)[-1]

    assert (raw.right, raw.rate, raw.cpu) == (0, None, None)
    assert "| System raw | - | - | - | - | - | 0 of 1 |" in page.table([raw])
    assert "no right run" in plot.svg([raw], "about")


def test_what_is_asked_is_a_ratio_of_medians_and_what_is_not_reached_says_so():
    told = page.wishes(figures(LINES))

    assert "System evergreen to System streams | at least 1 | 2.44 |  |" in told
    assert "System evergreen to System faust | at least 15 | 25.00 |  |" in told
    slow = page.wishes(figures([line("evergreen", 10), line("streams", 20)]))
    assert "| at least 1 | 0.50 | not reached |" in slow
    assert {wish.of for wish in WISHES} >= {"evergreen", "evergreen-job", "evergreen-rocksdb"}


def test_fewer_events_are_told():
    assert "| System faust (100 events) |" in page.table(figures(LINES))


def test_a_page_is_made_anew_between_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(page, "PAGE", tmp_path / "performance.md")
    monkeypatch.setattr(page, "DATA", tmp_path / "performance")
    page.PAGE.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")

    page.keep("2000-10-uniform-1", ABOUT, LINES)
    page.keep("1000-10-uniform-1", ABOUT, LINES)
    page.keep("1000-10-uniform-1", ABOUT, LINES[:2])

    text = page.PAGE.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert text.index("performance/1000-10-uniform-1.svg") < text.index("performance/2000-10-uniform-1.svg")
    assert "Not run: quix, no uv on this machine." in text
    assert len((page.DATA / "1000-10-uniform-1.jsonl").read_text().splitlines()) == 3
    assert json.loads((page.DATA / "2000-10-uniform-1.jsonl").read_text().splitlines()[1]) == LINES[0]


def test_a_picture_is_well_formed_and_says_what_it_shows():
    root = ElementTree.fromstring(plot.svg(figures(LINES), "a < b"))

    svg = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{svg}title") == "One billing job done by each system: a < b"
    assert "System evergreen: 50,000 events a second, 10.0 CPU seconds a million" in root.findtext(
        f"{svg}desc", ""
    )


def test_a_page_without_marks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(page, "PAGE", tmp_path / "performance.md")
    page.PAGE.write_text("nothing\n")

    with pytest.raises(page.PageError):
        page.render()


@pytest.mark.parametrize("module", ["bench", "bench.scale"])
def test_figures_of_a_worker_that_is_not_compiled_stay_off_the_page(module: str) -> None:
    bare = {name: value for name, value in os.environ.items() if name != "BENCH_WORKER_PYTHON"}

    run = subprocess.run(
        [sys.executable, "-m", module, "--page"], env=bare, capture_output=True, text=True, check=False
    )

    assert run.returncode == 2
    assert "figures of the compiled worker" in run.stderr
