"""The schemas of a deployment: those of its registry, registered under its topics, or the fixed ones."""

from schemas import registry, wire
from streams import topics
from streams.settings import Settings


def schemas(settings: Settings) -> wire.Schemas:
    """Return what every process of a deployment encodes and decodes with; raises RegistryError."""
    return registry.schemas(
        settings.schema_registry_url, {settings.topic(topic.name): topic.records for topic in topics.ALL}
    )
