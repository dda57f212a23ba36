"""The prices of a deployment as its lanes have them, read from the topics."""

from consumers import dead_letters
from consumers.reading import Reader
from producers import publication
from producers.publication import Published
from producers.rate_card import Key
from schemas.wire import Schemas, WireError
from streams import topics
from streams.settings import Settings


def published(reader: Reader, settings: Settings, schemas: Schemas) -> dict[Key, Published]:
    """Return every published price; what became a dead letter is none."""
    found = []
    for read in reader.records(reader.places([settings.topic(topics.PRICES.name)])):
        try:
            _, record = schemas.decode(read.value or b"", *topics.PRICES.records)
        except WireError:
            continue  # the lanes cannot read it either
        found.append((read.partition, read.offset, record))
    letters = dead_letters.read(reader, settings, schemas) if found else []
    refused = {(letter.partition, letter.offset) for letter in letters if letter.topic == topics.PRICES.name}
    return publication.published(found, refused)
