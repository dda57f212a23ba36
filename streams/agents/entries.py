"""A ledger entry to the bytes of schemas/ledger-entry.avsc."""

from typing import Final, final

from librt.strings import BytesWriter

from schemas.binary import (
    put_decimal,
    put_number,
    put_optional_decimal,
    put_optional_number,
    put_optional_text,
    text_bytes,
)
from schemas.wire import Codec
from streams.agents.bounded import thin
from streams.agents.months import month_bytes
from streams.domain.outputs import EntryKind, LedgerEntry

TEXTS_KEPT: Final = 1_000
"""Names of currencies, meters and sources that are kept encoded."""


@final
class EntryWriter:
    """From ledger entries to wire bytes of their schema.

    Written out field by field, since each usage event makes one, or two where there is tax: a third of what
    the codec takes. The bytes are the codec's, which the tests hold them to.
    """

    def __init__(self, codec: Codec) -> None:
        """`codec`: the one in use for ledger-entry."""
        self._header = codec.header
        self._kinds = {kind: number for number, kind in enumerate(EntryKind)}
        self._texts: dict[str, bytes] = {}

    def encode(self, e: LedgerEntry, key: bytes) -> bytes:
        """Return an entry's bytes; raises OverflowError on an amount of more than 38 digits.

        `key`: its account id in UTF-8.
        """
        out = BytesWriter()
        out.write(self._header)
        put_number(len(key), out)
        out.write(key)
        put_number(e.number, out)
        put_number(self._kinds[e.kind], out)
        put_decimal(e.amount, out)
        put_decimal(e.balance_after, out)
        out.write(self._kept(e.currency))
        out.write(month_bytes(e.period))
        out.write(month_bytes(e.month))
        put_number(e.occurred_at, out)
        put_optional_number(e.booked_at, out)
        self._put_name(e.source, out)
        put_optional_text(e.event_id, out)
        self._put_name(e.meter, out)
        put_optional_decimal(e.quantity, out)
        put_optional_number(e.price_version, out)
        put_optional_decimal(e.tax_rate, out)
        put_optional_text(e.payment_id, out)
        put_optional_text(e.reference, out)
        put_optional_text(e.command_id, out)
        put_optional_text(e.adjustment_id, out)
        put_optional_text(e.reason, out)
        return out.getvalue()

    def _put_name(self, text: str | None, out: BytesWriter) -> None:
        if text is None:
            out.append(0)
        else:
            out.append(2)
            out.write(self._kept(text))

    def _kept(self, text: str) -> bytes:
        data = self._texts.get(text)
        if data is None:
            thin(self._texts, TEXTS_KEPT)
            data = self._texts[text] = text_bytes(text)
        return data
