"""`evergreen topics`: create the topics of a deployment, or show them."""

import typer

from cli.errors import one_line
from streams import settings, topic_admin
from streams.topic_admin import WantedTopic
from streams.topics import DAY_MS

app = typer.Typer(no_args_is_help=True, help="Create and show the topics of a deployment.")


@app.command()
def create() -> None:
    """Create all topics that are missing. Existing topics are never changed."""
    with one_line():
        deployment = settings.read()
        creation = topic_admin.create(deployment)
    for warning in creation.warnings:
        typer.echo(f"warning: {warning}", err=True)
    total = len(topic_admin.wanted(deployment))
    typer.echo(f"{len(creation.created)} topics created, {total - len(creation.created)} were there")


@app.command("list")
def show() -> None:
    """Show every topic: what it carries, its key, how long it keeps, whether it is there."""
    with one_line():
        deployment = settings.read()
        found = topic_admin.found(deployment)
    rows = [("topic", "records", "keyed by", "kept", "partitions")]
    for topic in topic_admin.wanted(deployment):
        keyed_by = "account" if topic.keyed_by_account else "-"
        partitions = str(found.get(topic.name, "missing"))
        rows.append((topic.name, ", ".join(topic.records) or "state", keyed_by, _kept(topic), partitions))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _kept(topic: WantedTopic) -> str:
    if topic.config["cleanup.policy"] == "compact":
        return "latest"
    kept_ms = int(topic.config["retention.ms"])
    return "for ever" if kept_ms < 0 else f"{kept_ms // DAY_MS} days"
