"""The worker's hot path as machine code (`make fast`) does what the same files do as plain Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAST = ROOT / ".evergreen" / "fast" / "env" / "bin" / "python"
ACCOUNTS, MONTHS = 60, 3


def fold(python: Path, path: Path) -> list[str]:
    """Fold the simulation with another Python, which imports what it has installed, and tests/ from here."""
    environment = os.environ | {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(path)}
    command = [str(python), "-m", "tests.compiled.fold_everything", str(ACCOUNTS), str(MONTHS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.timeout(600)
def test_the_compiled_rules_give_the_same_outputs_and_states_to_the_byte(tmp_path: Path) -> None:
    subprocess.run(["make", "fast"], cwd=ROOT, check=True)
    (tmp_path / "tests").symlink_to(ROOT / "tests")

    plain = fold(Path(sys.executable), ROOT)
    compiled = fold(FAST, tmp_path)

    assert plain[0] == "False"
    assert compiled[0] == "True"
    assert compiled[1:] == plain[1:]
    assert int(plain[1]) > 5_000
