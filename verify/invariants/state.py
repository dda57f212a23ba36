"""Invariant 7: what the lanes remember, what they publish and what the ledger says are the same.

The memory of running workers cannot be seen from outside: its last committed value is in the changelog, which
is what a restarted worker would go on from. It is compared with the ledger and with the balances published.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import groupby

from schemas.wire import Record as Content
from streams import topics as names
from verify import parts, periods
from verify.accounts import Account, exponent_of
from verify.books import MOVEMENTS, Entry, Found
from verify.evidence import Evidence
from verify.money import FINAL
from verify.pricing import minor_unit
from verify.report import Check
from verify.topics import ACCOUNTS_CHANGELOG
from verify.wording import amount

SETTINGS = (
    "revision",
    "currency",
    "tax_rates",
    "automatic_top_up",
    "warning_level_minor",
    "overdraft_minor",
    "closed",
)


def check(evidence: Evidence) -> Check:
    """Compare changelog, balances, statuses and ledger, account by account."""
    result = Check(7, "changelog = balances = what the ledger gives", notes=evidence.cut_note())
    for kind in ("states", "balances", "open periods", "month quantities"):
        result.looked_at(kind, 0)
    for kind in ("settings", "statuses", "pending top-ups"):
        result.looked_at(kind, 0)
    books = evidence.books
    for account_id in sorted(books.entries.keys() | books.balances.keys() | books.states.keys()):
        entries = books.entries.get(account_id, [])
        state, balance = books.states.get(account_id), books.balances.get(account_id)
        for name, found in ((ACCOUNTS_CHANGELOG, state), (names.BALANCES.name, balance)):
            if found is not None:
                _check_last(found, entries, result)
                continue
            others = [e.place for e in entries[-1:]] + [f.place for f in (state, balance) if f is not None]
            result.fail(
                "an account stands in ledger, changelog and balances alike",
                account=account_id,
                place=others[0],
                expected=f"a record in {name}",
                found="none",
            )
        if account_id not in evidence.cut:
            _check_periods(evidence, account_id, entries, result)
        if state is not None:
            _check_numbers(evidence, state, result)
            _check_settings(evidence, state, result)
            if account_id not in evidence.cut:
                _check_quantities(state, entries, result)
        if balance is not None:
            _check_status(evidence, account_id, balance, result)
            _check_pending(evidence, account_id, balance, result)
    return result


def _check_last(found: Found, entries: list[Entry], result: Check) -> None:
    """A state, or a balance published, has the balance, number and currency of the ledger's last entry."""
    result.looked_at("states" if found.place.topic == ACCOUNTS_CHANGELOG else "balances")
    content = found.content
    last = entries[-1] if entries else None
    expected = (last.balance_after, last.number, last.currency) if last else (0, 0, content["currency"])
    rule = f"balance, number and currency of the last entry, {found.place.topic} = ledger"
    told = (content["balance"], content["entries"], content["currency"])
    result.expect(
        told,
        expected,
        rule,
        account=content["account_id"],
        place=found.place,
        said=lambda last: f"{amount(last[0])} {last[2]} after entry {last[1]}",
    )


def _check_numbers(evidence: Evidence, state: Found, result: Check) -> None:
    """The numbers remembered are those of the last documents issued."""
    account_id = state.content["account_id"]
    documents = (evidence.books.invoices, evidence.books.credit_notes)
    expected = [
        max((f.content["sequence"] for f in kind.get(account_id, [])), default=0) for kind in documents
    ]
    found = [state.content["invoices"], state.content["credit_notes"]]
    rule = "numbers of the last invoice and credit note, changelog = issued"
    if not evidence.topics.log(names.INVOICES.name, state.place.partition).start:
        result.expect(found, expected, rule, account=account_id, place=state.place)


def _check_settings(evidence: Evidence, state: Found, result: Check) -> None:
    """The settings remembered are those of the last revision applied."""
    account_id = state.content["account_id"]
    account = evidence.account(account_id)
    if account is None or account.settings is None:
        return
    result.looked_at("settings")
    found = {name: state.content[name] for name in SETTINGS}
    expected = {name: account.settings[name] for name in SETTINGS}
    for told in (found, expected):
        told["tax_rates"] = sorted(told["tax_rates"], key=lambda rate: rate["valid_from"])
    rule = "the settings remembered are those of the last revision applied"
    result.expect(found, expected, rule, account=account_id, place=state.place)


def _check_quantities(state: Found, entries: list[Entry], result: Check) -> None:
    """Quantity, price and tax of each month's row remembered are the sums of its charges and tax."""
    sums = _sums(entries)
    for told in state.content["rows"]:
        result.looked_at("month quantities")
        found = [told["quantity"], told["amount"], told["tax"]]
        expected = sums[told["month"], told["meter"], told["version"], told["rate"]]
        rule = f"quantity, amount and tax of {periods.text_of(told['month'])} {told['meter']}"
        result.expect(
            found, expected, rule, account=state.content["account_id"], place=state.place, said=_amounts
        )


def _sums(entries: list[Entry]) -> dict[tuple[object, ...], list[int]]:
    """Return quantity, price and tax of all charges less all reversals by what they were counted under."""
    sums: dict[tuple[object, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for entry in entries:
        row = sums[entry.priced_as]
        match entry.kind:
            case "charge":
                row[0] += entry.quantity or 0
                row[1] -= entry.amount
            case "reversal":
                row[0] -= entry.quantity or 0
                row[1] -= entry.amount
            case "tax" | "reversal_tax":
                row[2] -= entry.amount
    return sums


def _check_periods(evidence: Evidence, account_id: str, entries: list[Entry], result: Check) -> None:
    """The totals published and remembered for periods without an invoice are the ledger's."""
    if not parts.are_known(evidence, account_id):
        return
    account = evidence.account(account_id)
    invoices = evidence.books.invoices.get(account_id, [])
    invoiced = {parts.of_invoice(account, invoice.content) for invoice in invoices}
    expected: list[Content] = []
    shifts: list[int] = []
    opening = closed = 0
    with_part = sorted(
        zip(parts.of_entries(account, entries), entries, strict=True), key=lambda pair: pair[0]
    )
    for part, group in groupby(with_part, key=lambda pair: pair[0]):
        totals, shift = _totals(part.period, opening, [entry for _, entry in group])
        opening = totals["opening"] + totals["received"] - totals["charged"]
        if part in invoiced:
            closed = opening
        else:
            result.looked_at("open periods")
            expected.append(totals)
            shifts.append(shift)
    balance, state = evidence.books.balances.get(account_id), evidence.books.states.get(account_id)
    if balance is not None:
        _check_totals(balance, balance.content["open_periods"], expected, shifts, result)
        uncarried = [entry for part, entry in with_part if part not in invoiced]
        _check_usage(evidence, balance, entries, uncarried, result)
    if state is not None:
        rows, opens = [], state.content["opening"]
        rule = "the opening remembered is the closing of the last closed period"
        result.expect(opens, closed, rule, account=account_id, place=state.place, said=amount)
        for row in sorted(state.content["periods"], key=lambda row: row["month"]):
            charged = row["charges"] + row["tax"]
            rows.append(
                {
                    "period": periods.text_of(row["month"]),
                    "opening": opens,
                    "received": row["received"],
                    "charged": charged,
                    "charges": row["charges"],
                    "tax": row["tax"],
                }
            )
            opens += row["received"] - charged
        _check_totals(state, rows, expected, shifts, result)


def _check_usage(
    evidence: Evidence, balance: Found, entries: list[Entry], uncarried: list[Entry], result: Check
) -> None:
    """The usage published is every month's row that no invoice carries all of, with the sums of the ledger.

    What an older version of the schema published had none.
    """
    if not balance.content["usage"] and not evidence.topics.schemas.is_current(balance.raw.value or b""):
        return
    bookings = Counter(entry.priced_as for entry in uncarried if entry.kind in {"charge", "reversal"})
    sums = _sums(entries)
    expected = {(periods.text_of(key[0]), *key[1:]): (*sums[key], count) for key, count in bookings.items()}
    names = ("quantity", "amount", "tax", "charges")
    found = {
        (row["month"], row["meter"], row["price_version"], row["tax_rate"]): tuple(row[n] for n in names)
        for row in balance.content["usage"]
    }
    result.looked_at("usage published", len(expected))
    result.expect(
        found,
        expected,
        "the usage published is what no invoice carries yet, with the ledger's sums",
        account=balance.content["account_id"],
        place=balance.place,
        said=_usage_said,
    )


def _usage_said(usage: dict[tuple[object, ...], tuple[int, ...]]) -> str:
    rows = [
        f"{month} {meter} {_amounts(found[:3])} in {found[3]}" for (month, meter, *_), found in usage.items()
    ]
    return "; ".join(sorted(rows)) or "none"


def _check_totals(
    found: Found, rows: list[Content], expected: list[Content], shifts: list[int], result: Check
) -> None:
    account_id, place = found.content["account_id"], found.place
    told, right = [row["period"] for row in rows], [row["period"] for row in expected]
    rule = "open periods are those with entries and without an invoice"
    if not result.expect(told, right, rule, account=account_id, place=place):
        return
    for row, totals, shift in zip(rows, expected, shifts, strict=True):
        rule = f"totals of the open period {totals['period']}"
        if (
            shift
        ):  # what is credited may stand under received or under charged until its credit note is written
            sums = [(t["opening"], t["received"] - t["charged"]) for t in (row, totals)]
            rule += " (opening, net)"
            result.expect(sums[0], sums[1], rule, account=account_id, place=place, said=_amounts)
        else:
            result.expect(row, totals, rule, account=account_id, place=place, said=_totals_said)


def _amounts(amounts: Iterable[int]) -> str:
    return ", ".join(amount(n) for n in amounts)


def _totals_said(totals: Content) -> str:
    return ", ".join(f"{name} {amount(n)}" for name, n in totals.items() if name != "period")


def _totals(period: int, opening: int, entries: Iterable[Entry]) -> tuple[Content, int]:
    """Return a period's totals, and how much of them a credit note may move from charged to received."""
    received = charges = tax = credited = 0
    for entry in entries:
        if entry.kind in MOVEMENTS:
            received += entry.amount
        elif entry.kind in {"charge", "reversal"}:
            charges -= entry.amount
        else:
            tax -= entry.amount
        if entry.kind not in MOVEMENTS and entry.month < period and entry.amount > 0:
            credited += entry.amount
    totals = {
        "period": periods.text_of(period),
        "opening": opening,
        "received": received,
        "charged": charges + tax,
        "charges": charges,
        "tax": tax,
    }
    return totals, credited


def _check_status(evidence: Evidence, account_id: str, balance: Found, result: Check) -> None:
    """The status published in both topics is the same and follows from the balance."""
    told = evidence.books.statuses.get(account_id)
    result.looked_at("statuses")
    status = balance.content["status"]
    rule = "the status in balances is the last in account-status"
    found = told.content["status"] if told else "none"
    result.expect(found, status, rule, account=account_id, place=balance.place)
    decided = evidence.books.decisions.get(account_id)
    rule = "the top-up decision in balances is the last in top-up-decisions"
    found = decided.content["decision"] if decided else "off"
    result.expect(found, balance.content["top_up"], rule, account=account_id, place=balance.place)
    account = evidence.account(account_id)
    if account is None:
        return
    unit = minor_unit(exponent_of(account.currency) or 0)
    refundable = max(0, balance.content["balance"]) // unit if account.is_closed else None
    result.expect(
        tuple(balance.content[name] for name in ("revision", "by_default", "refundable_minor")),
        (account.revision, account.settings is None, refundable),
        "revision, default and remainder published are those of the settings in force",
        account=account_id,
        place=balance.place,
    )
    possible = _statuses(account, balance.content["balance"])
    if status not in possible:
        result.fail(
            "the status follows from the balance",
            account=account_id,
            place=balance.place,
            expected=" or ".join(sorted(possible)),
            found=status,
        )


def _statuses(account: Account, balance: int) -> set[str]:
    """Return the statuses that a balance allows: between the warning level and 110 % of it, two."""
    exponent = exponent_of(account.currency)
    settings = account.settings
    if settings is not None and settings["closed"]:
        return {"closed"}
    unit = minor_unit(exponent or 0)
    overdraft = settings["overdraft_minor"] * unit if settings else 0
    if balance + overdraft <= 0:
        return {"suspended"}
    warning = settings["warning_level_minor"] if settings else None
    if warning is None:
        return {"active"}
    if balance < warning * unit:
        return {"low"}
    return {"low", "active"} if balance * 10 <= warning * unit * 11 else {"active"}


def _check_pending(evidence: Evidence, account_id: str, balance: Found, result: Check) -> None:
    """The pending top-up published is the last command without a final answer."""
    lane = evidence.lane_of(account_id)
    if evidence.topics.log(names.COMMANDS.name, lane.number).start > 0:
        return
    made: dict[str, Content] = {}
    for command in evidence.books.commands.get(account_id, []):
        if command.content["kind"] == "charge":
            made[command.content["command_id"]] = command.content
    answers = {command_id: {kind for kind, _ in lane.outcomes.get(command_id, [])} for command_id in made}
    open_ones = [made[command_id]["amount_minor"] for command_id in made if not answers[command_id] & FINAL]
    result.looked_at("pending top-ups", len(open_ones))
    if made and answers[list(made)[-1]] & FINAL == {"unavailable"}:
        return  # the contract leaves open whether an outage ends the attempt or leaves it pending
    expected = open_ones[-1] if open_ones else None
    rule = "the pending amount published is that of the command without a final answer"
    result.expect(balance.content["pending_minor"], expected, rule, account=account_id, place=balance.place)
