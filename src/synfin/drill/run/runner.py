"""Runs a script against the host: its events in order, in virtual time.

An event waits for its time; an expected packet is watched for at once. A relative time counts from when the event
before was over: from its own time for a packet that left, and from the scheduled time between two packets that arrive.
"""

from __future__ import annotations

from typing import Final

from synfin.drill.bench import inbound
from synfin.drill.bench.bench import SECOND, START
from synfin.drill.calls.syscalls import Attempt
from synfin.drill.language.definitions import with_definitions
from synfin.drill.language.notation import script_text, seconds
from synfin.drill.language.script import (
    Call,
    Code,
    Command,
    Event,
    IcmpPacket,
    OtherPacket,
    Script,
    ScriptError,
    Sequence,
    TcpPacket,
    When,
)
from synfin.drill.options import LENIENT, Choices, settings
from synfin.drill.outcome import FAILED, PASSED, SKIPPED, Failed, Result, Skipped
from synfin.drill.run import compare
from synfin.drill.run.connections import connection_of_arrival
from synfin.drill.run.dialect import dialect_profile
from synfin.drill.run.expecting import check_readable, next_sent
from synfin.drill.run.stand import MakeStand, stand
from synfin.wire.tcp import SYN

#: How long a script may last: nanoseconds.
LONGEST_TIME: Final = 10_000_000 * SECOND
_NOTHING: Final = Sequence(None, None, 0)


class _Waiting:
    """A call that waits, and when it is to return."""

    __slots__ = ("attempt", "call", "event", "until")

    def __init__(self, event: Event, call: Call, attempt: Attempt, until: tuple[int, int] | None) -> None:
        self.event = event
        self.call = call
        self.attempt = attempt
        #: The first and last moment at which it may; None: any.
        self.until = until


class Run:
    """One script, once. `base` is what relative times count from."""

    def __init__(self, script: Script, choices: Choices, make_stand: MakeStand = stand) -> None:
        self.script = script = with_definitions(script, {})
        self.choices = choices
        self.settings = settings(script, choices)
        self.lenient = choices.compare == LENIENT
        self.stand = make_stand(choices.profile or dialect_profile(script), self.settings, choices)
        self.machine = self.stand.machine
        self.calls = self.stand.calls
        self.base = START
        #: When the event before was scheduled, if it was a packet that arrives.
        self.arrived: int | None = None
        self.waiting: _Waiting | None = None
        self.event: Event | None = None
        self.warnings: list[str] = []

    # --- the whole

    def result(self) -> Result:
        """Runs the script."""
        try:
            self._run()
        except Skipped as skipped:
            return self._result(SKIPPED, skipped.reason)
        except Failed as failed:
            return self._result(FAILED, failed.reason, failed.expected, failed.actual, self.stand.ladder())
        except RecursionError:
            return self._result(FAILED, "internal error: RecursionError")
        except Exception as error:
            if self.choices.debug:
                raise
            return self._result(
                FAILED,
                f"internal error: {type(error).__name__}: {error}",
                shown=self.stand.ladder(),
            )
        return Result(self.script.name, PASSED, warnings=tuple(self.warnings))

    def _result(self, status: str, reason: str, expected: str = "", actual: str = "", shown: str = "") -> Result:
        event = self.event
        line = event.place.line if event is not None else 0
        text = event.text if event is not None else ""
        return Result(self.script.name, status, reason, line, text, expected, actual, shown, tuple(self.warnings))

    def _run(self) -> None:
        if self.script.prologue is not None:
            self.stand.commands.run(self.script.prologue.text)
        self.machine.begin()
        for event in self.script.events:
            self.event = event
            try:
                self._do(event)
            except Failed as failed:
                # --non_fatal forgives, and the script goes on.
                if failed.kind not in self.settings.non_fatal:
                    raise
                self.warnings.append(f"{event.place.line}: {failed.reason}")
        self._end()

    def _end(self) -> None:
        if self.waiting is not None:
            self._await_call()
        check_readable(self.machine)
        if self.settings.strict_end:
            for numbers, packet in self.machine.left_over():
                wanted = TcpPacket(False, 0, _NOTHING)
                raise Failed(
                    "a packet was left over", "nothing", script_text(compare.as_scripted(wanted, packet, numbers))
                )
        if self.script.epilogue is not None:
            self.event = None
            self.stand.commands.run(self.script.epilogue.text)

    # --- events

    def _do(self, event: Event) -> None:
        action = event.action
        if isinstance(action, TcpPacket | IcmpPacket) and action.inbound:
            self._arrives(event, action)
            return
        if isinstance(action, OtherPacket):
            raise Skipped(f"packets of '{action.words.split()[0]}' are not supported")
        if isinstance(action, IcmpPacket):
            raise Skipped("an ICMP message that the host is to send is not supported")
        blocks = isinstance(action, Call) and event.when.blocking
        if blocks and self.waiting is not None:
            self._await_turn(event)
        start, end = self._times(event.when, False)
        self.arrived = None
        if isinstance(action, TcpPacket):
            if action.md5_valid:
                raise Skipped("MD5 signatures are not supported")
            self._expect(action, start, end)
            return
        self._wait_until(start, start if blocks else end)
        if isinstance(action, Call):
            self._call(event, action, end if blocks else None)
        elif isinstance(action, Command):
            self.stand.commands.run(action.text)
            self.machine.settle()
        elif isinstance(action, Code):
            self.stand.snippets.run(action, event.place.line)
        self._retry()
        self.base = self.machine.now

    def _times(self, when: When, arrives: bool) -> tuple[int | None, int | None]:
        """The first and last moment that the script means, without tolerance; None for any time."""
        if when.any_time:
            return None, None
        base = START
        if when.relative:
            base = self.arrived if arrives and self.arrived is not None else self.base
        start = base + when.start
        end = start if when.until is None else base + when.until
        if max(start, end) > START + LONGEST_TIME:
            raise Skipped(f"a time beyond {LONGEST_TIME // SECOND} s")
        return start, end

    def _tolerance(self, time: int) -> int:
        """How much earlier or later than `time` something may happen: by a share of the gap to what was before."""
        share = int(max(time - self.base, 0) * self.settings.tolerance_percent / 100)
        return max(self.settings.tolerance, share)

    def _wait_until(self, start: int | None, end: int | None) -> None:
        """Lets time pass until an event is due. Raises Failed if its time is over."""
        if start is None or end is None:
            return
        machine = self.machine
        tolerance = self._tolerance(end)
        while machine.now < start:
            self._advance(start)
        if machine.now > end + tolerance:
            late = seconds(machine.now - end)
            raise Failed(f"the time of this event is over by {late} s", _at(start), _at(machine.now), "syscall")

    def _advance(self, limit: int) -> bool:
        """Lets something happen before `limit`, or time pass until then; False if nothing happened."""
        machine = self.machine
        waiting = self.waiting
        deadline = waiting.attempt.deadline if waiting is not None else None
        stop = limit if deadline is None else min(limit, max(deadline, machine.now))
        if machine.advance(stop):
            self._retry()
            return True
        if deadline is not None and machine.now >= deadline:
            self._retry()
            return True
        return False

    # --- packets that arrive

    def _arrives(self, event: Event, packet: TcpPacket | IcmpPacket) -> None:
        start, end = self._times(event.when, True)
        self._wait_until(start, end)
        machine = self.machine
        if isinstance(packet, TcpPacket):
            if packet.md5_valid:
                raise Skipped("MD5 signatures are not supported")
            numbers = connection_of_arrival(machine, packet)
            if packet.flags & SYN and packet.sequence.start is not None:
                numbers.syn_arrives(packet.sequence.start, machine.is_known(numbers))
            machine.arrive(*inbound.tcp_packet(packet, numbers, self.settings))
        else:
            machine.arrive(inbound.icmp_packet(packet, machine.under_test()))
        self._retry()
        self.arrived = machine.now if start is None else start
        self.base = machine.now

    # --- packets that leave

    def _expect(self, wanted: TcpPacket, start: int | None, end: int | None) -> None:
        machine = self.machine
        if start is None or end is None:
            earliest, latest = 0, machine.now + self.stand.longest_wait
        else:
            earliest, latest = start - self._tolerance(start), end + self._tolerance(end)
        sent = next_sent(machine, wanted, latest, self.lenient, self._advance)
        if sent is None:
            raise Failed("no packet left", self._script_text(), f"nothing until {_at(machine.now)}")
        found, numbers = sent
        self.base = found.time
        text = script_text(compare.as_scripted(wanted, found, numbers))
        if wanted.ports is not None and numbers.labels is None:
            numbers.labels = wanted.ports
        different = list(compare.differences(wanted, found, numbers, self.settings, self.lenient))
        if different:
            names = "; ".join(f"{name}: expected {ours}, got {theirs}" for name, ours, theirs in different)
            raise Failed(f"another packet left: {names}", self._script_text(), text)
        compare.accepted(wanted, found, numbers)
        if found.first_time < earliest:
            raise Failed("the packet left too early", self._script_text(start), f"{_at(found.first_time)} {text}")
        if found.time > latest:
            raise Failed("the packet left too late", self._script_text(start), f"{_at(found.time)} {text}")

    def _script_text(self, start: int | None = None) -> str:
        text = self.event.text if self.event is not None else ""
        return f"{text}   (at {_at(start)})" if start is not None else text

    # --- calls

    def _call(self, event: Event, call: Call, end: int | None) -> None:
        machine = self.machine
        blocks = event.when.blocking
        until = None
        if blocks and end is not None:
            tolerance = self._tolerance(end)
            until = end - tolerance, end + tolerance
        attempt = self.calls.attempt(call)
        attempt.started = machine.now
        waiting = _Waiting(event, call, attempt, until)
        if self._ends(waiting):
            return
        # What it began leaves while it waits.
        machine.settle()
        if blocks:
            self.waiting = waiting
            return
        # Nothing in the script says that it waits, but it may all the same: for a timer.
        limit = machine.now + self.stand.longest_wait
        while not self._ends(waiting):
            deadline = attempt.deadline
            stop = limit if deadline is None else min(limit, deadline)
            if not self._advance(stop) and machine.now >= limit:
                raise Failed(f"{call.name} does not return", event.text, "it waits", "syscall")

    def _ends(self, waiting: _Waiting) -> bool:
        """Tries a call; True once it has returned what the script says. Raises Failed if otherwise, or at another
        time than the script says."""
        machine = self.machine
        event, self.event = self.event, waiting.event
        ended = self.calls.tried(waiting.attempt, waiting.call)
        machine.settle()
        if not ended:
            self.event = event
            return False
        if waiting.until is not None and not waiting.until[0] <= machine.now <= waiting.until[1]:
            first, last = waiting.until
            wanted = f"between {_at(first)} and {_at(last)}"
            raise Failed(f"{waiting.call.name} returned at another time", wanted, _at(machine.now), "syscall")
        self.event = event
        return True

    def _retry(self) -> None:
        """Something happened: the call that waits may be over."""
        waiting = self.waiting
        if waiting is not None:
            # While it is tried, nobody else tries it.
            self.waiting = None
            if not self._ends(waiting):
                self.waiting = waiting

    def _await_turn(self, event: Event) -> None:
        """One call may wait; the next that would waits for it. Right behind it, its time counts from the return."""
        assert self.waiting is not None
        first = self.waiting.event
        self._await_call()
        self.event = event
        behind = self.script.events.index(event) - self.script.events.index(first) == 1
        if behind:
            self.base = self.machine.now

    def _await_call(self) -> None:
        """Lets time pass until the call that waits is over."""
        while self.waiting is not None:
            waiting = self.waiting
            limit = waiting.until[1] + 1 if waiting.until is not None else self.machine.now + self.stand.longest_wait
            if not self._advance(limit) and self.waiting is not None:
                self.event = waiting.event
                raise Failed(f"{waiting.call.name} did not return", waiting.event.text, "it waits", "syscall")


def _at(time: int | None) -> str:
    return "any time" if time is None else seconds(time - START)


def run(script: Script, choices: Choices | None = None) -> Result:
    """Runs a script against the host."""
    chosen = choices or Choices()
    try:
        made = Run(script, chosen)
    except Skipped as skipped:
        return Result(script.name, SKIPPED, skipped.reason)
    except ScriptError as error:
        return Result(script.name, FAILED, f"{error.found}, where {error.wanted}", error.place.line)
    return made.result()
