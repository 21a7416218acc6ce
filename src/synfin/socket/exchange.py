"""What every driver of a host on a link does when it has its turn: reads what came, and sends what there is."""

from __future__ import annotations

from time import monotonic_ns
from typing import Final

from synfin.host.host import Host
from synfin.host.interface import Interface
from synfin.link.link import Frame, Link
from synfin.socket.arrivals import frames_arrive
from synfin.wire.ip import Packet

#: Frames read in one turn, so that a flood of packets leaves the users theirs.
BATCH: Final = 64
#: A deadline may be kept this much early (nanoseconds); coming back a second time costs more.
TIMER_SLACK: Final = 100_000


def receive(host: Host, interface: Interface, link: Link) -> bool:
    """Hands `host` what `link` has, `BATCH` frames at most; whether there may be more. Raises OSError if the link is
    gone, once what was read before is handed over."""
    read = link.receive
    frames: list[Frame] = []
    try:
        for _ in range(BATCH):
            frame = read()
            if frame is None:
                return False
            frames.append(frame)
        return True
    finally:
        frames_arrive(host, interface, frames, monotonic_ns(), not link.aggregates)


def transmit(host: Host, interface: Interface, link: Link, held: Packet | None) -> Packet | None:
    """Sends `held`, which the link could not take before, and then what `host` has to send. Returns what the link
    cannot take now, None if all has left. Raises OSError if the link is gone."""
    send = link.send
    now = monotonic_ns()
    packet = held if held is not None else host.poll_transmit(interface, now)
    while packet is not None and send(packet):
        packet = host.poll_transmit(interface, now)
    return packet
