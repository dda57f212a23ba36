"""Reads scenario tables: Markdown files with a title, perhaps a deployment, and one table a scenario.

Strict: what is not understood is an error that names file and line. Knows the table, not the words in it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("when", "what happens", "balance", "status", "outputs")
_RULE = re.compile(r"\|(?:\s*:?-+:?\s*\|)+")
_DEPLOYMENT = "Deployment:"


class TableError(Exception):
    """A scenario file says something that cannot be read."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path.name}:{line}: {problem}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One step: cells as they are written; outputs from this row and those that continue it."""

    line: int
    when: str
    what: str
    balance: str
    status: str
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One rule, played through."""

    path: Path
    line: int
    title: str
    deployment: str
    rows: tuple[Row, ...]

    def error(self, line: int, problem: str) -> TableError:
        """Return the error of a line of this scenario."""
        return TableError(self.path, line, problem)


def read(path: Path) -> list[Scenario]:
    """Return the scenarios of a file; raises TableError."""
    return read_text(path, path.read_text(encoding="utf-8"))


def read_text(path: Path, text: str) -> list[Scenario]:
    """Return the scenarios of a file's text; raises TableError."""
    lines = list(enumerate(text.splitlines(), start=1))
    starts = [place for place, (_, line) in enumerate(lines) if line.startswith("## ")]
    if not starts:
        raise TableError(path, 1, "there is no scenario: a line that begins with '## '")
    for number, line in lines[: starts[0]]:
        if line.startswith("|"):
            raise TableError(path, number, "a table without a title")
    found = []
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        found.append(_scenario(path, lines[start:end]))
    titles = [scenario.title for scenario in found]
    for scenario in found:
        if titles.count(scenario.title) > 1:
            raise scenario.error(scenario.line, f"two scenarios are called {scenario.title!r}")
    return found


def _scenario(path: Path, lines: list[tuple[int, str]]) -> Scenario:
    first, heading = lines[0]
    title, deployment, rows, seen = heading[3:].strip(), "", [], 0
    if len(title.split()) < 4 or title.endswith("."):
        raise TableError(path, first, "a title is a sentence of the rule, without its full stop")
    ended = False
    for number, line in lines[1:]:
        if line.startswith("#"):
            raise TableError(path, number, "only '## ' begins something here")
        if not line.startswith("|"):
            ended = ended or seen > 0
            if line.startswith(_DEPLOYMENT):
                if seen or deployment:
                    raise TableError(path, number, "one 'Deployment:' line, before the table")
                deployment = line.removeprefix(_DEPLOYMENT).strip()
            continue
        if ended:
            raise TableError(path, number, "a scenario has one table")
        seen += 1
        cells = _cells(path, number, line)
        if seen == 1:
            if cells != COLUMNS:
                raise TableError(path, number, f"the columns are {' | '.join(COLUMNS)}")
        elif seen == 2:
            if not _RULE.fullmatch(line.strip()):
                raise TableError(path, number, "below the columns stands a rule: | --- | --- | ...")
        else:
            _add(path, number, cells, rows)
    if not rows:
        raise TableError(path, first, "a scenario without a step")
    return Scenario(path=path, line=first, title=title, deployment=deployment, rows=tuple(rows))


def _cells(path: Path, number: int, line: str) -> tuple[str, ...]:
    line = line.strip()
    if not line.endswith("|"):
        raise TableError(path, number, "a row ends with |")
    cells = tuple(cell.strip() for cell in line[1:-1].split("|"))
    if len(cells) != len(COLUMNS):
        raise TableError(path, number, f"{len(cells)} cells instead of {len(COLUMNS)}")
    return cells


def _add(path: Path, number: int, cells: tuple[str, ...], rows: list[Row]) -> None:
    when, what, balance, status, said = cells
    outputs = tuple(item.strip() for item in said.split(";")) if said else ()
    if not all(outputs):
        raise TableError(path, number, "nothing stands between two ';'")
    if what:
        if not balance or not status:
            raise TableError(path, number, "a step names balance and status ('-' while there is no account)")
        row = Row(line=number, when=when, what=what, balance=balance, status=status, outputs=outputs)
        rows.append(row)
        return
    if when or balance or status or not outputs or not rows:
        raise TableError(path, number, "a row without a step continues the outputs above, and only those")
    last = rows[-1]
    rows[-1] = Row(
        line=last.line,
        when=last.when,
        what=last.what,
        balance=last.balance,
        status=last.status,
        outputs=last.outputs + outputs,
    )
