"""Guided by coverage, with atheris: `uv run --group fuzz python -m tests.fuzz.guided TARGET [OPTIONS]`.

Targets: decoder (against the second one), focus, rate_card. Ends where anything is raised that should not be;
the input is left in crash-... and `... TARGET crash-...` plays it again.
"""

import io
import sys
from collections.abc import Callable, Mapping

import atheris

with atheris.instrument_imports(include=["schemas", "producers"]):
    from producers import focus, rate_card
    from schemas import wire

from tests.fuzz import spec

SCHEMAS = wire.fixed()


def decoder(data: bytes) -> None:
    """The codec and the second decoder agree on any bytes."""
    second = spec.Second()
    outcomes: list[object] = []
    for decode in (SCHEMAS.decode, second.decode):
        try:
            outcomes.append(decode(data))
        except wire.WireError as flaw:
            outcomes.append(flaw.reason)
    if outcomes[0] != outcomes[1]:
        raise AssertionError(f"{data.hex()}: {outcomes[0]}, should be {outcomes[1]}")


def focus_file(data: bytes) -> None:
    """A FOCUS file is refused in one line, or each row is one outcome."""
    try:
        rows = list(focus.read(io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")))
    except focus.FocusError:
        return
    assert len(focus.plan(rows).outcomes) == len(rows)


def rate_card_file(data: bytes) -> None:
    """A rate card has prices, or is told what is wrong."""
    found = rate_card.read(data.decode(errors="replace"))
    assert found.prices or found.problems


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "decoder": decoder,
    "focus": focus_file,
    "rate_card": rate_card_file,
}


def main() -> None:
    """Fuzz a target until it fails or is told to stop."""
    name, *options = sys.argv[1:]
    atheris.Setup([name, *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
