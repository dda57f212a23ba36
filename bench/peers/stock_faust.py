"""Stock Faust as its documentation has it: an agent, an `async for`, a Table; at-least-once.

An account is one JSON value of the Table. What Faust lets one tune is tuned: lz4, commits every second,
larger fetches; its per-record path is what it is.
"""

import sys
from typing import Any

import faust

from bench.peers import common
from bench.peers.rules import Account, book, charge


def main() -> None:
    """Bill until SIGTERM."""
    a = common.arguments()
    app = faust.App(
        a.group,
        broker=f"kafka://{common.BROKER}",
        store="memory://",
        datadir=a.state_dir,
        topic_partitions=common.PARTITIONS,
        topic_replication_factor=1,
        topic_disable_leader=True,
        web_enabled=False,
        broker_commit_interval=a.commit_s,
        broker_max_poll_records=5_000,
        consumer_max_fetch_size=4_000_000,
        consumer_auto_offset_reset="earliest",
        producer_compression_type="lz4",
        producer_linger=0.02,
        producer_max_batch_size=262_144,
        stream_wait_empty=False,
    )
    source = app.topic(a.usage, a.payments, key_type=bytes, value_type=bytes, value_serializer="raw")
    commands = app.topic(a.commands, key_type=bytes, value_type=bytes, value_serializer="raw")
    accounts = app.Table("accounts", partitions=common.PARTITIONS)
    usage_schema = common.schema("usage", logical=False)
    payment_schema = common.schema("payment", logical=False)
    command_schema = common.schema("topup_command", logical=False)

    @app.agent(source)  # type: ignore[untyped-decorator]
    async def bill(stream: Any) -> None:
        is_first = True
        async for event in stream.events():
            if is_first:
                is_first = False
                common.say_first_data()
            message = event.message
            account_id = message.key.decode()
            state = accounts.get(account_id)
            account = Account() if state is None else Account.load(state)
            if message.topic == a.payments:
                if book(account, common.decode(payment_schema, message.value)):
                    accounts[account_id] = account.dump()
                continue
            command = charge(account, common.decode(usage_schema, message.value))
            if command is None:
                continue
            accounts[account_id] = account.dump()
            if command:
                value = common.encode(command_schema, common.COMMAND_ID, command)
                await commands.send(key=message.key, value=value)

    sys.argv = [sys.argv[0], "worker", "--without-web", "-l", "warn"]
    app.main()


if __name__ == "__main__":
    main()
