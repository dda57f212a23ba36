"""Writes one workload to the input topics of all systems, once; later runs on the same Kafka use it again."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from bench import reading
from bench.encoding import OurWriter, PeerWriter
from bench.peers import common
from bench.reference import Reference, reference
from bench.workload import CURRENCY, METERS, START_MS, Shape, Usage, account_id, workload
from producers import records
from producers.emissions import Emission, Encoder
from producers.emitter import Emitter
from producers.records import AutomaticTopUp, Consent, Tier
from schemas.wire import fixed
from streams import topic_admin, topics
from streams.partition import partition_of
from streams.settings import Settings

LANES = common.PARTITIONS
ANY = -1
"""librdkafka's word for: by the key."""
TOLD_EVERY = 20_000

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """One workload in Kafka, in both formats, with its right answer."""

    shape: Shape
    bootstrap_servers: str
    prefix: str
    ends: Mapping[str, Mapping[int, int]]
    """Where each topic that is measured ends, by partition."""
    answer: Reference

    @property
    def peers(self) -> tuple[str, str]:
        """The peers' usage and payments topics."""
        return f"{self.prefix}peer-usage", f"{self.prefix}peer-payments"

    @property
    def ours(self) -> tuple[str, str]:
        """Our usage and payments topics."""
        return self.prefix + topics.USAGE.name, self.prefix + topics.PAYMENTS.name


def prepared(bootstrap_servers: str, shape: Shape, directory: Path, told: Told) -> Inputs:
    """Return the workload in Kafka, written now unless it is there as it was written."""
    prefix = f"bench-{shape}."
    found = directory / f"inputs-{shape}.json"
    answer_path = directory / f"reference-{shape}.json"
    peers = f"{prefix}peer-usage", f"{prefix}peer-payments"
    ours = prefix + topics.USAGE.name, prefix + topics.PAYMENTS.name
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    cluster = admin.list_topics(timeout=reading.TIMEOUT_SECONDS).cluster_id
    if found.exists() and answer_path.exists():
        was = json.loads(found.read_text())
        if was["cluster"] == cluster and was["ends"] == _written(bootstrap_servers, *peers, *ours):
            told("inputs are there already")
            return Inputs(
                shape=shape,
                bootstrap_servers=bootstrap_servers,
                prefix=prefix,
                ends=_ends(bootstrap_servers, *peers, *ours),
                answer=Reference.load(answer_path),
            )
    _create(admin, bootstrap_servers, prefix, peers)
    _write(bootstrap_servers, shape, peers, ours, told)
    told("working out the right answer")
    answer = reference(bootstrap_servers, *peers)
    directory.mkdir(parents=True, exist_ok=True)
    answer.save(answer_path)
    written = _written(bootstrap_servers, *peers, *ours)
    found.write_text(json.dumps({"cluster": cluster, "ends": written}))
    return Inputs(
        shape=shape,
        bootstrap_servers=bootstrap_servers,
        prefix=prefix,
        ends=_ends(bootstrap_servers, *peers, *ours),
        answer=answer,
    )


def deployment(bootstrap_servers: str, prefix: str, **more: object) -> Settings:
    """Return the settings of Evergreen over these inputs; the environment's do not count."""
    usual: dict[str, object] = {
        "lanes": LANES,
        "replication": 1,
        "clock": "manual",
        "production": False,
        "schema_registry_url": "",
    }
    return Settings(
        bootstrap_servers=bootstrap_servers,
        topic_prefix=prefix,
        **(usual | more),  # type: ignore[arg-type]
    )


def _ends(bootstrap_servers: str, *names: str) -> dict[str, dict[int, int]]:
    return {name: reading.ends(bootstrap_servers, name) for name in names}


def _written(bootstrap_servers: str, *names: str) -> dict[str, int] | None:
    """Return how many records each topic has, None where one is missing."""
    try:
        return {name: sum(ends.values()) for name, ends in _ends(bootstrap_servers, *names).items()}
    except KeyError:
        return None


def _create(admin: AdminClient, bootstrap_servers: str, prefix: str, peers: tuple[str, ...]) -> None:
    """Make the topics anew: what stands there under these names was not finished."""
    there = [
        name for name in admin.list_topics(timeout=reading.TIMEOUT_SECONDS).topics if name.startswith(prefix)
    ]
    if there:
        for future in admin.delete_topics(there).values():
            future.result()
    create(admin, *peers)
    topic_admin.create(deployment(bootstrap_servers, prefix))


def create(admin: AdminClient, *names: str, compact: bool = False) -> None:
    """Create topics as the peers have them."""
    config = {"cleanup.policy": "compact"} if compact else {"retention.ms": "-1"}
    config["message.timestamp.after.max.ms"] = str(2**63 - 1)
    wanted = [NewTopic(name, LANES, 1, config=config) for name in names]
    for future in admin.create_topics(wanted).values():
        future.result()


class Sender:
    """A producer that waits where its queue is full and remembers what failed."""

    def __init__(self, bootstrap_servers: str, **more: object) -> None:
        self._failed: list[str] = []
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "log_level": 0,
                "linger.ms": 50,
                "batch.size": 1_000_000,
                "compression.type": "lz4",
                "acks": "all",
                "enable.idempotence": True,
                "queue.buffering.max.messages": 2_000_000,
                "delivery.report.only.error": True,
                "on_delivery": self._delivered,
                "partitioner": "murmur2_random",
            }
            | more
        )

    def send(self, topic: str, partition: int, key: bytes, value: bytes, ms: int) -> None:
        """Send a record to a partition, or where it is ANY to that of its key."""
        while True:
            try:
                self.producer.produce(topic, value, key, partition, timestamp=ms)
            except BufferError:
                self.producer.poll(0.05)
            else:
                return

    def flush(self) -> None:
        """Wait for all; raises OSError where one was not written."""
        self.producer.flush()
        if self._failed:
            raise OSError(f"{len(self._failed)} input records were not written: {self._failed[0]}")

    def poll(self) -> None:
        """Let the client tell what failed."""
        self.producer.poll(0)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.append(error.str())


def _write(
    bootstrap_servers: str, shape: Shape, peers: tuple[str, str], ours: tuple[str, str], told: Told
) -> None:
    prefix = ours[0].removesuffix(topics.USAGE.name)
    with Emitter(deployment(bootstrap_servers, prefix)) as emitter:
        for emission in opening(emitter.encoder, shape):
            emitter.emit(emission)
    keys = [account_id(n).encode() for n in range(shape.accounts)]
    partitions = [partition_of(key, LANES) for key in keys]
    peer, our = PeerWriter(shape.accounts), OurWriter(shape.accounts, fixed())
    sender = Sender(bootstrap_servers)
    send = sender.send
    for number, event in enumerate(workload(shape)):
        key, partition = keys[event.account], partitions[event.account]
        if isinstance(event, Usage):
            send(peers[0], partition, key, peer.usage(event), event.ms)
            send(ours[0], partition, key, our.usage(event), event.ms)
        else:
            send(peers[1], partition, key, peer.payment(event), event.ms)
            send(ours[1], partition, key, our.payment(event), event.ms)
        if number % TOLD_EVERY == 0:
            sender.poll()
            told(f"writing inputs: {number:,} events")
    sender.flush()


def opening(encoder: Encoder, shape: Shape) -> Iterator[Emission]:
    """Yield every meter's price and every account's settings, with the yardsticks' automatic top-up."""
    began = datetime.fromtimestamp(START_MS / 1000, UTC) - timedelta(days=1)
    for meter in METERS:
        price = records.price(
            meter=meter,
            currency=CURRENCY,
            version=1,
            unit="unit",
            valid_from=began,
            late=True,  # the lanes' time stands at the start of the first month already
            tiers=[Tier(unit_price=common.PRICES[meter])],
        )
        yield encoder.price(price)
    rule = AutomaticTopUp(
        threshold_minor=common.THRESHOLD // common.PICO_PER_MINOR,
        amount_minor=common.TOP_UP_MINOR,
        payment_method_ref="card",
        consent=Consent(given_by="bench", given_at=began, text_version="1"),
    )
    for number in range(shape.accounts):
        record = records.settings(
            account_id=account_id(number),
            revision=1,
            currency=CURRENCY,
            zone="UTC",
            changed_at=began,
            changed_by="bench",
            automatic_top_up=rule,
        )
        yield encoder.settings(record)
