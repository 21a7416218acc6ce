"""A2: a SYN takes one sequence number, and as a rule carries no data."""

from __future__ import annotations

from typing import Final

from synfin.lab.bench import MS, PORT, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import ACK, DATA, RST, SYN, SYN_ACK, Run, Runs
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Steps, start
from synfin.sim.device import Output
from synfin.wire.ip import Packet
from synfin.wire.sequence import wrap
from synfin.wire.tcp import Segment

SAID: Final = b"Hello!"


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.receive_all()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(30 * MS)
    yield from sock.sendall(SAID)
    yield from sock.recv()


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, client)]


class _EarlyData:
    """The output of a port, which puts what will be said first into the first SYN as well."""

    __slots__ = ("_done", "_output")

    def __init__(self, output: Output) -> None:
        self._output = output
        self._done = False

    def transmit(self, packet: Packet) -> None:
        segment = packet.payload
        if not self._done and isinstance(segment, Segment) and segment.flags & SYN:
            self._done = True
            segment.payload, segment.payload_length = (memoryview(SAID),), len(SAID)
        self._output.transmit(packet)


def early(network: Network) -> list[Program]:
    """As if the client's TCP had known at once what its program will say."""
    made = scenario(network)
    port = network.nodes["client"].ports[0]
    port.output = _EarlyData(port.output)
    return made


def first_syn(run: Run) -> Transmission:
    return next(one for one in run.sent() if one.segment.flags & SYN)


def x(runs: Runs) -> int:
    return runs["plain"].sent(SYN)[0].segment.seq


def beyond(runs: Runs, number: int) -> int:
    """How far beyond x it is."""
    return wrap(number - x(runs))


EXPERIMENT = Experiment(
    row="A2",
    question=N_("Why is the answer to seq=x not ack=x, if the SYN carries no data?"),
    prediction=N_(
        "Sequence numbers count octets, and a SYN has none. Which number will the server acknowledge, and which number "
        "does the first octet of data have?"
    ),
    worlds=(
        World("plain", N_("A handshake, then six octets"), scenario),
        World("lost", N_("The same, and the first SYN is lost"), scenario, ("lose 1st SYN",)),
        World("early", N_("Laboratory variant: the SYN carries the six octets already"), early),
    ),
    watch=N_("seq and ack of the first five segments, counted from x."),
    claims=(
        Claim(
            N_("The SYN has seq=x and carries {octets} octets of data."),
            lambda runs: runs["plain"].sent(SYN)[0].segment.payload_length == 0 and len(runs["plain"].sent(SYN)) == 1,
            lambda runs: {"octets": runs["plain"].sent(SYN)[0].segment.payload_length},
        ),
        Claim(
            N_("The server acknowledges x+{ack}: the SYN itself took the number x."),
            lambda runs: beyond(runs, runs["plain"].sent(SYN_ACK)[0].segment.ack) == 1,
            lambda runs: {"ack": beyond(runs, runs["plain"].sent(SYN_ACK)[0].segment.ack)},
        ),
        Claim(
            N_(
                "The client's ACK has seq=x+1 and takes no number: the first octet of data is x+1 as well, and after "
                "{octets} octets the server acknowledges x+{ack}."
            ),
            lambda runs: (
                beyond(runs, runs["plain"].sent(ACK, "client")[0].segment.seq) == 1
                and beyond(runs, runs["plain"].sent(DATA)[0].segment.seq) == 1
                and beyond(runs, runs["plain"].sent(ACK, "server")[0].segment.ack) == 7
            ),
            lambda runs: {
                "octets": runs["plain"].sent(DATA)[0].segment.payload_length,
                "ack": beyond(runs, runs["plain"].sent(ACK, "server")[0].segment.ack),
            },
        ),
        Claim(
            N_(
                "What has a number can be missed: the lost SYN is sent again with the same seq=x, until x+1 is "
                "acknowledged."
            ),
            lambda runs: (
                [one.segment.seq for one in runs["lost"].sent(SYN)] == [x(runs), x(runs)]
                and wrap(runs["lost"].sent(SYN_ACK)[0].segment.ack - 1) == x(runs)
            ),
        ),
        Claim(
            N_(
                "A SYN with {octets} octets of data is not refused: the server answers as ever. It acknowledges "
                "x+{ack} alone, as Linux does, so the octets come again after the handshake, and the program reads "
                "them once."
            ),
            lambda runs: (
                first_syn(runs["early"]).segment.payload_length == len(SAID)
                and not first_syn(runs["early"]).arrivals[0].dropped
                and not runs["early"].sent(RST)
                and beyond(runs, runs["early"].sent(SYN_ACK)[0].segment.ack) == 1
                and [call.result for call in runs["early"].program("server").calls if call.name == "recv"]
                == [SAID, None]
            ),
            lambda runs: {
                "octets": first_syn(runs["early"]).segment.payload_length,
                "ack": beyond(runs, runs["early"].sent(SYN_ACK)[0].segment.ack),
            },
        ),
    ),
    answer=N_(
        "Because the SYN takes a number of its own, as the FIN does. So it can be acknowledged, and sent again if it "
        "is not, by the same means as data: ack=x+1 says that the SYN arrived and that x+1 comes next. A bare ACK "
        "takes none, or acknowledging it would need an ACK again. Texts say that a SYN must not carry data. The RFC "
        "lets it, but the data wait until the connection is ESTABLISHED; hosts as a rule send none, and TCP Fast Open "
        "is the exception."
    ),
    clauses=("RFC 9293 §3.4", "RFC 9293 §3.4.1", "RFC 9293 §3.5", "RFC 7413 §2"),
    tries=(
        Try("A2 --world plain --lose 3", N_("Lose the ACK: nothing is missed, for the data acknowledge the same.")),
        Try("A2 --world plain --lose 4", N_("Lose the data: they are sent again, with the same number.")),
    ),
)
