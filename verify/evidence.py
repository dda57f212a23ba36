"""What all checks look at together: the topics, the outputs decoded, the inputs replayed."""

from dataclasses import dataclass, field

from streams import topics as names
from streams.settings import Settings
from verify import books, replay
from verify.accounts import Account
from verify.books import Books, Entry
from verify.lane import Lane
from verify.partitions import partition_of
from verify.topics import Topics


@dataclass(slots=True)
class Evidence:
    """One deployment at one moment, read and replayed."""

    topics: Topics
    settings: Settings
    books: Books
    lanes: list[Lane]
    cut: set[str] = field(default_factory=set)
    """Accounts whose first ledger entries retention has removed: nothing can be summed for them."""

    @classmethod
    def of(cls, topics: Topics, settings: Settings) -> "Evidence":
        """Decode the outputs and replay the inputs."""
        found = books.read(topics)
        evidence = cls(topics, settings, found, replay.replay(topics, found, settings))
        for account_id, entries in found.entries.items():
            if entries[0].number > 1 and topics.log(names.LEDGER.name, entries[0].partition).start > 0:
                evidence.cut.add(account_id)
        return evidence

    @property
    def grace_ms(self) -> int:
        """Between the end of a period and its close."""
        return self.settings.grace_minutes * 60_000

    def lane_of(self, account_id: str) -> Lane:
        """Return the lane of an account."""
        return self.lanes[partition_of(account_id.encode(), self.topics.lanes)]

    def account(self, account_id: str) -> Account | None:
        """Return what the inputs made of an account."""
        return self.lane_of(account_id).accounts.get(account_id)

    def whole(self) -> dict[str, list[Entry]]:
        """Return the entries of every account whose ledger is complete."""
        return {a: entries for a, entries in self.books.entries.items() if a not in self.cut}

    def cut_note(self) -> list[str]:
        """Say which accounts cannot be summed."""
        if not self.cut:
            return []
        return [f"{len(self.cut)} accounts not summed: the head of their ledger was removed by retention"]
