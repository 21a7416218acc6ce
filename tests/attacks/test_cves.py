"""What kernels were attacked with, by the names under which it is known. Each test would have caught it."""

from __future__ import annotations

import sys
from random import Random
from types import FrameType
from typing import Any

import pytest

from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, SYN, Options
from tests.attacks.attacker import FullPeer, machine
from tests.host.machine import MS, Machine, segment_of


class Steps:
    """Counts the lines of Python that are executed: what something costs, whatever else the machine does."""

    def __init__(self) -> None:
        self.lines = 0

    def __enter__(self) -> Steps:
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.lines += 1
        return self._trace


def opened(m: Machine, mss: int) -> FullPeer:
    """A peer that announces this MSS."""
    peer = FullPeer(m)
    syn = Options(mss=mss, sack_permitted=True, window_scale=7, ts_val=peer.clock, ts_ecr=0)
    (answer,) = [segment_of(p) for p in m.gets(peer.forged(SYN, options=syn))]
    peer.seq, peer.ack = peer.seq + 1, answer.seq + 1
    peer.echo = answer.options.ts_val or 0
    m.gets(peer.forged(wnd=65535))
    return peer


# --- selective acknowledgments


@pytest.mark.parametrize("mss", [0, 1, 47, 48, 536])
def test_cve_2019_11477_sack_panic(mss: int) -> None:
    """A tiny MSS, superpackets, and SACKs of every octet but one: counters of segments overflowed 16 bits."""
    m = machine()
    m.eth.room = 65535
    random = Random(mss)
    peer = opened(m, mss)
    connection = peer.connection
    m.host.send(connection, bytes(1 << 20), m.now)
    una = connection.snd_una
    for number in range(2000):
        start = random.randrange(1 << 16)
        blocks = tuple(
            (una + start + step * 20 & MASK, una + start + step * 20 + random.choice((1, 17, 19)) & MASK)
            for step in range(3)
        )
        m.gets(peer.forged(wnd=65535, options=Options(ts_val=peer.clock, ts_ecr=peer.echo, sack=blocks)))
        if number % 50 == 0:
            m.now += 300 * MS
            m.host.deadline_reached(m.now)
            m.poll()
    assert peer.state == "ESTABLISHED"
    entries = connection.sent.entries()
    assert (entries[0].start, entries[-1].end) == (connection.snd_una, connection.snd_nxt)
    assert sum(entry.end - entry.start for entry in entries) == connection.snd_nxt - connection.snd_una


def test_cve_2019_11478_sack_slowness() -> None:
    """SACKs cut the record of what was sent into ever more pieces, and each walked through all of them."""
    m = machine()
    m.eth.room = 65535
    peer = opened(m, 536)
    connection = peer.connection
    connection.cwnd = 1 << 20
    connection.snd_buf = 1 << 21
    m.host.send(connection, bytes(1 << 20), m.now)
    m.poll()
    una, flight = connection.snd_una, connection.snd_nxt - connection.snd_una
    assert flight > 50_000
    random = Random(1)
    costs = []
    for number in range(3000):
        at = random.randrange(flight)
        block = ((una + at & MASK, una + at + 1 & MASK),)
        packet = peer.forged(wnd=65535, options=Options(ts_val=peer.clock, ts_ecr=peer.echo, sack=block))
        if number % 100:
            m.host.packet_arrives(packet, m.eth, m.now)
            continue
        with Steps() as steps:
            m.host.packet_arrives(packet, m.eth, m.now)
        costs.append(steps.lines)
    assert len(connection.sent) <= 2 * (flight // connection.mss + 1)
    assert max(costs[-5:]) <= 2 * max(costs[:5])


@pytest.mark.parametrize("mss", [0, 1, 8, 47])
def test_cve_2019_11479_tiny_segments(mss: int) -> None:
    """A peer that announces an MSS of next to nothing multiplies our packets: tcp_min_snd_mss is the floor."""
    m = machine()
    peer = opened(m, mss)
    assert peer.connection.mss == 48 - 12
    m.host.send(peer.connection, bytes(48 * 5), m.now)
    assert all(segment_of(packet).payload_length == 36 for packet in m.poll()[:-1])
    other = machine(tcp_min_snd_mss=500)
    assert opened(other, mss).connection.mss == 488


# --- data out of order


def test_cve_2018_5390_segmentsmack() -> None:
    """Tiny segments far out of order, each of which searched and pruned the whole queue: no segment may cost more for
    what waits already."""
    m = machine()
    peer = FullPeer(m).opens()
    connection = peer.connection
    random = Random(1)
    offsets = list(range(2, 64_000, 2))
    random.shuffle(offsets)
    costs = []
    for number, offset in enumerate(offsets[:6000]):
        packet = peer.forged(payload=b"x", seq=offset)
        if number % 100:
            m.host.packet_arrives(packet, m.eth, m.now)
        else:
            with Steps() as steps:
                m.host.packet_arrives(packet, m.eth, m.now)
            costs.append(steps.lines)
        m.poll()
        assert connection.reassembly.charge <= connection.rcv_buf
    assert len(connection.reassembly) > 100
    assert sum(costs[-20:]) <= 2 * sum(costs[:20])


@pytest.mark.parametrize("order", ["backwards", "from both ends", "every second, then the rest"])
def test_cve_2018_5390_the_gap_is_filled_in_bounded_time(order: str) -> None:
    """What waits is joined without being walked through once for each segment."""
    m = machine()
    peer = FullPeer(m).opens()
    offsets = list(range(1, 401))
    if order == "backwards":
        offsets.reverse()
    elif order == "from both ends":
        offsets = [offset for pair in zip(offsets[:200], reversed(offsets[200:]), strict=True) for offset in pair]
    else:
        offsets = offsets[::2] + offsets[1::2]
    with Steps() as steps:
        for offset in offsets:
            m.host.packet_arrives(peer.forged(payload=b"x", seq=offset), m.eth, m.now)
            m.poll()
    each = steps.lines / len(offsets)
    with Steps() as steps:
        m.host.packet_arrives(peer.forged(payload=b"x"), m.eth, m.now)
    assert peer.connection.receive_queue.octets == 401
    assert steps.lines < 20 * each


# --- acknowledgments that claim too much, or come too often


def growing(m: Machine, step: int, rounds: int, ssthresh: int = 0) -> tuple[int, int]:
    """The congestion window of a sender whose peer acknowledges `step` octets at a time, and the octets so
    acknowledged, in so many round trips."""
    peer = opened(m, 1460)
    connection = peer.connection
    if ssthresh:
        connection.ssthresh = ssthresh
    begun = connection.snd_una
    for _ in range(rounds):
        try:
            while True:
                m.host.send(connection, bytes(1 << 16), m.now)
        except BlockingIOError:
            pass
        m.poll()
        m.now += 10 * MS
        goal = connection.snd_nxt
        while connection.snd_una < goal:
            ack = min(step, goal - connection.snd_una)
            m.host.packet_arrives(peer.forged(wnd=65535, ack=ack), m.eth, m.now)
            peer.ack += ack
            peer.echo = peer.clock - peer.offset
    return connection.cwnd, connection.snd_una - begun


@pytest.mark.parametrize("ssthresh", [0, 15_000])
@pytest.mark.parametrize("step", [1, 100, 724])
def test_ack_division_gains_nothing(step: int, ssthresh: int) -> None:
    """RFC 3465, RFC 5681 §3.1: octets count, not acknowledgments; in slow start and in congestion avoidance."""
    whole, octets = growing(machine(), 1448, 4, ssthresh)
    divided, same = growing(machine(), step, 4, ssthresh)
    assert divided <= whole
    assert same <= octets
    assert divided <= 10 * 1448 + same


def test_optimistic_acks_beyond_what_was_sent_are_ignored() -> None:
    """An ACK of what is not sent yet is no faster network: SND.UNA, the windows and the round trip stay."""
    m = machine()
    peer = opened(m, 1460)
    connection = peer.connection
    m.host.send(connection, bytes(16_000), m.now)
    m.poll()
    before = (connection.snd_una, connection.cwnd, connection.snd_wnd, connection.delivered, connection.round_trip.srtt)
    flight = connection.snd_nxt - connection.snd_una
    answers = 0
    for beyond in (1, 1448, 100_000, 1 << 30):
        answers += len(m.gets(peer.forged(ack=flight + beyond, wnd=60_000)))
    assert answers == 1
    after = (connection.snd_una, connection.cwnd, connection.snd_wnd, connection.delivered, connection.round_trip.srtt)
    assert after == before


def test_duplicate_ack_spoofing_gains_nothing() -> None:
    """RFC 5681 §5: cwnd should not be inflated more often than there were segments in flight."""
    m = machine()
    peer = opened(m, 1460)
    connection = peer.connection
    m.host.send(connection, bytes(16_000), m.now)
    m.poll()
    for _ in range(1000):
        m.gets(peer.forged(wnd=65535))
    assert connection.cwnd <= 2 * 10 * 1448


def test_fin_and_data_beyond_a_forged_window_update() -> None:
    """A window update with an old number does not shut the window of the sender (RFC 9293 §3.10.7.4)."""
    m = machine()
    peer = opened(m, 1460)
    connection = peer.connection
    peer.sends(payload=bytes(100))
    peer.seq += 100
    before = connection.snd_wnd
    m.gets(peer.forged(ACK, payload=bytes(10), seq=-50, wnd=0))
    assert connection.snd_wnd == before
