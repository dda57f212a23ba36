"""The independent answer: what balances, month totals and counts must be, from the peers' input topics.

Plain Decimals and datetimes; imports no rule of anybody.
"""

import json
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from bench.peers import common
from bench.reading import read_all

SIGN = {"succeeded": 1, "failed": 0, "refunded": -1}


@dataclass(slots=True, kw_only=True)
class Reference:
    """What is right. Money in units of the currency."""

    charges: int = 0
    """Usage events but the duplicates."""
    duplicates: int = 0
    payments: Counter[str] = field(default_factory=Counter)
    """Payment events by status."""
    balances: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    months: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    """Quantity and charge by 'account YYYY-MM meter'."""

    def save(self, path: Path) -> None:
        """Write it down, every number as text."""
        path.write_text(
            json.dumps(
                {
                    "charges": self.charges,
                    "duplicates": self.duplicates,
                    "payments": self.payments,
                    "balances": {account: str(balance) for account, balance in self.balances.items()},
                    "months": {key: [str(q), str(c)] for key, (q, c) in self.months.items()},
                }
            )
        )

    @classmethod
    def load(cls, path: Path) -> "Reference":
        """Read what save() wrote."""
        r = json.loads(path.read_text())
        return cls(
            charges=r["charges"],
            duplicates=r["duplicates"],
            payments=Counter(r["payments"]),
            balances={account: Decimal(balance) for account, balance in r["balances"].items()},
            months={key: (Decimal(q), Decimal(c)) for key, (q, c) in r["months"].items()},
        )


def reference(bootstrap_servers: str, usage_topic: str, payments_topic: str) -> Reference:
    """Read both topics to their ends and return what is right."""
    usage, payment = common.schema("usage"), common.schema("payment")
    answer = Reference()
    for message in read_all(bootstrap_servers, payments_topic):
        r = _decoded(payment, common.PAYMENT_ID, message.key(), message.value())
        answer.payments[r["status"]] += 1
        answer.balances[r["account_id"]] += SIGN[r["status"]] * Decimal(r["amount_minor"]) / 100
    seen: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=common.RECENT))
    for message in read_all(bootstrap_servers, usage_topic):
        r = _decoded(usage, common.USAGE_ID, message.key(), message.value())
        account = r["account_id"]
        if r["event_id"] in seen[account]:
            answer.duplicates += 1
            continue
        seen[account].append(r["event_id"])
        answer.charges += 1
        charge = r["quantity"] * common.PRICES[r["meter"]]
        answer.balances[account] -= charge
        key = f"{account} {r['occurred_at']:%Y-%m} {r['meter']}"
        quantity, total = answer.months.get(key, (Decimal(0), Decimal(0)))
        answer.months[key] = quantity + r["quantity"], total + charge
    return answer


def _decoded(schema: object, schema_id: int, key: bytes | None, value: bytes | None) -> common.Record:
    assert value is not None
    assert value[:5] == common.header(schema_id)
    record = common.decode(schema, value)
    assert record["account_id"].encode() == key
    return record
