"""Whatever a file holds, the importers say what they made of it or what is wrong; nothing else is raised."""

import csv
import io
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from producers import focus, rate_card
from producers.rate_card import Problem

ROOT = Path(__file__).parents[3]
SAMPLE = (ROOT / "data/focus/focus_sample_500.csv").read_text(encoding="utf-8-sig")
CARD = (ROOT / "docs/rate-card.example.yaml").read_text(encoding="utf-8")
HEADER, *ROWS = list(csv.reader(io.StringIO(SAMPLE)))
VALUES = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["NaN", "-Infinity", "1e999999", "-0", "1E-30", "9" * 60, "0000-00-00", "9999-12-31T23:59Z"]
    ),
    st.sampled_from(["0001-01-01T00:00:00+23:59", "NULL", "", "Usage", "Credit", "\0malformed", "1_0", "٣"]),
)
Edits = st.lists(st.tuples(st.integers(0, len(HEADER) - 1), VALUES), max_size=4)


def read_or_refused(text: str) -> None:
    """Import a text as the command does: an outcome for each row, or one line for the file."""
    try:
        rows = list(focus.read(io.StringIO(text)))
    except focus.FocusError as e:
        refusal = str(e)
    else:
        refusal = ""
        assert len(focus.plan(rows).outcomes) == len(rows)
    assert "\n" not in refusal


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ROWS), Edits), min_size=1, max_size=4))
def test_each_row_of_a_focus_file_is_one_outcome_whatever_its_columns_hold(
    rows: list[tuple[list[str], list[tuple[int, str]]]],
) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEADER)
    for row, edits in rows:
        changed = list(row)
        for at, value in edits:
            changed[at] = value
        writer.writerow(changed)

    read_or_refused(out.getvalue())


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 3_000), st.text(max_size=6), st.integers(0, 6))
def test_a_focus_file_with_anything_written_into_it_is_read_or_refused(at: int, text: str, cut: int) -> None:
    start = SAMPLE[:6_000]

    read_or_refused(start[:at] + text + start[at + cut :])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(CARD)), st.text(max_size=6), st.integers(0, 20))
@example(0, "\t", 0)
@example(0, "&a [*a]", len(CARD))
@example(0, "{{{{[[[[", 0)
def test_a_rate_card_with_anything_written_into_it_is_read_or_told_what_is_wrong(
    at: int, text: str, cut: int
) -> None:
    found = rate_card.read(CARD[:at] + text + CARD[at + cut :])

    assert all(isinstance(problem, Problem) and problem.line >= 1 for problem in found.problems)
    assert found.prices or found.problems
