"""Partitions are those of Kafka's own clients."""

import pytest

from verify.partitions import _murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "hashed"),
    [  # from Kafka's UtilsTest.testMurmur2
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(key: bytes, hashed: int) -> None:
    assert _murmur2(key) == hashed & 0xFFFFFFFF


def test_a_partition_is_never_negative() -> None:
    assert {partition_of(str(n).encode(), 3) for n in range(100)} == {0, 1, 2}
