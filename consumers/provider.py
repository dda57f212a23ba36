"""What the payments process asks of a payment provider, and what it may answer.

Every call may be repeated, from several threads and processes at once, and must end by itself (a time-out
of its own): a call that hangs holds one of the process's few calls.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from schemas.wire import Record


class UnavailableError(Exception):
    """The provider is out: this call had no effect and will have none."""


class UnsureError(Exception):
    """Nobody knows whether this call had, or will have, an effect: a time-out, an answer still to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a provider says about one payment; `kind` is a PaymentEvent's."""

    kind: Literal["succeeded", "failed", "requires_action", "cancelled"]
    payment_id: str
    """The provider's name of the payment."""
    occurred_at: int
    """Milliseconds since 1970 (UTC), by the provider; the same whenever it is asked."""
    decline_code: str | None = None
    hard_decline: bool = False
    action_url: str | None = None


class Provider(Protocol):
    """Takes payments. The command_id is its idempotency key, remembered for at least 24 h.

    Each call raises UnavailableError or UnsureError.
    """

    def charge(self, command: Record) -> Answer:
        """Take the payment of a TopUpCommand, or say why not; an id that it knows is answered as before."""

    def lookup(self, command: Record) -> Answer | None:
        """Return what became of a command, however old; None where it is not known, at this moment."""

    def cancel(self, command: Record) -> Answer | None:
        """Give a payment up and return its final word, success included; None where it is not known."""
