"""Rewrites kafka-jars.lock after a change of KAFKA_VERSION or ROOTS: `python -m local.lock`; read the diff.

This is the only place where dependencies are resolved and where a checksum is taken from a download.
"""

import tempfile
from pathlib import Path

from local.errors import LocalError
from local.jars import KAFKA_VERSION, LOCK, Jar, from_maven_central, sha256_of

ROOTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    # Kafka's pom leaves the choice of a logger to its distribution: without this one, kafka.log stays empty.
    ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3"),
)
HEADER = """\
# The jars of the local Kafka: SHA-256, then Maven coordinates. Written by `python -m local.lock`.
"""


def resolve() -> list[tuple[str, str, str]]:
    """Group, artifact, version of all that ROOTS need at run time."""
    from jgo.maven import Dependency, MavenContext, PythonResolver

    with tempfile.TemporaryDirectory() as poms:
        context = MavenContext(repo_cache=Path(poms), resolver=PythonResolver())
        # raw: otherwise jgo takes each root for a bill of materials as well, and log4j's own build file then
        # brings kafka-clients 3.8.0 under a Kafka 4.1.1.
        roots = [
            Dependency(context.project(group, artifact).at_version(version).artifact(), raw=True)
            for group, artifact, version in ROOTS
        ]
        found = [dependency for part in context.resolver.resolve(roots) for dependency in part]
    coordinates = sorted((str(d.groupId), str(d.artifactId), str(d.version)) for d in found)
    mixed = [c for c in coordinates if c[0] == "org.apache.kafka" and c[2] != KAFKA_VERSION]
    if mixed:
        raise LocalError(f"the resolver mixes Kafka {KAFKA_VERSION} with {mixed}: the lock was not written")
    return coordinates


def main() -> None:
    jars = []
    with tempfile.TemporaryDirectory() as downloads:
        for group, artifact, version in resolve():
            path = from_maven_central(group, artifact, version, into=Path(downloads))
            jars.append(Jar(group=group, artifact=artifact, version=version, sha256=sha256_of(path)))
    LOCK.write_text(HEADER + "".join(f"{jar.sha256}  {jar}\n" for jar in jars))
    print(f"{LOCK.name}: {len(jars)} jars")


if __name__ == "__main__":
    main()
