"""Turns what the lanes do into metrics, health and at most one log line a batch."""

import gc
import time

import structlog

from streams import metrics
from streams.lanes.group import LaneGroup
from streams.lanes.job import Batch, Times
from streams.lanes.view import View

log = structlog.get_logger("streams")


class WorkerObserver:
    """The worker's Observer."""

    def __init__(self, health: metrics.Health) -> None:
        self._health = health
        self.group: LaneGroup | None = None
        self.view: View | None = None

    def opened(self, lane: int, restored: int, seconds: float) -> None:
        """A lane is restored and folds from now on."""
        self._health.lanes[lane] = metrics.LaneHealth(progressed_at=time.time())
        metrics.LANES.set(len(self._health.lanes))
        metrics.RESTORES.inc()
        metrics.RESTORED_RECORDS.inc(restored)
        metrics.RESTORE_SECONDS.observe(seconds)
        gc.freeze()  # what was restored lives on: no later collection looks through it
        log.info("lane opened", lane=lane, restored=restored, seconds=round(seconds, 2))

    def committed(self, lane: int, batch: Batch, times: Times, lag: int) -> None:
        """A batch of a lane is committed."""
        now = time.time()
        health = self._health.lanes.get(lane)
        if health is not None:
            health.progressed_at = now
            health.lag = lag
        metrics.LAG_RECORDS.labels(lane).set(lag)
        metrics.BATCH_RECORDS.observe(batch.records)
        metrics.FOLD_SECONDS.observe(times.fold)
        metrics.COMMIT_SECONDS.observe(times.commit)
        if batch.oldest_ms is not None:
            metrics.LATENCY_SECONDS.observe(max(0.0, now - batch.oldest_ms / 1000))
        log.debug(
            "committed",
            lane=lane,
            records=batch.records,
            lag=lag,
            fold_ms=round(times.fold * 1000),
            commit_ms=round(times.commit * 1000),
        )

    def closed(self, lane: int) -> None:
        """A lane is not here any more."""
        if self.view is not None:
            self.view.hide(lane)
        if self._health.lanes.pop(lane, None) is not None:
            metrics.LANES.set(len(self._health.lanes))
            metrics.LAG_RECORDS.remove(lane)
            log.info("lane closed", lane=lane)

    def faulted(self, lane: int, fault: BaseException) -> None:
        """The worker ends now."""
        metrics.FAULTS.inc()
        log.error("lane stopped the worker; nothing doubtful was committed", lane=lane, exc_info=fault)
