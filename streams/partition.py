"""Which partition, hence which lane, a key belongs to: Kafka's murmur2, as the Java client has it.

Every producer of ours must agree (librdkafka: partitioner=murmur2_random); tests hold them together.
"""

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key that is not null; the empty key is a key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
