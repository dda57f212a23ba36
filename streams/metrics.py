"""Every metric of a worker, and its /metrics and /health pages on loopback.

/health is 200 while every lane here is restored and has acted within the last minute or has nothing to do;
else 503. Its body says when each lane last made progress.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

REGISTRY = CollectorRegistry()

RECORDS = Counter(
    "evergreen_records_total", "Input records by what became of them.", ["outcome"], registry=REGISTRY
)
DEAD_LETTERS = Counter(
    "evergreen_dead_letters_total", "Dead letters by reason.", ["reason"], registry=REGISTRY
)
TOP_UP_DECISIONS = Counter(
    "evergreen_top_up_decisions_total",
    "Changed decisions to top up or not, by their reason.",
    ["reason"],
    registry=REGISTRY,
)
BATCH_RECORDS = Histogram(
    "evergreen_batch_records",
    "Input records in one commit.",
    buckets=(1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000),
    registry=REGISTRY,
)
FOLD_SECONDS = Histogram(
    "evergreen_fold_seconds",
    "Folding one batch through the rules.",
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2),
    registry=REGISTRY,
)
COMMIT_SECONDS = Histogram(
    "evergreen_commit_seconds",
    "One transaction, from begin to commit.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
    registry=REGISTRY,
)
LATENCY_SECONDS = Histogram(
    "evergreen_event_to_balance_seconds",
    "From a record's Kafka timestamp to the commit of what it did; the oldest record of each batch.",
    buckets=(0.02, 0.05, 0.1, 0.15, 0.2, 0.4, 1, 5, 30, 300),
    registry=REGISTRY,
)
LAG_RECORDS = Gauge(
    "evergreen_lag_records", "Offsets not yet folded, of the lanes here.", ["lane"], registry=REGISTRY
)
RESTORES = Counter("evergreen_restores_total", "Lanes restored from their changelogs.", registry=REGISTRY)
RESTORED_RECORDS = Counter(
    "evergreen_restored_records_total", "Changelog records read by restores.", registry=REGISTRY
)
RESTORE_SECONDS = Histogram(
    "evergreen_restore_seconds",
    "From assignment to the first fold of a lane.",
    buckets=(0.1, 0.5, 1, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
LANES = Gauge("evergreen_lanes", "Lanes that this worker folds.", registry=REGISTRY)
FAULTS = Counter("evergreen_faults_total", "Lanes that stopped the worker.", registry=REGISTRY)
TICKS_REFUSED = Counter(
    "evergreen_ticks_refused_total", "Ticks ahead of their broker's clock.", registry=REGISTRY
)

STALL_SECONDS = 60


@dataclass(slots=True)
class LaneHealth:
    """When one lane last did something, and how much it has left."""

    progressed_at: float
    lag: int = 0


@dataclass(slots=True)
class Health:
    """What /health tells; written by the lanes, read by the page's thread."""

    worker: str
    lanes: dict[int, LaneHealth] = field(default_factory=dict)

    @property
    def is_behind(self) -> bool:
        """True while a lane here has records to fold, as last seen."""
        return any(lane.lag for lane in self.lanes.values())

    def report(self, now: float) -> tuple[bool, dict[str, object]]:
        """Return (healthy, the page's JSON) at a moment of time.time()."""
        lanes = dict(self.lanes)
        stalled = [n for n, h in lanes.items() if h.lag and now - h.progressed_at > STALL_SECONDS]
        return not stalled, {
            "worker": self.worker,
            "status": "stalled" if stalled else "ok",
            "stalled_lanes": stalled,
            "lanes": {
                str(n): {"seconds_since_progress": round(now - h.progressed_at, 3), "lag": h.lag}
                for n, h in sorted(lanes.items())
            },
        }


def serve(port: int, health: Health, clock: Callable[[], float] = time.time) -> ThreadingHTTPServer:
    """Serve both pages on 127.0.0.1 in a thread of their own; port 0 takes any free one.

    Raises OSError where the port is taken.
    """

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path:
                case "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
                case "/health":
                    healthy, report = health.report(clock())
                    body = json.dumps(report).encode() + b"\n"
                    self._answer(200 if healthy else 503, "application/json", body)
                case _:
                    self._answer(404, "text/plain", b"/metrics or /health\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing: pages are read every few seconds."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Pages)
    server.daemon_threads = True
    Thread(target=server.serve_forever, name="pages", daemon=True).start()
    return server
