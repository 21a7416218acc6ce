"""Where each flow's data stands in its stream: octets counted from its initial sequence number."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from synfin.wire.sequence import unwrap
from synfin.wire.tcp import SYN, Segment

if TYPE_CHECKING:
    from synfin.wire.ip import Packet

#: Flows that are remembered; the one unused for longest is forgotten first.
FLOW_LIMIT: Final = 1024


class Streams:
    """The streams of data that pass, each direction of a connection one. Bounded: see FLOW_LIMIT.

    Octets are numbered as sequence numbers relative to the initial one: the first octet of data is 1. Where the SYN
    was not seen, the first octet that was seen is 1.
    """

    __slots__ = ("_edges",)

    def __init__(self) -> None:
        # By flow: the number before the first octet, and the number after the last one seen; both unwrapped.
        self._edges: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def place(self, packet: Packet) -> tuple[int, int, bool]:
        """Notes `packet`. Returns its data's first octet, its last, and whether all of them were seen before.

        Without data the last is before the first.
        """
        segment = packet.payload
        if not isinstance(segment, Segment):
            return 0, -1, False
        flow = packet.flow
        edges = self._edges
        length = segment.payload_length
        if segment.flags & SYN:
            initial = segment.seq
            known = edges.get(flow)
            # A SYN sent again begins nothing new.
            if known is None or known[0] & 0xFFFFFFFF != initial:
                edges[flow] = (initial, initial + 1)
            seq = initial + 1
        else:
            seq = segment.seq
        initial, end = edges.get(flow, (seq - 1, seq))
        first = unwrap(seq, end)
        last = first + length
        edges[flow] = (initial, max(end, last))
        edges.move_to_end(flow)
        if len(edges) > FLOW_LIMIT:
            edges.popitem(last=False)
        return first - initial, last - initial - 1, last <= end and length > 0
