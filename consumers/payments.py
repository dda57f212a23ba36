"""The payments process: top-up commands in, a provider's answers out as payment events (domain.md, point 6).

No id is posted before that is on record, and none whose fate is unknown is declared dead: attempts.py has
the rules. Offsets are committed only after the events of their commands were delivered, so a crash
repeats commands and never loses one. A repeat is harmless: it is looked up, never charged.

A process that has lost its lanes without knowing is kept from harm by the order of things: it writes the
record, then commits its offsets. The group refuses that commit once another process has the lane; where it
is taken, whoever has the lane later reads the record, and waits until no post can be under way any more
before it says that there was none.
"""

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import assert_never

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumers import attempts
from consumers.attempts import Mark, Step
from consumers.calls import MOST_OUT, Call, Calls, Result, TooLateError
from consumers.events import payment_event, word_event
from consumers.lanes import Lane, Line
from consumers.outbox import DeliveryError, Outbox
from consumers.present import BehindError, Present
from consumers.provider import Answer, Provider, UnavailableError, UnsureError
from schemas.wire import Record, WireError
from streams import records, topic_admin, topics
from streams.settings import Settings

BATCH = 500
MOST_OPEN = 10_000
"""Commands read and not answered, of all lanes; nothing more is read beyond. Kafka keeps the rest."""
WAIT_SECONDS = 0.05
"""How long an idle process waits for a command before it looks at anything else."""
CALL_WAIT_SECONDS = 0.01
LAST_CALLS_SECONDS = 10.0
"""What a process that is asked to stop gives the provider to answer."""
FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 30.0
SETTLE_SECONDS = 60.0
"""How long after its record, or after this process got the lane, a post may still be under way: more than
calls.POST_WITHIN_SECONDS and the provider's time-out together."""
TELL_SECONDS = 30.0

_HOPELESS = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}

log = structlog.get_logger(__name__)


class PaymentsError(Exception):
    """The process cannot go on; the text is one line for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What one run did."""

    commands: int
    events: int
    undecodable: int


def run(
    settings: Settings, provider: Provider, stop: threading.Event, *, settle_seconds: float = SETTLE_SECONDS
) -> Served:
    """Answer top-up commands until `stop` is set; raises PaymentsError, TopicsError or RegistryError."""
    topic_admin.check(settings)
    desk = Desk(settings, provider, stop, settle_seconds)
    try:
        return desk.serve()
    except DeliveryError as e:
        raise PaymentsError(str(e)) from None
    finally:
        desk.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A mark to write, and what may be done once it is safe."""

    line: Line
    mark: Mark
    is_first_post: bool = False


class Desk:
    """One run: reads, decides, records, asks, says, commits; all but the provider's calls in one thread."""

    def __init__(
        self, settings: Settings, provider: Provider, stop: threading.Event, settle_seconds: float
    ) -> None:
        self._stop = stop
        self._settle_seconds = settle_seconds
        self._schemas = records.schemas(settings)
        self._topic = settings.topic(topics.COMMANDS.name)
        self._outbox = Outbox(settings, self._schemas, stop)
        self._present = Present(settings, self._schemas)
        self._calls = Calls(provider)
        self._lanes: dict[int, Lane] = {}
        self._ready: deque[Line] = deque()
        self._later: list[tuple[float, int, Line]] = []
        self._numbers = itertools.count()
        self._entries: list[_Entry] = []
        self._answered: list[Line] = []
        self._now: dict[int, int | None] = {}
        self._is_paused = False
        self._told_at = 0.0
        self.commands = self.events = self.undecodable = 0
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "group.id": f"{settings.application}-payments",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": int(settings.session_timeout_seconds * 1000),
                "fetch.queue.backoff.ms": 5,
                "enable.partition.eof": True,  # tells where transaction markers end: committed as read
                "fetch.wait.max.ms": 50,  # an end is told only when a fetch comes back empty
                "socket.timeout.ms": 10_000,  # a commit to a broker that is away holds everything up
            }
        )
        self._consumer.subscribe(
            [self._topic], on_assign=self._gain, on_revoke=self._lose, on_lost=self._lose
        )
        log.info("answering top-up commands", topic=self._topic)

    def close(self) -> None:
        """Leave the group and let everything go."""
        self._calls.close()
        self._consumer.close()
        self._present.close()

    def serve(self) -> Served:
        """Work until asked to stop; then hear what was already asked."""
        while not self._stop.is_set():
            self._turn()
        deadline = time.monotonic() + LAST_CALLS_SECONDS
        while self._calls.out and time.monotonic() < deadline:
            self._hear(CALL_WAIT_SECONDS)
        self._say_and_commit()
        return Served(commands=self.commands, events=self.events, undecodable=self.undecodable)

    def _turn(self) -> None:
        is_idle = not self._ready and not self._calls.out
        self._read(WAIT_SECONDS if is_idle else 0.0)
        self._now.clear()  # as old as this turn at most
        self._hear(0.0 if is_idle or self._ready else CALL_WAIT_SECONDS)
        self._wake()
        while self._ready and self._calls.out + len(self._entries) < MOST_OUT:
            line = self._ready.popleft()
            if not line.lane.is_lost:
                self._begin(line)
        self._record()
        self._say_and_commit()

    # -- commands in

    def _gain(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Read the marks of the lanes that this process gets, before any of their commands."""
        self._is_paused = False
        for number in sorted(p.partition for p in partitions):
            while not self._stop.is_set():
                try:
                    marks = self._present.marks(number)
                except BehindError as e:
                    log.warning("waiting for what was posted before", reason=str(e))
                    time.sleep(0.1)
                else:
                    self._lanes[number] = Lane(number, marks, time.monotonic())
                    break

    def _lose(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Forget the lanes that are another's now. What the provider still answers about them is said."""
        for partition in partitions:
            lane = self._lanes.pop(partition.partition, None)
            if lane is not None:
                lane.is_lost = True

    def _read(self, wait_seconds: float) -> None:
        """Take commands in; one by one, since a batch could mix what stood before and after a rebalance."""
        too_many = sum(len(lane.open) for lane in self._lanes.values()) >= MOST_OPEN
        if too_many != self._is_paused:
            (self._consumer.pause if too_many else self._consumer.resume)(self._consumer.assignment())
            self._is_paused = too_many
        for _ in range(BATCH):
            message = self._consumer.poll(wait_seconds)
            if message is None:
                return
            wait_seconds = 0.0
            lane = self._lanes.get(message.partition())
            if message.error() is None and lane is not None:
                self._take(lane, message)
            elif message.error() is not None and message.error().code() != KafkaError._PARTITION_EOF:
                _judge(message.error())
            elif lane is not None:
                lane.pass_over(message.offset())

    def _take(self, lane: Lane, message: Message) -> None:
        try:
            _, command = self._schemas.decode(message.value() or b"", "top-up-command")
        except WireError as e:
            # The lane sends a command again after an hour of silence; stopping here would stop all accounts.
            self.undecodable += 1
            log.error(  # noqa: TRY400 (the reason is the whole story)
                "command skipped: it cannot be decoded",
                topic=message.topic(),
                partition=message.partition(),
                offset=message.offset(),
                reason=str(e),
                skipped=self.undecodable,
            )
            lane.pass_over(message.offset() + 1)
            return
        self.commands += 1
        line = lane.admit(message.offset(), command)
        if line is not None:
            self._ready.append(line)

    # -- decisions

    def _begin(self, line: Line) -> None:
        """Take up the first command of a line."""
        command, mark = line.command, line.mark
        now = self._newest_tick(line.lane)
        step = attempts.first_step(command, mark, now, cancel_waits=line.cancel_waits)
        match step:
            case Step.REPEAT:
                assert mark is not None
                assert mark.word is not None
                self._say(line, word_event(command, mark.word, mark.recorded_at))
            case Step.LEAVE:
                self._answered.append(line)
            case Step.LOOK_UP | Step.CANCEL:
                self._calls.begin(Call(line=line, step=step))
            case Step.POST | Step.RECORD_WORD | Step.SAY_WORD | Step.WAIT:
                self._go_on(line, step, now)
            case _:
                assert_never(step)

    def _go_on(self, line: Line, step: Step, now: int | None) -> None:
        """Do what follows where the provider knows nothing."""
        command = line.command
        if step is Step.WAIT or now is None:
            self._wait(line)
        elif step is Step.POST:
            is_first = attempts.is_beyond(command, line.mark)
            self._entries.append(
                _Entry(line=line, mark=attempts.mark_of(command, now), is_first_post=is_first)
            )
        elif step is Step.RECORD_WORD:
            word = attempts.word_if_unknown(command)
            self._entries.append(_Entry(line=line, mark=attempts.mark_of(command, now, word)))
        else:
            assert step is Step.SAY_WORD
            self._say(line, word_event(command, attempts.word_if_unknown(command), command["made_at"]))

    def _hear(self, wait_seconds: float) -> None:
        for call, result in self._calls.finished(wait_seconds):
            self._heard(call, result)

    def _heard(self, call: Call, result: Result) -> None:
        line = call.line
        if call.step is Step.POST:
            line.posted_at = time.monotonic()
        if isinstance(result, Answer):
            self._say(line, payment_event(line.command, result))
        elif line.lane.is_lost:
            return  # only what the provider knows is worth saying of another's lane
        elif result is None:
            now = self._newest_tick(line.lane)
            quiet_since = max(line.lane.restored_at, line.posted_at)
            quiet = time.monotonic() >= quiet_since + self._settle_seconds
            self._go_on(line, attempts.step_if_unknown(line.command, line.mark, now, quiet=quiet), now)
        elif isinstance(result, UnavailableError) and call.is_first_post:
            assert line.mark is not None
            word = attempts.mark_of(line.command, line.mark.recorded_at, "unavailable")
            self._entries.append(_Entry(line=line, mark=word))
        elif isinstance(result, TooLateError):
            self._ready.append(line)
        else:
            assert isinstance(result, UnavailableError | UnsureError)
            self._wait(line)

    def _newest_tick(self, lane: Lane) -> int | None:
        """Return the newest tick, read to its end in this turn; None also where that cannot be done."""
        if lane.number not in self._now:
            try:
                self._now[lane.number] = self._present.newest_tick(lane.number)
            except BehindError as e:
                log.warning("the newest tick cannot be read: nothing is posted", reason=str(e))
                self._now[lane.number] = None
        return self._now[lane.number]

    def _wait(self, line: Line) -> None:
        """Ask again later, ever more rarely."""
        seconds = min(FIRST_RETRY_SECONDS * 2**line.tries, LONGEST_RETRY_SECONDS)
        line.tries = min(line.tries + 1, 20)
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), line))
        if time.monotonic() > self._told_at + TELL_SECONDS:
            self._told_at = time.monotonic()
            log.warning("accounts wait for a word about their payment", accounts=len(self._later))

    def _wake(self) -> None:
        while self._later and self._later[0][0] <= time.monotonic():
            self._ready.append(heapq.heappop(self._later)[2])

    # -- records, events, offsets out

    def _record(self) -> None:
        """Write marks; where they are safe and the lane is still ours, post, or say the word."""
        entries, self._entries = [e for e in self._entries if not e.line.lane.is_lost], []
        if not entries:
            return
        for entry in entries:
            self._outbox.attempt({"account_id": entry.line.account_id, **asdict(entry.mark)})
        if not self._outbox.deliver():
            return
        for entry in entries:
            entry.line.lane.marks[entry.line.account_id] = entry.mark
        ours = self._commit({entry.line.lane.number: entry.line.lane for entry in entries}.values())
        safe_at = time.monotonic()
        for entry in entries:
            if entry.line.lane.number not in ours:
                self._wait(entry.line)
            elif entry.mark.word is None:
                call = Call(line=entry.line, step=Step.POST, is_first_post=entry.is_first_post)
                self._calls.begin(call, safe_at)
            else:
                self._say(entry.line, word_event(entry.line.command, entry.mark.word, entry.mark.recorded_at))

    def _say(self, line: Line, event: Record) -> None:
        self._outbox.event(event)
        self.events += 1
        self._answered.append(line)

    def _say_and_commit(self) -> None:
        """Deliver the events, close their commands, and commit what is answered without a gap."""
        if self._answered and not self._outbox.deliver():
            return
        for line in self._answered:
            if not line.lane.is_lost and line.lane.close_first(line):
                self._ready.append(line)
        self._answered = []
        changed = [lane for lane in self._lanes.values() if lane.next_offset not in {lane.committed, -1}]
        if changed:
            self._commit(changed)

    def _commit(self, lanes: Iterable[Lane]) -> set[int]:
        """Commit the lanes' offsets as a member of the group; return the lanes of which it was taken."""
        wanted = {lane.number: lane for lane in lanes}
        offsets = [TopicPartition(self._topic, n, lane.next_offset) for n, lane in wanted.items()]
        try:
            answered = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as e:
            # Another process has the lanes now, or the broker is away: the commands are asked again.
            log.warning("offsets not committed: their commands may be asked again", reason=e.args[0].str())
            return set()
        taken = {p.partition for p in answered if p.error is None}
        for place in answered:
            if place.error is None:
                wanted[place.partition].committed = place.offset
        return taken


def _judge(error: KafkaError) -> None:
    """Raise where waiting cannot help; the client deals with every other disturbance by itself."""
    if error.fatal() or error.code() in _HOPELESS:
        raise PaymentsError(f"top-up commands cannot be read: {error.str()}")
    log.warning("reading top-up commands is disturbed", reason=error.str())
