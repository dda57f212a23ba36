"""What a person sees while Kafka is fetched and started. Writes to stderr only: stdout is for `eval`."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class Progress(Protocol):
    def step(self, text: str) -> AbstractContextManager[None]:
        """A step of a few seconds and unknown length."""

    def count(self, text: str, total: int) -> AbstractContextManager[Callable[[], None]]:
        """A step of `total` parts: call what it gives once for each part done, from any thread."""


class Silent:
    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        yield

    @contextmanager
    def count(self, text: str, total: int) -> Iterator[Callable[[], None]]:
        yield lambda: None


class OnStderr:
    """A spinner and a bar on a terminal; one line a step where stderr is a file."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        if not self._console.is_terminal:
            self._console.print(text, soft_wrap=True, highlight=False)
            yield
            return
        with self._console.status(text):
            yield

    @contextmanager
    def count(self, text: str, total: int) -> Iterator[Callable[[], None]]:
        if not self._console.is_terminal:
            self._console.print(f"{text} ({total} files)", soft_wrap=True, highlight=False)
            yield lambda: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Bar(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task(text, total=total)
            yield lambda: bar.advance(task)


def reporter(shown: bool) -> Progress:
    return OnStderr() if shown else Silent()
