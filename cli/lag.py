"""`evergreen lag`: how far the lanes and the payment consumer are behind."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.errors import one_line
from streams import lag as lags
from streams.settings import read


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
    table = Table("group", "topic", "lag", "committed", "end", box=None, pad_edge=False)
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
    Console().print(table)
