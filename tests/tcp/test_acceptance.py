"""What a synchronised connection accepts and how it answers the rest: windows, PAWS, RFC 5961 (rows B1, B2)."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.tcp.clock import TS_RECENT_LIFE
from synfin.tcp.connection import Connection
from synfin.tcp.parameters import TcpParameters
from synfin.wire.sequence import HALF, MASK
from synfin.wire.tcp import ACK, FIN, PSH, RST, SYN, URG, Options, Segment
from tests.tcp.world import CLIENT, MS, SECOND, World, acknowledging_fins, make_connection, syn, syn_ack

IRS = 500_000


def established(options: Options | None = None, parameters: TcpParameters | None = None, iss: int = 1000) -> Connection:
    """A client in ESTABLISHED, its SYN answered by hand; the window is 64240, its scale 7 if options say so."""
    c = make_connection(CLIENT, parameters, iss)
    c.open(0)
    c.poll_transmit(0, 1500)
    c.segment_arrives(Segment(80, 49152, IRS, iss + 1 & MASK, SYN | ACK, 65535, options or Options(mss=1460)), 0)
    answer = c.poll_transmit(0, 1500)
    assert answer is not None
    assert answer.flags == ACK
    return c


def segment(
    c: Connection, offset: int = 0, flags: int = ACK, payload: bytes = b"", ack: int = 0, **more: int
) -> Segment:
    """A segment `offset` from RCV.NXT that acknowledges SND.UNA + `ack`."""
    return Segment(
        80,
        49152,
        c.rcv_nxt + offset & MASK,
        c.snd_una + ack & MASK,
        flags,
        65535,
        payload=(payload,) if payload else (),
        up=more.get("up", 0),
    )


def is_ack(c: Connection, reply: Segment | None) -> bool:
    """<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>"""
    return (
        reply is not None
        and reply.flags == ACK
        and reply.payload_length == 0
        and (reply.seq, reply.ack) == (c.snd_nxt & MASK, c.rcv_nxt & MASK)
    )


@pytest.mark.row("B2")
def test_table_6_of_the_rfc() -> None:
    c = established()
    window = c.rcv_wnd
    assert window == 64240
    for offset in (-HALF + 10, -70_000, -6, window, window + 5, HALF - 10):
        now = abs(offset) * SECOND
        assert is_ack(c, c.segment_arrives(segment(c, offset, payload=b"abcde"), now)), offset
        assert c.verdict in (reasons.OUTSIDE_WINDOW, reasons.DUPLICATE_DATA)
    assert c.rcv_nxt == IRS + 1
    # The last octet of the window is acceptable, and what hangs over is cut.
    reply = c.segment_arrives(segment(c, window - 1, payload=b"zyx"), 0)
    assert is_ack(c, reply)
    assert c.reassembly.ranges() == [(c.rcv_nxt + window - 1, c.rcv_nxt + window)]


def test_what_a_scaled_window_was_rounded_up_to_is_taken() -> None:
    # RFC 9293 §3.8.6 (SHLD-14): what was offered on the wire is not refused.
    c = established(Options(mss=1460, window_scale=7))
    offered = (64_240 + 1023) // 1024 * 1024
    assert (c.rcv_wnd, c.rcv_wscale) == (offered, 10)
    c.segment_arrives(segment(c, offered - 10, payload=bytes(10)), 0)
    assert c.reassembly.ranges() == [(c.rcv_nxt + offered - 10, c.rcv_nxt + offered)]


@pytest.mark.row("B4")
def test_a_window_that_the_peer_filled_to_the_rounding_lets_its_acknowledgments_in() -> None:
    """The peer's numbers are then beyond what an exact window would end at; were its ACKs refused, both would wait."""
    c = established(Options(mss=1460, window_scale=7))
    c.rcv_buf_locked = True
    c.send(b"x", 0)
    assert c.poll_transmit(0, 1500) is not None
    filled = 0
    while c.rcv_wnd:
        octets = min(c.rcv_wnd, 1460)
        c.segment_arrives(segment(c, payload=bytes(octets)), 0)
        c.poll_transmit(0, 1500)
        filled += octets
    assert filled > 64_240
    assert c.receive_queue.octets == filled
    c.segment_arrives(segment(c, ack=1), 0)
    assert c.snd_una == c.snd_nxt


@pytest.mark.row("B4")
def test_roundings_do_not_add_up() -> None:
    """An octet at a time, the window closes all the same."""
    c = established(Options(mss=1460, window_scale=7))
    c.rcv_buf_locked = True
    for _ in range(c.window_space + 1000):
        c.segment_arrives(segment(c, payload=b"x"), 0)
        c.poll_transmit(0, 1500)
    assert c.rcv_wnd == 0
    assert c.receive_queue.octets < c.window_space + 128


@pytest.mark.row("B2")
def test_what_overlaps_the_left_edge_is_cut() -> None:
    c = established()
    c.segment_arrives(segment(c, payload=b"abcdef"), 0)
    c.segment_arrives(segment(c, -3, payload=b"DEFghi"), 0)
    assert b"".join(map(bytes, c.receive(100, 0))) == b"abcdefghi"
    c.segment_arrives(segment(c, -5, payload=b"efghi"), 0)
    with pytest.raises(BlockingIOError):
        c.receive(100, 0)


@pytest.mark.row("B2")
def test_duplicates_are_dropped_and_acknowledged() -> None:
    c = established()
    first = segment(c, payload=b"once")
    assert c.segment_arrives(first, 0) is None
    assert is_ack(c, c.segment_arrives(first, 0))
    assert c.verdict is reasons.DUPLICATE_DATA
    # Data is answered each time: only what an attacker may send for nothing is limited.
    assert is_ack(c, c.segment_arrives(first, 0))
    assert b"".join(map(bytes, c.receive(100, 0))) == b"once"


def test_d_sack_reports_the_duplicate_first() -> None:
    # RFC 2883 §4
    c = established(Options(mss=1460, sack_permitted=True))
    first = segment(c, payload=b"twice")
    c.segment_arrives(first, 0)
    reply = c.segment_arrives(first, 0)
    assert reply is not None
    assert reply.options.sack == ((IRS + 1, IRS + 6),)
    reply = c.segment_arrives(segment(c, 100, payload=b"x"), 0)
    assert reply is not None
    assert reply.options.sack == ((IRS + 106, IRS + 107),)


@pytest.mark.requirement("MUST-66")
def test_at_a_zero_window_only_what_is_at_rcv_nxt_passes() -> None:
    c = established()
    c.rcv_buf = 0
    c.rcv_adv = c.rcv_limit = c.rcv_nxt
    c.send(b"x", 0)
    assert c.poll_transmit(0, 1500) is not None
    assert is_ack(c, c.segment_arrives(segment(c, 1, ack=1), 0))
    assert c.snd_una == 1001
    assert c.segment_arrives(segment(c, 0, ack=1), SECOND) is None
    assert c.snd_una == 1002
    # Text is not taken, but answered; its ACK counts.
    assert c.segment_arrives(segment(c, 0, payload=b"probe"), SECOND) is None
    assert is_ack(c, c.poll_transmit(SECOND, 1500))
    # A reset passes.
    c.segment_arrives(segment(c, 0, RST), SECOND)
    assert c.status().state == "CLOSED"


# --- RFC 5961


@pytest.mark.row("C12")
@pytest.mark.parametrize("offset", [1, 100, 64_239])
def test_a_reset_in_the_window_is_challenged(offset: int) -> None:
    c = established()
    assert is_ack(c, c.segment_arrives(segment(c, offset, RST), 0))
    assert c.verdict is reasons.RESET_NOT_EXACT
    assert c.status().state == "ESTABLISHED"


@pytest.mark.parametrize("offset", [-1, -1000, 64_240, 70_000])
def test_a_reset_outside_the_window_is_dropped_in_silence(offset: int) -> None:
    c = established()
    assert c.segment_arrives(segment(c, offset, RST), 0) is None
    assert c.poll_transmit(0, 1500) is None
    assert c.status().state == "ESTABLISHED"


def test_a_reset_is_judged_by_its_number_not_by_its_text() -> None:
    # RFC 5961 §3.2
    c = established()
    assert c.segment_arrives(segment(c, -1, RST, b"text in the window"), 0) is None
    assert (c.verdict, c.status().state) == (reasons.OUTSIDE_WINDOW, "ESTABLISHED")
    c.segment_arrives(segment(c, 0, RST, b"why"), 0)
    assert c.status().state == "CLOSED"


@pytest.mark.parametrize("flags", [SYN, SYN | ACK])
@pytest.mark.parametrize("offset", [-1, 0, 1, 100, 70_000])
def test_a_syn_in_a_connection_is_challenged_wherever_it_is(flags: int, offset: int) -> None:
    c = established()
    assert is_ack(c, c.segment_arrives(segment(c, offset, flags), 0))
    assert c.status().state == "ESTABLISHED"


@pytest.mark.requirement("MAY-12")
def test_an_ack_of_what_was_never_sent_is_challenged() -> None:
    c = established()
    assert is_ack(c, c.segment_arrives(segment(c, ack=1, payload=b"data"), 0))
    assert c.verdict is reasons.ACK_NOT_ACCEPTABLE
    with pytest.raises(BlockingIOError):
        c.receive(10, 0)


@pytest.mark.requirement("MAY-12")
def test_an_ack_older_than_the_largest_window_is_challenged() -> None:
    # RFC 5961 §5.2: SND.UNA - MAX.SND.WND
    c = established()
    assert c.max_snd_wnd == 65535
    # As if the connection were long under way: what was never sent is not acknowledged at any distance.
    c.iss -= 1 << 20
    assert c.segment_arrives(segment(c, payload=b"old ack", ack=-65535), 0) is None
    assert b"".join(map(bytes, c.receive(10, 0))) == b"old ack"
    assert is_ack(c, c.segment_arrives(segment(c, payload=b"older ack", ack=-65536), SECOND))
    with pytest.raises(BlockingIOError):
        c.receive(10, 0)


def test_challenges_are_limited() -> None:
    # RFC 5961 §7, as Linux: one in tcp_invalid_ratelimit = 500 ms for each connection.
    c = established()
    c.segment_arrives(segment(c, 5, RST), 0)
    for flags, offset, ack in ((RST, 5, 0), (SYN, 0, 0), (SYN, -1, 0), (ACK, 0, 5), (ACK, -5, 0), (ACK, 0, -70_000)):
        assert c.segment_arrives(segment(c, offset, flags, ack=ack), 500 * MS - 1) is None
    assert is_ack(c, c.segment_arrives(segment(c, 5, RST), 500 * MS))
    c.parameters.tcp_invalid_ratelimit = 0
    assert is_ack(c, c.segment_arrives(segment(c, 5, RST), 500 * MS))


def test_a_segment_without_an_ack_is_dropped() -> None:
    c = established()
    assert c.segment_arrives(segment(c, flags=PSH, payload=b"no ack"), 0) is None
    assert c.segment_arrives(segment(c, flags=FIN), 0) is None
    assert c.segment_arrives(segment(c, flags=0), 0) is None
    assert c.status().state == "ESTABLISHED"
    with pytest.raises(BlockingIOError):
        c.receive(10, 0)


# --- timestamps


def timestamped(c: Connection, ts_val: int, payload: bytes = b"", flags: int = ACK, offset: int = 0) -> Segment:
    made = segment(c, offset, flags, payload)
    made.options = Options(ts_val=ts_val & MASK, ts_ecr=0)
    return made


def with_timestamps(ts_val: int = 1000) -> Connection:
    return established(Options(mss=1460, ts_val=ts_val, ts_ecr=0))


def test_paws_drops_and_answers_what_is_older() -> None:
    # RFC 7323 §5.3, R1
    c = with_timestamps()
    assert c.ts_recent == 1000
    assert is_ack(c, c.segment_arrives(timestamped(c, 999, b"old"), 0))
    assert c.verdict is reasons.OLD_TIMESTAMP
    assert c.segment_arrives(timestamped(c, 1000, b"same"), 0) is None
    assert c.segment_arrives(timestamped(c, 1001, b"new"), 0) is None
    assert b"".join(map(bytes, c.receive(10, 0))) == b"samenew"
    # A reset is not judged by its timestamp (RFC 7323 §5.2).
    c.segment_arrives(timestamped(c, 5, flags=RST), 0)
    assert c.status().state == "CLOSED"


def test_paws_on_the_circle() -> None:
    c = with_timestamps(MASK - 1)
    assert c.segment_arrives(timestamped(c, 3, b"after the wrap"), 0) is None
    assert c.ts_recent == 3
    assert is_ack(c, c.segment_arrives(timestamped(c, MASK, b"before it"), 0))


def test_ts_recent_follows_segments_at_the_last_ack_sent() -> None:
    # RFC 7323 §4.3 (2), §5.3 R3
    c = with_timestamps()
    c.segment_arrives(timestamped(c, 1010, b"ab"), 0)
    assert c.ts_recent == 1010
    # It came after data that we have not acknowledged yet: not taken, so that the echo counts our delay (§4.3).
    c.segment_arrives(timestamped(c, 1020, b"cd"), 0)
    assert c.ts_recent == 1010
    c.ack_now = True
    acknowledgment = c.poll_transmit(0, 1500)
    assert acknowledgment is not None
    assert acknowledgment.options.ts_ecr == 1010
    c.segment_arrives(timestamped(c, 1030, b"far", offset=50), 0)
    assert c.ts_recent == 1010
    c.segment_arrives(timestamped(c, 1040), 0)
    assert c.ts_recent == 1040


def test_after_24_days_ts_recent_says_nothing() -> None:
    # RFC 7323 §5.5
    c = with_timestamps(1000)
    assert is_ack(c, c.segment_arrives(timestamped(c, 1, b"x"), TS_RECENT_LIFE - 1))
    assert c.segment_arrives(timestamped(c, 1, b"x"), TS_RECENT_LIFE) is None
    assert c.ts_recent == 1


def test_every_segment_carries_the_clock_and_the_echo() -> None:
    w = World(start=3_600 * SECOND)
    w.connect()
    w.client.send(b"x")
    w.run_for(SECOND)
    offset = w.client.tcb.ts_offset
    for message in w.messages:
        options = message.segment.options
        if message.sender == "client":
            assert options.ts_val == (message.time // MS + offset) & MASK
    for earlier, later in zip(w.messages, w.messages[1:], strict=False):
        if earlier.sender != later.sender:
            assert later.segment.options.ts_ecr == earlier.segment.options.ts_val


# --- urgent data


@pytest.mark.requirement("MUST-62")
def test_the_urgent_pointer_is_told() -> None:
    from synfin.tcp.readiness import POLLIN, POLLPRI

    c = established()
    # RFC 6093 §5: urgent data stay in the stream.
    c.settings.oob_inline = True
    assert c.segment_arrives(segment(c, flags=ACK | URG, payload=b"ab!d", up=3), 0) is None
    assert c.rcv_up == IRS + 1 + 3
    assert c.wake & POLLPRI
    assert c.readiness() & (POLLPRI | POLLIN) == POLLPRI | POLLIN
    assert b"".join(map(bytes, c.receive(100, 0))) == b"ab"
    assert b"".join(map(bytes, c.receive(100, 0))) == b"!d"
    assert not c.readiness() & POLLPRI


def test_a_fin_ahead_of_missing_data_waits_for_it() -> None:
    c = established()
    assert is_ack(c, c.segment_arrives(segment(c, 3, ACK | FIN), 0))
    assert c.status().state == "ESTABLISHED"
    c.segment_arrives(segment(c, payload=b"abc"), 0)
    assert c.status().state == "CLOSE-WAIT"
    assert c.rcv_nxt == IRS + 1 + 4
    assert b"".join(map(bytes, c.receive(100, 0))) == b"abc"
    assert c.receive(100, 0) == []


def test_nothing_is_taken_after_the_fin() -> None:
    c = established()
    c.segment_arrives(segment(c, 3, ACK | FIN), 0)
    c.segment_arrives(segment(c, payload=b"abcdefgh"), 0)
    assert b"".join(map(bytes, c.receive(100, 0))) == b"abc"
    assert c.status().state == "CLOSE-WAIT"
    c.segment_arrives(segment(c, payload=b"more"), 0)
    assert c.receive(100, 0) == []


def test_text_behind_the_peers_fin_is_ignored_in_silence() -> None:
    # RFC 9293 §3.10.7.4, seventh, CLOSE-WAIT. What the text's segment acknowledges counts all the same.
    c = established(parameters=acknowledging_fins())
    c.segment_arrives(segment(c, flags=ACK | FIN), 0)
    assert c.poll_transmit(0, 1500) is not None
    for offset, flags in ((0, ACK), (100, ACK), (0, ACK | FIN), (-2, ACK)):
        assert c.segment_arrives(segment(c, offset, flags, b"more"), 0) is None
        assert c.verdict is reasons.TEXT_AFTER_FIN
        assert c.poll_transmit(0, 1500) is None
    c.send(b"ours", 0)
    assert c.poll_transmit(0, 1500) is not None
    assert c.segment_arrives(segment(c, payload=b"more", ack=4), 0) is None
    assert (c.verdict, c.snd_una) == (reasons.ACKNOWLEDGES_NEW, c.snd_nxt)


def test_a_fin_before_data_that_is_there_already_is_nonsense() -> None:
    c = established()
    c.segment_arrives(segment(c, 5, payload=b"fghij"), 0)
    c.segment_arrives(segment(c, 7, ACK | FIN), 0)
    c.segment_arrives(segment(c, payload=b"abcde"), 0)
    c.segment_arrives(segment(c, payload=b"klm"), 0)
    c.segment_arrives(segment(c, 0, ACK | FIN), 0)
    assert b"".join(map(bytes, c.receive(100, 0))) in (b"abcdefghijklm", b"abcdefg")
    assert c.receive(100, 0) == []


def test_a_syn_that_is_not_exact_leaves_the_handshake_alone() -> None:
    w = World()
    w.connect()
    assert len(w.times(syn)) == len(w.times(syn_ack)) == 1
    # The first SYN again, late: an ACK, and no harm (RFC 9293 §3.10.7.4, fourth).
    reply = w.inject("server", w.messages[0].segment)
    assert reply is not None
    assert reply.flags == ACK
    assert w.server.state == "ESTABLISHED"
