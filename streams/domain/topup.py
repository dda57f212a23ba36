"""Automatic top-up: one state machine per account, at most one pending payment, every decision with a reason.

State, besides whether it is on (settings) and paused:
    idle         nothing is pending; check() decides at every change whether to make a command
    pending      a command was sent; the provider's final word is awaited
    acting       the provider asked for the customer's action
    cancelling   the provider was asked to give the command up; still pending until its final word

| state               | what happens                    | becomes    | and                              |
|---------------------|---------------------------------|------------|----------------------------------|
| idle                | check(): balance too low        | pending    | charge command; a new episode    |
|                     |                                 |            | where the last one is over       |
| idle                | check(): anything else          | idle       | the reason is kept               |
| pending             | 1 h without a word, not expired | pending    | the same command, byte for byte  |
| pending             | requires_action                 | acting     | action_required                  |
| acting              | 24 h                            | cancelling | cancel command                   |
| pending, acting     | off, closed, other method, or   | cancelling | cancel command                   |
|                     | consent withdrawn               |            |                                  |
| cancelling          | requires_action                 | cancelling | nothing is told: it is given up  |
| cancelling          | 1 h without a word, for 23 h    | cancelling | the same cancel command          |
| any but idle        | succeeded                       | idle       | episode over                     |
| any but idle        | failed                          | idle       | a decline                        |
| cancelling after 24h| cancelled                       | idle       | a decline                        |
| any but idle        | cancelled, refused, unavailable | idle       | no decline                       |
| idle                | succeeded, of an ended command  | idle       | counts in its month again        |

A decline counts for its method until that succeeds, for a command or by hand: back-off 1 h, 2 h, 4 h;
the fourth, or a hard one, pauses. A new method or an explicit resume ends pause and back-off. Money itself
is booked by payments.py, always.
"""

from enum import StrEnum, unique

from streams.domain.account import NEVER, NO_TIME, Account, Ended, Pending, TopUp
from streams.domain.desk import Desk
from streams.domain.events import AutomaticTopUp, Consent, PaymentEvent, PaymentKind
from streams.domain.money import MOST_MINOR, round_up
from streams.domain.outputs import CommandKind, NotificationKind, TopUpCommand, TopUpDecided
from streams.domain.periods import label

HOUR_MS = 3_600_000
RESEND_MS = HOUR_MS
EXPIRY_MS = 23 * HOUR_MS
ACTION_MS = 24 * HOUR_MS
MOST_DECLINES = 4
MOST_METHODS = 20
"""Methods whose declines are remembered; the longest unused is forgotten first."""
MOST_ENDED = 50
"""Commands ended without money that are remembered of one month."""

OUTCOMES = frozenset(
    {
        PaymentKind.SUCCEEDED,
        PaymentKind.FAILED,
        PaymentKind.REQUIRES_ACTION,
        PaymentKind.UNAVAILABLE,
        PaymentKind.REFUSED,
        PaymentKind.CANCELLED,
    }
)
"""Payment events that answer a command."""


@unique
class Decision(StrEnum):
    """Why there is or is not a top-up now: the closed list."""

    OFF = "off"
    CLOSED = "closed"
    PENDING = "pending"
    ACTION_REQUIRED = "action_required"
    CANCELLING = "cancelling"
    PAUSED = "paused"
    NOT_NEEDED = "not_needed"
    NO_CONSENT = "no_consent"
    NO_TIME = "no_time"
    BACKING_OFF = "backing_off"
    TOO_SOON = "too_soon"
    MONTHLY_LIMIT = "monthly_limit"


def check(desk: Desk, account: Account) -> None:
    """Decide whether a top-up is due now, make its command, and keep the reason."""
    top_up = account.top_up
    decision = _blocked(account) or _decide(desk, account)
    if decision is Decision.NOT_NEEDED or decision is Decision.OFF:
        top_up.episode_open = False
    if decision != top_up.decision:
        top_up.decision = decision.value
        desk.outputs.append(
            TopUpDecided(
                account_id=account.account_id,
                decision=decision.value,
                since=desk.now,
                balance=account.balance,
            )
        )


def asked_below(account: Account) -> int:
    """Return the balance below which check() must be asked again after a mere charge."""
    auto = account.automatic_top_up
    if auto is None or account.top_up.decision != Decision.NOT_NEEDED:
        return -(10**40)
    return auto.threshold_minor * account.minor


def asked_from(account: Account) -> int:
    """Return the balance from which check() must be asked again after a charge that gives money back."""
    auto = account.automatic_top_up
    threshold = 10**40 if auto is None else auto.threshold_minor * account.minor
    return threshold if account.balance < threshold else 10**40


def wake_at(account: Account, desk: Desk) -> int:
    """Return the least lane time at which the top-up has something to do."""
    top_up = account.top_up
    pending = top_up.pending
    if pending is not None:
        if pending.action_at is not None and pending.cancel_at is None:
            return pending.action_at + ACTION_MS
        again = pending.sent_at + RESEND_MS
        return again if again < _expires_at(pending) else NEVER
    match top_up.decision:
        case Decision.NO_TIME:
            return NO_TIME + 1
        case Decision.BACKING_OFF:
            return top_up.retry_at
        case Decision.TOO_SOON:
            return top_up.made_at + desk.policy.min_interval_ms
        case Decision.MONTHLY_LIMIT:
            assert account.calendar is not None
            return account.calendar.end(account.calendar.month_of(desk.time))
        case _:
            return NEVER


def on_tick(desk: Desk, account: Account) -> None:
    """Do what became due for a pending command: send it again, or ask to cancel it."""
    pending = account.top_up.pending
    if pending is None or wake_at(account, desk) > desk.time:
        return
    if pending.action_at is not None and pending.cancel_at is None:
        pending.cancel_is_decline = True
        _ask_to_cancel(desk, account, pending)
    elif desk.time < _expires_at(pending):
        pending.sent_at = desk.time
        _send(desk, account, pending)
    else:
        pending.sent_at = _expires_at(pending)  # nothing is sent any more: the final word is awaited


def on_settings(desk: Desk, account: Account) -> None:
    """Follow new settings: a new method or a resume ends pause and back-off; off or a new method cancels.

    So does consent that was withdrawn: the command rests on it.
    """
    auto, top_up = account.automatic_top_up, account.top_up
    if auto is not None:
        if auto.payment_method_ref != top_up.method or auto.resumes > top_up.resumes:
            top_up.paused = False
            top_up.retry_at = NO_TIME
        top_up.method = auto.payment_method_ref
        top_up.resumes = max(top_up.resumes, auto.resumes)
    pending = top_up.pending
    if pending is None or pending.cancel_at is not None:
        return
    has_consent = auto is not None and auto.consent is not None
    if not _is_on(account) or not has_consent or pending.payment_method_ref != top_up.method:
        _ask_to_cancel(desk, account, pending)


def awaits(account: Account, event: PaymentEvent) -> bool:
    """Whether an event answers the pending command, or is the success of one that was given up."""
    pending = account.top_up.pending
    if pending is not None and event.kind in OUTCOMES and event.command_id == pending.command_id:
        return True
    ended = account.top_up.ended  # money after all: it counts in its month again
    return event.kind is PaymentKind.SUCCEEDED and any(e.command_id == event.command_id for e in ended)


def on_success(account: Account, method: str | None) -> None:
    """Forget the declines of a payment method that succeeded, and its back-off; a pause stays."""
    top_up = account.top_up
    if method is None:
        return
    top_up.declines.pop(method, None)
    if method == top_up.method:
        top_up.retry_at = NO_TIME


def on_payment(desk: Desk, account: Account, event: PaymentEvent) -> None:
    """Follow what the provider says about a command; the money is already booked."""
    top_up = account.top_up
    pending = top_up.pending
    if pending is None or pending.command_id != event.command_id:
        if event.kind is PaymentKind.SUCCEEDED:
            _late_money(top_up, event.command_id)
        return
    match event.kind:
        case PaymentKind.SUCCEEDED:
            top_up.pending = None
            top_up.episode_open = False
            on_success(account, pending.payment_method_ref)
        case PaymentKind.REQUIRES_ACTION:
            if pending.action_at is None:
                pending.action_at = desk.time
                if pending.cancel_at is None:  # else the customer has given it up
                    _ask_for_action(desk, account, pending, event)
        case PaymentKind.FAILED:
            _end_without_money(top_up)
            _decline(desk, account, pending, event)
        case PaymentKind.CANCELLED:
            _end_without_money(top_up)
            if pending.cancel_is_decline:
                _decline(desk, account, pending, event)
        case PaymentKind.UNAVAILABLE | PaymentKind.REFUSED:
            _end_without_money(top_up)
        case PaymentKind.REFUNDED | PaymentKind.DISPUTED | PaymentKind.DISPUTE_WON | PaymentKind.RETURNED:
            pass  # about settled money, not about a command


def _is_on(account: Account) -> bool:
    auto = account.automatic_top_up
    return auto is not None and auto.enabled and not account.closed


def _blocked(account: Account) -> Decision | None:
    """Return the reason that holds whatever time and balance are."""
    auto, top_up = account.automatic_top_up, account.top_up
    pending = top_up.pending
    if pending is not None:
        if pending.cancel_at is not None:
            return Decision.CANCELLING
        return Decision.PENDING if pending.action_at is None else Decision.ACTION_REQUIRED
    if account.closed:
        return Decision.CLOSED
    if auto is None or not auto.enabled:
        return Decision.OFF
    return Decision.PAUSED if top_up.paused else None


def _decide(desk: Desk, account: Account) -> Decision:
    auto, top_up, time = account.automatic_top_up, account.top_up, desk.time
    assert auto is not None
    if account.balance >= auto.threshold_minor * account.minor:
        return Decision.NOT_NEEDED
    if auto.consent is None:
        return Decision.NO_CONSENT
    if time == NO_TIME:
        return Decision.NO_TIME
    if time < top_up.retry_at:
        return Decision.BACKING_OFF
    if time < top_up.made_at + desk.policy.min_interval_ms:
        return Decision.TOO_SOON
    amount = _amount_minor(desk, account, auto)
    if amount <= 0:
        _tell_limit(desk, account, auto)
        return Decision.MONTHLY_LIMIT
    _make(desk, account, auto, auto.consent, amount)
    return Decision.PENDING


def _amount_minor(desk: Desk, account: Account, auto: AutomaticTopUp) -> int:
    """Return what to take: the whole gap, or what of it the monthly limit still allows; 0: nothing."""
    left = MOST_MINOR
    if auto.monthly_limit_minor is not None:
        left = min(left, auto.monthly_limit_minor - _taken(desk, account))
    if auto.amount_minor is not None:
        gap = auto.threshold_minor * account.minor - account.balance
        times = min(round_up(gap, auto.amount_minor * account.minor), left // auto.amount_minor)
        return times * auto.amount_minor
    assert auto.target_minor is not None
    return min(round_up(auto.target_minor * account.minor - account.balance, account.minor), left)


def _taken(desk: Desk, account: Account) -> int:
    """Return what commands of this month (account's zone) took or may still take."""
    assert account.calendar is not None
    top_up, month = account.top_up, account.calendar.month_of(desk.time)
    if month != top_up.month:
        top_up.month, top_up.taken_minor = month, 0
        top_up.ended = ()
    return top_up.taken_minor


def _make(desk: Desk, account: Account, auto: AutomaticTopUp, consent: Consent, amount: int) -> None:
    top_up, time = account.top_up, desk.time
    if top_up.episode_open:
        top_up.attempt += 1
    else:
        top_up.episode, top_up.attempt, top_up.episode_open = top_up.episode + 1, 1, True
    _taken(desk, account)  # turns the month
    top_up.taken_minor += amount
    top_up.made_at = time
    top_up.pending = Pending(
        command_id=f"{account.account_id}:{top_up.episode}:{top_up.attempt}",
        episode=top_up.episode,
        attempt=top_up.attempt,
        amount_minor=amount,
        currency=account.currency,
        payment_method_ref=auto.payment_method_ref,
        consent=f"{consent.text_version} {consent.given_by} {consent.given_at}",
        made_at=time,
        expires_at=time + EXPIRY_MS,
        sent_at=time,
    )
    _send(desk, account, top_up.pending)


def _ask_to_cancel(desk: Desk, account: Account, pending: Pending) -> None:
    pending.cancel_at = pending.sent_at = desk.time
    _send(desk, account, pending)


def _send(desk: Desk, account: Account, pending: Pending) -> None:
    """Send the command, or the request to cancel it: a function of `pending` without sent_at."""
    desk.outputs.append(
        TopUpCommand(
            account_id=account.account_id,
            command_id=pending.command_id,
            kind=CommandKind.CHARGE if pending.cancel_at is None else CommandKind.CANCEL,
            episode=pending.episode,
            attempt=pending.attempt,
            amount_minor=pending.amount_minor,
            currency=pending.currency,
            payment_method_ref=pending.payment_method_ref,
            consent=pending.consent,
            made_at=pending.made_at if pending.cancel_at is None else pending.cancel_at,
            expires_at=_expires_at(pending),
        )
    )


def _expires_at(pending: Pending) -> int:
    """Return until when the command, or the request to cancel it, is sent again."""
    return pending.expires_at if pending.cancel_at is None else pending.cancel_at + EXPIRY_MS


def _end_without_money(top_up: TopUp) -> None:
    """End the pending command; it no longer counts in its month."""
    pending, top_up.pending = top_up.pending, None
    assert pending is not None
    top_up.taken_minor -= pending.amount_minor  # its month is still `month`: that turns at the next decision
    ended = (*top_up.ended, Ended(pending.command_id, pending.amount_minor))
    top_up.ended = ended[-MOST_ENDED:]


def _late_money(top_up: TopUp, command_id: str | None) -> None:
    """Count a command again in its month when money came of it after all."""
    for number, ended in enumerate(top_up.ended):
        if ended.command_id == command_id:
            top_up.ended = top_up.ended[:number] + top_up.ended[number + 1 :]
            top_up.taken_minor += ended.amount_minor
            return


def _decline(desk: Desk, account: Account, pending: Pending, event: PaymentEvent) -> None:
    """Count a decline for its method: back off, pause, and tell the customer once."""
    top_up, method = account.top_up, pending.payment_method_ref
    count = top_up.declines.pop(method, 0) + 1
    top_up.declines[method] = count
    while len(top_up.declines) > MOST_METHODS:
        del top_up.declines[next(iter(top_up.declines))]
    if method != top_up.method:
        return  # the customer has replaced it already
    is_told = _is_on(account)  # who has turned it off needs no mail about it
    details = {
        "command_id": pending.command_id,
        "amount_minor": str(pending.amount_minor),
        "decline_code": event.decline_code or "",
    }
    cause = f"{pending.episode}:{pending.attempt}"
    if event.hard_decline or count >= MOST_DECLINES:
        top_up.paused = True
        details["cause"] = "hard_decline" if event.hard_decline else "declines"
        if is_told:
            desk.notify(account, NotificationKind.AUTO_TOP_UP_PAUSED, cause, event.occurred_at, details)
        return
    top_up.retry_at = desk.time + HOUR_MS * 2 ** (count - 1)
    if count == 1 and is_told:
        details["retry_at"] = str(top_up.retry_at)
        desk.notify(account, NotificationKind.TOP_UP_FAILED, cause, event.occurred_at, details)


def _ask_for_action(desk: Desk, account: Account, pending: Pending, event: PaymentEvent) -> None:
    details = {
        "command_id": pending.command_id,
        "amount_minor": str(pending.amount_minor),
        "action_url": event.action_url or "",
    }
    cause = f"{pending.episode}:{pending.attempt}"
    desk.notify(account, NotificationKind.ACTION_REQUIRED, cause, event.occurred_at, details)


def _tell_limit(desk: Desk, account: Account, auto: AutomaticTopUp) -> None:
    """Tell once a month that the limit is reached, and again when it was raised and is reached again.

    Raised over what it was when last reached: where it was lowered in between, a higher one is told again.
    """
    top_up, limit = account.top_up, auto.monthly_limit_minor or 0
    is_known = top_up.month == top_up.told_month and limit <= top_up.told_limit
    top_up.told_month, top_up.told_limit = top_up.month, limit
    if is_known:
        return
    details = {"limit_minor": str(limit), "taken_minor": str(top_up.taken_minor)}
    cause = (
        f"{label(top_up.month)}:{account.revision}"  # the settings that set this limit, or the month's first
    )
    desk.notify(account, NotificationKind.MONTHLY_LIMIT_REACHED, cause, desk.time, details)
