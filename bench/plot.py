"""Draws figures as an SVG: events a second and CPU a million events, side by side."""

from collections.abc import Callable, Sequence
from html import escape

from bench.figures import Figures, Spread

WIDTH, ROW, TOP, NAMES, PANEL, GAP, LABEL = 1010, 34, 84, 330, 230, 70, 64
STYLE = """
      .card { fill: #f7faf7; stroke: #c9d6cd; }
      .ours { fill: #5f9a73; }
      .theirs { fill: #b9c7bd; }
      .range { stroke: #20302a; stroke-width: 1.4; }
      .head { fill: #1f3d2b; font-weight: 600; font-size: 15px; }
      .word { fill: #20302a; font-size: 13px; }
      .small { fill: #4b6355; font-size: 12.5px; }
"""


def svg(found: Sequence[Figures], about: str) -> str:
    """Return the picture; bars are medians, thin lines go from the least to the most of the rounds."""
    height = TOP + ROW * len(found) + 24
    said = "; ".join(_said(f) for f in found)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-labelledby="title text"\n'
        "     font-family=\"system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif\">",
        f'  <title id="title">One billing job done by each system: {escape(about)}</title>',
        f'  <desc id="text">{escape(said)}</desc>',
        f"  <defs>\n    <style>{STYLE}    </style>\n  </defs>",
        f'  <rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="12"/>',
        f'  <text class="head" x="24" y="36">{escape(about)}</text>',
    ]
    for row, f in enumerate(found):
        y = TOP + ROW * row
        parts.append(f'  <text class="word" x="24" y="{y + 15}">{escape(f.title)}</text>')
    parts += _panel(found, NAMES, "events a second: more is better", lambda f: f.rate, ",.0f")
    right = NAMES + PANEL + LABEL + GAP
    parts += _panel(found, right, "CPU seconds a million events: less is better", lambda f: f.cpu, ",.1f")
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    found: Sequence[Figures], x: int, heading: str, figure: Callable[[Figures], Spread | None], form: str
) -> list[str]:
    top = max((spread.most for f in found if (spread := figure(f))), default=1.0)
    parts = [f'  <text class="small" x="{x}" y="66">{heading}</text>']
    for row, f in enumerate(found):
        y, spread = TOP + ROW * row, figure(f)
        if spread is None:
            parts.append(f'  <text class="small" x="{x}" y="{y + 15}">no right run</text>')
            continue
        kind = "ours" if f.system.startswith("evergreen") else "theirs"
        ends = [PANEL * value / top for value in (spread.median, spread.least, spread.most)]
        parts += [
            f'  <rect class="{kind}" x="{x}" y="{y}" width="{ends[0]:.1f}" height="20" rx="3"/>',
            f'  <line class="range" x1="{x + ends[1]:.1f}" x2="{x + ends[2]:.1f}" '
            f'y1="{y + 10}" y2="{y + 10}"/>',
            f'  <text class="small" x="{x + ends[2] + 6:.1f}" y="{y + 15}">{spread.median:{form}}</text>',
        ]
    return parts


def _said(f: Figures) -> str:
    if f.rate is None or f.cpu is None:
        return f"{f.title}: no right run"
    return f"{f.title}: {f.rate.median:,.0f} events a second, {f.cpu.median:.1f} CPU seconds a million"
