"""The commands that the payments process has read and not yet answered: by lane, by account, in order.

Owns which offset may be committed: the first that is still open. One account that waits holds the offset
of its lane back and nothing else; what was answered beyond it is asked again after a restart, harmlessly.
"""

from collections import deque
from dataclasses import dataclass, field

from consumers.attempts import Mark
from schemas.wire import Record

LONG_AGO = float("-inf")


@dataclass(slots=True, eq=False)
class Line:
    """The open commands of one account; only the first is worked on."""

    lane: "Lane"
    account_id: str
    commands: deque[tuple[int, Record]] = field(default_factory=deque)
    """(offset, command)."""
    tries: int = 0
    """How often in a row nothing could be said about the first."""
    posted_at: float = LONG_AGO
    """When a post of this process was last under way (time.monotonic)."""

    @property
    def command(self) -> Record:
        """The command that is worked on."""
        return self.commands[0][1]

    @property
    def cancel_waits(self) -> bool:
        """Whether a request to cancel the first command stands behind it."""
        command_id = self.command["command_id"]
        return any(
            c["kind"] == "cancel" and c["command_id"] == command_id for _, c in list(self.commands)[1:]
        )

    @property
    def mark(self) -> Mark | None:
        """The account's mark."""
        return self.lane.marks.get(self.account_id)


@dataclass(slots=True, eq=False)
class Lane:
    """One partition, for as long as this process has it."""

    number: int
    marks: dict[str, Mark]
    restored_at: float
    """When its marks were read (time.monotonic)."""
    is_lost: bool = False
    lines: dict[str, Line] = field(default_factory=dict)
    open: dict[int, None] = field(default_factory=dict)
    """Offsets without an answer, ascending."""
    position: int = -1
    """The next offset to read; negative before the first."""
    committed: int = -1

    @property
    def next_offset(self) -> int:
        """The offset to commit: everything before it is answered. Negative where nothing was read."""
        return next(iter(self.open), self.position)

    def admit(self, offset: int, command: Record) -> Line | None:
        """Take a command in; return its line where it is the first there."""
        self.position = offset + 1
        self.open[offset] = None
        account_id = command["account_id"]
        line = self.lines.get(account_id)
        if line is None:
            line = self.lines[account_id] = Line(self, account_id)
        line.commands.append((offset, command))
        return line if len(line.commands) == 1 else None

    def pass_over(self, next_offset: int) -> None:
        """Leave out what is no command."""
        self.position = next_offset

    def close_first(self, line: Line) -> bool:
        """The first command of a line is answered; return whether another waits there."""
        offset, _ = line.commands.popleft()
        del self.open[offset]
        line.tries = 0
        if not line.commands:
            del self.lines[line.account_id]
        return bool(line.commands)
