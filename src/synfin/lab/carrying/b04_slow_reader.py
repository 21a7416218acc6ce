"""B4: a slow reader closes the window; probes ask whether it has opened again."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from synfin.host.parameters import Parameters
from synfin.host.socket_option_numbers import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET
from synfin.lab.bench import CLIENT, MINUTE, MS, PORT, SECOND, SERVER
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import DATA, Run
from synfin.reasons import WINDOW_PROBE, WINDOW_UPDATE
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Steps, start

#: What the client writes at once, in octets; the server's window is smaller.
WRITE: Final = 8000
DELAY: Final = 50 * MS
#: How long the server's program does something else.
BUSY: Final = 4 * SECOND


def server(program: Program) -> Steps[None]:
    listener = program.socket()
    listener.setsockopt(SOL_SOCKET, SO_RCVBUF, 4000)
    listener.bind(("", PORT))
    listener.listen()
    sock = yield from listener.accept()
    yield from program.sleep(BUSY)
    yield from sock.receive_all()


def client(program: Program) -> Steps[None]:
    sock = program.socket()
    # Room for little: the program feels at once what its TCP cannot send.
    sock.setsockopt(SOL_SOCKET, SO_SNDBUF, 2500)
    yield from sock.connect(("server", PORT))
    yield from program.sleep(150 * MS)
    yield from sock.sendall(b"x" * WRITE)
    yield from sock.recv()


def scenario(network: Network) -> list[Program]:
    parameters = Parameters()
    # Segments of 1460 octets, two of which fill the first window.
    parameters.tcp.tcp_timestamps = 0
    here, there = network.host("client", parameters), network.host("server")
    network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=DELAY)
    return [start(network, there, server), start(network, here, client)]


def windows(run: Run) -> list[int]:
    """The windows that the server offered after its SYN+ACK, in octets."""
    return [one.window for one in run.sent(host="server")[1:]]


def probes(run: Run) -> list[Transmission]:
    return [one for one in run.sent(host="client") if one.reason is WINDOW_PROBE]


def waits(run: Run) -> list[float]:
    """Seconds from the last word of the server's to each probe."""
    heard = [arrival.time for one in run.sent(host="server") for arrival in one.arrivals]
    return [(probe.time - max(time for time in heard if time < probe.time)) / SECOND for probe in probes(run)]


def closed_at(run: Run) -> int:
    """When the client learned of a window of 0."""
    return next(one for one in run.sent(host="server") if one.window == 0).arrivals[0].time


def update(run: Run) -> Transmission:
    """The segment that offered room again."""
    return next(one for one in run.sent(host="server") if one.reason is WINDOW_UPDATE and one.time > closed_at(run))


def carried_on(run: Run) -> int:
    """When data went out again."""
    return next(one.time for one in run.sent(DATA) if one.time > closed_at(run))


def within(run: Run) -> bool:
    """Whether the client never sent beyond what the server had offered it by then."""
    edge = 0
    offers = run.sent(host="server")
    for one in run.sent(DATA):
        known = [each for each in offers if each.arrivals and each.arrivals[0].time <= one.time]
        edge = max(one.sender.relative(each.segment.ack) + each.window for each in known)
        if one.sender.relative(one.segment.seq) + one.segment.payload_length > edge:
            return False
    return bool(edge)


def edges(run: Run) -> list[tuple[int, int]]:
    """Left and right edge of the window in each of the server's segments, counted from the client's initial number."""
    found = []
    for one in run.sent(host="server"):
        left = one.receiver.relative(one.segment.ack)
        found.append((left, left + one.window))
    return found


def read(run: Run) -> int:
    """How many octets the server's program read."""
    calls = run.program("server").calls
    return sum(len(call.result) for call in calls if call.name == "recv" and isinstance(call.result, bytes))


EXPERIMENT = Experiment(
    row="B4",
    question=N_("What if the reader is slower than the writer?"),
    prediction=N_(
        "The client writes more than the server has room for, and the server's program does not read for four "
        "seconds. Where do the octets wait, how does the client know when it may go on, and what if that news is lost?"
    ),
    worlds=(
        World("slow", N_("The program reads after four seconds"), scenario),
        World("lost", N_("The news that there is room again is lost"), scenario, ("lose 1st ACK from server from 4s",)),
        World(
            "deaf",
            N_("That news is lost, and every probe after it: as if there were no probes"),
            scenario,
            ("lose 1st ACK from server from 4s", "lose segment from client from 4s"),
            until=MINUTE,
        ),
    ),
    watch=N_(
        "win in the server's segments, the probes of no length and the time between them, and what sendall() does."
    ),
    claims=(
        Claim(
            N_(
                "The server's window falls from {first} octets to 0 as its buffer fills. The client has sent {sent} "
                "of its {write} octets, never one beyond the window."
            ),
            lambda runs: (
                windows(runs["slow"])[:2] == [1460, 0]
                and sum(
                    one.segment.payload_length for one in runs["slow"].sent(DATA) if one.time < closed_at(runs["slow"])
                )
                == 2920
                and all(within(run) for run in runs.values())
            ),
            lambda runs: {
                "first": runs["slow"].sent(host="server")[0].window,
                "sent": sum(
                    one.segment.payload_length for one in runs["slow"].sent(DATA) if one.time < closed_at(runs["slow"])
                ),
                "write": WRITE,
            },
        ),
        Claim(
            N_(
                "The rest waits at the client: its buffer is full too, and sendall() comes back after {seconds:.1f} s "
                "only."
            ),
            lambda runs: BUSY - SECOND < runs["slow"].program("client").call("sendall").lasted < BUSY + SECOND,
            lambda runs: {"seconds": runs["slow"].program("client").call("sendall").lasted / SECOND},
        ),
        Claim(
            N_(
                "Meanwhile the client asks {count} times, with a segment of no length, and waits twice as long each "
                "time ({waits} s); each is answered with the window as it is: 0."
            ),
            lambda runs: (
                len(probes(runs["slow"])) == 3
                and not any(one.segment.payload_length for one in probes(runs["slow"]))
                and all(abs(later / earlier - 2) < 0.001 for earlier, later in pairwise(waits(runs["slow"])))
                and windows(runs["slow"])[1:6] == [0, 0, 0, 0, update(runs["slow"]).window]
            ),
            lambda runs: {
                "count": len(probes(runs["slow"])),
                "waits": [f"{wait:.2f}" for wait in waits(runs["slow"])],
            },
        ),
        Claim(
            N_(
                "When the program has read, the server offers {window} octets without being asked, and the client "
                "goes on the moment it hears that."
            ),
            lambda runs: (
                update(runs["slow"]).window == 4000
                and not probes(runs["slow"])[-1].time > update(runs["slow"]).time
                and carried_on(runs["slow"]) == update(runs["slow"]).arrivals[0].time
            ),
            lambda runs: {"window": update(runs["slow"]).window},
        ),
        Claim(
            N_(
                "Where that news is lost, nobody sends it again: it has no data, so it is not acknowledged. The next "
                "probe brings it out, and the client goes on {seconds:.1f} s later than it could have."
            ),
            lambda runs: (
                update(runs["lost"]).loss is not None
                and len(probes(runs["lost"])) == len(probes(runs["slow"])) + 1
                and carried_on(runs["lost"]) == probes(runs["lost"])[-1].time + 2 * DELAY
            ),
            lambda runs: {"seconds": (carried_on(runs["lost"]) - carried_on(runs["slow"])) / SECOND},
        ),
        Claim(
            N_(
                "Where no probe arrives either, both wait for ever: sendall() for room, recv() for data, with the "
                "window open and no segment lost that would be sent again."
            ),
            lambda runs: (
                runs["deaf"].program("client").call("sendall").waits
                and runs["deaf"].program("server").call("recv").waits
                and not runs["deaf"].history.retransmissions
            ),
        ),
        Claim(
            N_(
                "The window slides: its left edge is ack, its right edge ack+win, and neither ever moves back. From "
                "the first segment to the last the right edge goes from {first} to {last}, and when the window is "
                "closed both edges are the same."
            ),
            lambda runs: (
                all(list(each) == sorted(each) for run in runs.values() for each in zip(*edges(run), strict=True))
                and edges(runs["slow"])[0][1] < WRITE < edges(runs["slow"])[-1][1]
                and any(left == right for left, right in edges(runs["slow"]))
            ),
            lambda runs: {"first": edges(runs["slow"])[0][1], "last": edges(runs["slow"])[-1][1]},
        ),
        Claim(
            N_("All {octets} octets arrive where the probes do."),
            lambda runs: all(read(runs[name]) == WRITE for name in ("slow", "lost")),
            lambda runs: {"octets": read(runs["slow"])},
        ),
    ),
    answer=N_(
        "The window in every segment says how much more the receiver has room for, and the sender never sends beyond "
        "it: that is flow control. The window slides as data are acknowledged, and closes when nobody reads. At 0 the "
        "sender waits, but must not only wait, for the announcement of new room is an acknowledgment without data, "
        "which nobody sends again if it is lost. So it asks from time to time, with growing intervals, as long as it "
        "is answered."
    ),
    clauses=("RFC 9293 §3.8.6", "RFC 9293 §3.8.6.1", "RFC 9293 §3.8.6.2"),
    tries=(
        Try(
            "B4 --world slow --set synfin.tcp_probe_data=1",
            N_("Probes with one octet of data, as the RFC describes them."),
        ),
        Try(
            "B4 --world slow --set tcp_rto_max_ms=1000",
            N_("The client never waits longer than a second before it asks again."),
        ),
    ),
)
