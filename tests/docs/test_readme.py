"""The README's blocks marked `kafka` run, top to bottom, against a real Kafka, and do what the text says.

They are one shell session, as a reader has it. A block marked `endless` is stopped once it has printed.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import pytest

import local
from tests.docs.markdown import ROOT, Block, blocks

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
MARKED = [block for block in blocks(ROOT / "README.md") if "kafka" in block.marks]
ENDLESS = [block for block in MARKED if "endless" in block.marks]
DEADLINE_SECONDS = 180
INVOICE = "acme-000001 2025-01 357 USD"


@dataclass(frozen=True, slots=True)
class Session:
    """A reader's shell after the last block."""

    environment: dict[str, str]
    code: int
    said: dict[str, str]
    """What was printed, by the block's line in the README; `books` is the check at the end."""
    errors: str


@pytest.fixture(scope="module")
def session(kafka: local.Broker, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Run all marked blocks that end, then see whether the books are right; what they started ends."""
    directory = tmp_path_factory.mktemp("readme")
    environment = _environment(kafka, directory)
    script = ["set -e", "trap 'kill $(jobs -p); wait' EXIT"]
    for block in MARKED:
        if block not in ENDLESS and ("kcat" not in block.text or shutil.which("kcat")):
            script += [f"echo '== {block.line}'", _as_shell(block, environment, directory)]
    script += ["echo '== books'", "evergreen lag --wait 60", "evergreen verify"]
    with (directory / "said").open("w+") as said, (directory / "errors").open("w+") as errors:
        shell = subprocess.Popen(
            ["bash", "-c", "\n".join(script)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=errors,
            start_new_session=True,
        )
        try:
            code = shell.wait(DEADLINE_SECONDS)
        finally:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)
                shell.wait()
    parts = re.split(r"^== (\w+)\n", (directory / "said").read_text(), flags=re.MULTILINE)[1:]
    told = dict(zip(parts[::2], parts[1::2], strict=True))
    return Session(environment, code, told, (directory / "errors").read_text())


def _environment(kafka: local.Broker, directory: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("EVERGREEN_")}
    return inherited | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "EVERGREEN_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "EVERGREEN_TOPIC_PREFIX": f"readme-{os.getpid()}.",
        "EVERGREEN_STATE_DIR": str(directory / "state"),
        "EVERGREEN_SESSION_TIMEOUT_SECONDS": "6",
    }


def _as_shell(block: Block, environment: dict[str, str], directory: Path) -> str:
    if block.language == "python":
        path = directory / f"line_{block.line}.py"
        path.write_text(block.text)
        return f"python '{path}'"
    return block.text.replace("-t invoices", f"-t {environment['EVERGREEN_TOPIC_PREFIX']}invoices")


def test_the_blocks_run_in_order_and_the_books_are_right_after_them(session: Session) -> None:
    assert session.code == 0, f"{session.said}\n{session.errors[-3000:]}"
    assert "holds" in session.said["books"]


def test_kcat_with_the_codec_prints_the_invoice(session: Session) -> None:
    printed = next((said for said in session.said.values() if "invoice {" in said), None)

    if not shutil.which("kcat"):
        pytest.skip("kcat is not installed")
    assert printed is not None, f"{session.said}\n{session.errors[-3000:]}"
    assert "'number': 'acme-000001'" in printed


def test_the_consumer_prints_the_invoice_that_the_text_promises(session: Session) -> None:
    (block,) = ENDLESS
    consumer = subprocess.Popen(
        [sys.executable, "-c", block.text],
        cwd=ROOT,
        env=session.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert consumer.stdout is not None
    stop = Timer(60, consumer.kill)
    stop.start()
    try:
        first = consumer.stdout.readline().strip()
    finally:
        stop.cancel()
        consumer.kill()
        consumer.communicate()

    assert first == INVOICE
    assert f"`{INVOICE}`" in (ROOT / "README.md").read_text()


def test_every_block_that_talks_to_kafka_is_marked() -> None:
    talks = re.compile(r"^evergreen (?!demo)|kcat|Emitter\(|Consumer\(", re.MULTILINE)

    unmarked = [str(b) for b in blocks(ROOT / "README.md") if b not in MARKED and talks.search(b.text)]

    assert unmarked == []
