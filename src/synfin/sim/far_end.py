"""The far end of a wire: what it delivers, as a value or read back from its octets."""

from __future__ import annotations

from collections.abc import Callable

from synfin.events import Sink, Tracer
from synfin.sim.device import Port
from synfin.wire.ip import Packet, octets, parse_packet


class FarEnd:
    """Gives what a wire delivers to the device at `port`: the wire's receiver.

    With `through_octets` a packet is encoded and read back, so that nothing passes but what its octets say.
    `tracer` is the wire's for this end; None if nobody listens.
    """

    __slots__ = ("_port", "_through_octets", "tracer")

    def __init__(self, port: Port, sink: Sink | None, through_octets: bool) -> None:
        self._port = port
        self._through_octets = through_octets
        self.tracer: Tracer | None = None
        if sink is not None:
            name = port.device.name
            self.tracer = _ReadingTracer(name, sink) if through_octets else Tracer(name, sink)

    def __call__(self, packet: Packet | bytes, now: int) -> None:
        if self._through_octets and isinstance(packet, Packet):
            # The wire told its tracer of this packet just now, and that one read it.
            tracer = self.tracer
            packet = tracer.take() if isinstance(tracer, _ReadingTracer) else parse_packet(octets(packet))
        self._port.device.arrive(packet, self._port, now)


class _ReadingTracer(Tracer):
    """Reads each packet that is delivered from its octets before it tells of it: events and host share one object."""

    __slots__ = ("_read",)

    def __init__(self, host: str, sink: Callable[..., None]) -> None:
        super().__init__(host, sink)
        self._read: Packet | None = None

    def packet_delivered(self, time: int, number: int, packet: Packet) -> None:
        self._read = parse_packet(octets(packet))
        super().packet_delivered(time, number, self._read)

    def take(self) -> Packet:
        """The packet of which it was told last."""
        read = self._read
        if read is None:
            raise RuntimeError("the wire delivered what it did not tell of")
        self._read = None
        return read
