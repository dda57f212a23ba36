"""What the tests of the docs need of Markdown: fenced blocks, tables, links, headings. No more of it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    language: str
    marks: tuple[str, ...]
    """The words after the language, such as `kafka`."""
    text: str

    def __str__(self) -> str:
        return f"{named(self.page)}:{self.line}"


def named(page: Path) -> str:
    """Return a page's name from the root."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    inside: list[str] | None = None
    info, began = "", 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.startswith("```"):
            if inside is not None:
                inside.append(line)
        elif inside is None:
            info, began, inside = line.removeprefix("```").strip(), number, []
        else:
            language, *marks = info.split() or [""]
            text = "".join(f"{each}\n" for each in inside)
            yield Block(page=page, line=began, language=language, marks=tuple(marks), text=text)
            inside = None
    assert inside is None, f"{named(page)}:{began}: a block without an end"


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def tables(page: Path) -> list[list[dict[str, str]]]:
    """Return the tables of a page, each as rows by column name; the words are as they stand there."""
    found: list[list[dict[str, str]]] = []
    columns: Sequence[str] = ()
    for line in prose(page).splitlines():
        if not line.startswith("|"):
            columns = ()
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not columns:
            columns = cells
            found.append([])
        elif set(line) - set("|- :"):
            found[-1].append(dict(zip(columns, cells, strict=True)))
    return found


def links(page: Path) -> Iterator[str]:
    """Yield where the links and pictures of a page go."""
    return (match[1] for match in re.finditer(r"\]\(([^)\s]+)\)", prose(page)))


def anchors(page: Path) -> set[str]:
    """Return the fragments that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
