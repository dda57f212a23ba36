"""Imports our own modules from their source, even where `make fast` has put compiled ones beside it.

A compiled module calls its own functions directly: neither what stands in for Kafka nor a planted bug would
take effect in it.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

ROOT = str(Path(__file__).parents[2])
OURS = frozenset({"consumers", "producers", "schemas", "streams", "tests", "verify"})


class Sources:
    """Finds our modules, and none of another's."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module's source is."""
        if name.split(".", maxsplit=1)[0] not in OURS:
            return None
        for place in path or (ROOT,):
            spec = FileFinder(place, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name)
            if spec is not None:
                return spec
        return None


def prefer_sources() -> None:
    """Have every later import of ours read the source."""
    sys.meta_path.insert(0, Sources)
