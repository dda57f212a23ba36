"""What `evergreen verify` prints, and its exit codes."""

import gc
import json
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from cli.verify import verify
from tests.unit.verify.scenario import month
from verify import read
from verify.read import CannotCheckError
from verify.topics import Topics

APP = typer.Typer()
APP.command()(verify)


@pytest.fixture(autouse=True)
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("EVERGREEN_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("EVERGREEN_LANES", "2")
    monkeypatch.setenv("EVERGREEN_CLOCK", "manual")
    monkeypatch.setenv("COLUMNS", "120")
    yield
    gc.enable()


def run(monkeypatch: pytest.MonkeyPatch, topics: Topics, *arguments: str) -> tuple[int, str]:
    """Return the exit code and the output over these topics."""
    monkeypatch.setattr(read, "read", lambda *args, **kwargs: topics)
    result = CliRunner().invoke(APP, list(arguments))
    return result.exit_code, result.output


def test_all_invariants_holding_is_exit_code_0(monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = run(monkeypatch, month().topics)

    assert code == 0
    assert output.count("holds") == 9
    assert "5 accepted usage events" in output


def test_a_broken_invariant_is_exit_code_1_and_tells_where(monkeypatch: pytest.MonkeyPatch) -> None:
    h = month()
    h.edit("balances", {"account_id": "acme"}, balance=0)

    code, output = run(monkeypatch, h.topics)

    assert code == 1
    assert "acme, balances[0]@0" in output
    assert "expected 6.246\n" in output


def test_nothing_looked_at_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = run(monkeypatch, Topics.empty(2))

    assert code == 0
    assert output.count("0 cases") == 9
    assert "holds" not in output


def test_json_is_one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    h = month()
    h.drop("notifications", account_id="bravo")

    code, output = run(monkeypatch, h.topics, "--json")

    assert code == 1
    document = json.loads(output)
    assert [found["verdict"] for found in document["invariants"]].count("holds") == 8
    [case] = document["invariants"][2]["first_broken"]
    assert (case["account"], case["topic"], case["partition"], case["offset"]) == ("bravo", "invoices", 1, 0)


def test_what_cannot_be_checked_is_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> Topics:
        raise CannotCheckError("lag is not zero")

    monkeypatch.setattr(read, "read", fail)
    result = CliRunner().invoke(APP, [])

    assert result.exit_code == 2
    assert "evergreen: lag is not zero" in result.output
