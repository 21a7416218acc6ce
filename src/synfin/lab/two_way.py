"""A laboratory variant: a server that is established after two messages, as if there were no third.

The stack has no such mode. A server's node gets another output, which at each SYN+ACK hands the host the third message
that it would wait for, forged from the SYN+ACK itself. Neither that segment nor its arrival is in the trace; what
follows from it is, for a reason of its own.
"""

from __future__ import annotations

from synfin import reasons
from synfin.events import Event, SegmentEvent, Sink, StateChanged
from synfin.sim import Network, Node
from synfin.sim.device import Output, Port
from synfin.tcp.identity import Identity
from synfin.tcp.listener import Listener
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, SYN, Segment
from synfin.wire.tcp_options import NO_OPTIONS, timestamp_options

__all__ = ["open_after_two"]

#: The largest window that a SYN can offer.
_LARGEST_WINDOW = 65535


def open_after_two(network: Network, node: Node) -> None:
    """From now on, `node` of `network` takes a connection for established once it has sent its SYN+ACK.

    To be called when its wires are there. A SYN that a cookie answers leaves nothing that could be established.
    """
    for port in node.ports:
        port.output = _TwoWayOutput(network, node, port)


class _TwoWayOutput:
    """The output of a port, which answers each SYN+ACK of `node` itself as soon as that is on the wire."""

    __slots__ = ("_network", "_node", "_output", "_port")

    def __init__(self, network: Network, node: Node, port: Port) -> None:
        self._network = network
        self._node = node
        self._port = port
        self._output: Output = port.output

    def transmit(self, packet: Packet) -> None:
        self._output.transmit(packet)
        segment = packet.payload
        if not isinstance(segment, Segment) or segment.flags & (SYN | ACK) != SYN | ACK:
            return
        transport = self._node.host.transport
        flow = Identity(packet.source, segment.source_port, packet.destination, segment.destination_port).flow
        listener = transport.find_listener(packet.source, segment.source_port, flow)
        if listener is None or flow not in listener.requests:
            return
        # Nor is one by the time that went by.
        listener.requests[flow].sent_at = -1
        forged = Packet(packet.destination, packet.source, PROTOCOL_TCP, _third_message(segment, listener, flow))
        tracer = transport.tracer
        if tracer is None:
            self._node.hand_over(forged, self._port, self._network.now)
            return
        told, tracer.sink = tracer.sink, _Discreet(tracer.sink, forged)
        try:
            self._node.hand_over(forged, self._port, self._network.now)
        finally:
            tracer.sink = told


def _third_message(syn_ack: Segment, listener: Listener, flow: bytes) -> Segment:
    """What the client would answer to `syn_ack`; the window, which only it knows, is the most that a SYN can say."""
    options = NO_OPTIONS
    if syn_ack.options.ts_ecr is not None:
        # An echo of nothing, by which no round trip is measured.
        options = timestamp_options(syn_ack.options.ts_ecr, 0)
    return Segment(
        syn_ack.destination_port,
        syn_ack.source_port,
        syn_ack.ack,
        (syn_ack.seq + 1) & MASK,
        ACK,
        _LARGEST_WINDOW >> max(listener.requests[flow].peer_wscale, 0),
        options,
    )


class _Discreet:
    """A sink that keeps the arrival of `forged` to itself, and says why the state changes."""

    __slots__ = ("_forged", "_sink")

    def __init__(self, sink: Sink, forged: Packet) -> None:
        self._sink = sink
        self._forged = forged

    def __call__(self, event: Event) -> None:
        if isinstance(event, SegmentEvent) and event.packet is self._forged:
            return
        if isinstance(event, StateChanged) and event.new == "ESTABLISHED":
            event.reason = reasons.TWO_WAY_OPEN
        self._sink(event)
