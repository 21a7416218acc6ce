"""RFC 5961: who cannot see a connection can neither end it nor put anything into it."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.wire.ip import Packet
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, NO_OPTIONS, RST, SYN, Options, Segment
from tests.attacks.attacker import FullPeer, length, machine
from tests.host.machine import MS, OURS, THEIRS, Machine, Peer, peer_in, segment_of, tcp

SYNCHRONISED = ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK")


def challenged(m: Machine, peer: Peer, packet: Packet) -> bool:
    """Whether the answer is <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>, and the connection is as it was."""
    before = peer.state
    answers = [segment_of(answer) for answer in m.gets(packet)]
    assert peer.state == before
    if not answers:
        return False
    (answer,) = answers
    connection = peer.connection
    return (answer.flags, answer.seq, answer.ack) == (ACK, connection.snd_nxt & MASK, connection.rcv_nxt & MASK)


@pytest.mark.parametrize("state", SYNCHRONISED)
@pytest.mark.parametrize("flags", [RST, RST | ACK])
@pytest.mark.parametrize("offset", [1, 100, 60_000])
def test_a_reset_in_the_window_but_not_exact_is_challenged(state: str, flags: int, offset: int) -> None:
    """§3.2: only the peer can answer the challenge with the exact number."""
    m = machine()
    peer = peer_in(m, state, 5000)
    number = peer.connection.rcv_nxt
    packet = tcp(THEIRS, 5000, OURS, peer.to_port, seq=number + offset, ack=peer.ack, flags=flags)
    assert challenged(m, peer, packet)
    # What the real peer says to the challenge, if it knows of no connection, is believed.
    assert m.gets(tcp(THEIRS, 5000, OURS, peer.to_port, seq=number, flags=RST)) == []
    assert peer.state == "CLOSED"


@pytest.mark.parametrize("state", SYNCHRONISED)
@pytest.mark.parametrize("offset", [-2, -1000, 70_000, 1 << 31])
def test_a_reset_outside_of_the_window_is_dropped(state: str, offset: int) -> None:
    m = machine()
    peer = peer_in(m, state, 5000)
    packet = tcp(THEIRS, 5000, OURS, peer.to_port, seq=peer.connection.rcv_nxt + offset, flags=RST)
    assert m.gets(packet) == []
    assert peer.state == state


@pytest.mark.parametrize(("exact", "ends"), [(0, True), (1, False)])
def test_a_reset_at_the_edge_of_what_waits_out_of_order(exact: int, ends: bool) -> None:
    """As Linux has it: a peer whose segment was lost resets from where it is, and we know where from its SACKs."""
    for offset, expected in ((30, ends), (20, False), (31, False), (10, False)):
        m = machine(tcp_rst_exact=exact)
        peer = FullPeer(m).opens()
        for start in (20, 10):
            peer.sends(payload=bytes(10), seq=start)
        assert peer.connection.reassembly.end == peer.seq + 30
        peer.sends(RST, seq=offset)
        assert (peer.state == "CLOSED") == expected, offset


@pytest.mark.parametrize(("exact", "ends"), [(0, True), (1, False)])
@pytest.mark.parametrize("state", ["CLOSE-WAIT", "CLOSING", "LAST-ACK"])
def test_a_reset_with_the_number_of_the_fin(state: str, exact: int, ends: bool) -> None:
    """As Linux has it: after the peer's FIN. Before it, the number before RCV.NXT is outside of the window."""
    m = machine(tcp_rst_exact=exact)
    peer = peer_in(m, state, 5000)
    assert m.gets(tcp(THEIRS, 5000, OURS, 80, seq=peer.connection.rcv_nxt - 1, flags=RST)) == []
    assert (peer.state == "CLOSED") == ends
    other = peer_in(m, "ESTABLISHED", 5001)
    assert m.gets(tcp(THEIRS, 5001, OURS, 80, seq=other.connection.rcv_nxt - 1, flags=RST)) == []
    assert other.state == "ESTABLISHED"


@pytest.mark.parametrize("state", SYNCHRONISED)
@pytest.mark.parametrize("offset", [-100, 0, 1, 100, 70_000])
@pytest.mark.parametrize("flags", [SYN, SYN | ACK, SYN | FIN])
def test_a_syn_is_challenged_wherever_it_is(state: str, flags: int, offset: int) -> None:
    """§4.2."""
    m = machine()
    peer = peer_in(m, state, 5000)
    number = peer.connection.rcv_nxt + offset
    assert challenged(m, peer, tcp(THEIRS, 5000, OURS, 80, seq=number, ack=peer.ack, flags=flags))


@pytest.mark.parametrize(("offset", "taken"), [(1, False), (0, True), (-8000, True), (-9000, False), (1 << 31, False)])
def test_data_with_an_ack_that_nobody_could_send(offset: int, taken: bool) -> None:
    """§5.2: SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.NXT."""
    m = machine()
    peer = Peer(m).opens()
    connection = peer.connection
    for _ in range(3):
        m.host.send(connection, bytes(6000), m.now)
        peer.saw([segment_of(packet) for packet in m.poll()])
        while connection.snd_una < connection.send_buffer.end:
            peer.says(ACK)
    assert connection.max_snd_wnd == 8192
    packet = tcp(THEIRS, 40000, OURS, 80, _data(peer, offset))
    m.now += 1000 * MS
    answered = challenged(m, peer, packet)
    assert connection.receive_queue.octets == (4 if taken else 0)
    assert answered == (not taken) or taken


def _data(peer: Peer, ack: int) -> Segment:
    segment = segment_of(peer.packet(ACK, b"data"))
    segment.ack = peer.connection.snd_una + ack & MASK
    return segment


def test_data_with_an_ack_of_what_was_never_sent() -> None:
    """As Linux adds to §5.2: at the beginning of a connection the largest window reaches before its first number."""
    m = machine()
    peer = Peer(m).opens()
    assert peer.connection.snd_una - peer.connection.max_snd_wnd < peer.connection.iss
    m.gets(tcp(THEIRS, 40000, OURS, 80, _data(peer, -2)))
    assert peer.connection.receive_queue.octets == 0
    m.gets(tcp(THEIRS, 40000, OURS, 80, _data(peer, -1)))
    assert peer.connection.receive_queue.octets == 4


NONSENSE = {
    "RST": (RST, 5, b""),
    "SYN": (SYN, 0, b""),
    "old SYN": (SYN, -5, b""),
    "old ACK": (ACK, -1, b""),
    "beyond": (ACK, 100_000, b""),
}


@pytest.mark.parametrize("limit", [500, 20])
def test_challenges_are_limited_for_each_connection(limit: int) -> None:
    """§7, with Linux's tcp_invalid_ratelimit: one answer in so many milliseconds, whatever was asked."""
    m = machine(tcp_invalid_ratelimit=limit)
    peer = FullPeer(m).opens()
    answers = 0
    for number in range(4 * limit):
        flags, seq, payload = list(NONSENSE.values())[number % len(NONSENSE)]
        answers += len(peer.sends(flags, payload, seq=seq))
        m.now += MS
    assert answers == 4


def test_no_limit_where_none_is_wanted() -> None:
    m = machine(tcp_invalid_ratelimit=0)
    peer = FullPeer(m).opens()
    assert sum(len(peer.sends(*NONSENSE["RST"][:1], seq=5)) for _ in range(50)) == 50


def test_data_from_one_who_forgot_the_timestamps_are_answered_like_other_nonsense() -> None:
    """The forger of 41 octets must not make us send 52 to somebody else as often as he likes."""
    m = machine()
    peer = FullPeer(m).opens()
    forged = peer.forged(ACK, b"x", seq=-50, options=NO_OPTIONS)
    answers = [answer for _ in range(100) for answer in m.gets(forged)]
    assert len(answers) == 1
    assert sum(map(length, answers)) < 100 * length(forged)
    # The peer's own old data are answered each time: it may have missed the first answer.
    m.now += 1000 * MS
    assert [len(peer.sends(ACK, b"x", seq=-50)) for _ in range(3)] == [1, 1, 1]


def test_cve_2016_5696_the_limit_of_one_connection_says_nothing_of_another() -> None:
    """The attacker of 2016 counted how many challenges it got on a connection of its own, whose limit was the host's,
    and so learned whether forged segments had hit somebody else's. Here both histories are the same, octet for octet.
    """

    def seen(forged: int) -> list[tuple[int, bytes]]:
        m = machine()
        victim = FullPeer(m, 5000, "192.0.2.3").opens()
        own = FullPeer(m, 6000).opens()
        trace = []
        for number in range(1000):
            # The blind guess, at one of the three things that were asked in 2016.
            if forged == 1:
                m.gets(victim.forged(RST, seq=number + 1))
            elif forged == 2:
                m.gets(victim.forged(SYN, seq=number))
            elif forged == 3:
                m.gets(victim.forged(ACK, b"x", seq=0, ack=100_000 + number))
            for answer in own.sends(RST, seq=7):
                trace.append((m.now, answer.seq.to_bytes(4, "big") + answer.ack.to_bytes(4, "big")))
            m.now += MS
        assert victim.state == own.state == "ESTABLISHED"
        return trace

    quiet = seen(0)
    assert len(quiet) == 2
    assert all(seen(forged) == quiet for forged in (1, 2, 3))


def test_the_answer_to_a_challenge_ends_a_half_open_connection() -> None:
    """§4.1, RFC 9293 §3.5.1: a peer that restarted sends a SYN, is challenged, and answers the challenge with RST."""
    m = machine()
    peer = FullPeer(m).opens()
    again = FullPeer(m, seq=99_999)
    syn = Options(mss=1460, ts_val=again.clock, ts_ecr=0)
    (challenge,) = [segment_of(answer) for answer in m.gets(again.forged(SYN, options=syn))]
    assert challenge.flags == ACK
    # In SYN-SENT an unacceptable ACK is answered with <SEQ=SEG.ACK><CTL=RST>.
    m.gets(tcp(THEIRS, 40000, OURS, 80, seq=challenge.ack, flags=RST))
    assert peer.state == "CLOSED"
    m.now += 1000 * MS
    again.opens()


def test_verdicts_name_what_was_wrong() -> None:
    m = machine()
    peer = FullPeer(m).opens()
    for (flags, seq, payload), verdict in (
        ((RST, 5, b""), reasons.RESET_NOT_EXACT),
        ((SYN, 0, b""), reasons.SYN_IN_CONNECTION),
        ((ACK, -1, b""), reasons.OUTSIDE_WINDOW),
    ):
        peer.sends(flags, payload, seq=seq)
        assert peer.connection.verdict is verdict
