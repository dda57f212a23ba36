"""Aligns the columns of scenario tables: `python -m tests.scenarios.align` rewrites every file here."""

from pathlib import Path


def aligned(text: str) -> str:
    """Return Markdown text with each table's columns as wide as their widest cell."""
    done: list[str] = []
    table: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip()[1:-1].split("|")])
            continue
        if table:
            done += _rows(table)
            table = []
        done.append(line)
    return "\n".join(done[:-1]) + "\n"


def _rows(table: list[list[str]]) -> list[str]:
    widths = [max(len(row[n]) for place, row in enumerate(table) if place != 1) for n in range(len(table[0]))]
    table[1] = ["-" * width for width in widths]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in table
    ]


if __name__ == "__main__":
    for path in Path(__file__).parent.glob("*.md"):
        if path.name == "README.md":
            continue  # its tables are for reading on a page
        path.write_text(aligned(path.read_text(encoding="utf-8")), encoding="utf-8")
