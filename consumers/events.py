"""The payment events that the payments process writes: functions of a command and of what is said about it.

So what is said again is the same to the byte, and the lanes apply it once.
"""

from consumers.attempts import Word
from consumers.provider import Answer
from schemas.wire import Record


def payment_event(command: Record, answer: Answer) -> Record:
    """Return the event that says what the provider answered to a command."""
    return {
        "account_id": command["account_id"],
        "payment_id": answer.payment_id,
        "kind": answer.kind,
        "amount_minor": command["amount_minor"],
        "currency": command["currency"],
        "occurred_at": answer.occurred_at,
        "reference": None,
        "command_id": command["command_id"],
        "payment_method_ref": command["payment_method_ref"],
        "decline_code": answer.decline_code,
        "hard_decline": answer.hard_decline,
        "action_url": answer.action_url,
    }


def word_event(command: Record, word: Word, said_at: int) -> Record:
    """Return the event that says a final word on a command behind which there is no payment."""
    return {
        "account_id": command["account_id"],
        "payment_id": f"none:{command['command_id']}",
        "kind": word,
        "amount_minor": command["amount_minor"],
        "currency": command["currency"],
        "occurred_at": said_at,
        "reference": None,
        "command_id": command["command_id"],
        "payment_method_ref": command["payment_method_ref"],
        "decline_code": None,
        "hard_decline": False,
        "action_url": None,
    }
