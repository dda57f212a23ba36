"""The pages hang together: links lead somewhere, tables say what the code says, nothing is left out."""

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from local import places
from streams import topics
from streams.domain import topup
from streams.domain.reasons import Reason
from streams.lanes.group import FAULT_EXIT
from streams.settings import Settings
from streams.topics import Keep
from tests.docs.markdown import PAGES, ROOT, anchors, blocks, links, named, tables
from tests.faults.report import ASKED

KEPT = {
    Keep.LATEST: "latest",
    Keep.LONG: "for ever",
    Keep.MAX_AGE: "max_age + 7 days",
    Keep.WEEK: "7 days",
}


def word(cell: str) -> str:
    """Return what stands in a cell of code."""
    assert re.fullmatch(r"`[^`]+`", cell), cell
    return cell.strip("`")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page

        assert target.exists(), f"{named(page)} links to {link}"
        assert not fragment or fragment in anchors(target), f"{named(page)} links to {link}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, left = set(), {ROOT / "README.md"}
    while left:
        page = left.pop()
        reached.add(page)
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        left |= {t for t in targets if t.suffix == ".md" and t in PAGES} - reached

    assert set(PAGES) - reached == set()


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").rglob("*.svg")), ids=named)
def test_every_picture_is_well_formed_brings_its_own_ground_and_says_what_it_shows(picture: Path) -> None:
    svg = "{http://www.w3.org/2000/svg}"

    root = ElementTree.parse(picture).getroot()

    first = next(
        element for element in root if element.tag not in {svg + "title", svg + "desc", svg + "defs"}
    )
    assert first.get("class") == "card"  # so that it reads on light and on dark pages
    assert root.find(svg + "title") is not None
    assert root.find(svg + "desc") is not None


def test_the_topics_page_has_every_topic_as_it_is() -> None:
    inputs, outputs, state = tables(ROOT / "docs/topics.md")

    described = {
        word(row["topic"]): (
            tuple(re.findall(r"\[([\w-]+)\]", row["records"])),
            row["key"] == "account",
            row["kept"],
            row in inputs,
        )
        for row in inputs + outputs
    }
    assert described == {
        topic.name: (topic.records, topic.keyed_by_account, KEPT[topic.keep], topic.is_input)
        for topic in topics.ALL
    }
    assert {row["table"]: word(row["changelog"]) for row in state} == {
        table: topics.changelog("evergreen", table) for table in topics.STATE_TABLES
    }


def test_the_settings_page_has_every_setting_with_its_default_and_what_is_allowed() -> None:
    ours, of_the_local_kafka = tables(ROOT / "docs/settings.md")

    described = {word(row["variable"]): (row["default"], row["allowed"]) for row in ours}

    assert described == {
        f"EVERGREEN_{name.upper()}": (default_of(name), allowed_for(name)) for name in Settings.model_fields
    }
    assert all(row["meaning"] for row in ours)
    source = Path(places.__file__).read_text(encoding="utf-8")
    assert {word(row["variable"]) for row in of_the_local_kafka} == set(
        re.findall(r"EVERGREEN_\w+_DIR", source)
    )


def test_the_reliability_page_says_how_many_faults_are_asked_for() -> None:
    asked = next(rows for rows in tables(ROOT / "docs/reliability.md") if "kind" in rows[0])

    for size in ("long", "short"):
        column = f"`make {'faults' if size == 'long' else 'test'}` asks for"
        assert {row["kind"]: int(row[column]) for row in asked if row[column]} == ASKED[size]


def default_of(name: str) -> str:
    field = Settings.model_fields[name]
    if field.is_required():
        return "required"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`" if field.default != "" else "empty"


def allowed_for(name: str) -> str:
    limits = {type(limit).__name__: limit for limit in Settings.model_fields[name].metadata}
    said = [
        f"{sign} {getattr(limits[kind], kind.lower()):g}"
        if kind == "Gt"
        else f"{sign} {getattr(limits[kind], kind.lower())}"
        for kind, sign in (("Gt", ">"), ("Ge", ">="), ("Le", "<="))
        if kind in limits
    ]
    return ", ".join(said)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    known = {f"EVERGREEN_{name.upper()}" for name in Settings.model_fields}
    known |= {"EVERGREEN_STATE_DIR", "EVERGREEN_CACHE_DIR"}

    named_here = set(re.findall(r"EVERGREEN_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8")))

    assert named_here <= known


def test_every_dead_letter_reason_says_what_it_means_and_what_to_do() -> None:
    (rows,) = (t for t in tables(ROOT / "docs/domain/dead-letters.md") if "it means" in t[0])

    assert [word(row["reason"]) for row in rows] == [reason.value for reason in Reason]
    assert all(row["it means"] and row["what to do"] for row in rows)


def test_every_top_up_decision_says_what_it_means_and_when_it_ends() -> None:
    rows = tables(ROOT / "docs/domain/top-up.md")[-1]

    assert [word(row["decision"]) for row in rows] == [decision.value for decision in topup.Decision]
    assert all(row["it means"] and row["ends when"] for row in rows)


def test_the_picture_of_a_top_up_has_the_changes_of_the_rules_own_table() -> None:
    (picture,) = (b for b in blocks(ROOT / "docs/domain/top-up.md") if b.language == "mermaid")
    drawn = set(re.findall(r"^ *(\w+) --> (\w+): ", picture.text, flags=re.MULTILINE))

    assert drawn == {change for change in changes_of_state() if change != ("idle", "idle")}


def changes_of_state() -> set[tuple[str, str]]:
    """Return from which state to which an event leads, by the table at the top of topup.py."""
    table = [line for line in (topup.__doc__ or "").splitlines() if line.startswith("|")][2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    states = {row[2] for row in rows if row[2]}
    found = set()
    for begins, _, becomes, _ in rows:
        if begins:
            named = states - {"idle"} if begins == "any but idle" else {s for s in states if s in begins}
            found |= {(state, becomes) for state in named}
    return found


def test_every_reason_that_a_page_names_in_code_exists() -> None:
    pages = [page for page in PAGES if page.parent.name == "domain" and page.name == "README.md"]

    (limits,) = (t for page in pages for t in tables(page) if t and "beyond it" in t[0])

    for row in limits:
        assert {word(part) for part in row["beyond it"].split("; ")} <= {r.value for r in Reason}


def test_the_rooms_of_the_architecture_are_those_of_the_house() -> None:
    rooms = {
        word
        for row in tables(ROOT / "docs/architecture.md")[0]
        for word in re.findall(r"\.\./([\w/]+)", row["room"])
    }

    packages = set(
        re.search(r"packages = \[(.+)\]", (ROOT / "pyproject.toml").read_text())[1]
        .replace('"', "")
        .split(", ")
    )

    assert packages <= {room.split("/")[0] for room in rooms}


def test_the_architecture_names_every_state_table_and_the_exit_code() -> None:
    page = ROOT / "docs/architecture.md"
    rows = next(table for table in tables(page) if "table" in table[0])

    assert {row["table"] for row in rows} == {
        *topics.STATE_TABLES,
        topics.BALANCES.name,
        topics.PROFILES.name,
    }
    assert f"exits with {FAULT_EXIT} " in page.read_text(encoding="utf-8")


def test_every_decision_is_in_the_index_and_says_why_and_what_it_costs() -> None:
    index = set(links(ROOT / "docs/decisions/README.md"))
    records = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))

    assert {record.name for record in records} == index
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        assert {"decided", "why", "costs"} <= anchors(record), record.name
        assert len(record.read_text(encoding="utf-8").splitlines()) <= 60, (
            f"{record.name} is more than a page"
        )


def test_every_python_block_is_python() -> None:
    found = [block for page in PAGES for block in blocks(page) if block.language == "python"]

    for block in found:
        ast.parse(block.text, filename=str(block))
    assert found
