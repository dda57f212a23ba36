"""Compares a peer's changelog and commands with the right answer."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import NamedTuple

from bench.peers import common
from bench.reading import read_all
from bench.reference import Reference


class State(NamedTuple):
    """What a changelog says of one account; money in 10^-12, quantities in 10^-6."""

    account: str
    balance: int
    sequence: int
    months: dict[tuple[str, str], tuple[int, int]]
    """Quantity and charge by month and meter."""


ReadStates = Callable[[str, str], Iterator[State]]


def avro_states(bootstrap_servers: str, topic: str) -> Iterator[State]:
    """Yield the last state of each account, from Kafka Streams or a raw loop."""
    parsed = common.schema("account_state")
    for key, value in _latest(bootstrap_servers, topic).items():
        yield _plain_state(key.decode(), common.decode(parsed, value))


def faust_states(bootstrap_servers: str, topic: str) -> Iterator[State]:
    """Yield the last state of each account of a Faust Table: JSON both."""
    for key, value in _latest(bootstrap_servers, topic).items():
        yield _plain_state(json.loads(key), json.loads(value))


def quix_states(bootstrap_servers: str, topic: str) -> Iterator[State]:
    """Yield the last state of each account of Quix, whose keys are: message key, '|', the state's own key."""
    import msgpack

    for key, value in _latest(bootstrap_servers, topic).items():
        r = msgpack.unpackb(value)
        months = {
            (month, meter): (quantity, charge)
            for month, meters in r["months"].items()
            for meter, (quantity, charge) in meters.items()
        }
        yield State(key.split(b"|")[0].decode(), r["balance"], r["sequence"], months)


def check(
    bootstrap_servers: str, read_states: ReadStates, changelog: str, commands: str, answer: Reference
) -> tuple[list[str], int]:
    """Return what is wrong, and how many commands were sent."""
    problems: list[str] = []
    sequences: dict[str, int] = {}
    months: dict[str, tuple[Decimal, Decimal]] = {}
    for state in read_states(bootstrap_servers, changelog):
        sequences[state.account] = state.sequence
        right = answer.balances.get(state.account)
        if Decimal(state.balance).scaleb(-12) != right:
            problems.append(f"balance of {state.account} is {state.balance} e-12, not {right}")
        for (month, meter), (quantity, charge) in state.months.items():
            total = Decimal(quantity).scaleb(-6), Decimal(charge).scaleb(-12)
            months[f"{state.account} {month} {meter}"] = total
    if sequences.keys() != answer.balances.keys():
        problems.append(f"{len(sequences)} accounts, not {len(answer.balances)}")
    if months.keys() != answer.months.keys():
        problems.append(f"{len(months)} month totals, not {len(answer.months)}")
    problems += [f"month total {key}" for key, total in months.items() if answer.months.get(key) != total]
    return problems, _check_commands(bootstrap_servers, commands, sequences, problems)


def _check_commands(
    bootstrap_servers: str, commands: str, sequences: dict[str, int], problems: list[str]
) -> int:
    """Every account's commands are numbered from 1 to its sequence. How many that is depends on the order."""
    parsed = common.schema("topup_command", logical=False)
    ids: dict[str, set[str]] = defaultdict(set)
    count = 0
    for message in read_all(bootstrap_servers, commands):
        r = common.decode(parsed, message.value() or b"")
        ids[r["account_id"]].add(r["command_id"])
        count += 1
    for account, sequence in sequences.items():
        if ids[account] != {f"topup-{account}-{n}" for n in range(1, sequence + 1)}:
            problems.append(f"commands of {account}: {len(ids[account])} ids, sequence {sequence}")
    return count


def _latest(bootstrap_servers: str, topic: str) -> dict[bytes, bytes]:
    return {m.key() or b"": m.value() or b"" for m in read_all(bootstrap_servers, topic)}


def _plain_state(account: str, r: common.Record) -> State:
    months = {
        (month, meter): (total["quantity"], total["charge"])
        for month, meters in r["months"].items()
        for meter, total in meters.items()
    }
    return State(account, r["balance"], r["sequence"], months)
