"""A payments process that kills itself (SIGKILL, no cleanup) when it comes to a chosen point the nth time.

    python -m tests.pipeline.dying_payments MEMORY SEED TROUBLE SETTLE_SECONDS [POINT NTH]

Only for tests: the product has no such points; they are put around its methods here.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from consumers import payments
from consumers.outbox import Outbox
from consumers.payments import Desk
from consumers.provider import Answer
from consumers.sandbox import Sandbox
from schemas.wire import Record
from streams import settings

POINTS = (
    "before the record",
    "after the record, before the fence",
    "after the fence, before the post",
    "after the post, before the answer",
    "after the answer, before the event",
    "after the event, before the commit",
    "after the commit",
)


class Death:
    """Comes when the chosen point is passed the nth time."""

    def __init__(self, point: str, nth: int) -> None:
        self._point = point
        self._left = nth

    def at(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
                threading.Event().wait()


class DyingSandbox(Sandbox):
    """Dies around a post."""

    death: Death

    def charge(self, command: Record) -> Answer:
        self.death.at("after the fence, before the post")
        try:
            return super().charge(command)
        finally:
            self.death.at("after the post, before the answer")


def arm(death: Death) -> None:
    """Put the points around the methods of the process."""
    attempt, event, deliver = Outbox.attempt, Outbox.event, Outbox.deliver
    record, commit = Desk._record, Desk._commit
    is_recording = False

    def dying_attempt(self, mark):
        death.at("before the record")
        attempt(self, mark)

    def dying_event(self, payment):
        death.at("after the answer, before the event")
        event(self, payment)

    def dying_deliver(self):
        is_done = deliver(self)
        death.at(
            "after the record, before the fence" if is_recording else "after the event, before the commit"
        )
        return is_done

    def dying_record(self):
        nonlocal is_recording
        is_recording = True
        record(self)
        is_recording = False

    def dying_commit(self, lanes):
        taken = commit(self, lanes)
        death.at("after the commit")
        return taken

    Outbox.attempt, Outbox.event, Outbox.deliver = dying_attempt, dying_event, dying_deliver
    Desk._record, Desk._commit = dying_record, dying_commit


def main() -> None:
    memory, seed, trouble, settle, *where = sys.argv[1:]
    sandbox = DyingSandbox(int(seed), Path(memory), int(trouble))
    sandbox.death = Death(*(where[0], int(where[1])) if where else ("", 0))
    arm(sandbox.death)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    payments.run(settings.read(), sandbox, stop, settle_seconds=float(settle))


if __name__ == "__main__":
    main()
