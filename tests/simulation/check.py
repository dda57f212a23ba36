"""Judges one history: verify over its raw topics, and against the undisturbed run of the same inputs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from streams import topics as names
from tests.simulation.author import written
from tests.simulation.script import Input, Script
from tests.simulation.world import Played, StoppedError, play, settings
from verify import digest
from verify.check import check as verified
from verify.topics import Topics


@dataclass(slots=True)
class Verdict:
    """What was found wrong with a history, if anything, and what happened in it."""

    seed: int
    broken: list[str] = field(default_factory=list)
    """Rules that do not hold, with the first case of each."""
    rules: tuple[str, ...] = ()
    """Their short names: `verify 2`, `state`, `digest`, `balances`, `stopped`."""
    records: int = 0
    commits: int = 0
    aborted: int = 0
    rebalances: int = 0
    seconds: float = 0.0
    done: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)


def judged(script: Script) -> Verdict:
    """Play a script, and once more undisturbed where the two must agree; return the verdict."""
    verdict = Verdict(script.seed)
    try:
        played = play(script)
    except StoppedError as error:
        verdict.broken, verdict.rules = [str(error)], ("stopped",)
        return verdict
    _count(verdict, played)
    rules: list[str] = []
    for found in verified(played.topics, settings(script.lanes)).checks:
        if found.broken_count:
            rules.append(f"verify {found.number}")
            case = found.broken[0]
            verdict.broken.append(
                f"{found.number}. {case.rule}: {case.account} {case.place}: "
                f"expected {case.expected}; found {case.found}"
            )
    if played.stale:
        rules.append("state")
        verdict.broken.append(f"a live table is not what its changelog says: {'; '.join(played.stale[:3])}")
    if script.ordered:
        for rule, line in _against_undisturbed(script, played.topics):
            rules.append(rule)
            verdict.broken.append(line)
    verdict.rules = tuple(rules)
    return verdict


def _count(verdict: Verdict, played: Played) -> None:
    verdict.records, verdict.commits, verdict.aborted = played.records, played.commits, played.aborted
    verdict.rebalances, verdict.seconds = played.rebalances, played.seconds
    verdict.done, verdict.passed = played.done, played.passed


def _against_undisturbed(script: Script, topics: Topics) -> Iterator[tuple[str, str]]:
    try:
        undisturbed = play(script.undisturbed).topics
    except StoppedError as error:
        yield "stopped", f"the undisturbed run: {error}"
        return
    ours, theirs = digest.text(topics), digest.text(undisturbed)
    if ours != theirs:
        extra = sorted(set(ours.splitlines()) - set(theirs.splitlines()))
        missing = sorted(set(theirs.splitlines()) - set(ours.splitlines()))
        yield "digest", f"charges, tax and lines differ: missing {missing[:3]}, extra {extra[:3]}"
    if not script.tops_up:
        mine, other = _balances(topics), _balances(undisturbed)
        if mine != other:
            differing = sorted(a for a in mine.keys() | other.keys() if mine.get(a) != other.get(a))
            yield "balances", f"balances differ: {[(a, other.get(a), mine.get(a)) for a in differing[:3]]}"


def _balances(topics: Topics) -> dict[str, int]:
    found = {}
    for log in topics.logs[names.BALANCES.name]:
        for record in log.records:
            assert record.value is not None
            content = topics.schemas.decode(record.value, "account-balance")[1]
            found[content["account_id"]] = content["balance"]
    return found


def check(seed: int) -> Verdict:
    """Judge the history of a seed."""
    return judged(written(seed))


def shortest(script: Script, rules: tuple[str, ...], *, tries: int = 400) -> Script:
    """Return a script that still breaks one of the rules: fewer injuries, accounts, inputs."""
    search = _Search(script, rules, tries)
    while search.left > 0 and search.improves():
        pass
    return search.kept


class _Search:
    """Takes parts away from a script as long as it goes on failing."""

    def __init__(self, script: Script, rules: tuple[str, ...], tries: int) -> None:
        self.kept = script
        self.left = tries
        self._rules = set(rules)

    def improves(self) -> bool:
        """Try to spare every part once; return whether one could be spared."""
        before = self.kept
        self._try(replace(self.kept, injuries=()))
        for at in reversed(range(len(self.kept.injuries))):
            self._try(replace(self.kept, injuries=_but(self.kept.injuries, at, 1)))
        self._try(replace(self.kept, workers=1, crews=()))
        self._try(replace(self.kept, crews=()))
        self._try(replace(self.kept, store="memory"))
        for account in self.kept.accounts:
            self._try(_keeping(self.kept, [i for i in _inputs(self.kept) if i.account != account]))
        for at in reversed(range(len(self.kept.steps))):
            if len(self.kept.steps) > 1:
                self._try(replace(self.kept, steps=_but(self.kept.steps, at, 1), crews=()))
        size = max(1, len(_inputs(self.kept)) // 2)
        while size:
            for at in reversed(range(0, len(_inputs(self.kept)), size)):
                self._try(_keeping(self.kept, list(_but(tuple(_inputs(self.kept)), at, size))))
            size //= 2
        return self.kept is not before

    def _try(self, candidate: Script) -> None:
        if self.left > 0 and candidate != self.kept:
            self.left -= 1
            if self._rules & set(judged(candidate).rules):
                self.kept = candidate


def _but(parts: tuple[Any, ...], at: int, count: int) -> tuple[Any, ...]:
    return parts[:at] + parts[at + count :]


def _inputs(script: Script) -> list[Input]:
    return [made for step in script.steps for made in step.inputs]


def _keeping(script: Script, inputs: list[Input]) -> Script:
    """Return a script with these inputs only; each is the same object."""
    kept = set(map(id, inputs))
    steps = [replace(step, inputs=tuple(i for i in step.inputs if id(i) in kept)) for step in script.steps]
    return replace(script, steps=tuple(steps))


def story(script: Script) -> str:
    """Tell a script in words: what is sent, when it ticks, who is hurt."""
    lines = [
        f"seed {script.seed}: {script.lanes} lanes, {script.workers} workers {script.crews or ''}, "
        f"{script.store}, gathers {script.gather_seconds} s, batches of {script.batch_records}, "
        f"{'ordered' if script.ordered else 'all at once'}"
    ]
    for step in script.steps:
        lines += [f"  {made.topic} {made.lane} {made.timestamp} {made.says}" for made in step.inputs]
        lines.append(f"  tick {step.tick}")
    lines += [f"  {injury}" for injury in script.injuries]
    return "\n".join(lines)
