"""A payment provider that moves no money, for tests and demos.

Each answer is a function of the seed and the command alone: no clock, no memory. So a command that is
sent again gets the same answer to the byte, on any machine and after any crash.
"""

from hashlib import blake2b

from consumers.provider import Answer
from schemas.wire import Record

OUTCOMES_OF_10_000 = 10_000
SUCCEEDED = 8_800
SOFT_DECLINES = 1_000
HARD_DECLINES = 100
"""Of 10,000 commands; the rest requires action."""

SOFT_CODES = ("insufficient_funds", "generic_decline", "processing_error", "card_velocity_exceeded")
"""Declines after which the same method may work later (https://docs.stripe.com/declines/codes)."""
HARD_CODES = ("lost_card", "stolen_card", "fraudulent")


class Sandbox:
    """Answers as a provider would: 88 % succeed, 10 % soft and 1 % hard declines, 1 % require action."""

    def __init__(self, seed: int = 7) -> None:
        self._seed = seed

    def charge(self, command: Record) -> Answer:
        """Decide the command by its id."""
        command_id: str = command["command_id"]
        draw = self._draw(command_id)
        outcome, choice = draw % OUTCOMES_OF_10_000, draw // OUTCOMES_OF_10_000
        payment_id, made_at = _payment_id(command_id), int(command["made_at"])
        if outcome < SUCCEEDED:
            return Answer(kind="succeeded", payment_id=payment_id, occurred_at=made_at)
        if outcome < SUCCEEDED + SOFT_DECLINES + HARD_DECLINES:
            hard = outcome >= SUCCEEDED + SOFT_DECLINES
            codes = HARD_CODES if hard else SOFT_CODES
            return Answer(
                kind="failed",
                payment_id=payment_id,
                occurred_at=made_at,
                decline_code=codes[choice % len(codes)],
                hard_decline=hard,
            )
        return Answer(
            kind="requires_action",
            payment_id=payment_id,
            occurred_at=made_at,
            action_url=f"https://pay.example/{payment_id}",
        )

    def cancel(self, command: Record) -> Answer | None:
        """Cancel what has not succeeded."""
        if self.charge(command).kind == "succeeded":
            return None
        return Answer(
            kind="cancelled",
            payment_id=_payment_id(command["command_id"]),
            occurred_at=int(command["made_at"]),
        )

    def _draw(self, command_id: str) -> int:
        digest = blake2b(f"{self._seed}:{command_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big")


def _payment_id(command_id: str) -> str:
    return "pay_" + blake2b(command_id.encode(), digest_size=12).hexdigest()
