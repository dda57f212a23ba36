"""Invariant 2: one charge for each accepted usage event, one event for each charge, at the right price.

Prices are computed again by this check's own formula, entry by entry in the order of the ledger.
"""

from collections import defaultdict

from streams import topics as names
from verify import periods, pricing
from verify.books import Entry
from verify.evidence import Evidence
from verify.lane import Lane, Use
from verify.report import Check
from verify.wording import amount, moment

Events = dict[tuple[str | None, str | None], list[Entry]]
PRICED = {"charge": 1, "reversal": -1}
AFTER_CLOSE = "after_close"
"""The flag of what was used after the account was closed."""
TAXES = {"tax": "charge", "reversal_tax": "reversal"}


def check(evidence: Evidence) -> Check:
    """Join accepted usage with the ledger, then price every month's quantities again."""
    result = Check(2, "one charge for each accepted usage event, at its price", notes=evidence.cut_note())
    for kind in ("accepted usage events", "charges", "reversals", "tax entries", "priced quantities"):
        result.looked_at(kind, 0)
    charged: dict[str, Events] = {}
    for account_id, entries in evidence.books.entries.items():
        charged[account_id] = _by_event(entries, "charge")
        _check_amounts(evidence, account_id, entries, result)
        _check_reversals(entries, charged[account_id], account_id in evidence.cut, result)
    for lane in evidence.lanes:
        _check_accepted(evidence, lane, charged, result)
    _check_unexplained(evidence, charged, result)
    return result


def _by_event(entries: list[Entry], kind: str) -> Events:
    found: Events = {}
    for entry in entries:
        if entry.kind == kind:
            found.setdefault((entry.source, entry.event_id), []).append(entry)
    return found


def _check_accepted(evidence: Evidence, lane: Lane, charged: dict[str, Events], result: Check) -> None:
    """Find the charge of every event that the replay says was charged; what is found is taken out."""
    for last in lane.uses.values():
        use: Use | None = last
        while use is not None:
            if use.charged:
                result.looked_at("accepted usage events")
                _check_use(evidence, use, charged.get(use.account_id, {}), result)
            use = use.earlier


def _check_use(evidence: Evidence, use: Use, events: Events, result: Check) -> None:
    key = (use.source, use.event_id)
    candidates = events.get(key, [])
    entry = next((e for e in candidates if (e.meter, e.quantity, e.occurred_at) == use.content), None)
    if entry is None:
        if use.account_id in evidence.cut:
            return
        result.fail(
            "an accepted usage event has a charge with its content",
            account=use.account_id,
            place=use.place,
            expected=f"{key}: {amount(use.quantity)} {use.meter} at {moment(use.occurred_at)}",
            found="; ".join(f"{amount(e.quantity)} {e.meter} at {moment(e.occurred_at)}" for e in candidates)
            or "none",
        )
        return
    candidates.remove(entry)
    if use.uncertain or use.time_unsure:
        return
    account = evidence.account(use.account_id)
    flag = AFTER_CLOSE if use.after_close else None
    expected = (use.version, use.tax_rate, use.booked_at, account.currency if account else None, flag)
    found = (entry.price_version, entry.tax_rate, entry.booked_at, entry.currency, entry.reason)
    rule = "price version, tax rate, lane time, currency and flag of a charge"
    result.expect(found, expected, rule, account=use.account_id, place=entry.place, said=_terms)
    if (entry.month, entry.period) != use.billed:
        result.fail(
            "month and billing period of a charge",
            account=use.account_id,
            place=entry.place,
            expected=_months(use.billed),
            found=_months((entry.month, entry.period)),
        )


def _check_unexplained(evidence: Evidence, charged: dict[str, Events], result: Check) -> None:
    """Report every charge that no accepted event explains."""
    removed = 0
    for account_id, events in charged.items():
        head_removed = evidence.lane_of(account_id).usage_head_removed
        for left in events.values():
            for entry in left:
                if head_removed:
                    removed += 1
                    continue
                result.fail(
                    "a charge names exactly one accepted usage event",
                    account=account_id,
                    place=entry.place,
                    expected="an accepted event without another charge",
                    found=f"{(entry.source, entry.event_id)}: {amount(entry.quantity)} {entry.meter}",
                )
    if removed:
        result.notes.append(
            f"{removed} charges have no event to compare with: the head of {names.USAGE.name} was removed"
        )


def _check_amounts(evidence: Evidence, account_id: str, entries: list[Entry], result: Check) -> None:
    """Price each month's quantity again: a charge is P(after) - P(before), its tax T(after) - T(before)."""
    if account_id in evidence.cut:
        return
    rates = evidence.lane_of(account_id).rates
    quantities: dict[object, int] = defaultdict(int)
    owed: dict[object, int] = defaultdict(int)
    taxed: dict[object, int] = defaultdict(int)
    cause: Entry | None = None
    due = 0
    for entry in entries:
        sign = PRICED.get(entry.kind)
        if due and entry.kind not in TAXES:
            _fail_tax(cause, due, None, result)
        if entry.kind in TAXES:
            result.looked_at("tax entries")
            if cause is None or TAXES[entry.kind] != cause.kind or not _is_tax_of(entry, cause):
                _fail_tax(entry, 0, entry, result)
            elif entry.amount != -due:
                _fail_tax(cause, due, entry, result)
            cause, due = None, 0
        if sign is None:
            continue
        result.looked_at("charges" if sign > 0 else "reversals")
        group = entry.priced_as
        price = rates.by_version.get((entry.meter or "", entry.currency, entry.price_version or 0))
        if price is None:
            result.fail(
                "the price of a charge exists",
                account=account_id,
                place=entry.place,
                expected="a price that the lane took in",
                found=f"{entry.meter}/{entry.currency}/{entry.price_version}",
            )
            cause, due = None, 0
            continue
        quantities[group] += sign * (entry.quantity or 0)
        after = pricing.cost(price, quantities[group])
        rule = "a charge is P(month quantity after) - P(month quantity before)"
        result.expect(
            -entry.amount, after - owed[group], rule, account=account_id, place=entry.place, said=amount
        )
        owed[group] = after
        tax_after = pricing.tax(entry.tax_rate, after) if entry.tax_rate is not None else 0
        cause, due = entry, tax_after - taxed[group]
        taxed[group] = tax_after
    if due:
        _fail_tax(cause, due, None, result)
    result.looked_at("priced quantities", len(quantities))


def _is_tax_of(tax: Entry, cause: Entry) -> bool:
    same = tax.priced_as == cause.priced_as and tax.period == cause.period
    same = same and (tax.occurred_at, tax.booked_at) == (cause.occurred_at, cause.booked_at)
    return same and (tax.source, tax.event_id, tax.reason) == (cause.source, cause.event_id, cause.reason)


def _fail_tax(cause: Entry | None, due: int, found: Entry | None, result: Check) -> None:
    at = found or cause
    assert at is not None
    result.fail(
        "the tax of a charge follows it: T(after) - T(before)",
        account=at.account_id,
        place=at.place,
        expected=amount(due) if due else "a charge before it, of the same event, moments, price and rate",
        found=amount(-found.amount) if found else "none",
    )


def _check_reversals(entries: list[Entry], charged: Events, cut: bool, result: Check) -> None:
    """Each reversal takes back one charge, as it was priced, once."""
    for key, reversals in _by_event(entries, "reversal").items():
        causes = charged.get(key, [])
        first = reversals[0]
        if len(reversals) <= len(causes) and all(
            any(_undoes(reversal, cause) for cause in causes) for reversal in reversals
        ):
            continue
        if cut and not causes:
            continue
        result.fail(
            "a reversal takes back one charge, once, as it was priced",
            account=first.account_id,
            place=first.place,
            expected=f"one charge of {key}",
            found=f"{len(reversals)} reversals, {len(causes)} charges",
        )


def _undoes(reversal: Entry, cause: Entry) -> bool:
    same = reversal.priced_as == cause.priced_as and reversal.quantity == cause.quantity
    return same and reversal.number > cause.number


def _terms(terms: tuple[int | None, int | None, int | None, str | None, str | None]) -> str:
    version, rate, booked_at, currency, flag = terms
    said = f"price version {version}, tax rate {amount(rate)}, booked at {moment(booked_at)}, {currency}"
    return f"{said}, {flag or 'not flagged'}"


def _months(pair: tuple[int, int]) -> str:
    return f"{periods.text_of(pair[0])} billed in {periods.text_of(pair[1])}"
