"""Rate card files: all that is wrong is told at once, with line, column and field; numbers stay exact."""

from pathlib import Path
from textwrap import indent

import pytest
import typer
from typer.testing import CliRunner

from cli import prices
from producers import publication, rate_card
from producers.rate_card import Card
from producers.records import Record

EXAMPLE = Path(__file__).parents[3] / "docs" / "rate-card.example.yaml"
ONE = 10**12
NOW = 1_717_200_000_000
"""2024-06-01T00:00Z"""
MINUTE = 60_000


def card(*versions: str, meter: str = "calls", currency: str = "USD") -> Card:
    head = f"meters:\n  - meter: {meter}\n    currency: {currency}\n    unit: call\n    versions:\n"
    return rate_card.read(head + "".join(indent(f"- {version}\n", " " * 6) for version in versions))


def version(number: int = 1, valid_from: str = "2024-01-01T00:00Z", more: str = "unit_price: 1") -> str:
    return f"{{version: {number}, valid_from: '{valid_from}', {more}}}"


def problems(found: Card) -> list[str]:
    return [str(problem) for problem in found.problems]


def only(found: Card) -> Record:
    assert problems(found) == []
    (listed,) = found.prices
    return listed.record


def test_the_example_has_no_errors_and_every_model() -> None:
    found = rate_card.read(EXAMPLE.read_text())

    assert problems(found) == []
    assert {listed.record["model"] for listed in found.prices} == {
        "per_unit",
        "graduated",
        "volume",
        "package",
    }


def test_decimals_are_read_to_the_last_digit() -> None:
    found = only(card(version(more="unit_price: 12345678901234.000000000001")))

    assert found["tiers"] == [{"up_to": None, "unit_price": 12345678901234 * ONE + 1}]


def test_per_unit_is_the_model_where_none_is_named_and_nothing_is_late_by_itself() -> None:
    found = only(card(version()))

    assert (found["model"], found["late"], found["free_allowance"]) == ("per_unit", False, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (version(more="unit_price: 0.0000000000001"), "more than 12 decimal places"),
        (version(more="unit_price: -1"), "-1 is negative"),
        (version(more="unit_price: nan"), "is not a finite number"),
        (version(more="unit_price:"), "has no value"),
        (version(more="unit_price: [1]"), "must be a single value"),
        (version(valid_from="2024-01-01"), "has no time zone"),
        (version(valid_from="soon"), "is not an ISO 8601 time"),
        (version(valid_from="9999-01-01T00:00Z"), "outside the calendar"),
        (version(more="unit_price: 1, late: yes"), "'yes' is neither true nor false"),
        (version(more="unit_price: 1, model: tiered"), "'tiered' is none of per_unit, graduated"),
        (version(more="unit_price: 1, price: 2"), "price: is no field of this file"),
        (version(more="unit_prise: 1"), "did you mean unit_price?"),
        (version(more="unit_price: 1, unit_price: 2"), "is given twice, first in line 6"),
        (version(more="late: true"), "unit_price is missing"),
        (version(more="unit_price: 1, tiers: [{unit_price: 1}]"), "either unit_price or tiers"),
        (version(more="model: volume, unit_price: 1"), "a volume price needs tiers"),
        (version(more="model: package, unit_price: 1"), "package_size is missing"),
        (version(more="unit_price: 1, package_size: 5"), "belongs to a package price"),
        (version(more="model: package, package_size: 0, unit_price: 1"), "0 is not positive"),
        (version(more="unit_price: 1, free_allowance: -1"), "-1 is negative"),
        (version(more="model: graduated, tiers: []"), "at least one tier"),
        (version(more="tiers: [{up_to: 1, unit_price: 1}, {unit_price: 2}]"), "exactly one tier, not 2"),
        (version(more="model: volume, tiers: [{up_to: 5, unit_price: 1}]"), "the last tier has none"),
        (version(more="model: volume, tiers: [{unit_price: 1}, {unit_price: 1}]"), "up_to is missing"),
        (
            version(more="model: volume, tiers: [{up_to: 5, unit_price: 1}, {up_to: 5, unit_price: 1}, {}]"),
            "must be above the tier before (line 6)",
        ),
        ("{version: 1.5, valid_from: '2024-01-01T00:00Z', unit_price: 1}", "'1.5' is not a whole number"),
        ("{version: 0, valid_from: '2024-01-01T00:00Z', unit_price: 1}", "0 is less than 1"),
        ("{version: 1, unit_price: 1}", "meters[0].versions[0].valid_from: is missing"),
        ("nothing", "must have the fields version, valid_from"),
        ("&a {version: 1}", "anchors and aliases are not allowed"),
        ("!!str 1", "tags are not allowed"),
    ],
)
def test_a_mistake_is_refused_with_its_place(text: str, said: str) -> None:
    found = card(text)

    assert found.prices == ()
    assert any(said in problem for problem in problems(found)), problems(found)
    assert all(problem.startswith("6:") for problem in problems(found))


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    found = card(
        version(more="unit_price: x"), version(1, "2023-01-01T00:00Z", "unit_price: y"), currency="XYZ"
    )

    assert [problem.split(":")[0] for problem in problems(found)] == ["3", "6", "7", "7", "7"]
    assert problems(found)[0] == "3:15: meters[0].currency: 'XYZ' is no ISO 4217 currency"


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (version(2), version(1), "1 must be above the one before it, 2"),
        (version(1), version(1), "1 must be above the one before it, 1"),
        (version(1), version(2, "2023-12-31T00:00Z"), "must not be before the version before it is valid"),
    ],
)
def test_versions_rise(first: str, second: str, said: str) -> None:
    (problem,) = problems(card(first, second))

    assert said in problem


def test_a_version_may_replace_the_one_before_it_from_the_same_moment() -> None:
    assert problems(card(version(1), version(2))) == []


def test_a_meter_may_stand_once_in_each_currency() -> None:
    head = "  - {{meter: m, currency: {}, unit: u, versions: [{}]}}\n"
    twice = (
        "meters:\n"
        + head.format("USD", version())
        + head.format("EUR", version())
        + head.format("USD", version())
    )

    assert problems(rate_card.read(twice)) == ["4:5: meters[2]: m in USD is given twice, first in line 2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the file is empty"),
        ("meters: []", "1:1: meters: is empty"),
        ("- a", "1:1: must have the fields meters"),
        ("meters: [\n  a: b", "2:"),
        ("meters:\n  - \x07", "2:5: character '\\x07' is not allowed"),
        ("a: 1\n---\nb: 2", "2:1: "),
        ("[" * 1_500, "is nested too deeply"),
    ],
)
def test_what_is_no_rate_card_is_refused_as_a_whole(text: str, said: str) -> None:
    found = rate_card.read(text)

    assert found.prices == ()
    assert any(said in problem for problem in problems(found)), problems(found)


@pytest.mark.parametrize(
    ("minutes", "late", "told"), [(9, False, 1), (10, False, 0), (9, True, 0), (-9, False, 1)]
)
def test_a_price_that_is_valid_in_less_than_ten_minutes_must_be_marked_late(
    minutes: int, late: bool, told: int
) -> None:
    found = card(version(more=f"unit_price: 1, late: {str(late).lower()}", valid_from="2024-06-01T00:00Z"))

    said = rate_card.notice(found.prices, NOW - minutes * MINUTE, manual_clock=False)
    manual = rate_card.notice(found.prices, NOW - minutes * MINUTE, manual_clock=True)

    assert [problem.is_warning for problem in said] == [False] * told
    assert [problem.is_warning for problem in manual] == [True] * told


# -- what publishing means


def published(*records: tuple[int, int, Record], refused: tuple[tuple[int, int], ...] = ()):
    return publication.published(records, refused)


def test_a_version_that_stands_is_left_out_a_new_one_is_sent_a_changed_one_is_refused() -> None:
    one, two = (listed.record for listed in card(version(1), version(2)).prices)
    known = published((0, 0, one), (1, 0, one), (0, 1, two), (1, 1, two))

    same = publication.compare(card(version(1), version(2), version(3)).prices, known, 2)
    other = publication.compare(card(version(1, more="unit_price: 2"), version(2)).prices, known, 2)

    assert [listed.record["version"] for listed in same.unchanged] == [1, 2]
    assert [listed.record["version"] for listed in same.to_send] == [3]
    (problem,) = other.problems
    assert "version 1 is published already and never changes (tiers differs)" in problem.text


def test_a_version_that_only_some_lanes_have_is_sent_again() -> None:
    one = only(card(version(1)))

    found = publication.compare(card(version(1)).prices, published((1, 7, one)), 2)

    assert [listed.record for listed in found.completed] == [one]


def test_lanes_that_keep_two_contents_of_one_version_are_told() -> None:
    one, other = only(card(version(1))), only(card(version(1, more="unit_price: 2")))

    found = publication.compare(
        card(version(1)).prices, published((0, 0, one), (1, 0, other), (1, 1, one)), 2
    )

    assert "has another content in lane 1" in found.problems[0].text


def test_what_became_a_dead_letter_is_no_price() -> None:
    early, late = only(card(version(1))), only(card(version(1, more="unit_price: 1, late: true")))
    known = published((0, 0, early), (0, 1, late), refused=((0, 0),))

    assert publication.compare(card(version(1, more="unit_price: 1, late: true")).prices, known, 1).unchanged


def test_a_new_version_must_follow_those_that_are_published() -> None:
    known = published((0, 0, only(card(version(5, "2024-03-01T00:00Z")))))

    lower = publication.compare(card(version(4)).prices, known, 1)
    earlier = publication.compare(card(version(6)).prices, known, 1)

    assert "give it version 6" in lower.problems[0].text
    assert "would be valid before version 5" in earlier.problems[0].text


def test_of_two_prices_from_the_same_moment_the_higher_version_is_in_force() -> None:
    one, two = (listed.record for listed in card(version(1), version(2)).prices)
    known = published((0, 0, one), (0, 1, two))

    assert publication.in_force(known, one["valid_from"]) == [two]
    assert publication.in_force(known, one["valid_from"] - 1) == []


# -- the command


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.delenv("EVERGREEN_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return prices.app


def test_check_needs_no_broker_and_shows_what_each_price_charges(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["check", str(EXAMPLE)])

    assert result.exit_code == 0, result.output
    for words in ("260.75", "0.35 per begun 1,000 e-mails", "first 5,000 call free", "5 prices, no errors"):
        assert words in result.stdout


def test_check_tells_every_error_with_file_line_and_column_and_exits_with_1(
    app: typer.Typer, tmp_path: Path
) -> None:
    file = tmp_path / "card.yaml"
    file.write_text("meters:\n  - {meter: m, currency: USD, unit: u, versions: [{version: x}]}\n")

    result = CliRunner().invoke(app, ["check", str(file)])

    assert result.exit_code == 1
    first, *_, last = result.stderr.splitlines()
    assert first.startswith(f"{file}:2:")
    assert last == f"evergreen: {file} has 3 errors: nothing is published from it"


def test_a_file_that_cannot_be_read_is_one_line(app: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"meters: \xe9")

    missing = CliRunner().invoke(app, ["check", str(tmp_path / "nowhere.yaml")])
    latin = CliRunner().invoke(app, ["check", str(tmp_path / "latin.yaml")])

    assert (missing.exit_code, latin.exit_code) == (1, 1)
    assert "No such file" in missing.stderr
    assert "is not in UTF-8" in latin.stderr
