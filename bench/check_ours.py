"""Compares what Evergreen put out with the right answer: balances, ledger, journal.

Imports no rule of ours.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from bench.reading import read_all
from bench.reference import Reference
from bench.workload import METERS
from schemas.wire import Record, fixed
from streams import topics
from streams.settings import Settings

PICO = Decimal(10) ** -12


@dataclass(slots=True, kw_only=True)
class Found:
    """What a run put out, and what of it is wrong."""

    problems: list[str] = field(default_factory=list)
    charges: int = 0
    ledger_entries: int = 0
    commands: int = 0
    commits: int = 0


def check(settings: Settings, answer: Reference, *, has_ledger: bool) -> Found:
    """Return the problems of a run; without a ledger its balances, period totals and journal are checked."""
    found = Found()
    balances = _balances(settings)
    _check_balances(balances, answer, found)
    _check_journal(settings, answer, found)
    if has_ledger:
        _check_ledger(settings, balances, answer, found)
    elif (entries := sum(1 for _ in _read(settings, topics.LEDGER))) != 0:
        found.problems.append(f"{entries} ledger entries where there must be none")
    found.commands = sum(1 for _ in _read(settings, topics.COMMANDS))
    return found


def _read(settings: Settings, topic: topics.Topic) -> Iterator[Record]:
    decode = fixed().codec(topic.records[0]).decode
    messages = read_all(settings.bootstrap_servers, settings.topic(topic.name))
    return (decode(message.value() or b"") for message in messages)


def _balances(settings: Settings) -> dict[str, Record]:
    return {record["account_id"]: record for record in _read(settings, topics.BALANCES)}


def _check_balances(balances: dict[str, Record], answer: Reference, found: Found) -> None:
    if balances.keys() != answer.balances.keys():
        found.problems.append(f"{len(balances)} accounts have a balance, not {len(answer.balances)}")
    charged: dict[str, Decimal] = defaultdict(Decimal)
    for key, (_, charge) in answer.months.items():
        account, month, _ = key.split(" ")
        charged[f"{account} {month}"] += charge
    for account, record in balances.items():
        balance = record["balance"] * PICO
        if balance != answer.balances.get(account):
            found.problems.append(f"balance of {account} is {balance}, not {answer.balances.get(account)}")
        for period in record["open_periods"]:
            name = f"{account} {period['period']}"
            if period["charges"] * PICO != charged.pop(name, Decimal(0)):
                found.problems.append(f"charges of {name} are {period['charges'] * PICO}")
    if left := [name for name, charge in charged.items() if charge]:
        found.problems.append(f"{len(left)} periods have no total, the first is {left[0]}")


def _check_journal(settings: Settings, answer: Reference, found: Found) -> None:
    totals: Counter[str] = Counter()
    for entry in _read(settings, topics.JOURNAL):
        totals.update({name: entry[name] for name in ("applied", "waiting", "duplicate", "dead")})
        found.commits += 1
    # Settings are one an account, prices one a meter and lane; all else that applied is a charge.
    others = sum(answer.payments.values()) + len(answer.balances) + len(METERS) * settings.lanes
    found.charges = totals["applied"] - others
    if found.charges != answer.charges:
        found.problems.append(f"{found.charges} charges by the journal, not {answer.charges}")
    if totals["duplicate"] != answer.duplicates:
        found.problems.append(f"{totals['duplicate']} duplicates, not {answer.duplicates}")
    if totals["waiting"] or totals["dead"]:
        found.problems.append(f"{totals['waiting']} records waited, {totals['dead']} are dead letters")


def _check_ledger(settings: Settings, balances: dict[str, Record], answer: Reference, found: Found) -> None:
    numbers: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    quantities: Counter[str] = Counter()
    charges: Counter[str] = Counter()
    for entry in _read(settings, topics.LEDGER):
        account, amount = entry["account_id"], entry["amount"]
        numbers[account] += 1
        sums[account] += amount
        kinds[entry["kind"]] += 1
        if entry["number"] != numbers[account] or entry["balance_after"] != sums[account]:
            found.problems.append(f"entry {entry['number']} of {account} does not follow the one before")
        if entry["kind"] == "charge":
            key = f"{account} {entry['month']} {entry['meter']}"
            quantities[key] += entry["quantity"]
            charges[key] -= amount
    found.ledger_entries = sum(kinds.values())
    right = {
        "charge": answer.charges,
        "payment": answer.payments["succeeded"],
        "refund": answer.payments["refunded"],
    }
    if kinds != right:
        found.problems.append(f"ledger has {dict(kinds)}, not {right}")
    if quantities.keys() != answer.months.keys():
        found.problems.append(f"{len(quantities)} month totals, not {len(answer.months)}")
    for key, (quantity, charge) in answer.months.items():
        if (quantities[key] * PICO, charges[key] * PICO) != (quantity, charge):
            found.problems.append(f"month total {key} is {quantities[key]}, {charges[key]} e-12")
    for account, record in balances.items():
        if (record["entries"], record["balance"]) != (numbers[account], sums[account]):
            found.problems.append(f"balance of {account} is not the sum of its {numbers[account]} entries")
