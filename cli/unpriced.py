"""Gathers what consumers/unpriced.py decides by: forget lines, prices, accounts, ledger, from the topics.

The order of reading matters. The lines come first, what waits before the ledger: an event past the line is
charged, or waits, or never will be charged; one that stops waiting meanwhile is found in the ledger.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cli.published import published
from consumers.reading import Read, Reader
from consumers.replay import Unpriced
from consumers.unpriced import Desk, Ledger, Owner
from producers import rate_card
from schemas.wire import Record, Schemas
from streams import topics
from streams.agents.shelves import LaneShelf
from streams.domain.events import identity
from streams.domain.periods import EVER, ZoneFrom
from streams.domain.pricing import RateCard
from streams.partition import partition_of
from streams.settings import Settings


def gather(
    reader: Reader,
    settings: Settings,
    schemas: Schemas,
    events: Sequence[Record],
    all_events: Sequence[Record],
) -> Unpriced | None:
    """Return what is known about these usage events without a price; None where there are none.

    `all_events` are those of every dead letter: what was booked of them counts in month quantities.
    """
    if not events:
        return None
    lines = _lines(reader, settings, schemas)
    cards = _cards(reader, settings, schemas)
    past = {
        event["account_id"]
        for event in events
        if event["occurred_at"] < lines.get(_lane(event["account_id"], settings), 0)
    }

    def is_priced(meter: str, moment: int) -> bool:
        return any(card.at(moment) is not None for (name, _), card in cards.items() if name == meter)

    desk = _desk(reader, settings, schemas, past, cards)
    desk.count_booked(event for event in all_events if event["account_id"] in past)
    return Unpriced(lines=lines, is_priced=is_priced, desk=desk)


def _desk(
    reader: Reader,
    settings: Settings,
    schemas: Schemas,
    accounts: set[str],
    cards: dict[tuple[str, str], RateCard],
) -> Desk:
    lanes = {_lane(account_id, settings) for account_id in accounts}
    keys = {account_id.encode() for account_id in accounts}

    def read(topic: str) -> Iterator[Read]:
        return reader.records(reader.places([topic], lanes)) if lanes else iter(())

    def of_accounts(topic: topics.Topic) -> Iterator[Record]:
        for found in read(settings.topic(topic.name)):
            if found.key in keys and found.value is not None:
                yield schemas.decode(found.value, *topic.records)[1]

    waiting: dict[tuple[int, bytes | None], bytes] = {}
    for found in read(topics.changelog(settings.application, "waiting")):
        row = None if found.value is None else schemas.decode(found.value, "state-waiting")[1]
        place = (found.partition, found.key)
        if row is None or row["usage"] is None:
            waiting.pop(place, None)
        else:
            usage = row["usage"]
            waiting[place] = identity(row["account_id"], usage["source"], usage["event_id"])
    owners: dict[str, Owner] = {}
    for found in read(topics.changelog(settings.application, "accounts")):
        if found.key in keys and found.value is not None:
            account = schemas.decode(found.value, "state-account")[1]
            owners[account["account_id"]] = _owner(account)
    booked = {(a["account_id"], a["adjustment_id"]) for a in of_accounts(topics.ADJUSTMENTS)}
    ledger = Ledger(of_accounts(topics.LEDGER))
    default = Owner(
        currency=settings.default_currency, zones=(ZoneFrom(EVER, settings.default_zone),), tax_rates={}
    )
    return Desk(
        ledger=ledger,
        cards=cards,
        owners=owners,
        default=default,
        waiting=frozenset(waiting.values()),
        booked=booked,
    )


def _owner(account: dict[str, Any]) -> Owner:
    return Owner(
        currency=account["currency"],
        zones=tuple(ZoneFrom(zone["month"], zone["zone"]) for zone in account["zones"]),
        tax_rates={rate["valid_from"]: rate["rate"] for rate in account["tax_rates"]},
    )


def _lines(reader: Reader, settings: Settings, schemas: Schemas) -> dict[int, int]:
    lines: dict[int, int] = {}
    for found in reader.records(reader.places([topics.changelog(settings.application, "lane")])):
        if found.key == LaneShelf.KEY and found.value is not None:
            lines[found.partition] = schemas.decode(found.value, "state-lane")[1]["forget_before"]
    return lines


def _cards(reader: Reader, settings: Settings, schemas: Schemas) -> dict[tuple[str, str], RateCard]:
    versions: dict[tuple[str, str], list[Record]] = {}
    for (meter, currency, _), entry in published(reader, settings, schemas).items():
        versions.setdefault((meter, currency), []).append(entry.record)
    return {place: _card(found) for place, found in versions.items()}


def _card(found: Iterable[Record]) -> RateCard:
    return RateCard(map(rate_card.price_of, found))


def _lane(account_id: str, settings: Settings) -> int:
    return partition_of(account_id.encode(), settings.lanes)
