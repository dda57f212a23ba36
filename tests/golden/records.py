"""One example of each record type, and the golden bytes of it, made by Apache's `avro` package.

Not by our own codec: the bytes say what Avro says, with Decimal and datetime on the way in.
`python -m tests.golden.records` writes them again (see README.md beside this file).
"""

import struct
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from io import BytesIO
from pathlib import Path
from typing import Any

import avro.io
import avro.schema

from schemas import wire
from schemas.wire import Record

DIRECTORY = Path(__file__).parent / "wire"
UNIT = 10**12
NOON = 1_769_947_200_000
"""2026-02-01T12:00:00Z."""
MONTH_START = 1_767_222_000_000
"""2026-01-01T00:00:00+01:00."""
MONTH_END = 1_769_900_400_000
SELLER = {
    "name": "Evergreen Demo Ltd",
    "address": ["1 Evergreen Way", "Springfield"],
    "country": "US",
    "tax_id": None,
}
CUSTOMER = {
    "name": "Müller & Söhne GmbH",
    "address": ["Lange Straße 1", "10115 Berlin"],
    "country": "DE",
    "tax_id": "DE123456789",
}

EXAMPLES: dict[str, Record] = {
    "usage-event": {
        "account_id": "acct-東京-🌲",
        "source": "gateway/eu-1",
        "event_id": "0198c0de-0001",
        "meter": "egress-gb",
        "quantity": 1_500_000_000_001,
        "occurred_at": NOON,
    },
    "payment-event": {
        "account_id": "acct-1",
        "payment_id": "pay_1",
        "kind": "failed",
        "amount_minor": 2_500,
        "currency": "EUR",
        "occurred_at": NOON,
        "reference": None,
        "command_id": "acct-1:3:1",
        "payment_method_ref": "pm_1",
        "decline_code": "stolen_card",
        "hard_decline": True,
        "action_url": None,
    },
    "account-settings": {
        "account_id": "acct-1",
        "revision": 2,
        "currency": "EUR",
        "zone": "Europe/Berlin",
        "tax_rates": [{"valid_from": 0, "rate": 190_000_000_000}],
        "automatic_top_up": {
            "enabled": True,
            "threshold_minor": 500,
            "amount_minor": 2_500,
            "target_minor": None,
            "monthly_limit_minor": 10_000,
            "payment_method_ref": "pm_1",
            "consent": {"given_by": "user-9", "given_at": MONTH_START, "text_version": "2026-01"},
            "resumes": 1,
        },
        "warning_level_minor": 1_000,
        "overdraft_minor": 0,
        "closed": False,
        "changed_at": NOON,
        "changed_by": "user-9",
    },
    "account-profile": {
        "account_id": "acct-1",
        "name": CUSTOMER["name"],
        "address": CUSTOMER["address"],
        "country": "DE",
        "tax_id": "DE123456789",
        "email": "billing@example.com",
        "language": "de",
    },
    "price": {
        "meter": "egress-gb",
        "currency": "EUR",
        "version": 4,
        "unit": "GB",
        "valid_from": MONTH_START,
        "late": False,
        "model": "graduated",
        "tiers": [
            {"up_to": 100 * UNIT, "unit_price": 80_000_000_000},
            {"up_to": None, "unit_price": 50_000_000_000},
        ],
        "package_size": None,
        "free_allowance": 10 * UNIT,
    },
    "adjustment": {
        "account_id": "acct-1",
        "adjustment_id": "adj-1",
        "kind": "reversal",
        "amount": None,
        "currency": "EUR",
        "reason": "metered twice",
        "author": "agent-4",
        "occurred_at": NOON,
        "usage": {
            "source": "gateway/eu-1",
            "event_id": "0198c0de-0001",
            "meter": "egress-gb",
            "quantity": 1_500_000_000_001,
            "occurred_at": NOON,
        },
    },
    "tick": {"time": NOON, "ticker": "worker-1"},
    "ledger-entry": {
        "account_id": "acct-1",
        "number": 17,
        "kind": "charge",
        "amount": -120_000_000_000,
        "balance_after": -(10**38 - 1),
        "currency": "EUR",
        "period": "2026-02",
        "month": "2026-01",
        "occurred_at": MONTH_END - 1,
        "booked_at": NOON,
        "source": "gateway/eu-1",
        "event_id": "0198c0de-0001",
        "meter": "egress-gb",
        "quantity": 1_500_000_000_000,
        "price_version": 4,
        "tax_rate": 190_000_000_000,
        "payment_id": None,
        "reference": None,
        "command_id": None,
        "adjustment_id": None,
        "reason": None,
    },
    "journal-entry": {
        "lane": 3,
        "commit": 42,
        "worker": "worker-1",
        "runs": [
            {"topic": "usage-events", "from": 100, "to": 200},
            {"topic": "clock-ticks", "from": 7, "to": 8},
        ],
        "applied": 97,
        "waiting": 1,
        "duplicate": 2,
        "dead": 1,
        "settled_applied": 0,
        "settled_dead": 0,
        "tick": NOON,
        "stood": [{"topic": "usage-events", "offset": 190}],
    },
    "account-balance": {
        "account_id": "acct-1",
        "currency": "EUR",
        "balance": 25 * UNIT - 1,
        "status": "active",
        "entries": 17,
        "open_periods": [
            {
                "period": "2026-02",
                "opening": 0,
                "received": 25 * UNIT,
                "charged": 1,
                "charges": 1,
                "tax": 0,
            }
        ],
        "top_up": "above_threshold",
        "pending_minor": None,
        "as_of": NOON,
        "revision": 3,
        "by_default": False,
        "refundable_minor": None,
        "usage": [
            {
                "month": "2026-02",
                "meter": "egress",
                "price_version": 2,
                "tax_rate": UNIT // 5,
                "number": 7,
                "quantity": 3 * UNIT,
                "amount": 1,
                "tax": 0,
                "charges": 4,
            }
        ],
    },
    "account-status": {"account_id": "acct-1", "status": "suspended", "since": None},
    "payment-attempt": {
        "account_id": "acct-1",
        "command_id": "acct-1:3:1",
        "episode": 3,
        "attempt": 1,
        "recorded_at": NOON,
        "word": "unavailable",
    },
    "top-up-decision": {"account_id": "acct-1", "decision": "paused", "since": NOON, "balance": -1},
    "top-up-command": {
        "account_id": "acct-1",
        "command_id": "acct-1:3:1",
        "kind": "charge",
        "episode": 3,
        "attempt": 1,
        "amount_minor": 2_500,
        "currency": "EUR",
        "payment_method_ref": "pm_1",
        "consent": "2026-01 user-9 1767222000000",
        "made_at": NOON,
        "expires_at": NOON + 23 * 3_600_000,
    },
    "invoice": {
        "account_id": "acct-1",
        "number": "acct-1-000001",
        "sequence": 1,
        "period": "2026-01",
        "period_start": MONTH_START,
        "period_end": MONTH_END,
        "zone": "Europe/Berlin",
        "issued_at": MONTH_END + 3_600_000,
        "currency": "EUR",
        "seller": SELLER,
        "customer": CUSTOMER,
        "opening": 10 * UNIT,
        "lines": [
            {
                "month": "2026-01",
                "meter": "egress-gb",
                "unit": "GB",
                "price_version": 4,
                "model": "graduated",
                "quantity": 20 * UNIT,
                "amount": 800_000_000_000,
                "amount_minor": 80,
                "tax_rate": 190_000_000_000,
                "tax": 152_000_000_000,
                "tiers": [{"quantity": 10 * UNIT, "unit_price": 80_000_000_000, "amount": 800_000_000_000}],
            }
        ],
        "taxes": [{"rate": 190_000_000_000, "base": 800_000_000_000, "tax": 152_000_000_000}],
        "movements": [
            {
                "kind": "payment",
                "reference": "pay_1",
                "amount": 25 * UNIT,
                "occurred_at": MONTH_START + 1,
                "reason": None,
            }
        ],
        "credit_notes": ["acct-1-C000001"],
        "charges": 800_000_000_000,
        "tax": 152_000_000_000,
        "received": 25 * UNIT,
        "charged": 952_000_000_000,
        "closing": 34_048_000_000_000,
        "shown": {
            "opening_minor": 1_000,
            "received_minor": 2_500,
            "closing_minor": 3_405,
            "charged_minor": 95,
            "tax_minor": 15,
            "rounding_minor": 0,
        },
    },
    "credit-note": {
        "account_id": "acct-1",
        "number": "acct-1-C000001",
        "sequence": 1,
        "invoice_number": "acct-1-000001",
        "period": "2026-01",
        "shown_in": "2026-02",
        "issued_at": NOON,
        "currency": "EUR",
        "seller": SELLER,
        "customer": None,
        "lines": [
            {
                "month": "2026-01",
                "meter": "egress-gb",
                "price_version": 4,
                "quantity": -1_500_000_000_000,
                "amount": -120_000_000_000,
                "tax_rate": 190_000_000_000,
                "tax": -22_800_000_000,
            }
        ],
        "amount": -120_000_000_000,
        "tax": -22_800_000_000,
    },
    "notification": {
        "account_id": "acct-1",
        "notification_id": "acct-1:invoice_ready:acct-1-000001",
        "kind": "invoice_ready",
        "created_at": NOON,
        "details": {"number": "acct-1-000001"},
    },
    "dead-letter": {
        "topic": "usage-events",
        "partition": 3,
        "offset": 1_234,
        "timestamp": NOON,
        "key": b"acct-1",
        "value": b"\x00\x00\x00\x00\x01\xff",
        "headers": [{"name": "ce_id", "value": b"0198c0de-0001"}, {"name": "trace", "value": None}],
        "reason": "truncated",
        "detail": "usage-event ends early after 6 bytes",
        "account_id": "acct-1",
        "rejected_at": NOON,
    },
}


def golden(name: str) -> bytes:
    """Return the golden bytes of a record type's example."""
    return bytes.fromhex((DIRECTORY / f"{name}.hex").read_text(encoding="ascii"))


def by_apache_avro(name: str) -> bytes:
    """Return the wire bytes of the example as Apache's package writes them."""
    definition = wire.definition(name)
    out = BytesIO()
    out.write(struct.pack(">bI", 0, wire.fixed_ids()[name]))
    encoder = avro.io.BinaryEncoder(out)
    avro.io.DatumWriter(avro.schema.make_avsc_object(definition)).write(
        apache_values(definition, EXAMPLES[name]), encoder
    )
    return out.getvalue()


def read_by_apache_avro(name: str, data: bytes) -> Any:
    """Return what Apache's package reads from wire bytes, header aside."""
    decoder = avro.io.BinaryDecoder(BytesIO(data[5:]))
    return avro.io.DatumReader(avro.schema.make_avsc_object(wire.definition(name))).read(decoder)


def apache_values(node: Any, value: Any) -> Any:
    """Return a record with Decimal and datetime where the schema has decimals and timestamps."""
    if value is None or isinstance(node, str):
        return value
    if isinstance(node, list):
        return apache_values(next(branch for branch in node if branch != "null"), value)
    match node:
        case {"logicalType": "decimal"}:
            with localcontext(prec=60):
                return Decimal(value).scaleb(-12)
        case {"logicalType": "timestamp-millis"}:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value)
        case {"type": "record", "fields": fields}:
            return {f["name"]: apache_values(f["type"], value[f["name"]]) for f in fields}
        case {"type": "array", "items": items}:
            return [apache_values(items, item) for item in value]
    return value


def main() -> None:
    """Write the golden bytes of every example, 32 bytes a line."""
    DIRECTORY.mkdir(exist_ok=True)
    for name in EXAMPLES:
        text = by_apache_avro(name).hex()
        lines = [text[at : at + 64] for at in range(0, len(text), 64)]
        (DIRECTORY / f"{name}.hex").write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    sys.exit(main())
