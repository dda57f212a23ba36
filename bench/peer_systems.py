"""The peers as systems: how each is made ready, started and checked."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from confluent_kafka.admin import AdminClient

from bench import check_peers
from bench.check_peers import ReadStates
from bench.inputs import Inputs, create
from bench.reading import TIMEOUT_SECONDS
from bench.system import First, Run, Verdict

HERE = Path(__file__).parent / "peers"
STREAMS = HERE / "streams"
JAR = STREAMS / "target" / "streams-peer.jar"
QUIX_REQUIREMENTS = HERE / "quix-requirements.txt"
QUIX_ENVIRONMENT = Path(".evergreen/bench/quix")
PREPARE_SECONDS = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What all peers have in common: topics named after the run, a first line, commands and a changelog."""

    name: str
    title: str
    states: ReadStates = check_peers.avro_states
    most_events: int | None = None

    def missing(self) -> str | None:
        """Nothing."""
        return None

    def topics(self, inputs: Inputs) -> tuple[str, str]:
        """Return the peers' own."""
        return inputs.peers

    def group(self, run: Run) -> str:
        """Return the run's name."""
        return run.name

    def first(self, line: str) -> First | None:
        """Read what common.say_first_data() or FirstData.java said."""
        if not line.startswith('{"event": "first_data"'):
            return None
        said = json.loads(line)
        return First(at=said["ms"] / 1000, cpu_s=said["cpu_s"])

    def changelog(self, run: Run) -> str:
        """Return the topic that its states are in."""
        return f"{run.name}-accounts-changelog"

    def check(self, run: Run) -> Verdict:
        """Check every balance, month total and command."""
        problems, commands = check_peers.check(
            run.broker, self.states, self.changelog(run), _commands(run), run.inputs.answer
        )
        return Verdict(problems=problems, wrote={"commands": commands})


@dataclass(frozen=True, slots=True, kw_only=True)
class Module(Peer):
    """A peer that is a module of bench.peers in this environment."""

    module: str
    makes_changelog: bool = False
    """True: by itself."""

    def prepare(self, run: Run) -> tuple[list[str], dict[str, str]]:
        """Make its topics."""
        admin = AdminClient({"bootstrap.servers": run.broker, "log_level": 0})
        create(admin, _commands(run))
        if not self.makes_changelog:
            create(admin, self.changelog(run), compact=True)
        command = [sys.executable, "-m", f"bench.peers.{self.module}", *_arguments(run)]
        return [*command, "--changelog", self.changelog(run)], {"BENCH_BROKER": run.broker}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quix(Peer):
    """Quix Streams, in an environment of its own."""

    guarantee: str = "exactly-once"

    def missing(self) -> str | None:
        """Make its environment where there is none yet; its states are read here, with msgpack."""
        if find_spec("msgpack") is None:
            return "msgpack is not installed here: `make bench` installs what the benchmark needs"
        return _quix_environment()

    def prepare(self, run: Run) -> tuple[list[str], dict[str, str]]:
        """Make its command topic; it makes the others."""
        create(AdminClient({"bootstrap.servers": run.broker, "log_level": 0}), _commands(run))
        python = str((QUIX_ENVIRONMENT / "bin" / "python").absolute())
        command = [python, "-m", "bench.peers.quix", *_arguments(run), "--guarantee", self.guarantee]
        return command, {"BENCH_BROKER": run.broker}

    def changelog(self, run: Run) -> str:
        """Find the one that it made."""
        topics = (
            AdminClient({"bootstrap.servers": run.broker, "log_level": 0})
            .list_topics(timeout=TIMEOUT_SECONDS)
            .topics
        )
        (name,) = [str(name) for name in topics if name.startswith(f"changelog__{run.name}--")]
        return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams(Peer):
    """Kafka Streams, one thread."""

    guarantee: str = "exactly_once_v2"
    store: str = "rocksdb"

    def missing(self) -> str | None:
        """Build it where it is not built."""
        return _streams_jar()

    def prepare(self, run: Run) -> tuple[list[str], dict[str, str]]:
        """Make its command topic; it makes its changelog."""
        create(AdminClient({"bootstrap.servers": run.broker, "log_level": 0}), _commands(run))
        usage, payments = run.inputs.peers
        options = {
            "broker": run.broker,
            "app": run.name,
            "usage": usage,
            "payments": payments,
            "commands": _commands(run),
            "state-dir": str(run.directory / "state"),
            "guarantee": self.guarantee,
            "store": self.store,
        }
        jars = f"{JAR}:{JAR.parent}/libs/*"
        java = ["java", "-Xmx1g", "-Xms1g", "-XX:+UseParallelGC", "-cp", jars, "peers.Main"]
        return [*java, *(f"{name}={value}" for name, value in options.items())], {}


def _commands(run: Run) -> str:
    return f"{run.name}-commands"


def _arguments(run: Run) -> list[str]:
    usage, payments = run.inputs.peers
    options = {
        "--group": run.name,
        "--usage": usage,
        "--payments": payments,
        "--commands": _commands(run),
        "--state-dir": str(run.directory / "state"),
    }
    return [word for option in options.items() for word in option]


@cache
def _streams_jar() -> str | None:
    """Build Kafka Streams' peer; return why that cannot be done here, or None."""
    sources = [*STREAMS.rglob("*.java"), STREAMS / "pom.xml", *HERE.glob("schemas/*.avsc")]
    if JAR.exists() and JAR.stat().st_mtime > max(path.stat().st_mtime for path in sources):
        return None
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            return f"no {program} on this machine"
    return _prepare(["mvn", "-q", "-B", "-f", str(STREAMS / "pom.xml"), "package"], "mvn package")


@cache
def _quix_environment() -> str | None:
    """Install Quix Streams apart; return why that cannot be done here, or None."""
    done = QUIX_ENVIRONMENT / "requirements.txt"
    if done.exists() and done.read_text() == QUIX_REQUIREMENTS.read_text():
        return None
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        return "no uv on this machine"
    python = str(QUIX_ENVIRONMENT / "bin" / "python")
    why = _prepare(
        [uv, "venv", "-q", "--clear", "--python", sys.executable, str(QUIX_ENVIRONMENT)], "uv venv"
    ) or _prepare([uv, "pip", "install", "-q", "-p", python, "-r", str(QUIX_REQUIREMENTS)], "uv pip install")
    if why is None:
        done.write_text(QUIX_REQUIREMENTS.read_text())
    return why


def _prepare(command: list[str], called: str) -> str | None:
    QUIX_ENVIRONMENT.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PREPARE_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as e:
        return f"{called}: {e}"
    if done.returncode == 0:
        return None
    said = (done.stdout + done.stderr).strip().splitlines()
    return f"{called} failed: {said[0] if said else done.returncode}"


PEERS = (
    Streams(name="streams", title="Kafka Streams, exactly-once, RocksDB, 1 thread"),
    Quix(name="quix", title="Quix Streams, exactly-once, RocksDB", states=check_peers.quix_states),
    Module(
        name="faust",
        title="Stock Faust, table agent, at-least-once",
        module="stock_faust",
        states=check_peers.faust_states,
        makes_changelog=True,
        most_events=50_000,
    ),
    Module(name="raw", title="Raw confluent-kafka loop, at-least-once", module="raw"),
    Module(name="aio", title="Raw aiokafka loop, at-least-once", module="aio"),
)
