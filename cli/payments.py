"""`evergreen payments`: the process that takes automatic payments."""

import signal
import sqlite3
import threading
from pathlib import Path
from typing import Annotated

import typer
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from cli.errors import one_line
from consumers import payments as desk
from consumers.sandbox import Sandbox
from local import places
from streams import settings, topic_admin
from streams.settings import Settings, SettingsError


def payments(
    seed: Annotated[int, typer.Option(help="Decides what becomes of a payment at the sandbox provider.")] = 7,
    trouble: Annotated[
        int,
        typer.Option(min=0, max=10_000, help="Of 10,000 posts, how many meet an outage or lose the answer."),
    ] = 0,
    memory: Annotated[
        Path | None, typer.Option(help="The sandbox provider's file; by default one for this deployment.")
    ] = None,
) -> None:
    """Answer top-up commands with the sandbox payment provider, until SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with one_line(desk.PaymentsError, OSError, sqlite3.Error):
        deployment = settings.read()
        if deployment.production:
            raise SettingsError("EVERGREEN_PRODUCTION refuses the sandbox provider: it moves no money")
        if not deployment.owns_inputs:
            raise SettingsError("EVERGREEN_OUTPUT_PREFIX is set: a second reading takes no payments")
        topic_admin.check(deployment)
        sandbox = Sandbox(seed, memory or _memory(deployment), trouble)
        served = desk.run(deployment, sandbox, stop)
    typer.echo(f"{served.commands} commands answered with {served.events} payment events")


def _memory(deployment: Settings) -> Path:
    """Return where this deployment's provider remembers: another file on another Kafka."""
    admin = AdminClient({"bootstrap.servers": deployment.bootstrap_servers, "log_level": 0})
    try:
        cluster = admin.list_topics(timeout=topic_admin.ANSWER_SECONDS).cluster_id
    except KafkaException as e:
        raise topic_admin.TopicsError(f"no Kafka broker answers: {e.args[0].str()}") from None
    return places.state_directory() / "sandbox" / str(cluster) / f"{deployment.application}.sqlite"
