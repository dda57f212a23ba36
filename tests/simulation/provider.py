"""A simulated payment provider: answers a command by its id alone; late, twice, by webhook, or not at all."""

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

from streams import topics as names

if TYPE_CHECKING:
    from tests.simulation.world import World

ANSWERS = (
    *["succeeded"] * 9,
    *["failed"] * 5,
    *["requires_action"] * 3,
    *["unavailable"] * 2,
    "refused",
    "silence",
)


class Provider:
    """Reads committed commands and writes payment events."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._read = dict.fromkeys(range(world.script.lanes), 0)
        self._final: dict[str, str] = {}
        self._heard: dict[str, int] = {}
        self.under_way = 0

    @property
    def is_idle(self) -> bool:
        """Whether every command was read and every answer written."""
        logs = self._world.broker.logs
        read_all = all(logs[names.COMMANDS.name, lane].stable <= at for lane, at in self._read.items())
        return read_all and not self.under_way

    async def run(self) -> None:
        """Answer for ever."""
        world = self._world
        decode = world.schemas.codec("top-up-command").decode
        while True:
            for lane, at in self._read.items():
                records, self._read[lane] = world.broker.logs[names.COMMANDS.name, lane].read(at, 10)
                for record in records:
                    assert record.value is not None
                    self._take(decode(record.value), lane)
            await world.news(1.0)

    def _take(self, command: dict[str, Any], lane: int) -> None:
        command_id, kind = command["command_id"], command["kind"].lower()
        self._heard[command_id] = heard = self._heard.get(command_id, 0) + 1
        random = Random(f"{self._world.script.seed}/{command_id}/{kind}/{heard}")
        final = self._final.get(command_id)
        if final is None:
            answer = "cancelled" if kind == "cancel" else random.choice(ANSWERS)
            if kind == "cancel" and random.random() < 0.3:
                answer = "succeeded"  # it went through before
            if answer == "silence":
                return
            if answer != "requires_action":
                self._final[command_id] = answer
        else:
            answer = final
        delay = random.choice((0.001, 0.01, 0.3, 3.0))
        self._say(command, answer, lane, delay, random)
        if random.random() < 0.15:
            self._say(command, answer, lane, delay + random.random(), random)
        if answer == "succeeded" and random.random() < 0.2:
            self._say({**command, "command_id": None, "id": command_id}, answer, lane, delay / 2, random)
        if answer == "requires_action" and random.random() < 0.5 and command_id not in self._final:
            self._final[command_id] = "succeeded"
            self._say(command, "succeeded", lane, delay + 1.0, random)

    def _say(self, command: dict[str, Any], kind: str, lane: int, delay: float, random: Random) -> None:
        world = self._world
        payment = f"pay-{command['command_id'] or command['id']}"
        content = {
            "account_id": command["account_id"],
            "payment_id": payment
            if kind not in {"unavailable", "refused"}
            else f"none:{command['command_id']}",
            "kind": kind,
            "amount_minor": command["amount_minor"],
            "currency": command["currency"],
            "occurred_at": command["made_at"],
            "reference": None,
            "command_id": command["command_id"],
            "payment_method_ref": command["payment_method_ref"] if command["command_id"] else None,
            "decline_code": None,
            "hard_decline": kind == "failed" and random.random() < 0.1,
            "action_url": None,
        }
        value = world.schemas.codec("payment-event").encode(content)

        def write() -> None:
            self.under_way -= 1
            world.append(names.PAYMENTS.name, lane, command["account_id"].encode(), value, world.now_ms())

        self.under_way += 1
        asyncio.get_running_loop().call_later(delay, write)
