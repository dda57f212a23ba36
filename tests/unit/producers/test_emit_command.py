"""The commands that emit: what the user can put right is one line on stderr and exit code 1."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli import emit
from cli.focus import import_focus
from cli.simulate import simulate

app = typer.Typer()
app.add_typer(emit.app, name="emit")
app.command()(emit.tick)
app.command()(import_focus)
app.command()(simulate)

SAMPLE = Path(__file__).parents[3] / "data" / "focus" / "focus_sample_500.csv"


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVERGREEN_CLOCK", raising=False)
    monkeypatch.delenv("EVERGREEN_DEFAULT_CURRENCY", raising=False)
    monkeypatch.setenv("EVERGREEN_BOOTSTRAP_SERVERS", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("emit usage --meter m --quantity 1", "--account: is missing"),
        ("emit usage --account a --meter m --quantity 1.0000000000001", "quantity: 1.0000000000001 has more"),
        ("emit usage --account a --meter m --quantity 1 --occurred-at 2024-09-01", "has no time zone"),
        ("emit usage --from-jsonl nowhere.jsonl", "nowhere.jsonl"),
        ("emit payment --account a --payment-id p --kind paid", "kind: 'paid' is none of"),
        ("emit settings --account a --tax-rate 0.19", "write 0.19@2024-01-01T00:00Z"),
        ("emit settings --account a --zone Mars", "zone: 'Mars' is no IANA time zone"),
        ("emit price --meter m --valid-from 2024-09-01T00:00Z", "tiers: are missing"),
        ("emit adjustment --account a --kind reversal", "--usage-source: is missing"),
        ("emit profile --account a", "--name: is missing"),
        ("tick 2024-09-01T00:00Z", "EVERGREEN_CLOCK is not manual"),
        ("simulate", "EVERGREEN_CLOCK is not manual"),
        ("import-focus nowhere.csv", "nowhere.csv"),
        ("import-focus --dry-run /dev/null", "/dev/null: no such file"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.emitter.Emitter.__init__", lambda *_, **__: None)
    monkeypatch.setattr("producers.emitter.Emitter.flush", lambda *_: None)

    result = CliRunner().invoke(app, arguments.split())

    assert result.exit_code == 1, result.output
    assert line in result.stderr
    assert result.stderr.startswith("evergreen: ")
    assert result.stderr.count("\n") == 1


def test_a_dry_run_of_an_import_needs_no_broker_and_accounts_for_every_row() -> None:
    result = CliRunner().invoke(app, ["import-focus", "--dry-run", str(SAMPLE)])

    assert result.exit_code == 0, result.output
    for words in ("499", "279 pairs", "168 prices", "500", "58 accounts", "8.744772764808 USD"):
        assert words in result.stdout


def test_a_dry_run_in_another_currency_skips_every_row_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVERGREEN_DEFAULT_CURRENCY", "EUR")

    result = CliRunner().invoke(app, ["import-focus", "--dry-run", str(SAMPLE)])

    assert "500" in result.stdout
    assert "currency is not" in result.stdout
