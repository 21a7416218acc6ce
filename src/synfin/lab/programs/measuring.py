"""What is measured where a setting is tried: each reads one figure, or one word, from a world that was run."""

from __future__ import annotations

from collections.abc import Callable
from errno import errorcode
from itertools import pairwise

from synfin.events import CongestionChanged, PacketTransmitted, StateChanged
from synfin.lab.bench import MINUTE, MS, SECOND
from synfin.lab.experiment import N_
from synfin.lab.programs.effects import Place
from synfin.lab.running import DATA, RST, SYN, SYN_ACK, Run
from synfin.reasons import FAST_RECOVERY, KEEP_ALIVE_PROBE, TIME_WAIT_OVERFLOW
from synfin.wire.ip import Packet


def seconds(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def until_connect_fails(here: Place, run: Run) -> str:
    return seconds(here.lasted("connect"))


def until_recv_fails(here: Place, run: Run) -> str:
    return seconds(here.lasted("recv"))


def waiting(here: Place, call: str, program: str = "client") -> str:
    """Seconds that the last such call took, or that it never came back."""
    last = here.programs[program].call(call)
    return N_("for ever") if last.waits else seconds(last.lasted / SECOND)


def outcome(here: Place, call: str, program: str = "client") -> str:
    """What the last such call failed with, or that it did not."""
    error = here.outcome(call, program)
    return errorcode[error.errno or 0] if error is not None else N_("no error")


def count_of(kind: int, host: str = "client") -> Callable[[Place, Run], str]:
    return lambda here, run: str(len(here.sent(run, kind, host)))


def in_state(state: str, host: str = "client") -> Callable[[Place, Run], str]:
    """Seconds from the time when a host comes to that state to the next change."""

    def measure(here: Place, run: Run) -> str:
        changes = here.of(run, StateChanged, host)
        return next(
            seconds((after.time - before.time) / SECOND) for before, after in pairwise(changes) if before.new == state
        )

    return measure


def probes(here: Place, run: Run) -> list[int]:
    """When keep-alive probes left."""
    return [one.time for one in here.sent(run) if one.reason is KEEP_ALIVE_PROBE]


def silence_before_probe(here: Place, run: Run) -> str:
    opened = next(change.time for change in here.of(run, StateChanged) if change.new == "ESTABLISHED")
    return seconds((probes(here, run)[0] - opened) / SECOND)


def between_probes(here: Place, run: Run) -> str:
    return seconds((probes(here, run)[1] - probes(here, run)[0]) / SECOND)


def established(here: Place, run: Run) -> str:
    """How many connections wait in the accept queue."""
    return str(sum(change.new == "ESTABLISHED" for change in here.of(run, StateChanged, "server")))


def half_open(here: Place, run: Run) -> str:
    """How many half-open connections the server kept after the first second."""
    changes = [one for one in here.of(run, StateChanged, "server") if one.time < SECOND]
    return str(sum(change.new == "SYN-RECEIVED" for change in changes))


def told(here: Place, run: Run) -> str:
    """Seconds from the first word to the time when SO_ERROR was no longer 0."""
    program = here.programs["client"]
    said = program.call("send").began
    # It is the last thing the program does.
    closed = next(change.time for change in here.of(run, StateChanged) if change.old == "ESTABLISHED")
    return seconds((closed - said) / SECOND)


def waits_between(here: Place, run: Run) -> str:
    """The longest time between one sending of the same data and the next."""
    times = [one.time for one in here.sent(run, DATA)]
    return seconds(max(later - earlier for earlier, later in pairwise(times)) / SECOND)


def times_again(here: Place, run: Run) -> str:
    return str(len(here.sent(run, DATA)) - 1)


def second_connect(here: Place, run: Run) -> str:
    error = here.outcome("connect")
    return errorcode[error.errno or 0] if error is not None else N_("connected")


def time_waits(here: Place, run: Run) -> str:
    """How many TIME-WAITs there were at a time, at most: those that did not make room for a newer one at once."""
    changes = here.of(run, StateChanged)
    begun = sum(change.new == "TIME-WAIT" for change in changes)
    return str(begun - sum(change.reason is TIME_WAIT_OVERFLOW for change in changes))


def transfer(here: Place, run: Run) -> str:
    """Milliseconds from the first octet to the server's last word."""
    program = here.programs["client"]
    return f"{(program.call('recv').began + program.call('recv').lasted - program.call('sendall').began) / MS:.0f}"


def largest_segment(here: Place, run: Run) -> str:
    return str(max(one.segment.payload_length for one in here.sent(run, DATA)))


def port_chosen(here: Place, run: Run) -> str:
    return str(here.sent(run, SYN)[0].sender.port)


def share_kept(here: Place, run: Run) -> str:
    """Percent of the congestion window that was left after a loss."""
    changes = here.of(run, CongestionChanged)
    for before, after in pairwise(changes):
        if after.reason is FAST_RECOVERY:
            return f"{round(10 * after.ssthresh / before.cwnd) * 10} %"
    raise LookupError("nothing was lost")


def packets(here: Place, run: Run) -> list[Packet]:
    """What the client sent."""
    return [event.packet for event in here.of(run, PacketTransmitted)]


def ttl(here: Place, run: Run) -> str:
    return str(packets(here, run)[0].ttl)


def window_in_syn(here: Place, run: Run) -> str:
    return str(here.sent(run, SYN_ACK, "server")[0].window)


def answer_to_overflow(here: Place, run: Run) -> str:
    """What a client hears whose last ACK found the accept queue full."""
    heard = [one for one in here.sent(run, RST, "server") if one.time < MINUTE]
    return "RST" if heard else N_("nothing")
