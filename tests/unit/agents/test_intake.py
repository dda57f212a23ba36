"""From bytes to an event or a reason, the first that applies in the contract's order."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from schemas import wire
from streams.agents import intake
from streams.agents.intake import Intake
from streams.agents.shelves import AccountShelf
from streams.domain.account import Account
from streams.domain.events import PricePublished, ProfileChanged, ProfileErased, Tick, UsageEvent
from streams.domain.reasons import Rejected
from streams.lanes.job import Header, KeyedStore
from streams.lanes.spaces import MemorySpace
from streams.partition import partition_of
from streams.topics import INPUTS, PRICES, PROFILES, TICKS, USAGE, Topic
from tests.golden.records import EXAMPLES

SCHEMAS = wire.fixed()
LANES = 4
HERE = "account-1"
LANE = partition_of(HERE.encode(), LANES)
ELSEWHERE = next(n for n in map(str, range(100)) if partition_of(n.encode(), LANES) != LANE)
BESIDE = next(n for n in map(str, range(100)) if partition_of(n.encode(), LANES) == LANE)


@dataclass(frozen=True)
class Line:
    """A consumed record."""

    key: bytes | None
    value: bytes | None
    offset: int = 7
    timestamp: int = 1_000
    headers: Sequence[Header] = (("ce_id", b"1"), ("none", None))


def encoded(topic: Topic, account_id: str = HERE) -> bytes:
    (name,) = topic.records
    record = dict(EXAMPLES[name])
    if topic.keyed_by_account:
        record["account_id"] = account_id
    return SCHEMAS.codec(name).encode(record)


def opened(*accounts: str) -> Intake:
    """Return the intake of a lane that has these accounts at hand."""
    shelf = AccountShelf(
        KeyedStore(MemorySpace()),
        KeyedStore(MemorySpace()),
        SCHEMAS.codec("state-account"),
        SCHEMAS.codec("account-balance"),
    )
    for account_id in accounts:
        shelf.put(Account(0, account_id, "EUR", None, by_default=True, zones=(), first_open=0))
    return Intake(SCHEMAS, LANE, LANES, shelf)


def read(topic: Topic, key: bytes | None, value: bytes | None) -> object:
    """Return what a fresh intake makes of a record: an event, or the word of its reason."""
    _, event = opened().read(topic, Line(key, value))
    return event.reason.value if isinstance(event, Rejected) else event


@pytest.mark.parametrize("topic", INPUTS, ids=lambda topic: topic.name)
def test_a_good_record_of_each_topic_is_an_event(topic: Topic) -> None:
    event = read(topic, HERE.encode(), encoded(topic))

    assert not isinstance(event, str)
    assert getattr(event, "account_id", HERE) == HERE


def test_an_event_knows_where_it_stood_and_all_that_came_with_it() -> None:
    value = encoded(USAGE)

    origin, event = opened().read(USAGE, Line(HERE.encode(), value))

    assert isinstance(event, UsageEvent)
    assert event.origin is origin
    assert (origin.topic, origin.partition, origin.offset, origin.timestamp) == (
        "usage-events",
        LANE,
        7,
        1_000,
    )
    assert (origin.key, origin.value) == (HERE.encode(), value)
    assert origin.headers == (("ce_id", b"1"), ("none", None))


def test_a_profile_without_a_value_is_erased() -> None:
    assert isinstance(read(PROFILES, HERE.encode(), None), ProfileErased)
    assert isinstance(read(PROFILES, HERE.encode(), encoded(PROFILES)), ProfileChanged)
    assert read(PROFILES, ELSEWHERE.encode(), None) == "wrong_partition"
    assert read(PROFILES, b"\xff", None) == "bad_key"
    assert read(PROFILES, None, None) == "null_key"


def test_prices_and_ticks_may_have_any_key_in_any_lane() -> None:
    for key in (b"\xff", b"", ELSEWHERE.encode()):
        assert isinstance(read(PRICES, key, encoded(PRICES)), PricePublished)
        assert isinstance(read(TICKS, key, encoded(TICKS)), Tick)


HEADER = b"\x00\x00\x00\x00\x01"
ORDER: tuple[tuple[str, bytes | None, bytes | None], ...] = (
    ("null_value", None, None),
    ("null_value", b"\xff", None),
    ("null_value", ELSEWHERE.encode(), None),
    ("null_key", None, b"hello"),
    ("truncated", ELSEWHERE.encode(), b""),
    ("truncated", b"\xff", b"\x01\x00"),
    ("bad_magic", b"\xff", b"hello"),
    ("bad_magic", ELSEWHERE.encode(), b"\x01\x00\x00\x03\xe7"),
    ("unknown_schema", ELSEWHERE.encode(), b"\x00\x00\x00\x03\xe7"),
    ("wrong_schema", ELSEWHERE.encode(), b"\x00\x00\x00\x00\x02"),
    ("truncated", ELSEWHERE.encode(), HEADER),
    ("trailing_bytes", ELSEWHERE.encode(), encoded(USAGE) + b"\x00"),
    ("bad_key", b"\xff", encoded(USAGE)),
    ("key_mismatch", ELSEWHERE.encode(), encoded(USAGE)),
    ("key_mismatch", BESIDE.encode(), encoded(USAGE)),
    ("key_mismatch", b"", encoded(USAGE)),
    ("wrong_partition", ELSEWHERE.encode(), encoded(USAGE, ELSEWHERE)),
)


@pytest.mark.parametrize(("reason", "key", "value"), ORDER)
def test_of_several_flaws_the_first_in_the_contracts_order_is_the_reason(
    reason: str, key: bytes | None, value: bytes | None
) -> None:
    assert read(USAGE, key, value) == reason


def test_of_an_account_at_hand_value_and_key_are_still_checked() -> None:
    here = opened(HERE, BESIDE)

    _, event = here.read(USAGE, Line(HERE.encode(), encoded(USAGE)))
    assert isinstance(event, UsageEvent)
    for key, value, reason in (
        (HERE, b"hello", "bad_magic"),
        (HERE, encoded(USAGE, BESIDE), "key_mismatch"),
        (ELSEWHERE, encoded(USAGE, HERE), "key_mismatch"),
        (HERE, None, "null_value"),
    ):
        _, event = here.read(USAGE, Line(key.encode(), value))
        assert isinstance(event, Rejected)
        assert event.reason.value == reason


def test_the_key_of_an_account_at_hand_is_not_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        intake, "partition_of", lambda key, lanes: asked.append(key) or partition_of(key, lanes)
    )
    here = opened(HERE)

    for name in (HERE, BESIDE, HERE, BESIDE):
        _, event = here.read(USAGE, Line(name.encode(), encoded(USAGE, name)))
        assert isinstance(event, UsageEvent)

    assert asked == [BESIDE.encode()] * 2


def test_a_bad_key_stays_bad_however_often_it_comes() -> None:
    good = [n for n in map(str, range(100)) if partition_of(n.encode(), LANES) == LANE][:5]
    here = opened(*good[:2])

    for _ in range(3):
        for name in good:
            _, event = here.read(USAGE, Line(name.encode(), encoded(USAGE, name)))
            assert isinstance(event, UsageEvent)
        _, event = here.read(USAGE, Line(ELSEWHERE.encode(), encoded(USAGE, ELSEWHERE)))
        assert isinstance(event, Rejected)
        assert event.reason.value == "wrong_partition"


def test_a_reason_comes_with_a_detail_for_people() -> None:
    for _, key, value in ORDER:
        _, event = opened().read(USAGE, Line(key, value))
        assert isinstance(event, Rejected)
        assert event.detail
