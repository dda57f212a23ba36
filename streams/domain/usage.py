"""Usage: one event, one charge, for ever. The hot path: ints only, and no call that can be spared.

Owns the checks of a usage event, its memory by digest, and the counting of month quantities.

What is remembered of an event are 16 bytes of what names it and 8 of what became of it: a digest of its
content and a mark. The mark is the number of the month's row that counted it, so that a reversal lowers
exactly that row, whatever prices and tax rates have become since; or it says that the event still waits,
or that it was taken back.
"""

from hashlib import blake2b

from streams.domain import closing, ledger, pricing, standing
from streams.domain.account import ROW_NUMBERS, Account, MonthRow, shared
from streams.domain.desk import Desk
from streams.domain.events import UsageEvent
from streams.domain.money import MOST, MOST_QUANTITY, ONE
from streams.domain.outcomes import Outcome
from streams.domain.periods import in_range
from streams.domain.pricing import RateCard
from streams.domain.reasons import Reason, Rejected

AHEAD_MS = 5 * 60_000
"""How far an event may be ahead of its own record."""

CONTENT_BYTES = 6
WAITS = b"\xff\xff"
REVERSED = b"\xff\xfe"

_APPLIED = Outcome.APPLIED  # an enum's attribute is slow to reach


def content(meter: str, quantity: int, occurred_at: int) -> bytes:
    """Return the 6-byte digest of what a usage event says."""
    return blake2b(f"{quantity}:{occurred_at}:{meter}".encode(), digest_size=CONTENT_BYTES).digest()


def apply(desk: Desk, event: UsageEvent) -> Outcome | Rejected:
    """Check a usage event, charge it, or let it wait for its account or price."""
    occurred_at = event.occurred_at
    if event.quantity < 0:
        return Rejected(reason=Reason.NEGATIVE_QUANTITY, detail=f"quantity is {event.quantity}e-12")
    if occurred_at > event.origin.timestamp + AHEAD_MS:
        ahead = occurred_at - event.origin.timestamp
        return Rejected(reason=Reason.FROM_THE_FUTURE, detail=f"{ahead} ms ahead of its own record")
    if occurred_at < desk.forget_before:
        age = desk.forget_before - occurred_at
        return Rejected(reason=Reason.TOO_OLD, detail=f"{age} ms before the forget line")
    account_id = event.account_id
    digest = event.digest
    says = blake2b(  # content(), without the call
        f"{event.quantity}:{occurred_at}:{event.meter}".encode(), digest_size=CONTENT_BYTES
    ).digest()
    known = desk.seen.get(digest)
    if known is not None:
        if known[:CONTENT_BYTES] == says:
            return Outcome.DUPLICATE
        return Rejected(reason=Reason.ID_CONFLICT, detail="same source and event_id, other content")
    account = desk.accounts.get(account_id)
    if account is not None:
        if account.calendar is None:
            standing.prepare(desk, account)
        if account.due_at <= desk.time:
            closing.wake(desk, account)
        card = account.cards.get(event.meter) or desk.card(event.meter, account.currency)
        if card is not None:
            row = charge(desk, account, event, card)
            if type(row) is MonthRow:
                desk.seen.add(digest, says + row.number.to_bytes(2, "big"), occurred_at)
                return _APPLIED
            if isinstance(row, Rejected) and row.reason is not Reason.NO_PRICE:
                return row
    if not in_range(occurred_at):
        return Rejected(reason=Reason.OUT_OF_RANGE, detail=f"occurred_at {occurred_at} is no usable time")
    if event.quantity >= MOST_QUANTITY:
        return Rejected(reason=Reason.OUT_OF_RANGE, detail="the quantity cannot be booked")
    desk.seen.add(digest, says + WAITS, occurred_at)
    desk.shelves.waiting.put(desk.waiting(event))
    return Outcome.WAITING


def forget(desk: Desk, event: UsageEvent) -> None:
    """Forget the id of an event that died waiting, so that it can be replayed."""
    if desk.seen.get(event.digest) is not None:  # the forget line may have passed it
        desk.seen.discard(event.digest, event.occurred_at)


def mark(desk: Desk, digest: bytes, mark: bytes, occurred_at: int) -> None:
    """Remember what became of a remembered event since."""
    known = desk.seen.get(digest)
    if known is not None:  # the forget line may have passed it
        desk.seen.discard(digest, occurred_at)
        desk.seen.add(digest, known[:CONTENT_BYTES] + mark, occurred_at)


def charge_waiting(desk: Desk, account: Account, event: UsageEvent) -> Outcome | Rejected:
    """Charge an event that waited; a rejection as no_price: it may wait on."""
    card = desk.card(event.meter, account.currency)
    if card is None:
        return Rejected(reason=Reason.NO_PRICE, detail=f"{event.meter} has no price in {account.currency}")
    row = charge(desk, account, event, card)
    if isinstance(row, Rejected):
        return row
    mark(desk, event.digest, row.number.to_bytes(2, "big"), event.occurred_at)
    return Outcome.APPLIED


def charge(desk: Desk, account: Account, event: UsageEvent, card: RateCard) -> MonthRow | Rejected:
    """Book P(after) - P(before) and its tax on a month's row; where it is rejected nothing has changed."""
    occurred_at = event.occurred_at
    rating = card.last if occurred_at >= card.last_since else card.at(occurred_at)
    if rating is None:
        return Rejected(reason=Reason.NO_PRICE, detail=f"{event.meter} has no price yet at {occurred_at}")
    calendar = account.calendar
    assert calendar is not None
    if calendar.since <= occurred_at < calendar.until:
        month = calendar.month
    elif in_range(occurred_at):
        month = calendar.month_of(occurred_at)
    else:
        return Rejected(reason=Reason.OUT_OF_RANGE, detail=f"occurred_at {occurred_at} is no usable time")
    rate = None
    if account.tax_rates:
        newest = account.tax_rates[-1]
        rate = newest.rate
        if occurred_at < newest.valid_from:
            rate = pricing.rate_at(account.tax_rates, occurred_at)
    version = rating.version
    key = (month, event.meter, version, rate)
    row = account.rows.get(key)
    is_new = row is None
    if row is None:
        row = MonthRow(account.rows_made % ROW_NUMBERS)
    quantity = row.quantity + event.quantity
    amount = rating.amount(quantity)
    cost = amount - row.amount
    if rate:
        taxed, rest = divmod(rate * amount, ONE)  # pricing.tax_of(), without the calls
        if rest + rest > ONE or (rest + rest == ONE and taxed & 1):
            taxed += 1
        tax = taxed - row.tax
    else:
        taxed = tax = 0
    balance = account.balance - cost - tax
    if quantity >= MOST_QUANTITY or amount >= MOST or taxed >= MOST or not -MOST < balance < MOST:
        return Rejected(reason=Reason.OUT_OF_RANGE, detail="the month's quantity or amount is too large")
    if is_new:
        if len(account.rows) >= ROW_NUMBERS:
            return Rejected(reason=Reason.OUT_OF_RANGE, detail="the account has too many meters and prices")
        account.rows[shared(key)] = row
        account.rows_made += 1
    row.quantity, row.amount, row.tax = quantity, amount, taxed
    row.charges += 1
    account.row_changed(row)
    ledger.charge(desk, account, event, month, version, rate, cost, tax)
    if account.calm_from <= balance < account.calm_until:
        account.as_of = desk.time
        if account.touched is not desk.round:
            desk.touch(account)
    else:
        standing.settle(desk, account)
    return row
