"""Builds the topics of a small deployment by hand: inputs, journal and outputs, each as the test says it.

Knows no billing rule. It numbers, adds up and encodes, so that a test writes amounts and nothing else.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from streams.settings import Settings
from verify.partitions import partition_of
from verify.periods import index_of, text_of
from verify.report import Place
from verify.topics import ACCOUNTS_CHANGELOG, Log, Record, Topics

LANES = 2
Content = dict[str, Any]
RECORD_OF = {
    "usage-events": "usage-event",
    "payment-events": "payment-event",
    "account-settings": "account-settings",
    "account-profiles": "account-profile",
    "prices": "price",
    "adjustments": "adjustment",
    "clock-ticks": "tick",
    "ledger-entries": "ledger-entry",
    "lane-journal": "journal-entry",
    "balances": "account-balance",
    "account-status": "account-status",
    "top-up-commands": "top-up-command",
    "top-up-decisions": "top-up-decision",
    "notifications": "notification",
    "dead-letters": "dead-letter",
    ACCOUNTS_CHANGELOG: "state-account",
}
BARRED = tuple(RECORD_OF)[:6]
"""The inputs that a tick waits for."""
SETTINGS = (
    "revision",
    "tax_rates",
    "automatic_top_up",
    "warning_level_minor",
    "overdraft_minor",
    "closed",
)
ROW_KEY = ("month", "meter", "price_version", "tax_rate")
PERIOD_FIELDS = ("month", "received", "charges", "tax", "movements")
EMPTY_STATE: Content = {
    "wake_at": 0,
    "opened_at": None,
    "by_default": False,
    "zones": [],
    "first_open": 0,
    "revision": 1,
    "tax_rates": [],
    "automatic_top_up": None,
    "warning_level_minor": None,
    "overdraft_minor": 0,
    "closed": False,
    "closed_at": None,
    "cut_at": None,
    "rows_made": 0,
    "credit_notes": 0,
    "status_since": None,
    "told_status": "active",
    "mail_at": 0,
    "top_up": {
        "episode": 0,
        "attempt": 0,
        "episode_open": False,
        "pending": None,
        "made_at": 0,
        "retry_at": 0,
        "paused": False,
        "method": "",
        "resumes": 0,
        "declines": [],
        "month": 0,
        "taken_minor": 0,
        "ended": [],
        "told_month": 0,
        "told_limit": 0,
        "decision": "off",
    },
}
OF_SOME_KINDS = (
    "source",
    "event_id",
    "meter",
    "quantity",
    "price_version",
    "tax_rate",
    "payment_id",
    "reference",
    "command_id",
    "adjustment_id",
    "reason",
)
"""Fields of a ledger entry that not every kind has."""


def at(text: str) -> int:
    """Return the milliseconds of a UTC moment such as 2026-01-10T02:00."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def pico(amount: str) -> int:
    """Return an amount, quantity or rate in 10^-12."""
    return int(Decimal(amount).scaleb(12))


def settings(**changes: Any) -> Settings:
    """Return the deployment's settings: two lanes, ticks by hand."""
    return Settings(**{"bootstrap_servers": "none", "lanes": LANES, "clock": "manual", **changes})


class History:
    """Topics under construction."""

    def __init__(self) -> None:
        self.topics = Topics.empty(LANES)
        self.runs: dict[int, list[list[Any]]] = defaultdict(list)
        self.counts: dict[int, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.commits: dict[int, int] = defaultdict(int)
        self.folded: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(BARRED, 0))
        self.stood: dict[int, dict[str, int]] = {}
        self.time: dict[int, int | None] = defaultdict(lambda: None)
        self.ticked: dict[int, int | None] = defaultdict(lambda: None)
        self.balance: dict[str, int] = defaultdict(int)
        self.number: dict[str, int] = defaultdict(int)
        self.closing: dict[str, int] = defaultdict(int)
        self.invoices: dict[str, int] = defaultdict(int)

    # records as such

    def put(
        self,
        topic: str,
        lane: int,
        value: Content | bytes | None,
        key: bytes | None,
        timestamp: int,
        *,
        name: str = "",
    ) -> Place:
        """Append a record; content is encoded as the topic's record type."""
        log = self.topics.log(topic, lane)
        data = self.encode(topic, value, name) if isinstance(value, dict) else value
        log.records.append(Record(log.end, timestamp, key, data))
        log.end += 1
        return Place(topic, lane, log.end - 1)

    def encode(self, topic: str, content: Content, name: str = "") -> bytes:
        """Return the bytes of content as a topic carries it."""
        return self.topics.schemas.codec(name or RECORD_OF[topic]).encode(content)

    def records(self, topic: str, **having: Any) -> list[tuple[Log, int, Content]]:
        """Return (log, position, content) of every record of a topic whose content has these values."""
        found = []
        for log in self.topics.logs[topic]:
            for position, record in enumerate(log.records):
                if record.value is None:
                    continue
                _, content = self.topics.schemas.decode(record.value)
                if all(content.get(name) == value for name, value in having.items()):
                    found.append((log, position, content))
        return found

    def edit(
        self, topic: str, having: Content, change: Callable[[Content], object] | None = None, **to: Any
    ) -> None:
        """Change the one record of a topic whose content has these values."""
        [(log, position, content)] = self.records(topic, **having)
        if change is not None:
            change(content)
        content.update(to)
        name, _ = self.topics.schemas.decode(log.records[position].value or b"")
        log.records[position] = log.records[position]._replace(value=self.encode(topic, content, name))

    def drop(self, topic: str, **having: Any) -> None:
        """Take away the one record of a topic whose content has these values."""
        [(log, position, _)] = self.records(topic, **having)
        del log.records[position]

    # inputs: put, and folded in this order by the next commit

    def take(self, place: Place, outcome: str) -> Place:
        """Note in the lane's next commit that an input was folded, and what became of it."""
        runs = self.runs[place.partition]
        follows = runs and runs[-1][0] == place.topic and runs[-1][2] == place.offset
        if follows and place.topic != "clock-ticks":
            runs[-1][2] += 1
        else:
            runs.append([place.topic, place.offset, place.offset + 1])
        if place.topic == "clock-ticks":
            self.stood.setdefault(place.partition, dict(self.folded[place.partition]))
        else:
            self.folded[place.partition][place.topic] = place.offset + 1
        self.counts[place.partition][outcome] += 1
        return place

    def ask(self) -> None:
        """Let the next commit's ticks have been read now: what is put after this came too late for them."""
        self.stood = {lane: dict(self.folded[lane]) for lane in range(LANES)}

    def input(self, topic: str, outcome: str, content: Content, timestamp: int | None = None) -> Place:
        """Put an account's input into its lane and fold it."""
        key = content["account_id"].encode()
        moment = timestamp if timestamp is not None else content.get("occurred_at", at("2026-01-01T00:00"))
        return self.take(self.put(topic, partition_of(key, LANES), content, key, moment), outcome)

    def raw(self, topic: str, lane: int, value: bytes | None, key: bytes | None, outcome: str) -> Place:
        """Put bytes and fold them."""
        return self.take(self.put(topic, lane, value, key, at("2026-01-10T00:00")), outcome)

    def tick(self, text: str, outcome: str = "applied") -> None:
        """Tick in every lane, and commit."""
        moment = at(text)
        for lane in range(LANES):
            place = self.put("clock-ticks", lane, {"time": moment, "ticker": "t"}, b"t", moment)
            self.take(place, outcome)
            if outcome == "applied":
                self.time[lane] = self.ticked[lane] = moment

    def price(self, outcome: str = "applied", **content: Any) -> None:
        """Publish a price to every lane."""
        price = {"late": False, "package_size": None, "free_allowance": None, "unit": "call", **content}
        key = "{meter}/{currency}/{version}".format(**price).encode()
        for lane in range(LANES):
            self.take(self.put("prices", lane, price, key, at("2025-12-31T00:00")), outcome)

    def settle(self, account_id: str, outcome: str) -> None:
        """Note in the commit of the account's lane that one of its waiting inputs was decided."""
        self.counts[partition_of(account_id.encode(), LANES)][outcome] += 1

    def commit(self, lane: int, **counts: int) -> None:
        """Write the journal entry of what was folded since the last; counts may be given otherwise."""
        if not self.runs[lane]:
            return
        self.commits[lane] += 1
        told = dict.fromkeys(
            ("applied", "waiting", "duplicate", "dead", "settled_applied", "settled_dead"), 0
        )
        told.update(self.counts[lane])
        told.update(counts)
        runs = [{"topic": topic, "from": first, "to": after} for topic, first, after in self.runs[lane]]
        entry = {
            "lane": lane,
            "commit": self.commits[lane],
            "worker": "w",
            "runs": runs,
            "tick": self.ticked[lane],
            "stood": self._told(lane, runs),
            **told,
        }
        self.put("lane-journal", lane, entry, None, at("2026-01-10T00:00"))
        self.runs[lane], self.ticked[lane] = [], None
        self.counts[lane].clear()

    def _told(self, lane: int, runs: list[Content]) -> list[Content]:
        if not any(run["topic"] == "clock-ticks" for run in runs):
            return []
        return [{"topic": topic, "offset": offset} for topic, offset in self.stood.pop(lane).items()]

    def commit_all(self) -> None:
        """Commit every lane that folded something."""
        for lane in range(LANES):
            self.commit(lane)

    def dead(self, place: Place, reason: str, account_id: str | None = None) -> None:
        """Write the dead letter of an input."""
        record = self.topics.log(place.topic, place.partition).records[place.offset]
        letter = {
            "topic": place.topic,
            "partition": place.partition,
            "offset": place.offset,
            "timestamp": record.timestamp,
            "key": record.key,
            "value": record.value,
            "headers": [],
            "reason": reason,
            "detail": reason,
            "account_id": account_id,
            "rejected_at": self.time[place.partition],
        }
        self.put("dead-letters", place.partition, letter, record.key, record.timestamp)

    # outputs

    def output(self, topic: str, content: Content, name: str = "") -> Place:
        """Put an account's output into its lane."""
        key = content["account_id"].encode()
        return self.put(topic, partition_of(key, LANES), content, key, at("2026-02-01T00:00"), name=name)

    def book(self, account_id: str, kind: str, amount: str, currency: str, when: str, **fields: Any) -> None:
        """Write the account's next ledger entry; month and period are January 2026 unless said otherwise."""
        self.number[account_id] += 1
        self.balance[account_id] += pico(amount)
        entry = {
            **dict.fromkeys(OF_SOME_KINDS),
            "account_id": account_id,
            "number": self.number[account_id],
            "kind": kind,
            "amount": pico(amount),
            "balance_after": self.balance[account_id],
            "currency": currency,
            "period": "2026-01",
            "month": "2026-01",
            "occurred_at": at(when),
            "booked_at": self.time[partition_of(account_id.encode(), LANES)],
            **fields,
        }
        self.output("ledger-entries", entry)

    def publish(
        self,
        account_id: str,
        currency: str,
        status: str,
        open_periods: list[Content],
        rows: list[Content],
        **more: Any,
    ) -> None:
        """Write the account's balance and status, and what its lane remembers."""
        told = [c for *_, c in self.records("account-settings", account_id=account_id)]
        minor = self.balance[account_id] // 10**10  # all currencies here have two digits
        state = {
            "revision": told[-1]["revision"] if told else 0,
            "by_default": not told,
            "refundable_minor": max(0, minor) if status == "closed" else None,
            "account_id": account_id,
            "currency": currency,
            "balance": self.balance[account_id],
            "status": status,
            "entries": self.number[account_id],
            "open_periods": open_periods,
            "top_up": "off",
            "pending_minor": None,
            "as_of": self.time[partition_of(account_id.encode(), LANES)],
            "usage": [published(row) for row in rows if row["charges"]],
            **more,
        }
        self.output("balances", state)
        self.output("account-status", {"account_id": account_id, "status": status, "since": None})
        self.output(ACCOUNTS_CHANGELOG, self.state(account_id, currency, status, open_periods, rows))

    def uncarried(self, account_id: str, period: str) -> list[Content]:
        """Return the usage of an open period as it is published, by what the ledger has."""
        rows: dict[Any, Content] = {}
        for *_, entry in self.records("ledger-entries", account_id=account_id):
            if entry["meter"] is None:
                continue
            key = (entry["month"], entry["meter"], entry["price_version"], entry["tax_rate"])
            sums = {"number": 0, "quantity": 0, "amount": 0, "tax": 0, "charges": 0}
            row = rows.setdefault(key, dict(zip(ROW_KEY, key, strict=True)) | sums)
            row["quantity"] += entry["quantity"] or 0
            row["tax" if "tax" in entry["kind"] else "amount"] -= entry["amount"]
            row["charges"] += entry["period"] == period and entry["kind"] == "charge"
        return [row for row in rows.values() if row["charges"]]

    def state(
        self, account_id: str, currency: str, status: str, open_periods: list[Content], rows: list[Content]
    ) -> Content:
        """Return what a lane remembers of an account; what no check looks at is empty."""
        told = [c for *_, c in self.records("account-settings", account_id=account_id)]
        settings = {name: told[-1][name] for name in SETTINGS} if told else {}
        months = [{**p, "month": index_of(p["period"]), "movements": []} for p in open_periods]
        return {
            **EMPTY_STATE,
            **settings,
            "account_id": account_id,
            "currency": currency,
            "balance": self.balance[account_id],
            "opening": self.closing[account_id],
            "entries": self.number[account_id],
            "invoices": self.invoices[account_id],
            "status": status,
            "periods": [{name: p[name] for name in PERIOD_FIELDS} for p in months],
            "rows": rows,
        }

    def invoice(
        self,
        account_id: str,
        period: str,
        *,
        start: str,
        end: str,
        zone: str,
        issued: str,
        currency: str,
        lines: list[Content],
        movements: list[Content],
        shown: Content,
        credit_notes: Sequence[str] = (),
        credited: str = "0",
    ) -> None:
        """Write the account's next invoice, added up from its lines and movements."""
        self.invoices[account_id] += 1
        sequence = self.invoices[account_id]
        charges, tax = sum(line["amount"] for line in lines), sum(line["tax"] for line in lines)
        received = sum(m["amount"] for m in movements) + pico(credited)
        opening = self.closing[account_id]
        rates = {line["tax_rate"] for line in lines} - {None}
        invoice = {
            "account_id": account_id,
            "number": f"{account_id}-{sequence:06d}",
            "sequence": sequence,
            "period": period,
            "period_start": at(start),
            "period_end": at(end),
            "zone": zone,
            "issued_at": at(issued),
            "currency": currency,
            "seller": {"name": "S", "address": [], "country": "US", "tax_id": None},
            "customer": None,
            "opening": opening,
            "lines": lines,
            "taxes": [
                {
                    "rate": rate,
                    "base": sum(line["amount"] for line in lines if line["tax_rate"] == rate),
                    "tax": sum(line["tax"] for line in lines if line["tax_rate"] == rate),
                }
                for rate in rates
            ],
            "movements": movements,
            "credit_notes": list(credit_notes),
            "charges": charges,
            "tax": tax,
            "received": received,
            "charged": charges + tax,
            "closing": opening + received - charges - tax,
            "shown": shown,
        }
        self.closing[account_id] = invoice["closing"]
        self.output("invoices", invoice, "invoice")
        number = invoice["number"]
        self.notify(account_id, "invoice_ready", number, {"invoice_number": number})

    def notify(self, account_id: str, kind: str, cause: str, details: dict[str, str]) -> None:
        """Write a notification."""
        notification = {
            "account_id": account_id,
            "notification_id": f"{account_id}:{kind}:{cause}",
            "kind": kind,
            "created_at": at("2026-02-01T00:05"),
            "details": details,
        }
        self.output("notifications", notification)


def line(  # noqa: PLR0917 - a row of figures is read in one line
    meter: str, quantity: str, amount: str, minor: int, rate: str | None, tax: str, **changes: Any
) -> Content:
    """Return an invoice line of January 2026 at price version 1."""
    return {
        "month": "2026-01",
        "meter": meter,
        "unit": "call",
        "price_version": 1,
        "model": "per_unit",
        "quantity": pico(quantity),
        "amount": pico(amount),
        "amount_minor": minor,
        "tax_rate": None if rate is None else pico(rate),
        "tax": pico(tax),
        "tiers": [],
        **changes,
    }


def movement(kind: str, reference: str, amount: str, when: str, reason: str | None = None) -> Content:
    """Return a movement of an invoice."""
    return {
        "kind": kind,
        "reference": reference,
        "amount": pico(amount),
        "occurred_at": at(when),
        "reason": reason,
    }


def row(  # noqa: PLR0917 - a row of figures is read in one line
    meter: str,
    quantity: str,
    amount: str,
    rate: str | None,
    tax: str,
    month: str = "2026-01",
    *,
    charges: int = 0,
) -> Content:
    """Return a month's row of a state at price version 1; `charges`: bookings that no invoice carries yet."""
    return {
        "month": index_of(month),
        "meter": meter,
        "version": 1,
        "rate": None if rate is None else pico(rate),
        "quantity": pico(quantity),
        "amount": pico(amount),
        "tax": pico(tax),
        "charges": charges,
        "invoiced_quantity": 0,
        "invoiced_amount": 0,
        "invoiced_tax": 0,
        "number": 0,
        "parts": [],
    }


def published(row: Content) -> Content:
    """Return a month's row as the balance has it."""
    names = ("meter", "number", "quantity", "amount", "tax", "charges")
    return {name: row[name] for name in names} | {
        "month": text_of(row["month"]),
        "price_version": row["version"],
        "tax_rate": row["rate"],
    }


def usage(account_id: str, event_id: str, quantity: str, when: str, meter: str = "api-calls") -> Content:
    """Return a usage event of the source `gw`."""
    return {
        "account_id": account_id,
        "source": "gw",
        "event_id": event_id,
        "meter": meter,
        "quantity": pico(quantity),
        "occurred_at": at(when),
    }


def payment(account_id: str, payment_id: str, kind: str, minor: int, when: str, **changes: Any) -> Content:
    """Return a payment event in EUR."""
    return {
        "account_id": account_id,
        "payment_id": payment_id,
        "kind": kind,
        "amount_minor": minor,
        "currency": "EUR",
        "occurred_at": at(when),
        "reference": None,
        "command_id": None,
        "payment_method_ref": None,
        "decline_code": None,
        "hard_decline": False,
        "action_url": None,
        **changes,
    }


def adjustment(account_id: str, adjustment_id: str, kind: str, amount: str, when: str) -> Content:
    """Return a credit or debit in EUR."""
    return {
        "account_id": account_id,
        "adjustment_id": adjustment_id,
        "kind": kind,
        "amount": pico(amount),
        "currency": "EUR",
        "reason": "goodwill",
        "author": "b1",
        "occurred_at": at(when),
        "usage": None,
    }


def account_settings(account_id: str, revision: int = 1, **changes: Any) -> Content:
    """Return settings of an account in Berlin: EUR, 19 % tax, top-up of 10.00 below 5.00, 20.00 a month."""
    return {
        "account_id": account_id,
        "revision": revision,
        "currency": "EUR",
        "zone": "Europe/Berlin",
        "tax_rates": [{"valid_from": at("2025-01-01T00:00"), "rate": pico("0.19")}],
        "automatic_top_up": {
            "enabled": True,
            "threshold_minor": 500,
            "amount_minor": 1000,
            "target_minor": None,
            "monthly_limit_minor": 2000,
            "payment_method_ref": "pm_1",
            "consent": {"given_by": "u1", "given_at": at("2026-01-01T00:00"), "text_version": "v1"},
            "resumes": 0,
        },
        "warning_level_minor": None,
        "overdraft_minor": 0,
        "closed": False,
        "changed_at": at("2026-01-01T00:00"),
        "changed_by": "u1",
        **changes,
    }


def command(account_id: str, episode: int, attempt: int, minor: int, made: str, **changes: Any) -> Content:
    """Return a charge command in EUR."""
    return {
        "account_id": account_id,
        "command_id": f"{account_id}:{episode}:{attempt}",
        "kind": "charge",
        "episode": episode,
        "attempt": attempt,
        "amount_minor": minor,
        "currency": "EUR",
        "payment_method_ref": "pm_1",
        "consent": "v1 u1 2026-01-01T00:00:00Z",
        "made_at": at(made),
        "expires_at": at(made) + 23 * 3_600_000,
        **changes,
    }
