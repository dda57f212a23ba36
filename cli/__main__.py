"""The `evergreen` command: what each process and each person runs.

A command's module is imported when the command is asked for: a worker that starts again loads no other's.
"""

from collections import UserDict
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

COMMANDS = {
    "demo": "cli.demo:demo",
    "worker": "cli.worker:worker",
    "payments": "cli.payments:payments",
    "tick": "cli.emit:tick",
    "lag": "cli.lag:lag",
    "replay": "cli.replay:replay",
    "import-focus": "cli.focus:import_focus",
    "simulate": "cli.simulate:simulate",
    "verify": "cli.verify:verify",
    "stack": "cli.stack:app",
    "topics": "cli.topics:app",
    "emit": "cli.emit:app",
    "prices": "cli.prices:app",
    "account": "cli.account:app",
    "dead-letters": "cli.dead_letters:app",
}
"""Where each command is: a function, or an app of several."""


class Loaded(UserDict[str, Any]):
    """Commands by name, each loaded when it is first looked at; `--help` looks at all."""

    def __getitem__(self, name: str) -> Any:
        """Return a command as typer runs it."""
        return _loaded(name, super().__getitem__(name))


class Commands(TyperGroup):
    """A group over them."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given | {"commands": Loaded(COMMANDS)})


@cache
def _loaded(name: str, place: str) -> Any:
    module, attribute = place.split(":")
    found = getattr(import_module(module), attribute)
    one = typer.Typer(pretty_exceptions_enable=False)
    if isinstance(found, typer.Typer):
        one.add_typer(found, name=name)
    else:
        one.command(name)(found)
    return get_group(one).commands[name]


app = typer.Typer(
    name="evergreen",
    cls=Commands,
    callback=lambda: None,
    help="Pay-as-you-go billing on Kafka. Settings are EVERGREEN_... variables: see README.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
