"""Finds or starts Kafka on one machine, for the demo, the tests and the benchmarks. Knows nothing of billing.

with local.broker() as kafka:
    ... kafka.bootstrap_servers ...
"""

from local.errors import LocalError
from local.kafka import VARIABLE, Broker, broker

__all__ = ["VARIABLE", "Broker", "LocalError", "broker"]
