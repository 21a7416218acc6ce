"""Expected packets: found among those that leave, joined or cut to the script's lengths."""

from __future__ import annotations

from collections.abc import Callable

from synfin.drill.bench.bench import Bench
from synfin.drill.bench.numbers import Numbers
from synfin.drill.bench.outbound import Sent, cut, join, may_join, wants_more
from synfin.drill.language.script import TcpPacket
from synfin.drill.outcome import Failed
from synfin.drill.run.connections import connection_of_expected


def next_sent(
    machine: Bench, wanted: TcpPacket, latest: int, lenient: bool, advance: Callable[[int], bool]
) -> tuple[Sent, Numbers] | None:
    """The next packet of the connection that `wanted` is of, with those behind it if the script's is longer; None if
    none leaves up to `latest`. Raises Failed for a packet that nobody can read.

    `advance` lets something happen before a moment, or time pass until then; False if nothing happened.
    """
    joined: Sent | None = None
    while True:
        numbers = connection_of_expected(machine, wanted)
        queue = machine.outbound.queue(numbers.flow)
        while queue:
            if joined is None:
                joined = queue.popleft()
            elif may_join(joined, queue[0], wanted, lenient):
                joined = join(joined, queue.popleft())
            else:
                return joined, numbers
            if lenient:
                joined = _shortened(machine, joined, wanted, numbers)
            if machine.settings.strict_segments or not wants_more(joined, wanted, lenient):
                return joined, numbers
        before = machine.now
        if not advance(latest + 1) or machine.now > latest:
            return None if joined is None else (joined, numbers)
        check_readable(machine)
        assert machine.now >= before


def check_readable(machine: Bench) -> None:
    """Raises Failed if a packet left that nobody can read."""
    if machine.broken:
        raise Failed(f"a packet left that nobody can read: {machine.broken}")


def _shortened(machine: Bench, found: Sent, wanted: TcpPacket, numbers: Numbers) -> Sent:
    """Leniently, the same octets in fewer segments are equal: what is too long is cut."""
    length = wanted.sequence.length
    if not 0 < length < found.length:
        return found
    head, tail = cut(found, length)
    machine.outbound.queue(numbers.flow).appendleft(tail)
    return head
