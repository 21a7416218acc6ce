"""C13: why not leave out the last message of the close."""

from __future__ import annotations

from functools import partial
from itertools import zip_longest

from synfin import reasons
from synfin.events import ConnectionEvent
from synfin.lab.bench import MS, PORT, SECOND, pair, tuned
from synfin.lab.closing.hosts import last_change
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import FIN, Run
from synfin.sim import Network, Node, Program, Steps, start
from synfin.sim.device import Device, Port
from synfin.sim.scenario import same
from synfin.tcp import states
from synfin.tcp.ending import end
from synfin.wire.ip import Packet
from synfin.wire.tcp import Segment


class LeavesOutLastMessage(Device):
    """A laboratory variant of a host: in FIN-WAIT-2 it takes the peer's FIN for the end, and says nothing any more."""

    __slots__ = ("_node", "_over")

    def __init__(self, node: Node) -> None:
        super().__init__(node.name)
        self._node = node
        self._over = False
        for port in node.ports:
            port.device = self

    def arrive(self, packet: Packet | bytes, port: Port, now: int) -> None:
        if self._over:
            return
        transport = self._node.host.transport
        for connection in list(transport.connections.values()):
            fin = isinstance(packet, Packet) and isinstance(packet.payload, Segment) and packet.payload.flags & FIN
            if fin and connection.state == states.FIN_WAIT_2:
                self._over = True
                end(connection, states.ABORT, 0, now, reasons.FIN_RECEIVED)
                transport.settle(connection, now)
                self._node.run()
                return
        self._node.arrive(packet, port, now)


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    sock.shutdown()
    yield from sock.receive_all()
    sock.close()


def server(program: Program, works: int) -> Steps[None]:
    sock = yield from program.listening(PORT).accept()
    yield from sock.receive_all()
    yield from program.sleep(works)
    sock.close()


def scenario(network: Network, works: int = 100 * MS, leaves_out: bool = False) -> list[Program]:
    # It gives up early, so that there is less to look at.
    here, there = pair(network, server=tuned(tcp_orphan_retries=3))
    if leaves_out:
        LeavesOutLastMessage(here)
    return [start(network, there, partial(server, works=works)), start(network, here, client)]


# --- what happened


def closing(run: Run) -> int:
    """How many segments it took from the first FIN on, none of them twice."""
    began = run.sent(FIN)[0].time
    return sum(one.time >= began for one in run.sent())


def seen_by_server(run: Run) -> list[ConnectionEvent]:
    """All that happened at the server."""
    return run.of(ConnectionEvent, "server")


def same_to_server(one: Run, other: Run) -> bool:
    """Whether the server cannot tell the two worlds apart."""
    pairs = zip_longest(seen_by_server(one), seen_by_server(other))
    return all(a is not None and b is not None and same(a, b) for a, b in pairs)


def in_last_ack(run: Run) -> float:
    """Seconds that the server was in LAST-ACK."""
    return (run.when("server", "CLOSED") - run.when("server", "LAST-ACK")) / SECOND


def learns(run: Run) -> bool:
    """Whether the server came to CLOSED because its FIN was acknowledged."""
    return last_change(run, "server").reason == reasons.ACK_OF_FIN_RECEIVED


EXPERIMENT = Experiment(
    row="C13",
    question=N_("Why not leave out the last message?"),
    prediction=N_(
        "The server's FIN is the last thing that anybody has to say. If it has arrived, the connection is over at both "
        "ends. Why should the client answer it, if nobody answers that answer either? And when two messages can be "
        "merged, why can the last one not be saved?"
    ),
    watch=N_(
        "The right-hand column of the last two worlds: in one the client has everything, in the other nothing of the "
        "server's end has come through."
    ),
    worlds=(
        World("four", N_("Four messages"), scenario),
        World("three", N_("Three messages: 5 and 6 go together"), partial(scenario, works=0)),
        World(
            "left-out",
            N_("Laboratory variant: the client leaves out 7. The FIN arrives"),
            partial(scenario, leaves_out=True),
        ),
        World(
            "lost",
            N_("Laboratory variant: the client leaves out 7. The FIN never arrives"),
            partial(scenario, leaves_out=True),
            ("lose FIN from server",),
        ),
    ),
    claims=(
        Claim(
            N_(
                "To merge two messages loses nothing: {four} segments or {three}, every FIN is acknowledged, and the "
                "server goes from LAST-ACK to CLOSED because it knows that all has arrived."
            ),
            lambda runs: (
                (closing(runs["four"]), closing(runs["three"])) == (4, 3)
                and learns(runs["four"])
                and learns(runs["three"])
                and runs["four"].path("server")[-2:] == runs["three"].path("server")[-2:] == ["LAST-ACK", "CLOSED"]
            ),
            lambda runs: {"four": closing(runs["four"]), "three": closing(runs["three"])},
        ),
        Claim(
            N_(
                "Without the last message the server never learns it: it sends its FIN {fins} times, stays in LAST-ACK "
                "for {seconds:.2f} s instead of {plain:.2f} s, and gives up."
            ),
            lambda runs: (
                len(runs["left-out"].sent(FIN, "server")) > 3
                and all(one.arrivals for one in runs["left-out"].sent(FIN, "server"))
                and last_change(runs["left-out"], "server").reason == reasons.GAVE_UP
                and runs["left-out"].program("client").call("recv").result == b""
            ),
            lambda runs: {
                "fins": len(runs["left-out"].sent(FIN, "server")),
                "seconds": in_last_ack(runs["left-out"]),
                "plain": in_last_ack(runs["four"]),
            },
        ),
        Claim(
            N_(
                "To the server it looks exactly as if the client had never got the end: in the last two worlds all "
                "{events} events at the server are the same, at the same times. In one recv() at the client has "
                "returned, in the other it waits for ever."
            ),
            lambda runs: (
                same_to_server(runs["left-out"], runs["lost"])
                and not same_to_server(runs["left-out"], runs["four"])
                and not runs["left-out"].program("client").call("recv").waits
                and runs["lost"].program("client").call("recv").waits
            ),
            lambda runs: {"events": len(seen_by_server(runs["left-out"]))},
        ),
    ),
    answer=N_(
        "A FIN says: that was all of my data. Only an acknowledgment tells its sender that all of it has arrived. "
        "Without the last message, a server whose data arrived and one whose data were lost see the same, so it could "
        "never let go in good faith. In C6 no acknowledgment is saved: the server's ACK travels in the same segment as "
        "its FIN. The last ACK has nothing to travel with, for the client has no more to send. That it is not answered "
        "in turn does no harm: if it is lost, the FIN comes again."
    ),
    clauses=("RFC 9293 §3.6", "RFC 9293 §3.10.7.4"),
    tries=(
        Try(
            "C13 --world left-out --set tcp_orphan_retries=8",
            N_("The server tries for as long as Linux does, nearly two minutes."),
        ),
        Try(
            "C13 --world four --lose 7",
            N_("The real protocol with that message lost: the FIN comes again and is answered."),
        ),
    ),
)
