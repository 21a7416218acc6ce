"""RFC 7323: PAWS, TS.Recent, windows that are scaled; and clocks that tell nobody how long the host has run."""

from __future__ import annotations

import pytest

from synfin.tcp.identity import Identity
from synfin.tcp.isn import InitialSequenceNumbers
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, NO_OPTIONS, RST, SYN, Options
from tests.attacks.attacker import FullPeer, machine
from tests.host.machine import MS, OURS, SECOND, THEIRS, Peer, segment_of

DAY = 24 * 3600 * SECOND


def stamped(peer: FullPeer, change: int) -> Options:
    return Options(ts_val=peer.clock + change & MASK, ts_ecr=peer.echo)


# --- PAWS (§5)


@pytest.mark.parametrize("behind", [1, 1000, 1 << 30, (1 << 31) - 1])
def test_paws_drops_what_is_older_than_ts_recent(behind: int) -> None:
    """§5.3, R1: also exactly what is expected next; the answer says what is expected."""
    m = machine()
    peer = FullPeer(m).opens()
    (answer,) = [segment_of(p) for p in m.gets(peer.forged(payload=b"old", options=stamped(peer, -behind)))]
    assert (answer.flags, answer.ack) == (ACK, peer.seq & MASK)
    assert peer.connection.receive_queue.octets == 0
    assert m.host.counters["TcpExtPAWSEstab"] == 1
    m.gets(peer.forged(payload=b"new", options=stamped(peer, 0)))
    assert peer.connection.receive_queue.octets == 3


def test_a_reset_is_judged_by_its_number_not_by_its_timestamp() -> None:
    """§5.2: an old or missing timestamp saves no connection from its peer's RST."""
    for options in (Options(ts_val=0, ts_ecr=0), NO_OPTIONS):
        m = machine()
        peer = FullPeer(m).opens()
        m.gets(peer.forged(RST, seq=5, options=options))
        assert peer.state == "ESTABLISHED"
        m.gets(peer.forged(RST, options=options))
        assert peer.state == "CLOSED"


@pytest.mark.parametrize(("days", "believed"), [(23.9, False), (24.1, True), (200, True)])
def test_ts_recent_is_forgotten_after_24_days(days: float, believed: bool) -> None:
    """§5.5: on an idle connection a clock of a millisecond wraps its sign bit; what seems old may be new."""
    m = machine()
    peer = FullPeer(m).opens()
    old = peer.clock
    m.now += int(days * DAY)
    m.gets(peer.forged(payload=b"hello", options=Options(ts_val=old - 5 & MASK, ts_ecr=0)))
    assert (peer.connection.receive_queue.octets == 5) == believed
    if believed:
        # And it is TS.Recent from now on.
        assert peer.connection.ts_recent == old - 5 & MASK


def test_ts_recent_follows_what_spans_last_ack_sent_and_nothing_else() -> None:
    """§4.3: neither what is out of order nor what was rejected; else a delayed ACK or a forger would set the echo."""
    m = machine()
    peer = FullPeer(m).opens()
    connection = peer.connection
    first = connection.ts_recent
    m.now += 50 * MS
    m.gets(peer.forged(payload=b"later", seq=10))
    assert connection.ts_recent == first
    # An ACK beyond SND.NXT is no proof of anything.
    m.gets(peer.forged(ack=5, options=stamped(peer, 1 << 30)))
    assert connection.ts_recent == first
    m.gets(peer.forged(payload=b"in order"))
    assert connection.ts_recent == peer.clock
    # RCV.NXT has moved, and our ACK of it is on its way or not: only what covers Last.ACK.sent counts.
    assert connection.last_ack_sent == peer.seq + 8
    before = connection.ts_recent
    m.now += 50 * MS
    m.gets(peer.forged(payload=b"x", seq=9))
    assert connection.ts_recent == before


def test_last_ack_sent_not_rcv_nxt_decides() -> None:
    """§4.3, the delayed ACK of two segments echoes the first of them: the round trip includes our delay."""
    m = machine(tcp_quick_acks=0)
    peer = FullPeer(m).opens()
    stamp = peer.clock
    assert m.gets(peer.forged(payload=bytes(1448))) == []
    m.now += 5 * MS
    (answer,) = [segment_of(p) for p in m.gets(peer.forged(payload=bytes(1448), seq=1448))]
    assert answer.ack == peer.seq + 2896
    assert answer.options.ts_ecr == stamp


@pytest.mark.parametrize("flags", [ACK, ACK | FIN])
@pytest.mark.parametrize(("required", "taken"), [(0, True), (1, False)])
def test_a_segment_without_the_agreed_timestamps(flags: int, required: int, taken: bool) -> None:
    """§3.2: SHOULD be dropped in silence; Linux takes it. A RST is taken either way."""
    m = machine(tcp_timestamps_required=required)
    peer = FullPeer(m).opens()
    answers = m.gets(peer.forged(flags, payload=b"bare", options=NO_OPTIONS))
    assert (peer.connection.receive_queue.octets == 4) == taken
    assert taken or answers == []
    m.gets(peer.forged(RST, seq=0 if not taken else 4 + (flags & FIN), options=NO_OPTIONS))
    assert peer.state == "CLOSED"


def test_timestamps_that_were_not_agreed_on_mean_nothing() -> None:
    m = machine()
    peer = Peer(m).opens()
    assert not peer.connection.timestamps
    packet = peer.packet(ACK, b"data")
    segment_of(packet).options = Options(ts_val=0, ts_ecr=12345)
    answers = [segment_of(answer) for answer in m.gets(packet)]
    assert peer.connection.receive_queue.octets == 4
    assert all(answer.options.ts_val is None for answer in answers)


def test_echoes_of_what_was_never_sent_measure_nothing() -> None:
    """A peer that echoes numbers from the future, or from the distant past, cannot move the RTO."""
    for echo in (1 << 31, 12345, MASK):
        m = machine()
        peer = FullPeer(m).opens()
        connection = peer.connection
        rto = connection.round_trip.rto
        m.host.send(connection, b"x", m.now)
        m.poll()
        m.goes_on(m.now + rto)
        # Sent twice: by Karn's rule only the echo could measure now.
        m.gets(peer.forged(ack=1, options=Options(ts_val=peer.clock, ts_ecr=peer.echo + echo & MASK)))
        assert connection.snd_una == connection.snd_nxt
        assert connection.round_trip.srtt < SECOND


# --- windows (§2)


@pytest.mark.parametrize(("offered", "used"), [(0, 0), (14, 14), (15, 14), (255, 14)])
def test_a_shift_above_14_is_14(offered: int, used: int) -> None:
    m = machine()
    peer = FullPeer(m)
    syn = Options(mss=1460, window_scale=offered, ts_val=peer.clock, ts_ecr=0)
    (answer,) = [segment_of(p) for p in m.gets(peer.forged(SYN, options=syn, wnd=65535))]
    peer.seq, peer.ack = peer.seq + 1, answer.seq + 1
    m.gets(peer.forged(wnd=3))
    connection = peer.connection
    assert connection.snd_wscale == used
    assert connection.snd_wnd == 3 << used
    # The window of the SYN itself was not scaled.
    assert connection.max_snd_wnd < 65535 << 1


def test_what_was_offered_in_any_ack_is_taken() -> None:
    """§2.4: with a shift of 14 a window is a multiple of 16 KiB, and rounding may take some of it back. What would have
    been in the window of any ACK is honoured all the same."""
    m = machine(tcp_rmem=(4096, 1 << 20, (1 << 30)))
    peer = FullPeer(m).opens()
    connection = peer.connection
    assert connection.rcv_wscale == 14
    offered = [peer.seq]
    sent = 0
    while (size := min(1001, max(offered) - peer.seq) if sent else 1001) > 0:
        for answer in m.gets(peer.forged(payload=bytes(size))):
            segment = segment_of(answer)
            offered.append(segment.ack + (segment.wnd << 14))
        peer.seq += size
        sent += size
        assert connection.receive_queue.octets == sent
    # It was taken back at times, and all of it came in.
    assert offered != sorted(offered)
    assert sent > 1 << 18


# --- clocks that give nothing away


def offset_seen(options: str, *, port: int = 40000, address: str = THEIRS, uptime: int = SECOND) -> int:
    """What a client sees of the host's clock in a SYN,ACK, less the host's time in milliseconds."""
    m = machine(tcp_timestamps=options)
    m.now = uptime
    peer = FullPeer(m, port, address)
    syn = Options(mss=1460, ts_val=1, ts_ecr=0)
    (answer,) = [segment_of(p) for p in m.gets(peer.forged(SYN, options=syn))]
    assert answer.options.ts_val is not None
    return (answer.options.ts_val - uptime // MS) & MASK


def test_timestamps_do_not_give_away_the_uptime() -> None:
    """§5.4, §7.1: each four-tuple has a clock of its own; two of them do not tell how far a third has come."""
    seen = {offset_seen("1", port=port) for port in range(40000, 40010)}
    seen |= {offset_seen("1", address=f"192.0.2.{last}") for last in range(10, 20)}
    assert len(seen) == 20
    assert 0 not in seen
    # The same four-tuple keeps its clock, which goes on with time: RFC 6191 needs that.
    assert offset_seen("1") == offset_seen("1", uptime=100 * DAY)
    # tcp_timestamps = 2 is the bare clock.
    assert offset_seen("2") == 0


def test_our_own_syn_has_such_a_clock_too() -> None:
    for value, bare in (("1", False), ("2", True)):
        m = machine(tcp_timestamps=value)
        m.host.connect(THEIRS, 80, m.now)
        (syn,) = [segment_of(packet) for packet in m.poll()]
        assert (syn.options.ts_val == m.now // MS) == bare
        assert syn.options.ts_ecr == 0


def test_the_clock_needs_the_secret() -> None:
    flow = Identity(bytes(4), 80, bytes((1, 2, 3, 4)), 5)
    offsets = {InitialSequenceNumbers(bytes((secret,)) * 16).timestamp_offset(flow) for secret in range(10)}
    assert len(offsets) == 10


def test_a_cookie_shows_no_other_clock() -> None:
    """The side channel of 2026 in SYN cookies: the timestamps of one connection must not tell those of another."""
    m = machine(tcp_syncookies=2)
    clocks = []
    for port in (1, 2):
        peer = FullPeer(m, port)
        (answer,) = [segment_of(p) for p in m.gets(peer.forged(SYN, options=Options(mss=1460, ts_val=1, ts_ecr=0)))]
        assert answer.options.ts_val is not None
        clocks.append(answer.options.ts_val >> 6)
    assert abs(clocks[0] - clocks[1]) > 1
    assert m.host.listen(OURS, 81, 1, m.now) is not None
