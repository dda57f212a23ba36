"""The report of the fault tests fails where too little was injected, and where nobody judged."""

from collections import Counter
from pathlib import Path

from tests.faults import report
from tests.faults.report import ASKED, Entry, Kind


def enough() -> Entry:
    return Entry("storm", injected=Counter(ASKED["long"]), verdict="holds")


def test_a_run_that_injected_what_was_asked_lacks_nothing() -> None:
    assert report.lacking([enough()], "long") == []


def test_one_injury_too_few_of_any_kind_is_lacking() -> None:
    for kind, asked in ASKED["long"].items():
        entry = enough()
        entry.injected[kind] -= 1

        assert report.lacking([entry], "long") == [f"{kind}: {asked - 1} of at least {asked}"]


def test_what_several_tests_inject_adds_up() -> None:
    less, rest = enough(), Entry("more", verdict="holds")
    less.injected[Kind.FREEZE] -= 3
    rest.inject(Kind.FREEZE, 3)

    assert report.lacking([less, rest], "long") == []


def test_an_injury_that_nobody_judged_is_lacking() -> None:
    assert report.lacking([enough(), Entry("unjudged", injected=Counter({Kind.CLOCK: 1}))], "long") == [
        "unjudged: no verdict"
    ]


def test_a_run_without_any_test_lacks_everything() -> None:
    assert len(report.lacking([], "short")) == len(ASKED["short"])


def test_percentiles_are_values_that_occurred() -> None:
    seconds = [float(n) for n in range(1, 101)]

    assert [report.percentile(seconds, share) for share in (0.5, 0.95, 1)] == [50, 95, 100]
    assert report.percentile([7.0], 0.95) == 7.0


def test_the_table_has_a_line_for_each_test_and_one_for_all(tmp_path: Path) -> None:
    other = Entry("other", events=5, recoveries=[1.0, 3.0])
    other.inject(Kind.STORE, 2)
    other.verdict = "broken: [8]"

    lines = report.table([enough(), other])
    report.write([enough(), other], "long", tmp_path / "new" / "report.json")

    assert len(lines) == 5
    assert "2 broken stores" in lines[3]
    assert "1.0 / 3.0 / 3.0" in lines[3]
    assert "22 broken stores" in lines[4]
    assert "broken in 1" in lines[4]
    assert '"broken stores": 22' in (tmp_path / "new" / "report.json").read_text()
