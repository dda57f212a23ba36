"""Avro bytes of fixed shapes, put together by hand so that inputs are written in seconds.

The first usage event is read back by the ordinary decoder and compared.
"""

from bench.peers import common
from bench.workload import CURRENCY, METERS, Payment, Usage, account_id
from schemas.wire import Schemas

SOURCE = "bench"
PICO_PER_MICRO = 10**6
_STATUSES = {"succeeded": 0, "failed": 1, "refunded": 2}


class PeerWriter:
    """The yardsticks' own records."""

    def __init__(self, accounts: int) -> None:
        self._accounts = [text(account_id(n)) for n in range(accounts)]
        self._meters = [text(meter) for meter in METERS]
        self._currency = text(CURRENCY)
        self._usage_head = common.header(common.USAGE_ID) + zigzag(26)
        self._payment_head = common.header(common.PAYMENT_ID)

    def usage(self, e: Usage) -> bytes:
        """Return a Usage record's bytes."""
        quantity = e.micro.to_bytes(e.micro.bit_length() // 8 + 1, "big")
        return b"".join(
            (
                self._usage_head,
                e.event_id.encode(),
                self._accounts[e.account],
                self._meters[e.meter],
                _LENGTHS[len(quantity)],
                quantity,
                zigzag(e.ms),
            )
        )

    def payment(self, p: Payment) -> bytes:
        """Return a Payment record's bytes."""
        return b"".join(
            (
                self._payment_head,
                text(p.payment_id),
                self._accounts[p.account],
                zigzag(_STATUSES[p.status]),
                zigzag(p.minor),
                self._currency,
                b"\x00",
                zigzag(p.ms),
            )
        )


class OurWriter:
    """Evergreen's usage-event and payment-event."""

    def __init__(self, accounts: int, schemas: Schemas) -> None:
        self._accounts = [text(account_id(n)) for n in range(accounts)]
        self._meters = [text(meter) for meter in METERS]
        self._usage = schemas.codec("usage-event")
        self._payment = schemas.codec("payment-event")
        self._after_account = text(SOURCE) + zigzag(26)
        self._checked = False

    def usage(self, e: Usage) -> bytes:
        """Return a usage-event's bytes."""
        pico = e.micro * PICO_PER_MICRO
        quantity = pico.to_bytes(pico.bit_length() // 8 + 1, "big")
        value = b"".join(
            (
                self._usage.header,
                self._accounts[e.account],
                self._after_account,
                e.event_id.encode(),
                self._meters[e.meter],
                _LENGTHS[len(quantity)],
                quantity,
                zigzag(e.ms),
            )
        )
        if not self._checked:
            self._checked = True
            says = {
                "account_id": account_id(e.account),
                "source": SOURCE,
                "event_id": e.event_id,
                "meter": METERS[e.meter],
                "quantity": pico,
                "occurred_at": e.ms,
            }
            assert self._usage.decode(value) == says, "the usage-event schema has changed: so must this"
        return value

    def payment(self, p: Payment) -> bytes:
        """Return a payment-event's bytes; what refunds is named by the refund's own id."""
        return self._payment.encode(
            {
                "account_id": account_id(p.account),
                "payment_id": p.refunds or p.payment_id,
                "kind": p.status,
                "amount_minor": p.minor,
                "currency": CURRENCY,
                "occurred_at": p.ms,
                "reference": p.payment_id if p.refunds else None,
                "command_id": None,
                "payment_method_ref": None,
                "decline_code": None,
                "hard_decline": False,
                "action_url": None,
            }
        )


def text(value: str) -> bytes:
    """Return an Avro string."""
    data = value.encode()
    return zigzag(len(data)) + data


def zigzag(n: int) -> bytes:
    """Return an Avro long."""
    n = (n << 1) ^ (n >> 63)
    out = bytearray()
    while n > 0x7F:
        out.append((n & 0x7F) | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


_LENGTHS = [zigzag(n) for n in range(32)]
