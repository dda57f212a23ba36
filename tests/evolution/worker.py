"""The shipped worker under another version of the schemas: `python -m tests.evolution.worker FOLDER VERSION`.

What later code would write into a new field it writes too, so that a value is there to be kept or lost.
"""

import sys
from pathlib import Path
from typing import Any

from schemas import binary, wire
from streams import app
from streams.agents import events, states
from streams.domain.account import Account
from streams.settings import read


def write_later_fields() -> None:
    """Have what today's code gives as tuples, too short by now, filled up with the defaults of new fields."""
    write = binary.Fields.write

    def filled(self: binary.Fields, value: Any, out: list[bytes]) -> None:
        if isinstance(value, tuple):
            value += tuple(self._defaults[name] for name in self.names[len(value) :])
        write(self, value, out)

    binary.Fields.write = filled  # type: ignore[method-assign]


def read_later_usage() -> None:
    """Pass over the new fields of usage, which today's code reads as the values of its own schema."""
    usage_of = events.usage_of
    events.usage_of = lambda values, *more: usage_of(values[:6], *more)


def write_notes(version: str) -> None:
    """Write into each account's state which version did."""
    account_record = states.account_record
    note = f"version {version} of {read().worker_name}"

    def with_note(account: Account) -> Any:
        record: Any = account_record(account)
        return (*record, note) if isinstance(record, tuple) else {**record, "note": note}

    states.account_record = with_note


def main(folder: str, version: str) -> int:
    """Run one worker."""
    wire._DIRECTORY = Path(folder)  # type: ignore[misc]
    if int(version) > 1:
        write_later_fields()
        read_later_usage()
        write_notes(version)
    return app.run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
