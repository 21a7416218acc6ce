"""What is counted and timed on each connection, for TCP_INFO (RFC 4898 names most of it)."""

from __future__ import annotations


class Counts:
    """Segments and octets in and out, each segment of a superpacket counted; times in nanoseconds."""

    __slots__ = (
        "busy_since",
        "busy_time",
        "bytes_retrans",
        "bytes_sent",
        "data_segs_in",
        "data_segs_out",
        "delivered",
        "dsack_dups",
        "last_data_received",
        "out_of_order",
        "rto_count",
        "rto_recoveries",
        "rto_since",
        "rto_time",
        "rwnd_since",
        "rwnd_time",
        "segs_in",
        "segs_out",
        "sndbuf_since",
        "sndbuf_time",
        "total_retrans",
    )

    def __init__(self) -> None:
        self.segs_in = 0
        self.segs_out = 0
        self.data_segs_in = 0
        self.data_segs_out = 0
        #: Octets of data sent, retransmissions included; and of these the retransmitted ones.
        self.bytes_sent = 0
        self.bytes_retrans = 0
        self.total_retrans = 0
        #: Segments that the peer acknowledged.
        self.delivered = 0
        #: Segments that the peer reported as duplicates (RFC 2883).
        self.dsack_dups = 0
        #: Segments that arrived ahead of a gap.
        self.out_of_order = 0
        self.last_data_received = 0
        #: With something written that is not acknowledged: since when (-1: not now), and how long before.
        self.busy_since = -1
        self.busy_time = 0
        #: The same for data that the peer's window holds back.
        self.rwnd_since = -1
        self.rwnd_time = 0
        #: The same for a send buffer that is too small for the windows.
        self.sndbuf_since = -1
        self.sndbuf_time = 0
        #: Retransmission time-outs; how often they came to an end; the first of this spell (-1: none), and how long
        #: earlier spells took.
        self.rto_count = 0
        self.rto_recoveries = 0
        self.rto_since = -1
        self.rto_time = 0

    def data_out(self, octets: int, segment_size: int) -> None:
        """A segment with data is sent, or a superpacket if `segment_size` is not 0."""
        count = -(-octets // segment_size) if segment_size else 1
        self.segs_out += count
        self.data_segs_out += count
        self.bytes_sent += octets

    def data_in(self, octets: int, segment_size: int, now: int) -> None:
        """A segment with data arrived, or a superpacket."""
        count = -(-octets // segment_size) if 0 < segment_size < octets else 1
        self.segs_in += count
        self.data_segs_in += count
        self.last_data_received = now

    def sent_again(self, octets: int, segment_size: int) -> None:
        """A range is retransmitted."""
        self.total_retrans += -(-octets // segment_size) if 0 < segment_size < octets else 1
        self.bytes_retrans += octets

    def busy(self, now: int) -> None:
        """There is something to send, or to wait for."""
        if self.busy_since < 0:
            self.busy_since = now

    def idle(self, now: int) -> None:
        """All is acknowledged."""
        if self.busy_since >= 0:
            self.busy_time += now - self.busy_since
            self.busy_since = -1
        self.window_open(now)
        self.buffer_suffices(now)

    def window_closed(self, now: int) -> None:
        """The peer's window holds data back."""
        if self.rwnd_since < 0:
            self.rwnd_since = now

    def window_open(self, now: int) -> None:
        """It does not, or no longer."""
        if self.rwnd_since >= 0:
            self.rwnd_time += now - self.rwnd_since
            self.rwnd_since = -1

    def buffer_limits(self, now: int) -> None:
        """The send buffer holds less than could be sent."""
        if self.sndbuf_since < 0:
            self.sndbuf_since = now

    def buffer_suffices(self, now: int) -> None:
        """It does not, or no longer."""
        if self.sndbuf_since >= 0:
            self.sndbuf_time += now - self.sndbuf_since
            self.sndbuf_since = -1

    def timed_out(self, now: int) -> None:
        """A retransmission time-out."""
        self.rto_count += 1
        if self.rto_since < 0:
            self.rto_since = now

    def recovered(self, now: int) -> None:
        """Something was acknowledged after time-outs."""
        if self.rto_since >= 0:
            self.rto_recoveries += 1
            self.rto_time += now - self.rto_since
            self.rto_since = -1
