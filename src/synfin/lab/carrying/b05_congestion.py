"""B5: congestion control: slow start, congestion avoidance, fast retransmit, fast recovery, and the two windows."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from synfin.events import CongestionChanged, RoundTripMeasured, SegmentReceived, SegmentSent
from synfin.host.parameters import Parameters
from synfin.host.socket_option_numbers import SO_RCVBUF, SOL_SOCKET
from synfin.lab.bench import CLIENT, MS, PORT, SERVER
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.running import DATA, SYN, Run, Runs
from synfin.reasons import DUPLICATE_ACKNOWLEDGMENT, FAST_RECOVERY, FAST_RETRANSMIT, RETRANSMISSION_TIMEOUT
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Scenario, Steps, start
from synfin.wire.tcp import Segment

DELAY: Final = 50 * MS
ROUND_TRIP: Final = 2 * DELAY
#: Octets of data in a full segment.
MSS: Final = 1448
#: The textbook's TCP: it learns of losses by duplicate acknowledgments and by time-outs, and by nothing else.
TEXTBOOK: Final = (
    "net.ipv4.tcp_sack=0",
    "net.ipv4.tcp_recovery=0",
    "net.ipv4.tcp_early_retrans=0",
    "net.ipv4.tcp_frto=0",
)
#: One segment is lost, and later all that is sent in one moment.
FAULTS: Final = ("lose 60th data", "partition from 1080ms to 1120ms")


def receiving(program: Program, buffer: int) -> Steps[None]:
    listener = program.socket()
    if buffer:
        listener.setsockopt(SOL_SOCKET, SO_RCVBUF, buffer)
    listener.bind(("", PORT))
    listener.listen()
    sock = yield from listener.accept()
    yield from sock.receive_all()
    sock.close()


def sending(program: Program, octets: int) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from sock.sendall(bytes(octets))
    sock.close()


def transfer(algorithm: str, octets: int, buffer: int = 0) -> Scenario:
    """A client with that congestion control sends so much to a server with that receive buffer (0: the usual one)."""

    def scenario(network: Network) -> list[Program]:
        parameters = Parameters()
        for line in (*TEXTBOOK, f"net.ipv4.tcp_congestion_control={algorithm}"):
            name, _, value = line.partition("=")
            parameters.set(name, value)
        here, there = network.host("client", parameters), network.host("server")
        network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=DELAY)
        return [
            start(network, there, lambda program: receiving(program, buffer)),
            start(network, here, lambda program: sending(program, octets)),
        ]

    return scenario


# --- what the worlds show


def changes(run: Run) -> list[CongestionChanged]:
    return run.of(CongestionChanged, "client")


def cwnd_at(run: Run, time: int) -> int:
    """The congestion window at that time, in whole segments."""
    return [one.cwnd for one in changes(run) if one.time <= time][-1] // MSS


def rounds(run: Run, first: int, last: int) -> list[int]:
    """The congestion window after each of these round trips, in segments; the connection opens with the first."""
    return [cwnd_at(run, number * ROUND_TRIP) for number in range(first, last + 1)]


def again(run: Run) -> Transmission:
    """The segment that fast retransmit sent."""
    return next(one for one in run.history.retransmissions if one.reason is FAST_RETRANSMIT)


def duplicates(run: Run) -> int:
    """How many duplicate acknowledgments had reached the client when it sent that segment."""
    seen = 0
    for event in run.events:
        if isinstance(event, SegmentReceived) and event.reason is DUPLICATE_ACKNOWLEDGMENT and event.host == "client":
            seen += 1
        if isinstance(event, SegmentSent) and event.reason is FAST_RETRANSMIT:
            break
    return seen


def recovery(run: Run) -> tuple[CongestionChanged, CongestionChanged]:
    """The change with which fast recovery began, and the one before it."""
    for before, after in pairwise(changes(run)):
        if after.reason is FAST_RECOVERY:
            return after, before
    raise LookupError("there was no fast recovery")


def timeout(run: Run) -> CongestionChanged:
    return next(one for one in changes(run) if one.reason is RETRANSMISSION_TIMEOUT)


def rto_before(run: Run, time: int) -> int:
    return [one for one in run.of(RoundTripMeasured, "client") if one.time <= time][-1].rto


def flights(run: Run) -> list[tuple[int, int, int]]:
    """For each segment of data that the client sent: octets in flight with it, the congestion window and the
    receiver's window at that moment. For worlds in which nothing is lost."""
    found = []
    cwnd = una = window = 0
    scale = run.history.right.window_scale or 0
    for event in run.events:
        if event.host != "client":
            continue
        if isinstance(event, CongestionChanged):
            cwnd = event.cwnd
        elif isinstance(event, SegmentReceived | SegmentSent) and isinstance(event.packet.payload, Segment):
            segment = event.packet.payload
            if isinstance(event, SegmentReceived):
                una, window = segment.ack, segment.wnd << (0 if segment.flags & SYN else scale)
            elif segment.payload_length:
                found.append(((segment.seq + segment.payload_length - una) % (1 << 32), cwnd, window))
    return found


def obeyed(run: Run) -> bool:
    """Whether what was in flight never exceeded the smaller of the two windows."""
    return all(flight <= min(cwnd, window) for flight, cwnd, window in flights(run))


def most(run: Run) -> tuple[int, int, int]:
    """The most that was in flight, with the windows of that moment."""
    return max(flights(run))


def table(runs: Runs) -> Table:
    rows = [
        (str(number), *(str(cwnd_at(runs[name], number * ROUND_TRIP)) for name in ("reno", "cubic")))
        for number in range(1, 21)
    ]
    return Table((N_("round trip"), N_("cwnd with Reno (segments)"), N_("cwnd with CUBIC (segments)")), rows)


def first_sent(run: Run) -> int:
    """When the segment that fast retransmit repaired was sent first."""
    return next(one.time for one in run.sent(DATA) if one.segment.seq == again(run).segment.seq)


def growth(run: Run, number: int) -> int:
    """By how many octets the window grew in that round trip and the next."""
    octets = [
        [one.cwnd for one in changes(run) if one.time <= time * ROUND_TRIP][-1] for time in (number - 1, number + 1)
    ]
    return octets[1] - octets[0]


EXPERIMENT = Experiment(
    row="B5",
    question=N_("How does a sender find out how much the network can carry?"),
    prediction=N_(
        "The receiver says how much it has room for; of the network nobody says anything. What will the sender begin "
        "with, how fast will it dare more, and what will it do when one segment is lost, or all of them?"
    ),
    worlds=(
        World(
            "reno",
            N_("Reno: one segment is lost, and later a whole window"),
            transfer("reno", 900_000),
            FAULTS,
            picture="curves",
        ),
        World("cubic", N_("CUBIC: the same losses"), transfer("cubic", 900_000), FAULTS, picture="curves"),
        World(
            "cwnd",
            N_("A large receive buffer: the congestion window is the smaller"),
            transfer("reno", 60_000),
            picture="curves",
        ),
        World(
            "rwnd",
            N_("A small receive buffer: the receiver's window is the smaller"),
            transfer("reno", 150_000, 24_000),
            picture="time-sequence",
        ),
    ),
    watch=N_(
        "cwnd over time: how steep it rises at first, where it becomes flat, how far it falls. SACK, RACK, F-RTO and "
        "probes of the tail are switched off here, so that losses show as in the textbook."
    ),
    claims=(
        Claim(
            N_("Slow start: cwnd begins with {first} segments and doubles with every round trip: {rounds}."),
            lambda runs: rounds(runs["reno"], 1, 3) == [10, 20, 40] == rounds(runs["cubic"], 1, 3),
            lambda runs: {
                "first": cwnd_at(runs["reno"], ROUND_TRIP),
                "rounds": rounds(runs["reno"], 1, 3),
            },
        ),
        Claim(
            N_(
                "Fast retransmit: the lost segment goes again at the third duplicate acknowledgment, {after:.0f} ms "
                "after it was sent first; its time-out would have come after {rto:.0f} ms."
            ),
            lambda runs: all(
                duplicates(runs[name]) == 3
                and again(runs[name]).time - first_sent(runs[name])
                == ROUND_TRIP
                < rto_before(runs[name], again(runs[name]).time)
                for name in ("reno", "cubic")
            ),
            lambda runs: {
                "after": (again(runs["reno"]).time - first_sent(runs["reno"])) / MS,
                "rto": rto_before(runs["reno"], again(runs["reno"]).time) / MS,
            },
        ),
        Claim(
            N_(
                "Fast recovery: cwnd does not go back to one. Within a round trip it falls from {before} to {reno} "
                "segments with Reno, about a half, and to {cubic} with CUBIC, seven tenths."
            ),
            lambda runs: all(
                recovery(runs[name])[0].ssthresh // MSS == recovery(runs[name])[1].cwnd // MSS * share // 10
                and abs(
                    cwnd_at(runs[name], recovery(runs[name])[0].time + ROUND_TRIP)
                    - recovery(runs[name])[0].ssthresh // MSS
                )
                <= 1
                for name, share in (("reno", 5), ("cubic", 7))
            ),
            lambda runs: {
                "before": recovery(runs["reno"])[1].cwnd // MSS,
                "reno": recovery(runs["reno"])[0].ssthresh // MSS,
                "cubic": recovery(runs["cubic"])[0].ssthresh // MSS,
            },
        ),
        Claim(
            N_("Congestion avoidance: from there Reno adds one segment with every round trip: {rounds}."),
            lambda runs: [later - earlier for earlier, later in pairwise(rounds(runs["reno"], 5, 11))] == [1] * 6,
            lambda runs: {"rounds": rounds(runs["reno"], 5, 11)},
        ),
        Claim(
            N_(
                "CUBIC goes by time: it grows fast where the last loss is far above and ever more slowly towards it; "
                "after six round trips it has {cubic} segments where Reno has {reno}."
            ),
            lambda runs: (
                cwnd_at(runs["cubic"], 11 * ROUND_TRIP) > cwnd_at(runs["reno"], 11 * ROUND_TRIP) + 10
                and growth(runs["cubic"], 6) > growth(runs["cubic"], 8) > growth(runs["cubic"], 10) > 0
            ),
            lambda runs: {
                "cubic": cwnd_at(runs["cubic"], 11 * ROUND_TRIP),
                "reno": cwnd_at(runs["reno"], 11 * ROUND_TRIP),
            },
        ),
        Claim(
            N_(
                "A time-out is worse news: nothing comes back at all. cwnd falls from {before} segments to {cwnd}, "
                "and slow start leads up again, but only to ssthresh, {ssthresh} segments; from there Reno adds one "
                "at a time."
            ),
            lambda runs: (
                timeout(runs["reno"]).cwnd == MSS
                and timeout(runs["reno"]).ssthresh // MSS == cwnd_at(runs["reno"], 11 * ROUND_TRIP) // 2
                and rounds(runs["reno"], 14, 21) == [1, 2, 4, 8, 16, 20, 21, 22]
                and timeout(runs["cubic"]).cwnd == MSS
            ),
            lambda runs: {
                "before": cwnd_at(runs["reno"], 11 * ROUND_TRIP),
                "cwnd": timeout(runs["reno"]).cwnd // MSS,
                "ssthresh": timeout(runs["reno"]).ssthresh // MSS,
            },
        ),
        Claim(
            N_(
                "Two windows: with a large receive buffer at most {flight} octets are in flight, all that cwnd allows "
                "({cwnd}) but for less than a segment, though the receiver would take {rwnd}."
            ),
            lambda runs: (
                obeyed(runs["cwnd"])
                and most(runs["cwnd"])[1] - most(runs["cwnd"])[0] < MSS
                and most(runs["cwnd"])[1] < most(runs["cwnd"])[2]
            ),
            lambda runs: dict(zip(("flight", "cwnd", "rwnd"), most(runs["cwnd"]), strict=True)),
        ),
        Claim(
            N_(
                "With a small one at most {flight} octets are in flight, all that the receiver offers ({rwnd}) but "
                "for less than a segment, though cwnd has grown to {cwnd}. The sender obeys the smaller."
            ),
            lambda runs: (
                obeyed(runs["rwnd"])
                and most(runs["rwnd"])[2] - most(runs["rwnd"])[0] < MSS
                and most(runs["rwnd"])[2] < changes(runs["rwnd"])[-1].cwnd
            ),
            lambda runs: {
                "flight": most(runs["rwnd"])[0],
                "rwnd": most(runs["rwnd"])[2],
                "cwnd": changes(runs["rwnd"])[-1].cwnd,
            },
        ),
    ),
    answer=N_(
        "It tries. cwnd is the sender's own guess, never sent to anybody. Slow start doubles it with every round trip "
        "until something is lost; then the sender knows roughly where the limit lies, and congestion avoidance feels "
        "its way from below. Three duplicate acknowledgments say that one segment is lost while others still arrive: "
        "it goes again at once, and the window falls to a half (Reno) or seven tenths (CUBIC). A time-out says that "
        "nothing arrives: back to one segment. What may be in flight is the smaller of cwnd and the receiver's window."
    ),
    clauses=("RFC 5681 §3.1", "RFC 5681 §3.2", "RFC 6928 §2", "RFC 9438 §4", "RFC 9937 §6.2"),
    tries=(
        Try(
            "B5 --world reno --lose 30", N_("Lose a segment early: slow start ends sooner, and Reno is slow for long.")
        ),
        Try(
            "B5 --world rwnd --set tcp_congestion_control=cubic",
            N_("Another congestion control changes nothing here: the receiver decides."),
        ),
    ),
    table=table,
)
