"""Every `evergreen ...` that a page names exists, with these options and values that fit."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.__main__ import app
from tests.docs.markdown import PAGES, ROOT, blocks, named, prose

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # typer names it nowhere, and may bring its own
COMMAND = re.compile(r"(?:^|[\s($\"])evergreen((?: [^`|;&)\n]*)?)")


def commands(page: Path) -> Iterator[str]:
    """Yield the words after `evergreen` of every command in shell blocks and in code of the prose."""
    for block in blocks(page):
        if block.language == "sh":
            text = block.text.replace("\\\n", " ")
            yield from (match[1] for line in text.splitlines() for match in COMMAND.finditer(_bare(line)))
    for code in re.findall(r"`([^`\n]+)`", prose(page)):
        yield from (match[1] for match in COMMAND.finditer(code))


def _bare(line: str) -> str:
    return re.sub(r"\s#.*$", "", line)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_of_a_page_exists_with_its_options(page: Path) -> None:
    for words in commands(page):
        arguments = [word for word in shlex.split(words.split(" <<")[0]) if word != "..."]
        try:
            parse(typer.main.get_command(app), arguments)
        except UsageError as e:
            if type(e).__name__ != "MissingParameter":  # prose may leave out what a command must be given
                pytest.fail(f"{named(page)}: evergreen{words}: {e}")


def parse(command: Any, arguments: list[str]) -> None:
    """Parse a command line down to its last command, running nothing; raises UsageError."""
    commands = getattr(command, "commands", None)
    if commands is None:
        command.make_context(command.name, list(arguments))
    elif arguments:
        name, *rest = arguments
        if name not in commands:
            raise typer.BadParameter(f"no command {name}")
        parse(commands[name], rest)


def test_a_command_or_option_that_does_not_exist_is_found() -> None:
    root = typer.main.get_command(app)

    for wrong in ("stak up", "emit usage --acount a", "lag --wait soon", "tick 1 2"):
        with pytest.raises(UsageError):
            parse(root, wrong.split())


def test_the_readme_names_every_command_or_the_page_that_does() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)

    for name in typer.main.get_command(app).commands:
        assert f"evergreen {name}" in text, name


def test_the_readme_names_only_targets_of_the_makefile() -> None:
    targets = set(
        re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )

    named_targets = {t for page in PAGES for t in re.findall(r"\bmake ([a-z]+)", "\n".join(code(page)))}

    assert named_targets
    assert named_targets <= targets


def code(page: Path) -> Iterator[str]:
    yield from (block.text for block in blocks(page) if block.language == "sh")
    yield from re.findall(r"`([^`\n]+)`", prose(page))
