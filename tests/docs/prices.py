"""Prices as the pages write them, in the words of the scenarios: `free 100: 0.02 each`."""

from streams.domain.events import PricePublished
from tests.scenarios.steps import Context, read


def published(meter: str, text: str, *, currency: str = "USD", more: str = "") -> PricePublished:
    """Return a price; `more` is what the scenarios write between meter and allowance."""
    allowance, _, model = text.rpartition(": ")
    words = " ".join(filter(None, ("price", meter, more, allowance)))
    (event,) = read(f"{words}: {model}", Context(currency=currency, digits={}))
    assert isinstance(event, PricePublished)
    return event
