"""Invariant 8: every input record is accounted for, and became what this check says it must become.

The journal's ranges tile each input partition; its counts are those of the replay; the dead letters are
exactly those that the replay expects; ticks were barriers; every applied adjustment has its entry. (Applied
usage and payments are joined with the ledger by invariants 2 and 5.)
"""

from streams import topics as names
from verify.books import Found
from verify.evidence import Evidence
from verify.invariants import adjustments, barriers
from verify.lane import OUTCOMES, SETTLED, Lane, Tally
from verify.report import Check, Place
from verify.topics import INPUTS, Log
from verify.wording import moment


def check(evidence: Evidence) -> Check:
    """Check journal, counts and dead letters lane by lane."""
    result = Check(8, "every input record accounted for, and rightly so")
    for kind in ("input records", "commits", "offset ranges", "dead letters", "applied adjustments"):
        result.looked_at(kind, 0)
    for lane in evidence.lanes:
        journal = evidence.books.journal[lane.number]
        _check_ranges(evidence, lane, journal, result)
        barriers.check(evidence, lane, journal, result)
        for tally, found in zip(lane.tallies, journal, strict=True):
            result.looked_at("input records", tally.retained)
            _check_counts(lane, tally, found, result)
        adjustments.check(evidence, lane, result)
    _check_dead_letters(evidence, result)
    _note_limits(evidence, result)
    return result


def _check_ranges(evidence: Evidence, lane: Lane, journal: list[Found], result: Check) -> None:
    """The runs of each input follow on from the first retained record to the end, without gap or overlap."""
    journal_cut = evidence.topics.log(names.JOURNAL.name, lane.number).start > 0
    reached: dict[str, int] = {}
    for at, found in enumerate(journal):
        result.looked_at("commits")
        number = found.content["commit"]
        expected = (
            lane.number,
            journal[at - 1].content["commit"] + 1 if at else number if journal_cut else 1,
        )
        rule = "a lane's commits are numbered without a gap"
        result.expect((found.content["lane"], number), expected, rule, account=None, place=found.place)
        for run in found.content["runs"]:
            result.looked_at("offset ranges")
            topic, first, after = run["topic"], run["from"], run["to"]
            if topic not in INPUTS or after <= first:
                result.fail(
                    "a run is a range of an input's offsets",
                    account=None,
                    place=found.place,
                    expected="an input topic, from below to",
                    found=str(run),
                )
                continue
            log = evidence.topics.log(topic, lane.number)
            before = reached.get(topic)
            if before is None:
                right = first <= log.start or journal_cut
            else:
                right = first == before or _is_only_markers(topic, log, before, first)
            if not right:
                result.fail(
                    "the runs of an input follow on without gap or overlap",
                    account=None,
                    place=found.place,
                    expected=f"{topic}[{lane.number}] from {log.start if before is None else before}",
                    found=f"from {first} to {after}",
                )
            if topic == names.TICKS.name and len(log.between(first, after)) > 1:
                result.fail(
                    "a run of ticks holds one",
                    account=None,
                    place=found.place,
                    expected="1",
                    found=f"{len(log.between(first, after))} from {first} to {after}",
                )
            reached[topic] = max(after, before or 0)
    for topic in INPUTS:
        _check_end(topic, lane, evidence.topics.log(topic, lane.number), reached.get(topic, 0), result)


def _is_only_markers(topic: str, log: Log, first: int, after: int) -> bool:
    """Return whether a range of offsets never held a record: transaction markers and what was aborted."""
    return topic != names.PROFILES.name and log.start <= first < after and not log.between(first, after)


def _check_end(topic: str, lane: Lane, log: Log, reached: int, result: Check) -> None:
    left = log.between(reached, log.end)
    if left:
        result.fail(
            "the journal reaches the end of every input",
            account=None,
            place=Place(topic, lane.number, left[0].offset),
            expected=f"ranges up to {log.end}",
            found=f"up to {reached}; {len(left)} records in no range",
        )
    elif reached > log.end:
        result.fail(
            "the journal ends where its inputs end",
            account=None,
            place=Place(topic, lane.number, log.end),
            expected=f"ranges up to {log.end}",
            found=f"up to {reached}",
        )


def _check_counts(lane: Lane, tally: Tally, found: Found, result: Check) -> None:
    """A commit's counts are the replay's, and together the records of its runs."""
    content, place = found.content, tally.place
    told = {name: content[name] for name in (*OUTCOMES, *SETTLED)}
    total = sum(told[name] for name in OUTCOMES)
    if not tally.retained <= total <= tally.retained + tally.absent:
        result.fail(
            "a commit's counts add up to the records of its runs",
            account=None,
            place=place,
            expected=_between(tally.retained, tally.absent),
            found=f"{total}: {told}",
        )
    elif not lane.usage_head_removed:
        for name, count in told.items():
            least, more = tally.fixed[name], tally.extra[name]
            if name in OUTCOMES:
                more += tally.absent
            if not least <= count <= least + more:
                result.fail(
                    f"how many records of a commit count as {name}",
                    account=None,
                    place=place,
                    expected=_between(least, more),
                    found=str(count),
                )
    last = tally.ticks[-1] if tally.ticks else None
    if content["tick"] != last and content["tick"] not in tally.stale_ticks:
        rule = "the tick of a commit is the last acted on"
        result.expect(content["tick"], last, rule, account=None, place=place, said=moment)


def _between(least: int, more: int) -> str:
    return f"{least} to {least + more}" if more else str(least)


def _check_dead_letters(evidence: Evidence, result: Check) -> None:
    """Dead letters are exactly the inputs that must be dead, each once, as they came, for a right reason."""
    unjudged = 0
    for lane in evidence.lanes:
        for origin, reasons in lane.expected_dead.items():
            result.looked_at("dead letters")
            letters = evidence.books.dead.get(origin, [])
            if len(letters) != 1 or letters[0].content["reason"] not in reasons:
                result.fail(
                    "an input that cannot be applied is one dead letter with its reason",
                    account=_key_of(evidence.topics.log(origin.topic, origin.partition), origin.offset),
                    place=origin,
                    expected=" or ".join(sorted(reasons)),
                    found=", ".join(f.content["reason"] for f in letters) or "none",
                )
    for origin, letters in evidence.books.dead.items():
        log = _log_of(evidence, origin)
        record = next(iter(log.between(origin.offset, origin.offset + 1)), None) if log else None
        if record is None:
            unjudged += 1
            continue
        for letter in letters:
            content = letter.content
            found = (content["key"], content["value"], content["timestamp"])
            headers = tuple((h["name"], h["value"]) for h in content["headers"])
            is_personal = origin.topic == names.PROFILES.name  # such a letter keeps no content: invariant 9
            kept = (found[1], headers) if is_personal else (record.value, record.headers)
            result.expect(
                (*found, headers),
                (record.key, kept[0], record.timestamp, kept[1]),
                "a dead letter keeps its original as it came",
                account=content["account_id"],
                place=letter.place,
            )
        if origin not in evidence.lanes[origin.partition].expected_dead:
            result.looked_at("dead letters")
            result.fail(
                "what can be applied is no dead letter",
                account=letters[0].content["account_id"],
                place=origin,
                expected="applied, waiting or duplicate",
                found=f"{letters[0].content['reason']}: {letters[0].content['detail']}",
            )
    if unjudged:
        result.notes.append(
            f"{unjudged} dead letters are not judged: their originals were removed or compacted"
        )


def _key_of(log: Log, offset: int) -> str | None:
    """Return the key of a record for people: the account, where it is a good one."""
    record = next(iter(log.between(offset, offset + 1)), None)
    return record.key.decode(errors="replace") if record and record.key is not None else None


def _log_of(evidence: Evidence, origin: Place) -> Log | None:
    if origin.topic not in INPUTS or not 0 <= origin.partition < evidence.topics.lanes:
        return None
    return evidence.topics.log(origin.topic, origin.partition)


def _note_limits(evidence: Evidence, result: Check) -> None:
    for topic in (*INPUTS, names.JOURNAL.name):
        if evidence.topics.head_removed(topic) and topic != names.PROFILES.name:
            result.notes.append(
                f"the head of {topic} was removed by retention: only what is kept was decided"
            )
    if any(lane.usage_head_removed for lane in evidence.lanes):
        result.notes.append(
            "where usage was removed, applied and duplicate look alike: counts are checked in sum only"
        )
    waiting = sum(len(items) for lane in evidence.lanes for items in lane.waiting.values())
    held = sum(len(items) for lane in evidence.lanes for items in lane.held.values())
    if waiting or held:
        result.notes.append(
            f"{waiting} records wait for an account, price or event, {held} for their payment"
        )
