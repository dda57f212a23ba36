"""What a record must be before its content counts: value, key, wire format, owner, partition.

Owns the order of these checks as the contract tells them; knows no content beyond account_id.
"""

from schemas import wire
from schemas.wire import Record as Content
from streams import topics as names
from verify.partitions import partition_of
from verify.topics import Record

_TOPICS = {topic.name: topic for topic in names.ALL}


def opened(
    record: Record, topic: str, partition: int, lanes: int, schemas: wire.Schemas
) -> Content | tuple[str, ...]:
    """Return the content of an input record, or the reasons that are right for its dead letter.

    An erased profile has the content {"account_id": ..., "erased": True}.
    """
    about = _TOPICS[topic]
    erases = topic == names.PROFILES.name and record.value is None
    if record.value is None and not erases:
        return ("null_value",)
    if record.key is None:
        return ("null_key",)
    content: Content | None = None
    if record.value is not None:
        try:
            _, content = schemas.decode(record.value, *about.records)
        except wire.WireError as e:
            return (e.reason,) if _is_text(record.key) else (e.reason, "bad_key")
    if not about.keyed_by_account:
        assert content is not None
        return content
    key = record.key
    if not _is_text(key):
        return ("bad_key",)
    account_id = key.decode()
    if content is not None and content["account_id"] != account_id:
        return ("key_mismatch",)
    if partition_of(key, lanes) != partition:
        return ("wrong_partition",)
    return content if content is not None else {"account_id": account_id, "erased": True}


def _is_text(key: bytes | None) -> bool:
    try:
        (key or b"").decode()
    except UnicodeDecodeError:
        return False
    return True
