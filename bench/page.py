"""Keeps measured figures in docs/performance.md, between two marks; the runs they are of stand beside it.

docs/performance/WORKLOAD.jsonl has a line about the measurement, then one a run; the picture has the same
name. The part of the page is made anew from all of these files: a workload measured again replaces its own.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import plot
from bench.figures import WISHES, Figures, Line, Spread, figures

PAGE = Path("docs/performance.md")
DATA = Path("docs/performance")
BEGIN = "<!-- made by make bench -->"
END = "<!-- end of what make bench made -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Where, when and how a measurement was made."""

    workload: str
    """In words."""
    machine: str
    versions: str
    command: str
    date: str
    not_run: dict[str, str]
    """Systems that could not run here, and why."""


class PageError(Exception):
    """The page has lost its marks."""


def keep(name: str, about: About, lines: Sequence[Line]) -> None:
    """Keep a measurement of a workload, draw it, and make the page's part anew."""
    DATA.mkdir(exist_ok=True)
    rows = [{"about": asdict(about)}, *lines]
    (DATA / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    (DATA / f"{name}.svg").write_text(plot.svg(figures(lines), about.workload), encoding="utf-8")
    render()


def render() -> None:
    """Make the page's part anew from what is kept."""
    replace(BEGIN, END, "".join(_section(path) for path in sorted(DATA.glob("*.jsonl"), key=_events)))


def replace(begin: str, end: str, part: str) -> None:
    """Put a part between two marks of the page, instead of what stands there."""
    text = PAGE.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise PageError(f"{PAGE} must have {begin!r} and {end!r}")
    PAGE.write_text(f"{before}{begin}\n\n{part}{end}{after}", encoding="utf-8")


def _events(path: Path) -> tuple[int, str]:
    return int(path.stem.split("-", 1)[0]), path.stem


def _section(path: Path) -> str:
    first, *lines = [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]
    about = About(**first["about"])
    found = figures(lines)
    picture = f"{DATA.name}/{path.stem}.svg"
    parts = [
        f"### {about.workload}",
        f"![{about.workload}: events a second and CPU a million events]({picture})",
        table(found),
        *([wishes(found)] if any(True for _ in _measured(found)) else []),
        *[f"Not run: {name}, {why}." for name, why in about.not_run.items()],
        f"`{about.command}`, {about.date}. {about.machine}. {about.versions}. "
        f"[Every run]({DATA.name}/{path.name}).",
    ]
    return "".join(f"{part}\n\n" for part in parts)


def table(found: Sequence[Figures]) -> str:
    """Return medians, with least and most, as a Markdown table."""
    rows = [
        "| | events/s | CPU-s per million | peak MB | broker CPU-s per million | other cores | right runs |",
        "|---|---|---|---|---|---|---|",
    ]
    most = max((f.events for f in found), default=0)
    for f in found:
        title = f.title if f.events == most else f"{f.title} ({f.events:,} events)"
        cells = [
            title,
            _cell(f.rate, ",.0f"),
            _cell(f.cpu, ",.1f"),
            _cell(f.memory, ",.0f"),
            _cell(f.broker_cpu, ",.1f"),
            "-" if f.others is None else f"{f.others.median:.1f}",
            f"{f.right} of {f.runs}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def wishes(found: Sequence[Figures]) -> str:
    """Return what is asked and what was measured as a Markdown table; what is not reached says so."""
    rows = ["| ratio of medians | asked | measured | |", "|---|---|---|---|"]
    for about, asked, ratio, is_reached in _measured(found):
        rows.append(f"| {about} | {asked} | {ratio:.2f} | {'' if is_reached else 'not reached'} |")
    return "\n".join(rows)


def _measured(found: Sequence[Figures]) -> "list[tuple[str, str, float, bool]]":
    by_name = {f.system: f for f in found}
    rows = []
    for wish in WISHES:
        ratio = wish.measured(by_name)
        if ratio is not None:
            figure = {"rate": "events/s", "cpu": "CPU per event"}[wish.figure]
            about = f"{figure}: {by_name[wish.of].title} to {by_name[wish.to].title}"
            asked = f"{'at least' if wish.is_least else 'at most'} {wish.bound:g}"
            rows.append((about, asked, ratio, wish.holds(ratio)))
    return rows


def _cell(spread: Spread | None, form: str) -> str:
    if spread is None:
        return "-"
    middle, least, most = (f"{value:{form}}" for value in (spread.median, spread.least, spread.most))
    return middle if least == most else f"{middle} ({least} to {most})"
