"""`evergreen payments`: the process that takes automatic payments."""

import signal
import threading
from typing import Annotated

import typer

from cli.errors import one_line
from consumers import payments as desk
from consumers.provider import Provider
from consumers.sandbox import Sandbox
from streams import settings
from streams.settings import Settings, SettingsError


def payments(
    seed: Annotated[int, typer.Option(help="Decides the sandbox provider's answers.")] = 7,
) -> None:
    """Answer top-up commands with the sandbox payment provider, until SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with one_line(desk.PaymentsError):
        deployment = settings.read()
        served = desk.run(deployment, _provider(deployment, seed), stop)
    typer.echo(f"{served.commands} commands answered with {served.events} payment events")


def _provider(deployment: Settings, seed: int) -> Provider:
    if deployment.production:
        raise SettingsError("EVERGREEN_PRODUCTION refuses the sandbox provider: it moves no money")
    return Sandbox(seed)
