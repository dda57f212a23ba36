"""Why an input could not be applied: the closed list of dead-letter reasons, one word each.

The words are in docs/domain/dead-letters.md and on the wire; a reason is never renamed.
"""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class Reason(StrEnum):
    """The closed list. Wire reasons come from the bytes, the others from the rules."""

    BAD_MAGIC = "bad_magic"
    UNKNOWN_SCHEMA = "unknown_schema"
    WRONG_SCHEMA = "wrong_schema"
    TRUNCATED = "truncated"
    UNDECODABLE = "undecodable"
    TRAILING_BYTES = "trailing_bytes"
    OUT_OF_RANGE = "out_of_range"
    """A number beyond what this project can book, or a time outside the years 1970 to 9000."""
    NULL_KEY = "null_key"
    NULL_VALUE = "null_value"
    BAD_KEY = "bad_key"
    KEY_MISMATCH = "key_mismatch"
    WRONG_PARTITION = "wrong_partition"

    NEGATIVE_QUANTITY = "negative_quantity"
    FROM_THE_FUTURE = "from_the_future"
    TOO_OLD = "too_old"
    ID_CONFLICT = "id_conflict"
    NO_PRICE = "no_price"
    LATE_PRICE = "late_price"
    PRICE_CONFLICT = "price_conflict"
    BAD_PRICE = "bad_price"
    BAD_SETTINGS = "bad_settings"
    CURRENCY_MISMATCH = "currency_mismatch"
    BAD_PAYMENT = "bad_payment"
    REFUND_EXCEEDS_PAYMENT = "refund_exceeds_payment"
    BAD_ADJUSTMENT = "bad_adjustment"
    ADJUSTMENT_CONFLICT = "adjustment_conflict"
    UNKNOWN_EVENT = "unknown_event"
    ALREADY_REVERSED = "already_reversed"
    TICK_AHEAD = "tick_ahead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Bad input: the record becomes a dead letter with this reason."""

    reason: Reason
    detail: str
    """What exactly is wrong, for people; no personal data."""


class InvariantBroken(Exception):  # noqa: N818 - says what happened, as facts do here
    """A bug in the rules or in what calls them: the process must stop before it commits."""
