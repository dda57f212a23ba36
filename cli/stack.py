"""`evergreen stack`: a Kafka in the background of this checkout. Prints; local/ does."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

import local
from cli.errors import one_line
from local import stack

app = typer.Typer(name="stack", help="A Kafka in the background, for one machine.", no_args_is_help=True)


@app.command()
def up() -> None:
    """Find or start Kafka. Prints shell lines: eval "$(evergreen stack up)"."""
    with one_line(local.LocalError):
        found, started = stack.up()
    if started:
        _tell(f"Kafka runs in the background: process {found.pid}, log {_short(found.log)}.")
        _tell("`evergreen stack down` stops it.")
    else:
        _tell(f"Kafka is there already, from {found.found}.")
    typer.echo(f"export {local.VARIABLE}={shlex.quote(found.bootstrap_servers)}")


@app.command()
def down(
    wipe: Annotated[
        bool, typer.Option("--wipe", help="Delete its topics and everything else it wrote.")
    ] = False,
) -> None:
    """Stop the Kafka that `up` started. Its data stays for the next `up`."""
    with one_line(local.LocalError):
        done = stack.down(wipe=wipe)
    if done.pid is None:
        typer.echo("No Kafka of ours is running.")
    elif done.in_order:
        typer.echo(f"Stopped Kafka, process {done.pid}.")
    else:
        typer.echo(f"Killed Kafka, process {done.pid}: it did not stop when asked to.")
    if wipe:
        typer.echo("Its data is deleted.")
    elif done.data:
        typer.echo(f"Its data stays in {_short(done.data)}; --wipe deletes it.")
    if done.pid is not None and local.VARIABLE in os.environ:
        typer.echo(f"This shell still has {local.VARIABLE} set.")


@app.command()
def status() -> None:
    """Say whether a Kafka is there, where, and how it was found. Exit code 1 if none answers."""
    with one_line(local.LocalError):
        found = stack.status()
    if found is None:
        typer.echo("No Kafka is running; `evergreen stack up` starts one.")
        raise typer.Exit(1)
    typer.echo(f"Kafka    {found.bootstrap_servers}{'' if found.answers else ' (does not answer)'}")
    typer.echo(f"from     {found.found}")
    if found.pid is not None:
        typer.echo(f"process  {found.pid}")
    if found.log is not None:
        typer.echo(f"log      {_short(found.log)}")
    if not found.answers:
        raise typer.Exit(1)


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def _short(path: Path | None) -> str:
    """Relative to here where that is shorter."""
    return (
        "-"
        if path is None
        else str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    )
