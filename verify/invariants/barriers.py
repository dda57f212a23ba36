"""A tick is a barrier: of invariant 8, that the journal tells where the other inputs stood when it was read.

What those offsets settled is judged by the replay, which takes them from there. Here: they can be true.
"""

from collections.abc import Mapping

from streams import topics as names
from verify.books import Found
from verify.evidence import Evidence
from verify.lane import Lane
from verify.report import Check
from verify.topics import INPUTS

OTHERS = tuple(topic for topic in INPUTS if topic != names.TICKS.name)


def check(evidence: Evidence, lane: Lane, journal: list[Found], result: Check) -> None:
    """Check each commit that acted on ticks against the ranges that were folded before them."""
    cut = evidence.topics.log(names.JOURNAL.name, lane.number).start > 0
    starts = {topic: evidence.topics.log(topic, lane.number).start for topic in OTHERS}
    ticks = evidence.topics.log(names.TICKS.name, lane.number)
    folded: dict[str, int] = {}
    last: Mapping[str, int] = {}
    by_then: Mapping[str, int] = {}  # what was folded in the end of the commit that `last` is of
    for found in journal:
        stood = {told["topic"]: told["offset"] for told in found.content["stood"]}
        before: dict[str, int] | None = None  # folded before its first tick
        for run in found.content["runs"]:
            if run["topic"] != names.TICKS.name:
                folded[run["topic"]] = max(run["to"], folded.get(run["topic"], 0))
            elif before is None and (stood or ticks.between(run["from"], run["to"])):
                before = dict(folded)
        if before is None and not stood:
            continue
        result.looked_at("barriers")
        if before is None or len(stood) != len(found.content["stood"]) or stood.keys() != set(OTHERS):
            _fail(
                found,
                result,
                "a commit tells where each other input stood if it acted on a tick, and only then",
                "no tick" if before is None else ", ".join(OTHERS),
                ", ".join(told["topic"] for told in found.content["stood"]) or "none",
            )
            continue
        for topic in OTHERS:
            most = max(before.get(topic, 0), starts[topic])
            if stood[topic] > most and not (cut and topic not in before):
                rule = "what stood in the inputs when a tick was read is folded before it"
                _fail(found, result, rule, f"{topic} folded up to {stood[topic]}", f"up to {most}")
        least = last if stood == last else {**last, **by_then}
        for topic, offset in least.items():
            if topic in stood and stood[topic] < offset:
                rule = "where inputs stand is asked anew for a tick, and never goes back"
                _fail(found, result, rule, f"{topic} at {offset} or after", str(stood[topic]))
        last, by_then = stood, dict(folded)


def _fail(found: Found, result: Check, rule: str, expected: str, told: str) -> None:
    result.fail(rule, account=None, place=found.place, expected=expected, found=told)
