"""Folds each lane's inputs in the order of its journal and decides every record by this check's own rules.

The journal gives the order, and where the inputs stood when a tick was read; what each record became is
decided here and compared elsewhere.
"""

from collections.abc import Callable, Mapping

from schemas.wire import Record as Content
from streams import topics as names
from streams.settings import Settings
from verify import envelope, limits, money, rates, usage
from verify.accounts import Account, Cut, Money, settings_are_bad, settings_may_be_bad
from verify.books import Books, Found
from verify.lane import Lane, Tally, Use
from verify.pricing import Price
from verify.report import Place
from verify.topics import INPUTS, Log, Record, Topics

TICK_AHEAD_MS = 60_000
_MONEY = {names.PAYMENTS.name, names.ADJUSTMENTS.name}


def replay(topics: Topics, books: Books, settings: Settings) -> list[Lane]:
    """Return every lane as its inputs made it, up to the end of its journal."""
    reasons: Mapping[Place, frozenset[str]] = {
        origin: frozenset(f.content["reason"] for f in found) for origin, found in books.dead.items()
    }
    lanes = []
    for number in range(topics.lanes):
        removed = topics.log(names.USAGE.name, number).start > 0
        lane = Lane(number, settings, reasons, usage_head_removed=removed)
        for found in books.journal[number]:
            _fold_commit(lane, topics, found)
        lanes.append(lane)
    return lanes


def _fold_commit(lane: Lane, topics: Topics, found: Found) -> None:
    lane.tally = Tally(found.place)
    lane.tallies.append(lane.tally)
    runs, told = found.content["runs"], found.content["tick"]
    lane.stood = {stood["topic"]: stood["offset"] for stood in found.content["stood"]}
    tick_runs = [at for at, run in enumerate(runs) if run["topic"] == names.TICKS.name]
    ticks = topics.log(names.TICKS.name, lane.number)
    removed = [at for at in tick_runs if runs[at]["to"] <= ticks.start]
    lane.time_unsure = len(removed) > 1  # only the last of them is told by the journal
    for at, run in enumerate(runs):
        topic = run["topic"]
        if topic not in INPUTS:
            continue
        log = topics.log(topic, lane.number)
        first = max(run["from"], lane.folded.get(topic, 0))
        records = log.between(first, run["to"])
        absent = _absent(topic, log, run["from"], run["to"], len(records))
        lane.tally.absent += absent
        lane.profiles_removed |= topic == names.PROFILES.name and absent > 0
        lane.tally.retained += len(records)
        for record in records:
            _fold(lane, topics, topic, record)
        lane.folded[topic] = max(first, run["to"])
        if at in removed and at == tick_runs[-1] and told is not None:
            _pass_tick(lane, told)


def _absent(topic: str, log: Log, first: int, after: int, retained: int) -> int:
    """Return how many records of a range compaction or retention may have taken away."""
    if topic == names.PROFILES.name:
        return max(0, after - first - retained)
    return max(0, min(after, log.start) - first)


def _fold(lane: Lane, topics: Topics, topic: str, record: Record) -> None:
    content = envelope.opened(record, topic, lane.number, topics.lanes, topics.schemas)
    if isinstance(content, tuple):
        lane.dead(Place(topic, lane.number, record.offset), *content)
        return
    if topic == names.USAGE.name:
        usage.decide(lane, record.offset, record.timestamp, content)
        waiting = lane.waiting.get(content["account_id"])
        if waiting and any(isinstance(item, Money) for item in waiting):  # a reversal may wait for this event
            _retry(lane, content["account_id"], lambda item: False)
        return
    place = Place(topic, lane.number, record.offset)
    if topic in _MONEY and content["kind"] != "reversal":
        refusal = _no_time_for_money(lane, record, content)
        if refusal is not None:
            lane.dead(place, refusal)
            return
    match topic:
        case names.PAYMENTS.name:
            money.decide_payment(lane, place, content)
        case names.ADJUSTMENTS.name:
            money.decide_adjustment(lane, place, content)
        case names.SETTINGS.name:
            _decide_settings(lane, place, content)
        case names.PRICES.name:
            _decide_price(lane, place, record, content)
        case names.TICKS.name:
            _decide_tick(lane, place, record, content)
        case _:
            profile = None if "erased" in content else content
            lane.profiles.setdefault(content["account_id"], []).append((lane.time, profile))
            lane.either("applied", "duplicate")  # a profile counts either way


def _no_time_for_money(lane: Lane, record: Record, content: Content) -> str | None:
    """Return why a payment or adjustment cannot have been at its moment, or None."""
    moment = content["occurred_at"]
    if limits.is_no_time(moment):
        return "out_of_range"
    ahead = moment > record.timestamp + limits.MONEY_AHEAD_MS
    return "from_the_future" if ahead and lane.settings.clock == "auto" else None


def _decide_settings(lane: Lane, place: Place, content: Content) -> None:
    account_id = content["account_id"]
    account = lane.accounts.get(account_id)
    other_currency = account is not None and account.currency != content["currency"]
    if other_currency and account is not None and not account.booked:
        other_currency = lane.saw_dead(place, "currency_mismatch")  # a command may have been made in the old
    refusals = ("bad_settings", "currency_mismatch") if other_currency else ("bad_settings",)
    doubtful = other_currency or settings_may_be_bad(content)
    if account is not None and content["revision"] <= account.revision:
        if doubtful and lane.saw_dead(place, *refusals):
            return lane.dead(place, *refusals)
        return lane.duplicate()
    if settings_are_bad(content) or (doubtful and lane.saw_dead(place, *refusals)):
        return lane.dead(place, *refusals)
    if other_currency:
        return lane.dead(place, *refusals)
    if account is None:
        account = lane.accounts[account_id] = Account(account_id, content["currency"])
    account.currency = content["currency"]
    account.settings = content
    account.history.append((lane.time, content))
    lane.set_zone(account, content["zone"], content["changed_at"])
    if not account.is_closed:
        account.ended = False  # one that is closed again ends its period again
    _end(lane, account)
    lane.applied()
    return _retry(lane, account_id, lambda item: True)


def _end(lane: Lane, account: Account) -> None:
    """Cut the running period of a closed account; before the lane's first tick there is no time for it."""
    if lane.time is None or not account.is_closed or account.ended:
        return
    account.ended = True
    running = max(account.zones.month_of(lane.time), account.first_open(lane.time, lane.grace_ms))
    account.cuts.append(Cut(lane.time, running, account.causes))


def _decide_price(lane: Lane, place: Place, record: Record, content: Content) -> None:
    key = f"{content['meter']}/{content['currency']}/{content['version']}".encode()
    if record.key != key and lane.saw_dead(place, "null_key", "bad_key", "key_mismatch"):
        return lane.dead(place, "null_key", "bad_key", "key_mismatch")
    if rates.is_bad(content) or (rates.may_be_bad(content) and lane.saw_dead(place, "bad_price")):
        return lane.dead(place, "bad_price")
    price = Price.of(content)
    known = lane.rates.by_version.get((price.meter, price.currency, price.version))
    published = lane.time if lane.settings.clock == "manual" else record.timestamp
    too_late = published is not None and not price.late and price.valid_from < published + rates.NOTICE_MS
    if known is not None and known == price:
        return lane.duplicate()
    if known is not None:
        return lane.dead(place, "price_conflict", *(("late_price",) if too_late else ()))
    if too_late:
        return lane.dead(place, "late_price")
    lane.rates.add(price)
    lane.applied()
    for account_id in list(lane.waiting):
        _retry(lane, account_id, lambda item: isinstance(item, Use) and item.meter == price.meter)
    return None


def _decide_tick(lane: Lane, place: Place, record: Record, content: Content) -> None:
    time = content["time"]
    if limits.is_no_time(time):
        return lane.dead(place, "out_of_range")
    if lane.settings.clock == "auto" and time > record.timestamp + TICK_AHEAD_MS:
        return lane.dead(place, "tick_ahead")
    if lane.time is not None and time <= lane.time:
        lane.tally.stale_ticks.append(time)
        lane.either("applied", "duplicate")
    else:
        lane.applied()
    return _pass_tick(lane, time)


def _pass_tick(lane: Lane, time: int) -> None:
    """Settle what waited for a tick, and move the lane's time unless it is there already."""
    if lane.time is not None and time <= lane.time:
        return _settle(lane)
    lane.pass_time(time)
    lane.tally.ticks.append(time)
    _settle(lane)  # with the periods and ids of the time before
    lane.forget(time)
    lane.periods_at = time
    if len(lane.acted) == 1:  # those that were closed before the lane had a time
        for account in lane.accounts.values():
            _end(lane, account)
    return None


def _settle(lane: Lane) -> None:
    for account_id in list(lane.waiting):
        _retry(lane, account_id, lane.stood_before_tick, at_tick=True)


def _retry(
    lane: Lane, account_id: str, is_due: Callable[[Use | Money], bool], *, at_tick: bool = False
) -> None:
    """Try once more what is due of all that waits with an account; at a tick it is decided for good.

    Reversals last, and due as soon as their event is charged: that may be among it.
    """
    waiting = lane.waiting.pop(account_id, [])
    still: list[Use | Money] = []
    for item in sorted(waiting, key=lambda item: isinstance(item, Money) and money.is_reversal(item)):
        due = is_due(item)
        if isinstance(item, Money):
            tried = due or money.follows_its_event(lane, item)
            done = tried and money.retry(lane, item, at_tick=due and at_tick)
        else:
            done = due and _retry_usage(lane, item, at_tick=at_tick)
        if not done:
            still.append(item)
    if still:
        lane.waiting[account_id] = still


def _retry_usage(lane: Lane, use: Use, *, at_tick: bool) -> bool:
    if at_tick and lane.rates.in_force(use.meter, lane.settings.default_currency, use.occurred_at):
        lane.open_account(use.account_id)
    if usage.cannot_be_booked(lane, use):
        usage.forget(lane, use)
        lane.settled(use, "out_of_range")
        return True
    if usage.charge(lane, use):
        lane.settled(use)
        return True
    if at_tick:
        usage.forget(lane, use)
        lane.settled(use, "no_price")
    return at_tick
