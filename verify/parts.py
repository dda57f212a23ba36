"""Which document carries which ledger entry: a period has a second part where its account was closed in it.

The ledger does not tell before or after the close; the replay does, by how much it had booked by then.
"""

from typing import NamedTuple

from schemas.wire import Record as Content
from verify import periods
from verify.accounts import Account
from verify.books import Entry
from verify.evidence import Evidence

WRITE_OFF = "write_off"
CONSEQUENCES = frozenset({"tax", "reversal_tax", WRITE_OFF})
"""Entries that follow what caused them."""


class Part(NamedTuple):
    """A period, or what of it comes before or after a close; parts follow each other."""

    period: int
    number: int
    """How many closes of its account within the period came before."""


def of_cuts(account: Account, entries: list[Entry]) -> list[int]:
    """Return for each close of an account where in its ledger it fell: before the entry of that position.

    What is written off then stands there.
    """
    positions, at, causes = [], 0, 0
    for cut in account.cuts:
        while at < len(entries) and (
            causes < cut.causes or (entries[at].kind in CONSEQUENCES and entries[at].kind != WRITE_OFF)
        ):
            causes += entries[at].kind not in CONSEQUENCES
            at += 1
        positions.append(at)
        at += at < len(entries) and entries[at].kind == WRITE_OFF
    return positions


def of_entries(account: Account | None, entries: list[Entry]) -> list[Part]:
    """Return the part that each of an account's entries belongs to."""
    if account is None or not account.cuts:
        return [Part(entry.period, 0) for entry in entries]
    ends = [
        (cut.period, at + (at < len(entries) and entries[at].kind == WRITE_OFF))
        for cut, at in zip(account.cuts, of_cuts(account, entries), strict=True)
    ]
    return [
        Part(entry.period, sum(period == entry.period and at >= end for period, end in ends))
        for at, entry in enumerate(entries)
    ]


def of_invoice(account: Account | None, invoice: Content) -> Part:
    """Return the part that an invoice is about: after a close it begins at that moment.

    A part may be one instant: a close at the first moment of a month, or a second close at the same tick.
    """
    period, start, end = periods.index_of(invoice["period"]), invoice["period_start"], invoice["period_end"]
    cuts = [cut for cut in (account.cuts if account is not None else []) if cut.period == period]
    if account is not None and start == end:
        earlier = sum(cut.time < start for cut in cuts)
        return Part(period, earlier + (start > account.zones.start(period)))
    return Part(period, sum(cut.time <= start for cut in cuts))


def bounds(account: Account, part: Part) -> tuple[int, int]:
    """Return the first moment of a part, and the first after it."""
    start, end = account.zones.start(part.period), account.zones.end(part.period)
    cuts = [cut for cut in account.cuts if cut.period == part.period]
    if part.number:
        start = max(start, cuts[part.number - 1].time)
    if part.number < len(cuts):
        end = min(end, cuts[part.number].time)
    return start, end


def closed_by_hand(account: Account, part: Part) -> int | None:
    """Return when a close of the account ended a part, or a period in its hour of grace; None: none did."""
    within = [cut.time for cut in account.cuts if cut.period == part.period]
    after = [cut.time for cut in account.cuts if cut.period > part.period]
    return next(iter([*within[part.number :], *after]), None)


def is_over(account: Account, part: Part, time: int | None, grace_ms: int) -> bool:
    """Return whether a part has ended by a lane's time, so that its entries are on a document."""
    return closed_by_hand(account, part) is not None or account.zones.is_closed(part.period, time, grace_ms)


def are_known(evidence: Evidence, account_id: str) -> bool:
    """Return whether parts can be told: not where removed usage makes it unsure what was booked when."""
    account = evidence.account(account_id)
    if account is None or not account.cuts:
        return True
    return account_id not in evidence.cut and not evidence.lane_of(account_id).usage_head_removed
