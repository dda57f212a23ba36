"""What becomes of payment events and adjustments: dead letter, duplicate, waiting, or a ledger entry."""

from schemas.wire import Record as Content
from verify import limits
from verify.accounts import Account, Money, exponent_of
from verify.lane import Lane, Use
from verify.pricing import minor_unit
from verify.report import Place

BOOKED_AS = {
    "succeeded": "payment",
    "refunded": "refund",
    "disputed": "dispute",
    "dispute_won": "dispute_won",
    "returned": "return",
}
NEWS = "news"
"""Stands for the kinds of payment events that move no money, while they wait for their account."""
FINAL = frozenset({"succeeded", "failed", "unavailable", "refused", "cancelled"})
"""Answers after which a command is no longer pending."""


def decide_payment(lane: Lane, place: Place, content: Content) -> None:
    """Decide one payment event."""
    kind = BOOKED_AS.get(content["kind"])
    account = lane.accounts.get(content["account_id"])
    if content["amount_minor"] < 0:
        return lane.dead(place, "bad_payment")
    if kind is None:
        return _decide_news(lane, place, content, account)
    exponent = exponent_of(content["currency"])
    named = content["payment_id"] and (kind == "payment" or content["reference"])
    if content["amount_minor"] == 0 or not named:
        return lane.dead(place, "bad_payment")
    if exponent is None and account is not None:
        return lane.dead(place, "currency_mismatch", "bad_payment")
    if account is not None and account.currency != content["currency"]:
        return lane.dead(place, "currency_mismatch")
    sign = 1 if kind in {"payment", "dispute_won"} else -1
    unit = 0 if exponent is None else minor_unit(exponent)  # one of no currency waits for its account as well
    amount = sign * content["amount_minor"] * unit
    money = Money(place, content["account_id"], kind, amount, content["occurred_at"], content)
    if name_of(money) in lane.seen_money:
        if kind == "payment" and account is not None:
            _hear(lane, content)  # a webhook that names no command came first
        return lane.duplicate()
    lane.seen_money[name_of(money)] = money
    if account is None:
        return lane.wait(money, lane.waiting)
    if not _may_book(account, money):
        return lane.wait(money, lane.held)
    reasons = book(lane, account, money)
    if reasons:
        del lane.seen_money[name_of(money)]
        return lane.dead(place, *reasons)
    return lane.applied()


def _decide_news(lane: Lane, place: Place, content: Content, account: Account | None) -> None:
    """Decide a payment event that moves no money."""
    if account is None:
        account_id = content["account_id"]
        news = Money(place, account_id, NEWS, 0, content["occurred_at"], content)
        if name_of(news) in lane.seen_money:
            return lane.duplicate()
        lane.seen_money[name_of(news)] = news
        return lane.wait(news, lane.waiting)
    reasons = ("currency_mismatch", "bad_payment")
    if account.currency != content["currency"] and lane.saw_dead(place, *reasons):
        return lane.dead(place, *reasons)
    _hear(lane, content)
    return lane.either("applied", "duplicate")


def _hear(lane: Lane, content: Content) -> None:
    """Remember what a command was answered."""
    if content["command_id"] is not None:
        lane.outcomes.setdefault(content["command_id"], []).append((content["kind"], lane.time))


def name_of(money: Money) -> tuple[str, ...]:
    """Return what names a movement of money for ever."""
    if money.kind == NEWS:
        return (money.account_id, NEWS, money.content["payment_id"], money.content["kind"])
    if "adjustment_id" in money.content:
        return (money.account_id, "adjustment", money.content["adjustment_id"])
    reference = money.content["reference"] if money.kind != "payment" else None
    return (money.account_id, money.kind, money.content["payment_id"], reference or "")


def decide_adjustment(lane: Lane, place: Place, content: Content) -> None:
    """Decide one adjustment."""
    account = lane.accounts.get(content["account_id"])
    kind = content["kind"]
    amount = content["amount"] or 0
    names_usage, has_amount = content["usage"] is not None, content["amount"] is not None
    right = (
        names_usage and not has_amount
        if kind == "reversal"
        else has_amount and amount > 0 and not names_usage
    )
    if not right or not content["adjustment_id"]:
        return lane.dead(place, "bad_adjustment")
    if account is not None and account.currency != content["currency"]:
        return lane.dead(place, "currency_mismatch")
    signed = -amount if kind == "debit" else amount
    money = Money(place, content["account_id"], kind, signed, content["occurred_at"], content)
    known = lane.seen_money.get(name_of(money))
    if known is not None:
        return lane.duplicate() if known.content == content else lane.dead(place, "adjustment_conflict")
    lane.seen_money[name_of(money)] = money
    if account is None:
        return lane.wait(money, lane.waiting)
    reasons = book(lane, account, money)
    if reasons is None:
        return lane.wait(money, lane.waiting)
    if reasons:
        del lane.seen_money[name_of(money)]
        return lane.dead(place, *reasons)
    return lane.applied()


def retry(lane: Lane, money: Money, *, at_tick: bool) -> bool:
    """Try once more what waited for its account or usage event; False while it goes on waiting."""
    account = lane.accounts.get(money.account_id)
    if account is None and at_tick:
        hopeless = _cannot_open(lane, money)
        if hopeless:
            del lane.seen_money[name_of(money)]
            lane.settled(money, hopeless)
            return True
        account = lane.open_account(money.account_id)
    if account is None:
        return False
    if account.currency != money.content["currency"]:
        reasons: tuple[str, ...] | None = ("currency_mismatch",)
    elif money.kind == NEWS:
        _hear(lane, money.content)
        reasons = ()
    elif not _may_book(account, money):
        lane.held.setdefault(money.account_id, []).append(money)
        return True
    else:
        reasons = book(lane, account, money)
    if reasons is None:
        use = _event_of(lane, money)
        if not at_tick or (use is not None and not lane.is_forgotten(use.occurred_at)):
            return False  # its event waits itself, for a later tick
        reasons = ("unknown_event",)
    if reasons:
        del lane.seen_money[name_of(money)]
    lane.settled(money, *reasons)
    return True


def follows_its_event(lane: Lane, money: Money) -> bool:
    """Return whether a movement takes back a usage event that is charged."""
    use = _event_of(lane, money) if is_reversal(money) else None
    return use is not None and use.charged


def _event_of(lane: Lane, reversal: Money) -> Use | None:
    """Return the usage event that a reversal takes back, where it is known."""
    usage = reversal.content["usage"]
    return lane.uses.get((reversal.account_id, usage["source"], usage["event_id"]))


def _cannot_open(lane: Lane, money: Money) -> str:
    """Return why a movement cannot open its account by default, or nothing."""
    if is_reversal(money):
        return "unknown_event"  # a correction of nothing opens no account
    return "" if money.content["currency"] == lane.settings.default_currency else "currency_mismatch"


def book(lane: Lane, account: Account, money: Money) -> tuple[str, ...] | None:
    """Book a movement: () when done, reasons where it is refused, None where it must wait on."""
    if limits.may_be_too_much(money.amount) and lane.saw_dead(money.place, "out_of_range"):
        return ("out_of_range",)
    if is_reversal(money):
        return _reverse(lane, account, money)
    if "payment_id" in money.content and money.kind != "payment":
        if money.content["currency"] != account.currency:  # that changed while it waited
            return ("currency_mismatch",)
        if _exceeds(lane, account, money):
            return ("refund_exceeds_payment",)
        key = (money.kind, money.content["payment_id"], money.content["reference"])
        account.taken[key] = money.content["amount_minor"]
    elif money.kind == "payment":
        account.paid[money.content["payment_id"]] = money.content["amount_minor"]
        if money.content["command_id"] is not None:
            answers = lane.outcomes.setdefault(money.content["command_id"], [])
            answers.append(("succeeded", lane.time))
    money.booked_at, money.time_unsure = lane.time, lane.time_unsure
    money.billed = account.billed_in(money.occurred_at, lane.periods_at, lane.grace_ms)
    account.booked = True
    account.causes += 1
    lane.money.append(money)
    if money.kind in {"payment", "dispute"}:
        release(lane, account)
    return ()


def _may_book(account: Account, money: Money) -> bool:
    """Return whether what a movement takes back is there: the payment, for dispute_won its dispute."""
    if "payment_id" not in money.content or money.kind == "payment":
        return True
    payment_id, reference = money.content["payment_id"], money.content["reference"]
    if money.kind == "dispute_won":
        return ("dispute", payment_id, reference) in account.taken
    return payment_id in account.paid


def _exceeds(lane: Lane, account: Account, money: Money) -> bool:
    """Return whether a movement would take back more than was paid, or win back more than was disputed."""
    payment_id, reference = money.content["payment_id"], money.content["reference"]
    amount = money.content["amount_minor"]
    if money.kind == "dispute_won":
        more = amount > account.taken["dispute", payment_id, reference]
        return more and lane.saw_dead(money.place, "refund_exceeds_payment")
    taken = {key: n for key, n in account.taken.items() if key[1] == payment_id}
    total = sum(-n if key[0] == "dispute_won" else n for key, n in taken.items())
    won = "dispute_won" if money.kind == "dispute" else ""  # what was won back can be disputed again
    alike = sum(-n if key[0] == won else n for key, n in taken.items() if key[0] in {money.kind, won})
    paid = account.paid[payment_id]
    if alike + amount > paid:
        return True
    return total + amount > paid and lane.saw_dead(money.place, "refund_exceeds_payment")


def release(lane: Lane, account: Account) -> None:
    """Book what waited for a payment or dispute, in the order in which it came."""
    held = lane.held.get(account.account_id, [])
    while ready := next((m for m in held if _may_book(account, m)), None):
        held.remove(ready)
        reasons = book(lane, account, ready) or ()
        if reasons:
            del lane.seen_money[name_of(ready)]
        lane.settled(ready, *reasons)


def is_reversal(money: Money) -> bool:
    """Return whether a movement takes back a usage event."""
    return money.kind == "reversal"


def _reverse(lane: Lane, account: Account, money: Money) -> tuple[str, ...] | None:
    """Take back a usage event: () when done, reasons where refused, None where it is not charged yet.

    It is booked for the month in which its event was counted, in that period or the first open one.
    """
    usage = money.content["usage"]
    if lane.is_forgotten(usage["occurred_at"]):
        return ("too_old",)
    use = _event_of(lane, money)
    if use is None:
        return None
    if use.content != (usage["meter"], usage["quantity"], usage["occurred_at"]):
        if lane.is_forgotten(use.occurred_at) and not lane.saw_dead(money.place, "id_conflict"):
            return None  # the lane has forgotten that event: another of its name may come
        return ("id_conflict",)
    if not use.charged:
        return None
    if use.reversed_by is not None:
        return ("already_reversed",)
    use.reversed_by = money.content["adjustment_id"]
    money.booked_at, money.time_unsure = lane.time, lane.time_unsure or use.time_unsure
    month = use.billed[0]
    money.billed = (month, max(month, account.first_open(lane.periods_at, lane.grace_ms)))
    account.causes += 1
    money.entry_moment = use.occurred_at
    lane.money.append(money)
    return ()
