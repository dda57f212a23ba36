"""A payment provider that moves no money, for tests and demos: it remembers as a provider does, in a file.

What becomes of a command is a function of the seed and its id alone, so the same simulation has the same
outcomes on any machine. The file is the world outside: it outlives every process of ours, is shared by
several, and counts the charges of each id, so that a test can say that none was taken twice.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum, unique
from hashlib import blake2b
from pathlib import Path

from consumers.provider import Answer, UnavailableError, UnsureError
from schemas.wire import Record

OF = 10_000
SUCCEEDED = 8_800
SOFT_DECLINES = 1_000
HARD_DECLINES = 100
"""Of 10,000 commands; the rest requires action."""

SOFT_CODES = ("insufficient_funds", "generic_decline", "processing_error", "card_velocity_exceeded")
"""Declines after which the same method may work later (https://docs.stripe.com/declines/codes)."""
HARD_CODES = ("lost_card", "stolen_card", "fraudulent")

BUSY_SECONDS = 30.0
"""How long a call waits for the others of the same file."""

_TABLES = """
CREATE TABLE IF NOT EXISTS payments (
    command_id TEXT PRIMARY KEY, kind TEXT, occurred_at INTEGER, decline_code TEXT, charges INTEGER);
CREATE TABLE IF NOT EXISTS keys (command_id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS posts (command_id TEXT PRIMARY KEY, count INTEGER);
CREATE TABLE IF NOT EXISTS plans (
    command_id TEXT, post INTEGER, trouble TEXT, PRIMARY KEY (command_id, post));
CREATE TABLE IF NOT EXISTS under_way (command_id TEXT PRIMARY KEY, made_at INTEGER);
CREATE TABLE IF NOT EXISTS outage (since INTEGER);
"""


@unique
class Trouble(StrEnum):
    """What can go wrong with one post of a command."""

    NONE = "none"
    UNAVAILABLE = "unavailable"
    """Refused at the door: no effect."""
    LOST = "lost"
    """It went through, and the answer was lost."""
    LATE = "late"
    """It is under way, and goes through at land(); nobody knows of it before."""


class Sandbox:
    """Answers as a provider would: 88 % succeed, 10 % soft and 1 % hard declines, 1 % require action."""

    def __init__(self, seed: int = 7, memory: Path | None = None, trouble: int = 0) -> None:
        """Remember in the file `memory`, else only in this object; `trouble` of 10,000 posts go wrong."""
        self._seed = seed
        self._trouble = trouble
        self._lock = threading.Lock()
        if memory is not None:
            memory.parent.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(
            memory or ":memory:", timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        with self._lock:
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute(
                "PRAGMA synchronous=NORMAL"
            )  # a power cut may cost the last moments: no money here
            self._file.executescript(_TABLES)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    # -- what a provider does

    def charge(self, command: Record) -> Answer:
        """Decide the command by its id, once; an id in the idempotency memory is answered as before."""
        command_id, made_at = command["command_id"], int(command["made_at"])
        with self._transaction():
            self._refuse_in_outage()
            trouble = self._trouble_of(command_id, self._count_post(command_id))
            if trouble in {Trouble.NONE, Trouble.LOST}:
                self._take(command_id, made_at)
            elif trouble is Trouble.LATE:
                self._file.execute("INSERT OR IGNORE INTO under_way VALUES (?, ?)", (command_id, made_at))
            answer = self._known(command_id)
        if trouble is Trouble.UNAVAILABLE:
            raise UnavailableError("503")
        if trouble is not Trouble.NONE or answer is None:
            raise UnsureError("no answer in time")
        return answer

    def lookup(self, command: Record) -> Answer | None:
        """Return what became of a command."""
        with self._transaction():
            self._refuse_in_outage()
            return self._known(command["command_id"])

    def cancel(self, command: Record) -> Answer | None:
        """Give up what waits for the customer; every other payment keeps its final word."""
        with self._transaction():
            self._refuse_in_outage()
            self._file.execute(
                "UPDATE payments SET kind = 'cancelled', occurred_at = ? "
                "WHERE command_id = ? AND kind = 'requires_action'",
                (int(command["made_at"]), command["command_id"]),
            )
            return self._known(command["command_id"])

    # -- what else happens to one

    def complete(self, command_id: str, occurred_at: int) -> None:
        """The customer does what a payment required: it succeeds."""
        with self._transaction():
            self._file.execute(
                "UPDATE payments SET kind = 'succeeded', occurred_at = ?, charges = charges + 1 "
                "WHERE command_id = ? AND kind = 'requires_action'",
                (occurred_at, command_id),
            )

    def outage(self, is_out: bool) -> None:
        """Begin or end an outage of everything, for every process."""
        with self._transaction():
            self._file.execute("DELETE FROM outage")
            if is_out:
                self._file.execute("INSERT INTO outage VALUES (1)")

    def plan(self, command_id: str, troubles: Sequence[Trouble]) -> None:
        """Decide what goes wrong with the first posts of a command."""
        with self._transaction():
            self._file.executemany(
                "INSERT OR REPLACE INTO plans VALUES (?, ?, ?)",
                [(command_id, post, trouble) for post, trouble in enumerate(troubles, 1)],
            )

    def land(self) -> None:
        """All posts that are under way go through."""
        with self._transaction():
            for command_id, made_at in self._file.execute("SELECT * FROM under_way").fetchall():
                self._take(command_id, made_at)
            self._file.execute("DELETE FROM under_way")

    def forget_keys(self) -> None:
        """The idempotency memory has run out: an id that is posted again is charged again."""
        with self._transaction():
            self._file.execute("DELETE FROM keys")

    def charges(self) -> dict[str, int]:
        """Return how often money was taken for each command that was posted; more than 1 is a disaster."""
        return dict(self._rows("SELECT command_id, charges FROM payments"))

    def posts(self) -> dict[str, int]:
        """Return how often each command was posted, through or not."""
        return dict(self._rows("SELECT command_id, count FROM posts"))

    def _rows(self, query: str) -> list[tuple[str, int]]:
        with self._lock:
            return self._file.execute(query).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, one at a time among all processes."""
        with self._lock:
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._file.execute("ROLLBACK")
                raise
            self._file.execute("COMMIT")

    def _refuse_in_outage(self) -> None:
        if self._file.execute("SELECT 1 FROM outage").fetchone():
            raise UnavailableError("out")

    def _count_post(self, command_id: str) -> int:
        (count,) = self._file.execute(
            "INSERT INTO posts VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count",
            (command_id,),
        ).fetchone()
        return int(count)

    def _trouble_of(self, command_id: str, post: int) -> Trouble:
        planned = self._file.execute(
            "SELECT trouble FROM plans WHERE command_id = ? AND post = ?", (command_id, post)
        ).fetchone()
        if planned:
            return Trouble(planned[0])
        draw = self._draw(f"{command_id}:{post}:trouble")
        if draw % OF >= self._trouble:
            return Trouble.NONE
        return Trouble.UNAVAILABLE if draw // OF % 2 else Trouble.LOST

    def _take(self, command_id: str, made_at: int) -> None:
        """Decide a payment; one whose key is remembered is left as it is."""
        if self._file.execute("SELECT 1 FROM keys WHERE command_id = ?", (command_id,)).fetchone():
            return
        draw = self._draw(command_id)
        outcome, choice = draw % OF, draw // OF
        kind, code = "requires_action", None
        if outcome < SUCCEEDED:
            kind = "succeeded"
        elif outcome < SUCCEEDED + SOFT_DECLINES + HARD_DECLINES:
            codes = HARD_CODES if outcome >= SUCCEEDED + SOFT_DECLINES else SOFT_CODES
            kind, code = "failed", codes[choice % len(codes)]
        self._file.execute("INSERT INTO keys VALUES (?)", (command_id,))
        self._file.execute(
            "INSERT INTO payments VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET charges = charges + excluded.charges",
            (command_id, kind, made_at, code, kind == "succeeded"),
        )

    def _known(self, command_id: str) -> Answer | None:
        found = self._file.execute(
            "SELECT kind, occurred_at, decline_code FROM payments WHERE command_id = ?", (command_id,)
        ).fetchone()
        if found is None:
            return None
        kind, occurred_at, code = found
        payment_id = "pay_" + blake2b(command_id.encode(), digest_size=12).hexdigest()
        return Answer(
            kind=kind,
            payment_id=payment_id,
            occurred_at=occurred_at,
            decline_code=code,
            hard_decline=code in HARD_CODES,
            action_url=f"https://pay.example/{payment_id}" if kind == "requires_action" else None,
        )

    def _draw(self, name: str) -> int:
        digest = blake2b(f"{self._seed}:{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big")
