"""The shipped worker under another version of the schemas: `python -m tests.evolution.worker FOLDER VERSION`.

What later code would write into a new field it writes too, so that a value is there to be kept or lost.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schemas import binary, wire
from streams import app
from streams.agents import balances, events, shelves
from streams.domain.account import Account
from streams.settings import read

FIRST_BALANCE = [field["name"] for field in wire.definition("account-balance")["fields"]]
"""The fields of a balance as shipped."""


def write_later_fields() -> None:
    """Have what today's code gives as tuples, too short by now, filled up with the defaults of new fields."""
    write = binary.Fields.write

    def filled(self: binary.Fields, value: Any, out: list[bytes]) -> None:
        if isinstance(value, tuple):
            value += tuple(self._defaults[name] for name in self.names[len(value) :])
        write(self, value, out)

    binary.Fields.write = filled  # type: ignore[method-assign]

    encode = balances.BalanceWriter.encode
    fields = wire.fixed().codec("account-balance").fields
    later = binary.BytesWriter()
    for at in range(len(FIRST_BALANCE), len(fields.names)):
        fields._kinds[at].write(fields.default_of(fields.names[at]), later)
    end = later.getvalue()
    balances.BalanceWriter.encode = lambda self, *balance: encode(self, *balance) + end  # type: ignore[method-assign]


def read_later_usage() -> None:
    """Pass over the new fields of usage, which today's code reads as the values of its own schema."""
    usage_of = events.usage_of
    events.usage_of = lambda values, *more: usage_of(values[:6], *more)


def read_later_accounts() -> None:
    """Pass over the new fields of accounts' state, in the records within it too."""
    account_of, fields = shelves.account_of, wire.fixed().codec("state-account").fields
    new = {"periods": 5, "rows": 13}

    def known(values: Sequence[Any]) -> Account:
        inner = {fields.names.index(name): count for name, count in new.items()}
        return account_of(
            [
                [item[: inner[at]] for item in value] if at in inner else value
                for at, value in enumerate(values[: fields.names.index("rows") + 1])
            ]
        )

    shelves.account_of = known


def write_notes(version: str) -> None:
    """Write into each account's state which version did."""
    values = shelves.account_values
    note = f"version {version} of {read().worker_name}"
    shelves.account_values = lambda account: (*values(account), note)


def main(folder: str, version: str) -> int:
    """Run one worker."""
    wire._DIRECTORY = Path(folder)  # type: ignore[misc]
    if int(version) > 1:
        write_later_fields()
        read_later_usage()
        read_later_accounts()
        write_notes(version)
    return app.run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
