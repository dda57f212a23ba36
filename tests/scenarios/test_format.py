"""Tables are read strictly: what is not understood is an error at its line; every word is explained."""

import re
from pathlib import Path

import pytest

from tests.scenarios.align import aligned
from tests.scenarios.run import play
from tests.scenarios.steps import WORDS
from tests.scenarios.table import Scenario, TableError, read, read_text

FOLDER = Path(__file__).parent
README = (FOLDER / "README.md").read_text(encoding="utf-8")
FILES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
HEAD = """## A rule in one sentence

| when | what happens | balance | status | outputs |
| --- | --- | --- | --- | --- |
"""


def scenario(*rows: str, head: str = HEAD) -> Scenario:
    """Return the one scenario of a text."""
    (found,) = read_text(Path("table.md"), head + "\n".join(rows) + "\n")
    return found


def test_a_row_that_differs_is_named_with_what_came_instead() -> None:
    wrong = scenario("| 2025-01-10 | settings 1 | 1 | active | mail suspended |")

    with pytest.raises(AssertionError) as failure:
        play(wrong)

    assert str(failure.value).splitlines() == [
        "table.md:5: settings 1",
        "  missing: mail suspended",
        "  balance 0.00 instead of 1",
        "  status suspended instead of active",
    ]


def test_an_output_that_no_row_names_is_a_failure() -> None:
    silent = scenario("| 2025-01-10 | settings 1 | 0 | suspended | |", "| | payment p1: 1 | 1 | active | |")

    with pytest.raises(AssertionError, match=r"not expected: payment p1 1\.00"):
        play(silent)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("| 2025-01-10 | usages e1: 1 calls | - | - | |", "table.md:5: .*not in the vocabulary"),
        ("| 2025-01-10 | settings 1: taxes 1 | - | - | |", "table.md:5: settings know no 'taxes 1'"),
        ("| 2025-01-10 | payment p1: 1.001 | - | - | |", "table.md:5: 1.001 has too many decimals"),
        ("| 2025-01-10 | command 1.1 fails | - | - | |", "table.md:5: no command 1.1 was made"),
        ("| 2025-13-10 | tick | - | - | |", "table.md:5: .*no moment"),
        ("| | tick | - | - | |", "table.md:5: the first step says when it happens"),
        ("| 2025-01-10 | settings 1 | nothing | suspended | |", "table.md:5: 'nothing' is no balance"),
    ],
)
def test_words_that_are_not_understood_are_an_error_at_their_line(row: str, problem: str) -> None:
    with pytest.raises(TableError, match=problem):
        play(scenario(row))


def test_time_never_goes_back_between_rows() -> None:
    with pytest.raises(TableError, match=r"table\.md:6: 2025-01-09 is before the step above"):
        play(scenario("| 2025-01-10 | look | - | - | |", "| 2025-01-09 | look | - | - | |"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no scenario", "table.md:1: there is no scenario"),
        ("| a | b |\n" + HEAD + "| 2025-01-10 | tick | - | - | |", "table.md:1: a table without a title"),
        (HEAD.replace("A rule in one sentence", "Rule"), "table.md:1: a title is a sentence"),
        (HEAD.replace("status", "state"), "table.md:3: the columns are"),
        (HEAD, "table.md:1: a scenario without a step"),
        (HEAD + "| 2025-01-10 | tick | - | - |", "table.md:5: 4 cells instead of 5"),
        (HEAD + "| 2025-01-10 | tick | - | - | | x", "table.md:5: a row ends with"),
        (HEAD + "| 2025-01-10 | tick | | | |", "table.md:5: a step names balance and status"),
        (HEAD + "| | | 0 | | tick |", "table.md:5: a row without a step"),
        (HEAD + "| 2025-01-10 | tick | - | - | a;;b |", "table.md:5: nothing stands between two"),
        (HEAD + "| 2025-01-10 | tick | - | - | |\n\n| x |", "table.md:7: a scenario has one table"),
        (HEAD + "| 2025-01-10 | tick | - | - | |\n\nDeployment: zone UTC", "table.md:7: one 'Deployment:'"),
        ((HEAD + "| 2025-01-10 | tick | - | - | |\n") * 2, "table.md:1: two scenarios are called"),
    ],
)
def test_a_table_that_is_not_one_is_an_error_at_its_line(text: str, problem: str) -> None:
    with pytest.raises(TableError, match=problem):
        read_text(Path("table.md"), text)


def test_a_deployment_that_is_not_known_is_an_error() -> None:
    head = HEAD.replace("sentence\n", "sentence\n\nDeployment: gray 2 hours\n")

    with pytest.raises(TableError, match="a deployment has no 'gray 2 hours'"):
        play(scenario("| 2025-01-10 | tick | - | - | |", head=head))


def test_every_word_of_the_vocabulary_is_explained() -> None:
    for pattern, _ in WORDS:
        first = re.sub(r"\(\?P<\w+>", "(", pattern.pattern).split(" (")[0].split("(")[0].strip(": ")
        for word in [first] if first else ["refund", "command", "credit"]:
            assert f"`{word}" in README, f"README.md does not explain {word!r}"


def test_every_bug_that_others_shipped_has_its_scenario() -> None:
    titles = {scenario.title for path in FILES for scenario in read(path)}
    _, _, table = README.partition("## Bugs that others shipped")
    named = [line.split("|")[2].strip() for line in table.splitlines() if line.startswith("|")]

    bugs = named[2:]  # below the columns and their rule

    assert len(bugs) == 15
    assert set(bugs) <= titles


def test_tables_are_aligned() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert aligned(text) == text, f"{path.name}: run python -m tests.scenarios.align"
