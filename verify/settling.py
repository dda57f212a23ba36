"""When the outputs say that something which waited was settled.

A tick settles what stood in its lane when the tick was read, and that moment is in no topic: what came
between the reading and the acting waits for the next tick. So which tick it was, the outputs are asked;
that it was settled at all, and rightly, is judged as for everything else.
"""

from verify.accounts import Money
from verify.books import Books, Entry
from verify.lane import Use

FOLLOWING = frozenset({"refund", "dispute", "dispute_won", "return"})
"""Kinds of money that wait for their payment too: without end, and in the account."""

Name = tuple[str | None, ...]


class Settling:
    """The lane times at which waiting things were booked or died."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._booked: dict[str, dict[Name, int | None]] = {}

    def at(self, item: Use | Money) -> int | None:
        """Return the lane time at which an item was settled; None: not at all, or before the first tick."""
        letters = self._books.dead.get(item.place)
        if letters:
            rejected_at: int | None = letters[0].content["rejected_at"]
            return rejected_at
        booked = self._booked.get(item.account_id)
        if booked is None:
            entries = self._books.entries.get(item.account_id, [])
            booked = self._booked[item.account_id] = {_of_entry(entry): entry.booked_at for entry in entries}
        return booked.get(_of_item(item))


def _of_entry(entry: Entry) -> Name:
    match entry.kind:
        case "charge":
            return (entry.kind, entry.source, entry.event_id)
        case "payment":
            return (entry.kind, entry.payment_id)
        case kind if kind in FOLLOWING:
            return (kind, entry.payment_id, entry.reference)
        case _:
            return (entry.kind, entry.adjustment_id or f"entry {entry.number}")


def _of_item(item: Use | Money) -> Name:
    if isinstance(item, Use):
        return ("charge", item.source, item.event_id)
    if item.kind == "payment":
        return (item.kind, item.content["payment_id"])
    if item.kind in FOLLOWING:
        return (item.kind, item.content["payment_id"], item.content["reference"])
    if "adjustment_id" not in item.content:
        return (item.kind, "moves no money")
    return (item.kind, item.content["adjustment_id"])
