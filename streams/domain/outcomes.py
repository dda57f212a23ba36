"""What became of an input that was not rejected."""

from enum import StrEnum, unique


@unique
class Outcome(StrEnum):
    """The three good ends of an input on its first reading."""

    APPLIED = "applied"
    """It took effect (or there was nothing that it could change)."""
    DUPLICATE = "duplicate"
    """It had been applied before, or waits already."""
    WAITING = "waiting"
    """It will be applied, or become a dead letter, when what it needs has come or will not come."""
