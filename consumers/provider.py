"""What the payments process asks of a payment provider, and what it may answer."""

from dataclasses import dataclass
from typing import Literal, Protocol

from schemas.wire import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a provider says about one command; `kind` is a PaymentEvent's."""

    kind: Literal["succeeded", "failed", "requires_action", "cancelled"]
    payment_id: str
    """The provider's name of the payment."""
    occurred_at: int
    """Milliseconds since 1970 (UTC), by the provider."""
    decline_code: str | None = None
    hard_decline: bool = False
    action_url: str | None = None


class Provider(Protocol):
    """Takes payments. The command_id is its idempotency key: asked again, it gives the same answer."""

    def charge(self, command: Record) -> Answer:
        """Take the payment of a TopUpCommand, or say why not."""

    def cancel(self, command: Record) -> Answer | None:
        """Give a payment up; None where it has succeeded: what was taken stays taken."""
