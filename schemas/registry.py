"""The schemas in use with a registry's ids, or with the fixed ones where no registry is set.

Owns every word with the registry; asked once, at the start of a process. A deployment decides for or
against a registry before its first record: an id means one thing for ever.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from schemas import wire

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

SUBJECT_NOT_FOUND = 40401
NO_TOPICS: Mapping[str, Sequence[str]] = MappingProxyType({})


class RegistryError(Exception):
    """The registry cannot be used; the text is one line for the operator."""


def schemas(url: str, topics: Mapping[str, Sequence[str]] = NO_TOPICS) -> wire.Schemas:
    """Return the schemas to encode and decode with: the registry's ids at a URL, the fixed ones without."""
    return connect(url, topics) if url else wire.fixed()


def connect(url: str, topics: Mapping[str, Sequence[str]] = NO_TOPICS) -> wire.Schemas:
    """Register every record type and return the schemas under the registry's ids; raises RegistryError.

    `topics` says which record types each topic carries. What else the subjects hold is read as well:
    versions that older or newer processes write.
    """
    shown = re.sub(r"//[^/,]*@", "//", url)  # credentials stay out of logs
    if not url.startswith(("http://", "https://")):  # the client knows mock:// too, whose ids nobody else has
        raise RegistryError(f"EVERGREEN_SCHEMA_REGISTRY_URL is no http(s) URL: {shown}")
    try:
        from confluent_kafka.schema_registry import SchemaRegistryClient
    except ImportError as e:
        raise RegistryError(f"a schema registry needs the extra evergreen[registry] ({e})") from None

    try:
        with SchemaRegistryClient({"url": url, "timeout": 10, "max.retries": 2}) as client:
            return _connected(client, topics)
    except RegistryError:
        raise
    except Exception as e:  # of whatever HTTP library the client's version has: the process stops here
        raise RegistryError(f"the schema registry at {shown} cannot be used: {_one_line(e)}") from e


def subjects(name: str, topics: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the subjects that a record type is registered under.

    TOPIC-value; where a topic carries several types, TOPIC-FULLNAME (TopicRecordNameStrategy); for
    a type that no topic names, FULLNAME (RecordNameStrategy).
    https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/#subject-name-strategy
    """
    full_name = wire.full_name(wire.definition(name))
    carriers = [topic for topic, names in topics.items() if name in names]
    if not carriers:
        return [full_name]
    return [f"{topic}-value" if len(topics[topic]) == 1 else f"{topic}-{full_name}" for topic in carriers]


def former_subjects(name: str) -> list[str]:
    """Return the subjects that a record type of no topic had under the names that are its aliases now."""
    aliases: list[str] = wire.definition(name).get("aliases", [])
    return aliases


def _connected(client: "SchemaRegistryClient", topics: Mapping[str, Sequence[str]]) -> wire.Schemas:
    ids = {name: _register(client, name, subjects(name, topics)) for name in wire.fixed_ids()}
    schemas_in_use = wire.Schemas(ids)
    for name, own in ids.items():
        for subject in [*subjects(name, topics), *former_subjects(name)]:
            for codec in _other_versions(client, name, subject, own):
                schemas_in_use.add_version(codec)
    return schemas_in_use


def _register(client: "SchemaRegistryClient", name: str, under: list[str]) -> int:
    from confluent_kafka.schema_registry import Schema, SchemaRegistryError

    schema = Schema(json.dumps(wire.definition(name), separators=(",", ":"), ensure_ascii=False), "AVRO")
    ids = set()
    for subject in under:
        try:
            ids.add(int(client.register_schema(subject, schema)))
        except SchemaRegistryError as e:
            raise RegistryError(f"the schema registry refuses {name} as {subject}: {_one_line(e)}") from e
    if len(ids) != 1:
        raise RegistryError(f"the schema registry has several ids for {name}: {sorted(ids)}")
    return ids.pop()


def _other_versions(
    client: "SchemaRegistryClient", name: str, subject: str, own: int
) -> Iterator[wire.Codec]:
    for version in _versions(client, subject):
        other = client.get_version(subject, version)
        if other.schema_id != own:
            written_as = json.loads(other.schema.schema_str)
            yield wire.Codec(name, other.schema_id, wire.definition(name), written_as=written_as)


def _versions(client: "SchemaRegistryClient", subject: str) -> Sequence[int]:
    """Return the versions of a subject; none where the registry never had it."""
    from confluent_kafka.schema_registry import SchemaRegistryError

    try:
        versions: Sequence[int] = client.get_versions(subject)
    except SchemaRegistryError as e:
        if e.error_code == SUBJECT_NOT_FOUND:
            return []
        raise
    return versions


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
