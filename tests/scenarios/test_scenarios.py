"""Every scenario of this folder, played against the rules."""

from pathlib import Path

import pytest

from tests.scenarios.run import play
from tests.scenarios.table import Scenario, read

FILES = sorted(path for path in Path(__file__).parent.glob("*.md") if path.name != "README.md")
SCENARIOS = [scenario for path in FILES for scenario in read(path)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: f"{s.path.stem}: {s.title}")
def test_scenario(scenario: Scenario) -> None:
    play(scenario)


def test_there_are_at_least_eighty_scenarios() -> None:
    assert len(SCENARIOS) >= 80
