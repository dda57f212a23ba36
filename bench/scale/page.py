"""Keeps the measures of scale in docs/performance.md, made anew from docs/performance/scale/*.jsonl."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.page import DATA, PAGE, replace
from bench.scale.measure import Column, Line, Measure
from bench.scale.measures import MEASURES
from bench.scale.sizing import sizing

KEPT = DATA / "scale"
BEGIN = "<!-- made by make scale -->"
END = "<!-- end of what make scale made -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Where, when and how a measure was taken."""

    machine: str
    versions: str
    command: str
    date: str


def keep(measure: Measure, about: About, lines: Sequence[Line]) -> None:
    """Keep the lines of a measure instead of its earlier ones, and make the page's part anew."""
    KEPT.mkdir(parents=True, exist_ok=True)
    rows = [{"about": asdict(about)}, *lines]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (KEPT / f"{measure.name}.jsonl").write_text(text, encoding="utf-8")
    render()


def render() -> None:
    """Make the page's part anew from what is kept."""
    kept = {name: _kept(name) for name in MEASURES if (KEPT / f"{name}.jsonl").exists()}
    sections = [_section(MEASURES[name], about, lines) for name, (about, lines) in kept.items()]
    sections.append(sizing({name: lines for name, (_, lines) in kept.items()}))
    replace(BEGIN, END, "".join(sections))


def _kept(name: str) -> tuple[About, list[Line]]:
    rows = (KEPT / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    first, *lines = [json.loads(row) for row in rows]
    return About(**first["about"]), lines


def _section(measure: Measure, about: About, lines: Sequence[Line]) -> str:
    parts = [
        f"### {measure.title}",
        measure.about,
        table(measure, lines),
        *([asked(measure, lines)] if measure.asked else []),
        f"`{about.command}`, {about.date}. {about.machine}. {about.versions}. "
        f"[Every run]({DATA.name}/{KEPT.name}/{measure.name}.jsonl).",
    ]
    return "".join(f"{part}\n\n" for part in parts)


def table(measure: Measure, lines: Sequence[Line]) -> str:
    """Return medians, with least and most, a row a case; a case without a right run has no number."""
    headings = [column.heading for column in measure.columns]
    rows = [f"| | {' | '.join(headings)} | right runs |", f"|---{'|---' * (len(headings) + 1)}|"]
    for case in dict.fromkeys(line["case"] for line in lines):
        runs = [line for line in lines if line["case"] == case]
        right = sum(line["correct"] for line in runs)
        cells = [case, *(_cell(runs, column) for column in measure.columns), f"{right} of {len(runs)}"]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def asked(measure: Measure, lines: Sequence[Line]) -> str:
    """Return what is asked and what was measured; what is not reached says so."""
    rows = ["| of medians | asked | measured | |", "|---|---|---|---|"]
    for wish in measure.asked:
        value = wish.measured(lines)
        if value is not None:
            bound = f"{'at least' if wish.is_least else 'at most'} {wish.bound:g}"
            said = "" if wish.holds(value) else "not reached"
            rows.append(f"| {wish.about} | {bound} | {value:{wish.form}} | {said} |")
    return "\n".join(rows)


def _cell(runs: Sequence[Line], column: Column) -> str:
    values = [run[column.figure] for run in runs if run.get(column.figure) is not None]
    if not values:
        return "-"
    figures = (statistics.median(values), min(values), max(values))
    middle, least, most = (f"{value:{column.form}}" for value in figures)
    return middle if least == most else f"{middle} ({least} to {most})"


__all__ = ["PAGE", "About", "asked", "keep", "render", "table"]
