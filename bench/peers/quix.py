"""Quix Streams: both topics concatenated so that they share one store; an account is one msgpack value.

Runs in an environment of its own (quix-requirements.txt): it pins versions that this project has left behind.
"""

import argparse
import shutil
from typing import Any

import msgpack
from quixstreams import Application
from quixstreams.models import Deserializer, Serializer, TopicConfig
from quixstreams.state.rocksdb import RocksDBOptions

from bench.peers import common
from bench.peers.common import PICO_PER_MINOR, PRICES, RECENT, THRESHOLD, TOP_UP_MINOR, month_of


class FromAvro(Deserializer):  # type: ignore[misc]
    """Decodes one of the two inputs and says which."""

    def __init__(self, schema: Any, kind: str) -> None:
        super().__init__()
        self.schema, self.kind = schema, kind

    def __call__(self, value: bytes, ctx: Any) -> common.Record:
        record = common.decode(self.schema, value)
        record["kind"] = self.kind
        return record


class ToAvro(Serializer):  # type: ignore[misc]
    """Encodes a command."""

    def __init__(self, schema: Any, schema_id: int) -> None:
        super().__init__()
        self.schema, self.schema_id = schema, schema_id

    def __call__(self, value: common.Record, ctx: Any) -> bytes:
        return common.encode(self.schema, self.schema_id, value)


def bill(record: common.Record, state: Any) -> common.Record | None:
    """Apply one record to its account; return the top-up command to send, or None."""
    account = state.get("account")
    if account is None:
        account = {"balance": 0, "pending": False, "sequence": 0, "recent": [], "months": {}}
    if record["kind"] == "payment":
        book(record, account, state)
        return None
    recent = account["recent"]
    if record["event_id"] in recent:
        return None
    recent.append(record["event_id"])
    if len(recent) > RECENT:
        del recent[0]
    quantity = record["quantity"]
    charge = int((quantity * PRICES[record["meter"]]).scaleb(12))
    at = int(record["occurred_at"].timestamp() * 1000)
    account["balance"] -= charge
    total = account["months"].setdefault(month_of(at), {}).setdefault(record["meter"], [0, 0])
    total[0] += int(quantity.scaleb(6))
    total[1] += charge
    command = None
    if account["balance"] < THRESHOLD and not account["pending"]:
        account["pending"] = True
        account["sequence"] += 1
        command = {
            "command_id": f"topup-{record['account_id']}-{account['sequence']}",
            "account_id": record["account_id"],
            "amount_minor": TOP_UP_MINOR,
            "currency": common.CURRENCY,
            "requested_at": at,
        }
    state.set("account", account)
    return command


def book(record: common.Record, account: common.Record, state: Any) -> None:
    """Book a payment."""
    status, amount = record["status"], record["amount_minor"] * PICO_PER_MINOR
    if status == "failed":
        return
    if status == "succeeded":
        account["balance"] += amount
        account["pending"] = False
    else:
        account["balance"] -= amount
    state.set("account", account)


def main() -> None:
    """Bill until SIGTERM."""
    p = argparse.ArgumentParser()
    for name in ("--group", "--usage", "--payments", "--commands", "--state-dir"):
        p.add_argument(name, required=True)
    p.add_argument("--guarantee", choices=("at-least-once", "exactly-once"), default="exactly-once")
    p.add_argument("--commit-s", type=float, default=1.0)
    a = p.parse_args()
    shutil.rmtree(a.state_dir, ignore_errors=True)
    app = Application(
        broker_address=common.BROKER,
        consumer_group=a.group,
        auto_offset_reset="earliest",
        commit_interval=a.commit_s,
        processing_guarantee=a.guarantee,
        state_dir=a.state_dir,
        loglevel="WARNING",
        consumer_poll_timeout=0.05,
        rocksdb_options=RocksDBOptions(dumps=msgpack.packb, loads=msgpack.unpackb),
        consumer_extra_config={
            "fetch.wait.max.ms": 50,
            "max.partition.fetch.bytes": 4_000_000,
            "queued.min.messages": 100_000,
            "fetch.queue.backoff.ms": 5,
            "queued.max.messages.kbytes": 65_536,
        },
        producer_extra_config={"linger.ms": 20, "compression.type": "lz4", "batch.size": 262_144},
    )
    config = TopicConfig(num_partitions=common.PARTITIONS, replication_factor=1)

    def source(name: str, kind: str) -> Any:
        decode = FromAvro(common.schema(kind), kind)
        return app.topic(name, config=config, key_deserializer="bytes", value_deserializer=decode)

    usage, payments = source(a.usage, "usage"), source(a.payments, "payment")
    commands = app.topic(
        a.commands,
        config=config,
        key_serializer="bytes",
        value_serializer=ToAvro(common.schema("topup_command", logical=False), common.COMMAND_ID),
    )
    is_first = True

    def mark(_: common.Record) -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            common.say_first_data()

    frame = app.dataframe(usage).concat(app.dataframe(payments)).update(mark)
    frame.apply(bill, stateful=True).filter(lambda command: command is not None).to_topic(commands)
    app.run()


if __name__ == "__main__":
    main()
