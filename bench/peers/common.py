"""What every Python peer shares: constants, prices, schemas, wire format."""

import argparse
import io
import json
import os
import struct
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro

BROKER = os.environ.get("BENCH_BROKER", "")
PARTITIONS = 4
USAGE_ID, PAYMENT_ID, COMMAND_ID, STATE_ID = 1, 2, 3, 4
PRICES = {
    "api_calls": Decimal("0.000123"),
    "compute_s": Decimal("0.005000"),
    "egress_mb": Decimal("0.000900"),
    "storage_gbh": Decimal("0.000031"),
    "tokens": Decimal("0.000007"),
}
PRICES_MICRO = {meter: int(price.scaleb(6)) for meter, price in PRICES.items()}
PICO = 10**12
"""In one unit of the currency."""
PICO_PER_MINOR = 10**10
THRESHOLD = 10 * PICO
TOP_UP_MINOR = 5000
CURRENCY = "USD"
RECENT = 64
"""Event ids that an account remembers."""

Record = dict[str, Any]

_SCHEMAS = Path(__file__).parent / "schemas"
_months: dict[int, str] = {}


def arguments() -> argparse.Namespace:
    """Return what the runner tells a peer; all names of topics are full ones."""
    p = argparse.ArgumentParser()
    for name in ("--group", "--usage", "--payments", "--commands", "--changelog", "--state-dir"):
        p.add_argument(name, required=True)
    p.add_argument("--commit-s", type=float, default=1.0)
    return p.parse_args()


def schema(name: str, logical: bool = True) -> Any:
    """Return a schema; without its logical types decimals stay bytes and timestamps ints."""
    raw = json.loads((_SCHEMAS / f"{name}.avsc").read_text(encoding="utf-8"))
    return fastavro.parse_schema(raw if logical else _plain(raw))


def header(schema_id: int) -> bytes:
    """Return what stands before the Avro of a value."""
    return struct.pack(">bI", 0, schema_id)


def encode(parsed: Any, schema_id: int, record: Record) -> bytes:
    """Return a record's value."""
    out = io.BytesIO()
    out.write(header(schema_id))
    fastavro.schemaless_writer(out, parsed, record)
    return out.getvalue()


def decode(parsed: Any, data: bytes) -> Record:
    """Return a value's record."""
    stream = io.BytesIO(data)
    stream.seek(5)
    record: Record = fastavro.schemaless_reader(stream, parsed, None)
    return record


def month_of(ms: int) -> str:
    """Return YYYY-MM in UTC of a timestamp in milliseconds; remembered per day."""
    day = ms // 86_400_000
    month = _months.get(day)
    if month is None:
        month = _months[day] = time.strftime("%Y-%m", time.gmtime(day * 86_400))
    return month


def say_first_data() -> None:
    """Tell the runner that the first record is here: wall clock and CPU used so far by this process."""
    line = {"event": "first_data", "ms": time.time() * 1000, "cpu_s": time.process_time()}
    print(json.dumps(line), file=sys.__stdout__, flush=True)  # Faust puts a logger in place of sys.stdout


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _plain(v) for k, v in node.items() if k not in {"logicalType", "precision", "scale"}}
    return [_plain(v) for v in node] if isinstance(node, list) else node
