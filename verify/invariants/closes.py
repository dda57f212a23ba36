"""Part of invariant 3: the close of an account writes off what is below a minor unit, then and never else."""

from verify import parts, periods
from verify.accounts import Account, Cut, exponent_of
from verify.books import Entry
from verify.parts import WRITE_OFF
from verify.pricing import minor_unit
from verify.report import Check
from verify.wording import amount, moment


def check(account: Account | None, entries: list[Entry], result: Check) -> None:
    """Compare the write-offs of one account with its closes."""
    right: set[int] = set()
    if account is not None:
        for cut, at in zip(account.cuts, parts.of_cuts(account, entries), strict=True):
            result.looked_at("closes of accounts")
            right.add(at)
            _check_write_off(account, cut, entries, at, result)
    for at, entry in enumerate(entries):
        if entry.kind == WRITE_OFF and at not in right:
            result.fail(
                "a write-off stands at the close of its account",
                account=entry.account_id,
                place=entry.place,
                expected="none here",
                found=amount(entry.amount),
            )


def _check_write_off(account: Account, cut: Cut, entries: list[Entry], at: int, result: Check) -> None:
    unit = minor_unit(exponent_of(account.currency) or 0)
    balance = entries[at - 1].balance_after if at else 0
    left = abs(balance) % unit
    expected = None
    if left:
        month = account.zones.month_of(cut.time)
        expected = (-left if balance > 0 else left, month, cut.period, cut.time, cut.time)
    entry = entries[at] if at < len(entries) and entries[at].kind == WRITE_OFF else None
    found = None
    if entry is not None:
        found = (entry.amount, entry.month, entry.period, entry.occurred_at, entry.booked_at)
    place = (entry or entries[-1]).place if entries else None
    rule = "a close writes off what is below a minor unit"
    result.expect(found, expected, rule, account=account.account_id, place=place, said=_said)


def _said(terms: tuple[int, int, int, int, int | None] | None) -> str:
    if terms is None:
        return "nothing written off"
    total, month, period, occurred_at, booked_at = terms
    return (
        f"{amount(total)} of {periods.text_of(month)} in {periods.text_of(period)}"
        f" at {moment(occurred_at)}, booked at {moment(booked_at)}"
    )
