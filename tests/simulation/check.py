"""Judges one history: verify over its raw topics, and against the undisturbed run of the same inputs."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from streams import topics as names
from tests.simulation.script import Script, Step, written
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
    """Their short names: `verify 2`, `digest`, `balances`, `stopped`."""
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
    """Return a script that still breaks one of the rules: fewer injuries, accounts, steps, inputs."""
    left = tries

    def fails(candidate: Script) -> bool:
        nonlocal left
        left -= 1
        return bool(set(judged(candidate).rules) & set(rules))

    kept, smaller = script, True
    while smaller and left > 0:
        smaller = False
        for candidate in _smaller(kept):
            if left <= 0:
                break
            if fails(candidate()):
                kept, smaller = candidate(), True
                break
    return kept


def _smaller(script: Script) -> Iterator[Callable[[], Script]]:
    """Yield what is one part less, the largest parts first."""
    if script.injuries:
        yield lambda: replace(script, injuries=())
    for at in range(len(script.injuries)):
        yield lambda at=at: replace(script, injuries=script.injuries[:at] + script.injuries[at + 1 :])  # type: ignore[misc]
    if script.workers > 1 or script.crews:
        yield lambda: replace(script, workers=1, crews=())
        yield lambda: replace(script, crews=())
    if script.store != "memory":
        yield lambda: replace(script, store="memory")
    for account in script.accounts:
        if any(made.account == account for step in script.steps for made in step.inputs):
            yield lambda account=account: _without(script, lambda made: made.account != account)  # type: ignore[misc]
    for at in reversed(range(len(script.steps))):
        if len(script.steps) > 1:
            yield lambda at=at: replace(script, steps=script.steps[:at] + script.steps[at + 1 :], crews=())  # type: ignore[misc]
    every = [made for step in script.steps for made in step.inputs]
    size = len(every) // 2
    while size >= 1:
        for first in range(0, len(every), size):
            gone = set(map(id, every[first : first + size]))
            yield lambda gone=gone: _without(script, lambda made: id(made) not in gone)  # type: ignore[misc]
        size //= 2


def _without(script: Script, keeps: Callable[..., bool]) -> Script:
    steps = tuple(Step(tuple(i for i in step.inputs if keeps(i)), step.tick, step.now) for step in script.steps)
    return replace(script, steps=steps)


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
