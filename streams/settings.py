"""The deployment's settings: EVERGREEN_... environment variables, checked once at the start.

Anything wrong is one clear line that names the variable (`read()` raises SettingsError).
"""

from typing import Literal
from zoneinfo import ZoneInfo

from iso4217 import Currency
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.topics import INPUTS

_INPUTS = frozenset(topic.name for topic in INPUTS)


class SettingsError(Exception):
    """A setting that cannot be used; the text is one line for the operator."""


class Settings(BaseSettings):
    """What an operator may decide. Times in the unit that ends the name."""

    model_config = SettingsConfigDict(env_prefix="EVERGREEN_", frozen=True, extra="ignore")

    bootstrap_servers: str = Field(min_length=1)
    """host:port of Kafka brokers, separated by commas."""
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$", max_length=100)
    """Put before every topic, the application id and consumer groups: keeps deployments apart."""
    output_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$", max_length=100)
    """Put instead of EVERGREEN_TOPIC_PREFIX before the application id and all that it writes; empty: the
    same. For a second reading of a deployment's inputs, which leaves that deployment as it is."""
    lanes: int = Field(default=4, ge=1, le=1000)
    """Partitions of every topic. Fixed for a deployment's life."""
    replication: int = Field(default=1, ge=1, le=9)
    """Copies of every partition; 3 in production."""
    clock: Literal["auto", "manual"] = "auto"
    """auto: the elected worker ticks; manual: only `evergreen tick`, and ticks may jump (tests, demos)."""
    production: bool = False
    """Refuses what only tests and demos may do: a manual clock, one replica."""
    tick_seconds: float = Field(default=2.0, gt=0, le=60)
    """Between two ticks of the elected ticker."""
    max_age_days: int = Field(default=35, ge=1, le=3660)
    """How long after occurred_at a usage event can still be charged, and its id is remembered."""
    grace_minutes: int = Field(default=60, ge=0, le=1440)
    """Between the end of a period and its close."""
    min_interval_seconds: int = Field(default=300, ge=0)
    """Least time between two attempts of an automatic top-up."""
    default_currency: str = "USD"
    """Of accounts that their first usage opens."""
    default_zone: str = "UTC"
    """Of accounts that their first usage opens."""
    seller_name: str = "Evergreen Demo Ltd"
    seller_address: str = "1 Evergreen Way; Springfield"
    """Lines separated by semicolons."""
    seller_country: str = "US"
    seller_tax_id: str = ""
    schema_registry_url: str = ""
    """Confluent-compatible registry; empty: the fixed ids of schemas/ids.json."""
    store: Literal["memory", "rocksdb"] = "memory"
    """Where a lane keeps its state: memory restores all of it at each start; rocksdb is for state beyond
    memory, and restores only what it lacks."""
    state_dir: str = ".evergreen"
    """Directory of the RocksDB stores; workers of one machine may share it."""
    accept_topics: str = ""
    """Ids, separated by commas, of input topics that were made anew and that the lanes may now read: told by
    the alarm, after what the old topic held was sent again."""
    session_timeout_seconds: float = Field(default=10.0, ge=6, le=300)
    """After this silence of a worker its lanes move to another."""
    transaction_timeout_seconds: float = Field(default=20.0, ge=5, le=900)
    """How long a dead worker's open transaction may hold readers back."""
    gather_seconds: float = Field(default=0.5, ge=0, le=5)
    """How long a lane that is behind gathers records before it commits."""
    batch_records: int = Field(default=50_000, ge=1, le=1_000_000)
    """Most records of one commit."""
    cached_accounts: int = Field(default=1_000_000, ge=1_000, le=100_000_000)
    """Accounts that a worker of all lanes keeps decoded, about 2 KB each: others are read when used."""
    http_port: int = Field(default=0, ge=0, le=65535)
    """/metrics and /health of a worker on loopback; 0: any free port, told in the log."""
    worker_name: str = ""
    """Static membership: a stable name of this worker, so that a restart spares a rebalance."""
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def application(self) -> str:
        """The consumer group, and the start of every transactional id and changelog's name."""
        return f"{self.output_prefix or self.topic_prefix}evergreen"

    @property
    def owns_inputs(self) -> bool:
        """False where another deployment's inputs are read: nothing may be written into them."""
        return self.output_prefix in {"", self.topic_prefix}

    def variables(self) -> dict[str, str]:
        """Return the environment variables that give another process these settings, all of them."""
        return {f"EVERGREEN_{name.upper()}": str(value) for name, value in self.model_dump().items()}

    def topic(self, name: str) -> str:
        """Return a topic's full name."""
        is_another = self.output_prefix and name not in _INPUTS
        return (self.output_prefix if is_another else self.topic_prefix) + name

    @field_validator("default_currency")
    @classmethod
    def _known_currency(cls, code: str) -> str:
        try:
            Currency(code)
        except ValueError:
            raise ValueError(f"{code!r} is no ISO 4217 currency") from None
        return code

    @field_validator("default_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{name!r} is no IANA time zone") from None
        return name

    @model_validator(mode="after")
    def _fit_for_production(self) -> "Settings":
        if self.production and self.clock == "manual":
            raise ValueError("EVERGREEN_CLOCK=manual is refused in production: ticks could jump")
        if self.production and self.replication < 2:
            raise ValueError("EVERGREEN_REPLICATION must be at least 2 in production")
        return self


def read(**overrides: object) -> Settings:
    """Return the settings from the environment; raises SettingsError with one line."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as e:
        first = e.errors()[0]
        name = "EVERGREEN_" + "_".join(str(part) for part in first["loc"]).upper() if first["loc"] else ""
        if first["type"] == "missing":
            message = 'is not set (run: eval "$(evergreen stack up)")'
        else:
            message = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{name} {message}".strip()) from None
