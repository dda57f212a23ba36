"""What a whole simulation did, and what came of it: a kind that never happened is shown, and is a failure."""

from collections import Counter
from dataclasses import dataclass

from rich import box
from rich.table import Table

from cli.whole import Whole
from producers.simulator import DEAD
from schemas.wire import Record, Schemas, WireError
from streams import topics as names
from streams.topics import Topic
from verify.topics import Topics

SENT = {
    "usage": "usage events, each to be charged once",
    "usage_late": "of these more than a day late",
    "duplicate": "usage sent again",
    "forgotten_duplicate": "usage sent again when it was forgotten",
    "price": "prices",
    "late_price": "late prices",
    "settings": "settings",
    "settings_duplicate": "settings sent again",
    "tax_change": "settings with another tax rate",
    "zone_change": "changes of zone",
    "close": "accounts closed",
    "erasure": "profiles erased",
    "profile": "profiles",
    "succeeded": "payments by hand",
    "failed": "failed payments by hand",
    "payment_duplicate": "payment events sent again",
    "refunded": "refunds",
    "refund_before_payment": "refunds before their payment",
    "refund_too_much": "refunds of more than was paid",
    "disputed": "disputes",
    "dispute_won": "disputes won",
    "returned": "returned payments",
    "credit": "credits",
    "debit": "debits",
    "adjustment_duplicate": "adjustments sent again",
    "adjustment_conflict": "adjustments with other content",
    "reversal": "reversals within days",
    "reversal_late": "reversals weeks later",
    "reversal_early": "reversals before their usage",
    "reversal_again": "second reversals",
    "reversal_of_other": "reversals of other content",
    "reversal_of_none": "reversals of nothing",
    "reversal_too_late": "reversals of what is forgotten",
}
ENTRIES = (
    "charge",
    "tax",
    "payment",
    "credit",
    "debit",
    "refund",
    "dispute",
    "dispute_won",
    "return",
    "reversal",
    "reversal_tax",
    "write_off",
)
MAILS = (
    "invoice_ready",
    "top_up_succeeded",
    "top_up_failed",
    "action_required",
    "auto_top_up_paused",
    "monthly_limit_reached",
    "low_balance",
    "suspended",
    "reactivated",
    "payment_received",
    "refunded",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """How often something was done, or found in the topics."""

    name: str
    count: int
    what: str
    must_happen: bool = True

    @property
    def is_missing(self) -> bool:
        """Whether it never happened and should have."""
        return self.must_happen and self.count == 0


def tally(run: Whole, topics: Topics) -> list[Finding]:
    """Return all that was sent, done to processes, and found in the topics."""
    return [*_sent(run), *_done(run), *_found(topics, is_long=run.simulation.quiet is not None)]


def uncharged(findings: list[Finding]) -> int:
    """Return how many more or fewer charges there are than usage events were sent to be charged."""
    counts = {finding.name: finding.count for finding in findings}
    return abs(counts[SENT["usage"]] - counts["charge"])


def table(findings: list[Finding]) -> Table:
    """Return the findings as people read them."""
    shown = Table(title="What happened", title_justify="left", box=box.SIMPLE_HEAD)
    shown.add_column("", justify="right")
    shown.add_column("")
    what = ""
    for finding in findings:
        if finding.what != what:
            shown.add_section()
            shown.add_row("", f"[bold]{finding.what}[/]")
            what = finding.what
        style = "bold red" if finding.is_missing else None
        shown.add_row(f"{finding.count:,}", finding.name, style=style)
    return shown


def _sent(run: Whole) -> list[Finding]:
    counts = run.counts
    sent = [Finding(said, counts[name], "sent") for name, said in SENT.items()]
    reasons = sorted(name for name in counts if name.startswith(DEAD))
    return sent + [Finding(f"bad input: {n.removeprefix(DEAD)}", counts[n], "sent") for n in reasons]


def _done(run: Whole) -> list[Finding]:
    done, what = run.injured, "done to the processes"
    return [
        Finding("workers killed during closes", done.in_closes, what),
        Finding("workers killed elsewhere", done.elsewhere, what),
        Finding("payment consumers killed", done.payments, what),
        Finding("kills with work under way", done.under_way, what),
        Finding("kills after which lanes moved", done.moved, what, must_happen=False),
        Finding(
            "days without a worker",
            done.downtime_days,
            what,
            must_happen=run.simulation.quiet is not None,
        ),
        Finding("processes that ended by themselves", done.fell.total(), what, must_happen=False),
    ]


def _found(topics: Topics, *, is_long: bool) -> list[Finding]:
    schemas = topics.schemas
    entries = Counter(entry["kind"] for entry in _decoded(topics, schemas, names.LEDGER))
    late = Counter(e["kind"] for e in _decoded(topics, schemas, names.LEDGER) if e["month"] < e["period"])
    payments = list(_decoded(topics, schemas, names.PAYMENTS))
    answers = Counter((p["kind"], p["hard_decline"]) for p in payments if p["command_id"] is not None)
    documents = list(_decoded(topics, schemas, names.INVOICES))
    invoices = [d for d in documents if "period_start" in d]
    commands = Counter(c["kind"] for c in _decoded(topics, schemas, names.COMMANDS))
    periods = Counter((i["account_id"], i["period"]) for i in invoices)
    catch_up = Counter((i["account_id"], i["issued_at"]) for i in invoices)
    notes = Counter(n["kind"] for n in _decoded(topics, schemas, names.NOTIFICATIONS))
    dead = Counter(d["reason"] for d in _decoded(topics, schemas, names.DEAD_LETTERS))
    journal: Counter[str] = Counter()
    for commit in _decoded(topics, schemas, names.JOURNAL):
        journal.update({key: commit[key] for key in ("waiting", "duplicate")})
    status = Counter(s["status"] for s in _decoded(topics, schemas, names.STATUS))
    return [
        *(Finding(kind.replace("_", " "), entries[kind], "ledger entries") for kind in ENTRIES),
        Finding("charges that came late for a closed month", late["charge"], "ledger entries"),
        Finding("reversals of a closed month", late["reversal"], "ledger entries"),
        Finding("commands to charge", commands["charge"], "automatic top-ups"),
        Finding("commands to cancel", commands["cancel"], "automatic top-ups"),
        Finding("succeeded", answers["succeeded", False], "automatic top-ups"),
        Finding("soft declines", answers["failed", False], "automatic top-ups"),
        Finding("hard declines", answers["failed", True], "automatic top-ups"),
        Finding("need action", answers["requires_action", False], "automatic top-ups"),
        Finding("cancelled", answers["cancelled", False], "automatic top-ups"),
        Finding("unavailable", answers["unavailable", False], "automatic top-ups", must_happen=False),
        Finding("refused", answers["refused", False], "automatic top-ups", must_happen=False),
        Finding("invoices", len(invoices), "documents"),
        Finding("credit notes", len(documents) - len(invoices), "documents"),
        Finding("invoices with late lines", sum(map(_is_late, invoices)), "documents"),
        Finding("invoices with a rounding line", sum(map(_is_rounded, invoices)), "documents"),
        Finding("second documents of a month", sum(n > 1 for n in periods.values()), "documents"),
        Finding(
            "closes of several months at once",
            sum(n > 1 for n in catch_up.values()),
            "documents",
            must_happen=is_long,
        ),
        Finding("zones of invoices", len({i["zone"] for i in invoices}), "documents"),
        *(Finding(k, notes[k], "notifications") for k in MAILS),
        *(Finding(s, status[s], "status changes") for s in ("active", "low", "suspended", "closed")),
        Finding("waiting", journal["waiting"], "inputs"),
        Finding("duplicate", journal["duplicate"], "inputs"),
        *(Finding(reason, count, "dead letters") for reason, count in sorted(dead.items())),
    ]


def _is_late(invoice: Record) -> bool:
    return any(line["month"] < invoice["period"] for line in invoice["lines"])


def _is_rounded(invoice: Record) -> bool:
    return bool(invoice["shown"]["rounding_minor"])


def _decoded(topics: Topics, schemas: Schemas, topic: Topic) -> list[Record]:
    """Return what of a topic can be decoded; its bad records are counted as dead letters."""
    found = []
    for log in topics.logs[topic.name]:
        for record in log.records:
            try:
                found.append(schemas.decode(record.value or b"", *topic.records)[1])
            except WireError:
                continue
    return found
