"""What goes wrong on the command line is one clear line and an exit code, never a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from confluent_kafka import KafkaException

from schemas.registry import RegistryError
from streams.lag import LagError
from streams.settings import SettingsError
from streams.topic_admin import TopicsError

EXPECTED = (SettingsError, LagError, TopicsError, RegistryError)


@contextmanager
def one_line(*more: type[Exception], code: int = 1) -> Iterator[None]:
    """Print an expected failure as one line and exit; anything else is a bug and keeps its traceback."""
    expected: tuple[type[Exception], ...] = (*EXPECTED, *more)
    try:
        yield
    except KafkaException as e:
        print(f"evergreen: Kafka: {e.args[0].str()}", file=sys.stderr)
        raise typer.Exit(code) from None
    except expected as e:
        print(f"evergreen: {e}", file=sys.stderr)
        raise typer.Exit(code) from None
