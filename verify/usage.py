"""What becomes of a usage event: dead letter, duplicate, waiting or charged; the price and period."""

from sys import intern

from schemas.wire import Record as Content
from verify import limits, pricing
from verify.lane import Lane, Use

AHEAD_MS = 5 * 60_000


def decide(lane: Lane, offset: int, timestamp: int, content: Content) -> None:
    """Decide one usage event; `timestamp` is its Kafka record's."""
    moment = content["occurred_at"]
    use = Use(
        offset,
        lane.number,
        intern(content["account_id"]),
        intern(content["source"]),
        content["event_id"],
        intern(content["meter"]),
        content["quantity"],
        moment,
        uncertain=lane.usage_head_removed,
    )
    if use.quantity < 0:
        return lane.dead(use.place, "negative_quantity")
    if moment > timestamp + AHEAD_MS:
        return lane.dead(use.place, "from_the_future")
    if lane.is_forgotten(moment):
        return lane.dead(use.place, "too_old")
    key = (use.account_id, use.source, use.event_id)
    known = lane.uses.get(key)
    if known is not None and not lane.is_forgotten(known.occurred_at):
        return lane.duplicate() if known.content == use.content else lane.dead(use.place, "id_conflict")
    if (known is not None or use.uncertain) and lane.saw_dead(use.place, "id_conflict"):
        return lane.dead(
            use.place, "id_conflict"
        )  # its first is forgotten or removed: both answers are right
    if cannot_be_booked(lane, use):
        return lane.dead(use.place, "out_of_range")
    use.earlier = known
    lane.uses[key] = use
    if use.uncertain:  # a duplicate of a removed record looks like a first
        if charge(lane, use):
            return lane.either("applied", "duplicate")
        lane.either("waiting", "duplicate")
        lane.waiting.setdefault(use.account_id, []).append(use)
        return None
    return lane.applied() if charge(lane, use) else lane.wait(use, lane.waiting)


def cannot_be_booked(lane: Lane, use: Use) -> bool:
    """Return whether an event's moment, quantity or cost is beyond all books."""
    if limits.is_no_time(use.occurred_at) or use.quantity >= limits.MOST_QUANTITY:
        return True
    account = lane.accounts.get(use.account_id)
    if account is None or not lane.saw_dead(use.place, "out_of_range"):
        return False
    price = lane.rates.in_force(use.meter, account.currency, use.occurred_at)
    return price is not None and limits.may_be_too_much(pricing.cost(price, use.quantity))


def charge(lane: Lane, use: Use) -> bool:
    """Give a usage event its price, tax rate and period; False where its account or price is not known."""
    account = lane.accounts.get(use.account_id)
    if account is None:
        return False
    price = lane.rates.in_force(use.meter, account.currency, use.occurred_at)
    if price is None:
        return False
    use.charged = True
    use.version = price.version
    use.tax_rate = account.tax_rate(use.occurred_at)
    use.booked_at = lane.time
    use.time_unsure = lane.time_unsure
    use.billed = account.billed_in(use.occurred_at, lane.periods_at, lane.grace_ms)
    use.after_close = account.is_closed
    account.booked = True
    account.causes += 1
    return True


def forget(lane: Lane, use: Use) -> None:
    """Forget the id of an event that died waiting, so that it can be sent again."""
    key = (use.account_id, use.source, use.event_id)
    if use.earlier is not None:
        lane.uses[key] = use.earlier
    else:
        del lane.uses[key]
