"""Puts a worker together: settings, schemas, topics checked, lanes in a Faust app, pages, ticker."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faust
import structlog
from iso4217 import Currency

from schemas.registry import RegistryError
from streams import garbage, lost_state, metrics, records, topic_admin
from streams import replay as replays
from streams.agents.job import BillingJob
from streams.agents.observe import WorkerObserver
from streams.agents.seen import SeenShelf, SeenStore
from streams.domain import book
from streams.domain.book import Policy
from streams.domain.outputs import Party
from streams.lag import LagError
from streams.lanes import client
from streams.lanes.app import LanesApp
from streams.lanes.group import FAULT_EXIT
from streams.lanes.lane import Lane, Pace
from streams.lanes.spaces import Keeper, MemoryKeeper, OpenKeeper, Slot
from streams.lanes.transaction import Cluster
from streams.lanes.view import View
from streams.seldom import Seldom
from streams.settings import Settings, SettingsError, read
from streams.ticker import tick_for_ever
from streams.topics import BALANCES

CONFIG_EXIT = 2
"""Exit code where a restart would not help."""
MINUTE_MS = 60_000
HEARTBEAT_SECONDS = 1.0
"""By a heartbeat's answer a worker hears that the lanes are to be shared anew; all wait for the last one."""
WATCH_SECONDS = 10.0
"""Between two looks at whether the topics are still those of the start."""
DAY_MS = 86_400_000

try:
    import uvloop
except ImportError:  # the extra `speed`
    uvloop = None

IS_COMPILED = not book.__file__.endswith(".py")
"""True where the hot path was built into machine code (`make fast`)."""

log = structlog.get_logger()


def run(instance: str = "", *, replay: bool = False) -> int:
    """Run one worker until SIGTERM, one of a replay also until that is over; returns its exit code.

    `instance` names the one process of several, one after the other, that runs now: it takes the place of the
    last one in the consumer group, and gives it up when it ends in order. A worker with a name of its own in
    the settings keeps its place then: what it folded waits for it until its session is over.
    """
    try:
        settings = read()
        configure_logs(settings)
        schemas = records.schemas(settings)
        topic_admin.check(settings)
        lost_state.check(settings)
        ids = topic_admin.topic_ids(settings)
        open_keeper = keepers(settings, ids)
        again = replays.Replay(settings, schemas) if replay else None
    except (SettingsError, RegistryError, topic_admin.TopicsError, LagError, OSError) as e:
        print(f"evergreen: {e}", file=sys.stderr)
        return CONFIG_EXIT
    garbage.tune()
    client.tune()
    if uvloop is not None:
        uvloop.install()
    name = settings.worker_name or f"{socket.gethostname()}-{os.getpid()}"
    health = metrics.Health(worker=name)
    job = BillingJob(settings, policy(settings), schemas, worker=name, topic_ids=ids)
    observer = WorkerObserver(health)
    app = LanesApp(
        cluster=Cluster(
            bootstrap_servers=settings.bootstrap_servers,
            group=settings.application,
            transaction_timeout_ms=int(settings.transaction_timeout_seconds * 1000),
        ),
        job=job,
        pace=Pace(gather_seconds=settings.gather_seconds, batch_records=settings.batch_records),
        observer=observer,
        open_keeper=open_keeper,
        make_lane=Lane if again is None else again.make_lane,
        partitions=settings.lanes,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=HEARTBEAT_SECONDS,
        consumer_group_instance_id=settings.worker_name or instance or None,
        leaves_group=not settings.worker_name,
    )
    job.view = observer.view = View(app, name=BALANCES.name, partitions=settings.lanes)
    observer.group = app.lane_group
    try:
        pages = metrics.serve(settings.http_port, health)
    except OSError as e:
        print(f"evergreen: EVERGREEN_HTTP_PORT={settings.http_port} cannot be used: {e}", file=sys.stderr)
        return CONFIG_EXIT
    log.info(
        "worker starts",
        worker=name,
        pages=f"http://127.0.0.1:{pages.server_address[1]}",
        compiled=IS_COMPILED,
        uvloop=uvloop is not None,
    )
    if settings.clock == "auto" and settings.owns_inputs:
        _tick(app, settings, schemas)
    _watch(app, settings, ids)
    _tidy(app, health)
    if again is not None:
        _end_after(app, again)
    app.run_worker()
    return 0


def keepers(settings: Settings, ids: Mapping[str, str]) -> OpenKeeper:
    """Return what opens the lanes' stores.

    A RocksDB store also knows the id of each topic that it is of, and in which way the ids lie in it.
    """
    if settings.store == "memory":
        return MemoryKeeper
    slot = Slot(Path(settings.state_dir) / "lanes" / settings.application)

    def opened(lane: int, topics: Mapping[str, str]) -> Keeper:
        known = {table: f"{topic}/{ids[topic]}" for table, topic in topics.items()}
        known[SeenShelf.TABLE] += f"/{SeenStore.LAYOUT}"
        return slot.keeper(lane, known)

    return opened


def policy(settings: Settings) -> Policy:
    """Return what the deployment decides, as the rules take it."""
    return Policy(
        max_age_ms=settings.max_age_days * DAY_MS,
        grace_ms=settings.grace_minutes * MINUTE_MS,
        min_interval_ms=settings.min_interval_seconds * 1000,
        default_currency=settings.default_currency,
        default_zone=settings.default_zone,
        seller=Party(
            name=settings.seller_name,
            address=tuple(line.strip() for line in settings.seller_address.split(";")),
            country=settings.seller_country,
            tax_id=settings.seller_tax_id or None,
        ),
        minor_digits={c.code: c.exponent for c in Currency if c.exponent is not None},
        manual_clock=settings.clock == "manual",
    )


def configure_logs(settings: Settings) -> None:
    """Send everything to stderr in one form, Faust's and aiokafka's lines too."""
    level = getattr(logging, settings.log_level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Seldom())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("streams").setLevel(level)
    for name in ("faust", "mode"):  # their starting and stopping would hide the lanes' lines
        logging.getLogger(name).setLevel(logging.WARNING)


def _tick(app: LanesApp, settings: Settings, schemas: Any) -> None:
    def is_elected() -> bool:
        return 0 in app.lane_group.open_lanes

    @app.task  # type: ignore[untyped-decorator]
    async def ticker(_: faust.App) -> None:
        """Keep time while this worker owns lane 0; a ticker that fails starts again."""
        while not app.should_stop:
            try:
                await tick_for_ever(settings, schemas, is_elected)
            except OSError as e:
                log.warning("ticker lost its broker", error=str(e))
                await asyncio.sleep(settings.tick_seconds)


def _watch(app: LanesApp, settings: Settings, ids: Mapping[str, str]) -> None:
    @app.task  # type: ignore[untyped-decorator]
    async def watcher(_: faust.App) -> None:
        """End the worker where a topic was made anew under it; the next start says which and what to do."""
        while not app.should_stop:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                now = await asyncio.to_thread(topic_admin.topic_ids, settings)
            except topic_admin.TopicsError:
                continue  # a broker that is away, or a topic that is: the consumer has its own word on both
            if now != ids:
                log.error("a topic was made anew", topics=sorted(t for t in ids if now[t] != ids[t]))
                os._exit(FAULT_EXIT)


def _tidy(app: LanesApp, health: metrics.Health) -> None:
    @app.task  # type: ignore[untyped-decorator]
    async def tidy(_: faust.App) -> None:
        """Collect garbage now and then, if possible while there is nothing to do."""
        collected = time.monotonic()
        while not app.should_stop:
            await asyncio.sleep(1.0)
            if garbage.is_due(time.monotonic() - collected, is_busy=health.is_behind):
                garbage.collect_young()
                collected = time.monotonic()


def _end_after(app: LanesApp, again: replays.Replay) -> None:
    @app.task  # type: ignore[untyped-decorator]
    async def end(_: faust.App) -> None:
        """Stop in order, as by SIGTERM, once all lanes of the replay are at its end, whoever has them."""
        await again.over()
        log.info("replay is over")
        os.kill(os.getpid(), signal.SIGTERM)
