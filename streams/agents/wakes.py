"""Which accounts are due: those of a lane by wake_at. Knows their ids only, and never looks at an account.

Most accounts of a lane wait for the same few moments, the closes of months. So the index has an entry a
moment, and an account that only sleeps costs a restart, which looks at all of them, as little as it can.
"""

import heapq
from collections.abc import Iterable, Sequence

from streams.domain.account import NEVER


class Wakes:
    """The index. A place that an account has left stays in it, and is passed over when its turn comes."""

    def __init__(self, stored: Iterable[tuple[str, int]]) -> None:
        """Take in each stored account's id and wake_at."""
        self._known: dict[str, int] = {}  # id -> wake_at; of those not moved, what was stored is true
        self._asleep: dict[int, list[str]] = {}  # moment -> heap of ids
        for account_id, wake_at in stored:
            if wake_at < NEVER:
                asleep = self._asleep.get(wake_at)
                if asleep is None:
                    asleep = self._asleep[wake_at] = []
                asleep.append(account_id)
        for asleep in self._asleep.values():
            heapq.heapify(asleep)
        self._moments = list(self._asleep)  # heap of those that have accounts
        heapq.heapify(self._moments)

    def set(self, account_id: str, wake_at: int) -> None:
        """Move an account to its new wake_at."""
        self._known[account_id] = wake_at
        if wake_at < NEVER:
            self._add(account_id, wake_at)

    def due(self, time: int, limit: int) -> Sequence[str]:
        """Return account ids whose wake_at <= time, earliest first, then by id."""
        moments, known = self._moments, self._known
        found: list[tuple[int, str]] = []
        while moments and moments[0] <= time and len(found) < limit:
            moment = moments[0]
            asleep = self._asleep[moment]
            while asleep and len(found) < limit:
                entry = (moment, heapq.heappop(asleep))
                if known.get(entry[1], moment) == moment and (not found or found[-1] != entry):
                    found.append(entry)
            if not asleep:
                heapq.heappop(moments)
                del self._asleep[moment]
        for moment, account_id in found:  # they stay due until set() says otherwise
            self._add(account_id, moment)
        return [account_id for _, account_id in found]

    def _add(self, account_id: str, moment: int) -> None:
        asleep = self._asleep.get(moment)
        if asleep is None:
            self._asleep[moment] = [account_id]
            heapq.heappush(self._moments, moment)
        else:
            heapq.heappush(asleep, account_id)
