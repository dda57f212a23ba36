"""What publishing a rate card would do: which versions are new, which stand there, which are refused.

Pure: the file's prices against the price records that the lanes have. A published version never changes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from producers.rate_card import Key, Listed, Problem, key_of
from producers.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One price as the topic has it: the first record of its key in each partition that has one."""

    record: Record
    partitions: frozenset[int]
    """Those whose lane has, or will have, exactly this price."""
    differs: frozenset[int] = frozenset()
    """Those whose lane has another content under the same version: somebody published it twice at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What is to be done with each price of a file."""

    new: tuple[Listed, ...]
    completed: tuple[Listed, ...]
    """Published to some partitions only, by a run that was cut off: sent again to all."""
    unchanged: tuple[Listed, ...]
    problems: tuple[Problem, ...]

    @property
    def to_send(self) -> tuple[Listed, ...]:
        """Return what has to be sent."""
        return (*self.completed, *self.new)


def published(
    found: Iterable[tuple[int, int, Record]], refused: Collection[tuple[int, int]]
) -> dict[Key, Published]:
    """Return the prices that the lanes keep, from (partition, offset, record) in order of offsets.

    `refused` are the (partition, offset) that became dead letters: such a record is no price.
    """
    first: dict[Key, dict[int, Record]] = {}
    for partition, offset, record in found:
        if (partition, offset) not in refused:
            first.setdefault(key_of(record), {}).setdefault(partition, record)
    known: dict[Key, Published] = {}
    for key, copies in first.items():
        record = copies[min(copies)]
        same = frozenset(partition for partition, copy in copies.items() if copy == record)
        known[key] = Published(record=record, partitions=same, differs=frozenset(copies) - same)
    return known


def compare(prices: Sequence[Listed], known: Mapping[Key, Published], partitions: int) -> Publication:
    """Return what publishing these prices over the known ones means."""
    new: list[Listed] = []
    completed: list[Listed] = []
    unchanged: list[Listed] = []
    problems: list[Problem] = []
    for listed in prices:
        there = known.get(listed.key)
        if there is None:
            problem = _not_above(listed, known)
            if problem is None:
                new.append(listed)
            else:
                problems.append(problem)
        elif there.differs:
            lanes = ", ".join(map(str, sorted(there.differs)))
            problems.append(
                listed.problem(
                    f"version {listed.record['version']} has another content in lane {lanes} than in the "
                    "others: publish the right one as a new version, marked late"
                )
            )
        elif there.record != listed.record:
            problems.append(listed.problem(_changed(listed.record, there.record)))
        elif len(there.partitions) < partitions:
            completed.append(listed)
        else:
            unchanged.append(listed)
    return Publication(
        new=tuple(new), completed=tuple(completed), unchanged=tuple(unchanged), problems=tuple(problems)
    )


def in_force(known: Mapping[Key, Published], moment: int) -> list[Record]:
    """Return the price of each meter and currency at a moment, by meter and currency."""
    best: dict[tuple[str, str], Record] = {}
    for record in (entry.record for entry in known.values()):
        if record["valid_from"] > moment:
            continue
        place = (record["meter"], record["currency"])
        rival = best.get(place)
        if rival is None or _later(record) > _later(rival):
            best[place] = record
    return [best[place] for place in sorted(best)]


def _later(record: Record) -> tuple[int, int]:
    return record["valid_from"], record["version"]


def _not_above(listed: Listed, known: Mapping[Key, Published]) -> Problem | None:
    """Return why a new version does not follow those that are published, or None."""
    meter, currency, version = listed.key
    others = [entry.record for key, entry in known.items() if key[:2] == (meter, currency)]
    if not others:
        return None
    last = max(others, key=lambda record: int(record["version"]))
    if version < last["version"]:
        return listed.problem(
            f"version {version} is new, but {last['version']} of {meter} in {currency} is published already: "
            f"give it version {last['version'] + 1}"
        )
    latest = max(others, key=lambda record: int(record["valid_from"]))
    if listed.record["valid_from"] < latest["valid_from"]:
        return listed.problem(
            f"would be valid before version {latest['version']}, which is published already",
            about="valid_from",
        )
    return None


def _changed(wanted: Record, there: Record) -> str:
    fields = ", ".join(name for name in wanted if wanted[name] != there[name])
    return (
        f"version {wanted['version']} is published already and never changes ({fields} differ"
        f"{'s' if ',' not in fields else ''}): publish a new version"
    )
