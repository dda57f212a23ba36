"""Invariant 4: never two pending top-ups of an account, and no command passed the limit in force.

Commands are set beside the answers of the provider by the lane's time, so two that meet within one tick are
not told apart: there the reading that lets the command stand is taken.
"""

from itertools import pairwise

from schemas.wire import Record as Content
from streams import topics as names
from verify.accounts import Account
from verify.books import Found
from verify.evidence import Evidence
from verify.lane import Lane
from verify.money import FINAL
from verify.report import Check
from verify.wording import moment

LIFETIME_MS = 23 * 3_600_000


def check(evidence: Evidence) -> Check:
    """Walk each account's commands in the order of their partition."""
    result = Check(4, "never two pending top-ups; none passes its limit or its permission")
    for kind in ("commands", "pairs that follow", "commands under a limit"):
        result.looked_at(kind, 0)
    for kind in ("sent again", "cancels", "commands answered"):
        result.looked_at(kind, 0)
    for account_id, commands in evidence.books.commands.items():
        lane, account = evidence.lane_of(account_id), evidence.account(account_id)
        head_removed = evidence.topics.log(names.COMMANDS.name, lane.number).start > 0
        ticks_removed = evidence.topics.log(names.TICKS.name, lane.number).start > 0
        made = _first_of_each(commands, head_removed, result)
        if made and not head_removed:
            first = (made[0].content["episode"], made[0].content["attempt"])
            rule = "the first command is episode 1, attempt 1"
            result.expect(first, (1, 1), rule, account=account_id, place=made[0].place)
        for earlier, later in pairwise(made):
            result.looked_at("pairs that follow")
            _check_pair(lane, earlier, later, result)
        for at, command in enumerate(made):
            result.looked_at("commands")
            _check_command(lane, account, command, result, ticks_removed=ticks_removed)
            if account is not None:
                _check_limit(lane, account, made[: at + 1], result)
    for lane in evidence.lanes:
        _check_named(evidence, lane, result)
    if evidence.topics.head_removed(names.COMMANDS.name):
        result.notes.append(
            "the oldest commands were removed by retention: only those that are kept were checked"
        )
    return result


def _first_of_each(commands: list[Found], head_removed: bool, result: Check) -> list[Found]:
    """Return each charge command once; one sent again must be byte for byte the same."""
    first: dict[str, Found] = {}
    for command in commands:
        command_id, account_id = command.content["command_id"], command.content["account_id"]
        known = first.get(command_id)
        if command.content["kind"] == "cancel":
            result.looked_at("cancels")
            if known is None and not head_removed:
                result.fail(
                    "a cancel names a command",
                    account=account_id,
                    place=command.place,
                    expected=f"a charge command {command_id} before it",
                    found="none",
                )
        elif known is None:
            first[command_id] = command
        else:
            result.looked_at("sent again")
            rule = "a command sent again is byte for byte the same"
            result.expect(command.raw.value, known.raw.value, rule, account=account_id, place=command.place)
    return list(first.values())


def _check_pair(lane: Lane, earlier: Found, later: Found, result: Check) -> None:
    """A command is made only after the one before it has its final answer."""
    before, after = earlier.content, later.content
    if not _answers(lane, before["command_id"], after["made_at"]) & FINAL:
        result.fail(
            "at most one pending top-up",
            account=after["account_id"],
            place=later.place,
            expected=f"a final answer to {before['command_id']} before lane time {moment(after['made_at'])}",
            found=", ".join(
                f"{kind} at {moment(at)}" for kind, at in lane.outcomes.get(before["command_id"], [])
            )
            or "none",
        )
    expected = [(before["episode"], before["attempt"] + 1), (before["episode"] + 1, 1)]
    if (after["episode"], after["attempt"]) not in expected:
        result.fail(
            "episodes and attempts are counted without a gap",
            account=after["account_id"],
            place=later.place,
            expected=" or ".join(f"episode {episode}, attempt {attempt}" for episode, attempt in expected),
            found=f"episode {after['episode']}, attempt {after['attempt']}",
        )


def _check_named(evidence: Evidence, lane: Lane, result: Check) -> None:
    """Every answer of the provider names a command that was made."""
    if evidence.topics.log(names.COMMANDS.name, lane.number).start > 0:
        return
    made = {
        command.content["command_id"]
        for account_id in lane.accounts
        for command in evidence.books.commands.get(account_id, [])
    }
    for command_id in lane.outcomes:
        result.looked_at("commands answered")
        if command_id not in made:
            result.fail(
                "an answer names a command that was made",
                account=command_id.split(":")[0],
                place=None,
                expected=f"command {command_id}",
                found="none",
            )


def _answers(lane: Lane, command_id: str, time: int) -> set[str]:
    """Return the answers that a command had by a lane's time, that time included."""
    return {kind for kind, at in lane.outcomes.get(command_id, []) if at is None or at <= time}


def _check_command(
    lane: Lane, account: Account | None, command: Found, result: Check, *, ticks_removed: bool
) -> None:
    """A command rests on settings that were in force, and carries what it must."""
    content, account_id = command.content, command.content["account_id"]
    time = content["made_at"]
    rule = "a command is made at a tick's time and expires 23 h later"
    found = (time in lane.acted or ticks_removed, content["expires_at"])
    result.expect(
        found,
        (True, time + LIFETIME_MS),
        rule,
        account=account_id,
        place=command.place,
        said=lambda pair: f"{'at' if pair[0] else 'not at'} a tick's time, expires {moment(pair[1])}",
    )
    rule = "a command is named by its account, episode and attempt"
    expected = f"{account_id}:{content['episode']}:{content['attempt']}"
    result.expect(content["command_id"], expected, rule, account=account_id, place=command.place)
    in_force = account.settings_at(time) if account is not None else []
    if account is None or not any(_permits(settings, content) for settings in in_force):
        result.fail(
            "a command rests on permission, method and amount in force",
            account=account_id,
            place=command.place,
            expected=" or ".join(str(s["automatic_top_up"]) for s in in_force) or "no command",
            found=str({k: content[k] for k in ("amount_minor", "currency", "payment_method_ref", "consent")}),
        )


def _permits(settings: Content, command: Content) -> bool:
    top_up = settings["automatic_top_up"]
    if top_up is None or not top_up["enabled"] or top_up["consent"] is None or settings["closed"]:
        return False
    consent = command["consent"] or ""
    step = top_up["amount_minor"]
    return (
        command["currency"] == settings["currency"]
        and command["payment_method_ref"] == top_up["payment_method_ref"]
        and top_up["consent"]["given_by"] in consent
        and top_up["consent"]["text_version"] in consent
        and command["amount_minor"] > 0
        and (not step or command["amount_minor"] % step == 0)
    )


def _check_limit(lane: Lane, account: Account, made: list[Found], result: Check) -> None:
    """What was taken or asked for in a month, with the last of these commands, is within the limit."""
    last = made[-1].content
    time = last["made_at"]
    limits = [
        settings["automatic_top_up"]["monthly_limit_minor"]
        for settings in account.settings_at(time)
        if settings["automatic_top_up"] is not None
    ]
    if not limits or None in limits:
        return
    result.looked_at("commands under a limit")
    month = account.zones.month_of(time)
    total = last["amount_minor"] + sum(
        before.content["amount_minor"]
        for before in made[:-1]
        if account.zones.month_of(before.content["made_at"]) == month
        and not _ended_without_money(_answers(lane, before.content["command_id"], time))
    )
    if total > max(limits):
        result.fail(
            "a command stays within the monthly limit in force when it was made",
            account=account.account_id,
            place=made[-1].place,
            expected=f"at most {max(limits)}",
            found=f"{total} with {last['command_id']}",
        )


def _ended_without_money(answers: set[str]) -> bool:
    return bool(answers & FINAL) and "succeeded" not in answers
