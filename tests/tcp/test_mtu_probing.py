"""Probing the path's MTU (RFC 4821): one sender whose peer is a script."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.tcp import path, states, timers
from synfin.tcp.connection import Connection
from synfin.tcp.mtu_probing import MtuSearch
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.settings import PMTUDISC_DONT
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, SYN, Options, Segment
from tests.tcp.world import CLIENT, MS, SECOND, make_connection

BASE = 1024
PEER_ISS = 5000
WRITTEN = bytes(range(256)) * 400


class Sender:
    """A connection without timestamps that writes more than it may send; the test is its peer and its network."""

    def __init__(self, probing: int = 2, **parameters: int) -> None:
        values = TcpParameters()
        values.tcp_mtu_probing = probing
        values.tcp_timestamps = 0
        for name, value in parameters.items():
            setattr(values, name, value)
        self.now = 0
        self.window = 65000
        self.tcb: Connection = make_connection(CLIENT, values)
        self.tcb.snd_buf = 1 << 20
        self.tcb.open(0)
        assert self.tcb.poll_transmit(0, 1500) is not None
        self.now = 10 * MS
        self._arrive(SYN | ACK, 1001, Options(mss=1460), PEER_ISS)
        assert self.tcb.state == states.ESTABLISHED
        self.poll()

    def _arrive(self, flags: int, ack: int, options: Options | None = None, seq: int = PEER_ISS + 1) -> None:
        identity = self.tcb.identity
        segment = Segment(
            identity.remote_port, identity.local_port, seq, wrap(ack), flags, self.window, options or Options()
        )
        self.tcb.segment_arrives(segment, self.now)

    def poll(self) -> list[Segment]:
        sent = []
        while (segment := self.tcb.poll_transmit(self.now, 65535)) is not None:
            sent.append(segment)
        return sent

    def ack(self, number: int) -> list[Segment]:
        """The peer acknowledges up to `number`; what follows at once."""
        self.now += 10 * MS
        self._arrive(ACK, number)
        return self.poll()

    def write(self) -> list[Segment]:
        assert self.tcb.send(WRITTEN, self.now) == len(WRITTEN)
        return self.poll()

    @property
    def search(self) -> MtuSearch:
        search = self.tcb.mtu_search
        assert search is not None
        return search

    def until_probe(self) -> Segment:
        """Writes, acknowledges until a probe is in flight, and returns it."""
        sent = self.write()
        for _ in range(20):
            for segment in sent:
                if segment.payload_length > self.tcb.mss and not segment.segment_size:
                    return segment
            sent = self.ack(self.tcb.snd_una + self.tcb.mss)
        raise AssertionError("no probe")

    def before(self, probe: Segment) -> None:
        """All that was sent before the probe is acknowledged."""
        self.ack(probe.seq)

    def duplicates(self, count: int) -> list[Segment]:
        sent = []
        for _ in range(count):
            sent += self.ack(self.tcb.snd_una)
        return sent


def test_a_search_begins_at_the_base() -> None:
    sender = Sender()
    assert (sender.search.low, sender.search.high) == (BASE, 1460)
    assert sender.tcb.mss == BASE
    assert sender.tcb.cwnd == 10 * BASE
    assert Sender(probing=1).tcb.mtu_search is None
    assert Sender(probing=0).tcb.mss == 1460


def test_a_probe_is_one_segment_of_views() -> None:
    sender = Sender()
    probe = sender.until_probe()
    assert probe.payload_length == (BASE + 1460) // 2 == sender.search.probe_size
    assert sender.tcb.cwnd >= 11 * BASE
    start = probe.seq - 1001
    assert probe.payload_bytes() == WRITTEN[start : start + probe.payload_length]
    assert all(isinstance(piece, memoryview) and piece.obj is WRITTEN for piece in probe.payload)
    # No other while it is in flight, and full segments follow it.
    following = sender.ack(sender.tcb.snd_una + BASE)
    assert following
    assert max(segment.segment_size or segment.payload_length for segment in following) == BASE


def test_the_window_must_hold_eleven_segments() -> None:
    sender = Sender()
    sent = sender.write()
    # The initial window is ten of them.
    assert sum(segment.payload_length for segment in sent) == 10 * BASE
    assert sender.search.probe_size == 0


def test_a_probe_needs_data_behind_it() -> None:
    sender = Sender()
    sender.tcb.send(bytes(10 * BASE + 1242 + 4 * BASE - 1), sender.now)
    sender.poll()
    sender.tcb.cwnd = 100 * BASE
    while sender.tcb.snd_una < sender.tcb.send_buffer.end:
        sender.ack(min(sender.tcb.snd_una + BASE, sender.tcb.snd_nxt))
        assert sender.search.probe_size == 0


def test_what_arrived_raises_the_mss() -> None:
    sender = Sender()
    probe = sender.until_probe()
    end = probe.seq + probe.payload_length
    sender.ack(end - 1)
    assert sender.tcb.mss == BASE
    sender.ack(end)
    assert sender.tcb.mss == probe.payload_length == sender.search.low
    assert sender.tcb.verdict is reasons.MTU_PROBE_ARRIVED
    assert sender.tcb.happened == (reasons.MTU_PROBE_ARRIVED,)


def test_what_was_lost_lowers_the_bound_and_is_no_congestion() -> None:
    sender = Sender()
    probe = sender.until_probe()
    sender.before(probe)
    cwnd, ssthresh = sender.tcb.cwnd, sender.tcb.ssthresh
    sent = sender.duplicates(2)
    assert sender.search.probe_size
    sent = sender.duplicates(1)
    assert sender.tcb.verdict is reasons.MTU_PROBE_LOST
    assert sender.search.high == probe.payload_length - 1
    assert sender.tcb.mss == BASE
    # Its octets go again at once, in segments that pass.
    assert [sent[0].seq, sent[0].segment_size, sent[0].payload_length] == [probe.seq, BASE, probe.payload_length]
    # Those behind it go on to be acknowledged in duplicate: that lets new data go, and is still no congestion.
    sent = sender.duplicates(6)
    assert sum(segment.payload_length for segment in sent) == 6 * BASE
    assert not sender.tcb.recovery.window_falls()
    assert (sender.tcb.cwnd, sender.tcb.ssthresh) == (cwnd, ssthresh)
    sender.ack(probe.seq + probe.payload_length + 6 * BASE)
    # Slow start goes on from where it was. The nine duplicates have told of the rest already.
    assert sender.tcb.cwnd == cwnd + BASE
    assert sender.tcb.happened == (reasons.MTU_PROBE_LOST,)


def test_a_loss_before_the_probe_is_congestion() -> None:
    sender = Sender()
    probe = sender.until_probe()
    assert sender.tcb.snd_una < probe.seq
    sent = sender.duplicates(3)
    assert sender.tcb.recovery.in_recovery()
    assert sender.search.high == 1460
    assert sent[-1].seq == wrap(sender.tcb.snd_una)
    # It tells nothing about the probe, even if all of it is acknowledged now.
    sender.ack(probe.seq + probe.payload_length)
    assert (sender.search.low, sender.search.high) == (BASE, 1460)


def test_a_loss_behind_the_probe_is_congestion() -> None:
    sender = Sender()
    probe = sender.until_probe()
    sender.duplicates(0)
    sender.ack(probe.seq + probe.payload_length)
    sender.duplicates(3)
    assert sender.tcb.recovery.in_recovery()
    assert sender.search.low == probe.payload_length


def test_a_time_out_proves_nothing() -> None:
    sender = Sender()
    probe = sender.until_probe()
    sender.before(probe)
    sender.now = sender.tcb.timers.deadlines[timers.RETRANSMISSION]
    sender.tcb.deadline_reached(sender.now)
    sender.poll()
    assert (sender.search.low, sender.search.high) == (BASE, 1460)
    sender.ack(probe.seq + probe.payload_length)
    assert sender.tcb.mss == BASE


def test_a_time_out_ends_the_mending_of_a_lost_probe() -> None:
    sender = Sender()
    probe = sender.until_probe()
    sender.before(probe)
    sender.duplicates(5)
    sender.now = sender.tcb.timers.deadlines[timers.RETRANSMISSION]
    sender.tcb.deadline_reached(sender.now)
    assert sender.tcb.cwnd == BASE
    sender.poll()
    sender.ack(sender.tcb.snd_una + BASE)
    assert sender.tcb.cwnd == 2 * BASE


def test_duplicates_after_a_time_out_open_no_window() -> None:
    sender = Sender()
    probe = sender.until_probe()
    sender.before(probe)
    sender.duplicates(5)
    sender.now = sender.tcb.timers.deadlines[timers.RETRANSMISSION]
    sender.tcb.deadline_reached(sender.now)
    sender.poll()
    sender.duplicates(5)
    assert sender.tcb.cwnd == BASE


def test_no_probe_is_sent_while_a_loss_is_mended() -> None:
    sender = Sender()
    sender.write()
    sender.tcb.cwnd = 10 * BASE
    sender.duplicates(3)
    assert sender.tcb.recovery.in_recovery()
    # However large the window is.
    sender.tcb.cwnd = 30 * BASE
    sent = sender.poll()
    assert sum(segment.payload_length for segment in sent) > 15 * BASE
    assert sender.search.probe_size == 0


def test_a_peer_with_a_small_window_is_not_probed_nor_kept_waiting() -> None:
    """Four segments fit, and a probe with those behind it does not: all of the window is used."""
    sender = Sender()
    sender.tcb.cwnd = 100 * BASE
    sender.window = 4 * BASE
    sender.ack(sender.tcb.snd_una)
    sender.write()
    for _ in range(5):
        assert sender.tcb.snd_nxt - sender.tcb.snd_una == 4 * BASE
        sender.ack(sender.tcb.snd_una + BASE)
    assert sender.search.probe_size == 0


def test_a_report_bounds_the_search() -> None:
    sender = Sender()
    probe = sender.until_probe()
    assert path.packet_too_big(sender.tcb, probe.seq, 1160, sender.now)
    assert (sender.search.high, sender.search.probe_size) == (1160, 0)
    again = sender.poll()
    assert again[0].seq == probe.seq
    assert again[0].segment_size == BASE
    # One that is larger than the search's lower bound leaves the MSS where it is, a smaller one does not.
    assert sender.tcb.mss == BASE
    assert path.packet_too_big(sender.tcb, wrap(sender.tcb.snd_una), 900, sender.now)
    assert sender.tcb.mss == 900


def test_a_path_that_takes_more_is_searched_when_the_interval_is_over() -> None:
    """An old report is no longer believed: the search keeps its bounds until it begins anew."""
    sender = Sender(tcp_probe_interval=600)
    probe = sender.until_probe()
    assert path.packet_too_big(sender.tcb, probe.seq, 1030, sender.now)
    sender.poll()
    sender.ack(sender.tcb.snd_nxt)
    path.path_changed(sender.tcb, 1460)
    assert sender.search.high == 1030
    sender.ack(sender.tcb.snd_una + BASE)
    assert sender.search.high == 1030
    sender.now += 600 * SECOND
    sender.ack(sender.tcb.snd_una + BASE)
    assert sender.search.high == 1460
    sender.until_probe()
    # A route that takes less bounds it at once.
    path.path_changed(sender.tcb, 1100)
    assert (sender.search.high, sender.search.probe_size) == (1100, 0)


@pytest.mark.parametrize(("floor", "sizes"), [(48, [1460, BASE, 512, 256, 128, 64, 48]), (300, [1460, BASE, 512, 300])])
def test_time_outs_halve_the_mss_down_to_the_floor(floor: int, sizes: list[int]) -> None:
    sender = Sender(probing=1, tcp_mtu_probe_floor=floor)
    sender.write()
    seen: list[int] = []
    for _ in range(12):
        sender.now = sender.tcb.timers.deadlines[timers.RETRANSMISSION]
        sender.tcb.deadline_reached(sender.now)
        again = sender.poll()
        assert again[0].payload_length == sender.tcb.mss
        assert (sender.tcb.why_lost is reasons.BLACK_HOLE) == (sender.tcb.mss < (seen or [1460])[-1])
        seen.append(sender.tcb.mss)
    assert seen[:2] == [1460, 1460]
    assert list(dict.fromkeys(seen)) == sizes


def test_without_probing_time_outs_change_nothing() -> None:
    sender = Sender(probing=0)
    sender.write()
    while sender.now < 20 * SECOND:
        sender.now = sender.tcb.timers.deadlines[timers.RETRANSMISSION]
        sender.tcb.deadline_reached(sender.now)
        sender.poll()
    assert sender.tcb.mss == 1460
    assert sender.tcb.mtu_search is None


def test_a_user_who_lets_packets_be_fragmented_is_not_probed_for() -> None:
    sender = Sender()
    sender.tcb.settings.mtu_discover = PMTUDISC_DONT
    with pytest.raises(AssertionError, match="no probe"):
        sender.until_probe()
