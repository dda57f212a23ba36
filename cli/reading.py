"""Reading topics for a command, with a bar on the terminal for as long as it takes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from consumers.reading import Reader
from streams.settings import Settings


@contextmanager
def reading(settings: Settings, what: str) -> Iterator[Reader]:
    """Yield a reader that shows how far it is, on stderr where that is a terminal."""
    columns = (TextColumn(f"reading {what}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    with bar:
        task = bar.add_task("", total=None)
        with Reader(settings, progress=lambda done, of: bar.update(task, completed=done, total=of)) as reader:
            yield reader
