"""`evergreen lag`: how far the lanes and the payment consumer are behind."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.errors import one_line
from streams import lag as lags
from streams.settings import read

PIPE_COLUMNS = 160
"""So wide where nobody looks: a topic's name is never cut for a program that reads it."""


def lag(
    wait: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Wait for zero lag; exit 1 if it is not reached."),
    ] = None,
    lanes_only: Annotated[bool, typer.Option(help="Leave the payment consumer out.")] = False,
) -> None:
    """Tell the lag of every lane, or wait until there is none."""
    with one_line():
        settings = read()
        groups = [lags.lanes_group(settings)]
        if not lanes_only:
            groups.append(lags.payments_group(settings))
        if wait is not None:
            lags.wait_for_zero_lag(settings, groups, wait)
        places = lags.lag(settings.bootstrap_servers, lags.reads_of(settings, groups))
    table = Table("group", "topic", box=None, pad_edge=False)
    for column in ("lag", "committed", "end"):
        table.add_column(column, justify="right")
    for group in groups:
        for topic in sorted({place.topic for place in places if place.group == group}):
            here = [place for place in places if (place.group, place.topic) == (group, topic)]
            table.add_row(
                group,
                topic,
                f"{sum(place.records for place in here):,}",
                f"{sum(place.committed for place in here):,}",
                f"{sum(place.end for place in here):,}",
            )
    console = Console()
    console.print(table, width=max(console.width, PIPE_COLUMNS if not console.is_terminal else 0))
