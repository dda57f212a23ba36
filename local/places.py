"""Where things are kept: what belongs to this checkout, and what is downloaded once for all of them."""

import os
from pathlib import Path


def state_directory(chosen: Path | None = None) -> Path:
    """Brokers' data, logs and process records: `chosen`, else EVERGREEN_STATE_DIR, else .evergreen/ here."""
    return (chosen or Path(os.environ.get("EVERGREEN_STATE_DIR") or ".evergreen")).absolute()


def cache_directory() -> Path:
    """Downloads, for all checkouts: EVERGREEN_CACHE_DIR, else evergreen/ in the user's cache directory."""
    if chosen := os.environ.get("EVERGREEN_CACHE_DIR"):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "evergreen"
