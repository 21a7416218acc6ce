"""SYN cookies (RFC 4987 §3.6): a full queue of requests does not turn clients away, and keeps nothing of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.host.parameters import Parameters
from synfin.sim import Network
from synfin.tcp import states
from synfin.tcp.clock import timestamp
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.request import Request
from synfin.tcp.settings import Settings
from synfin.tcp.syn_cookies import LIFE, SIZES_IPV4, TICK, SynCookies, restored, timestamp_with_options
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.sequence import MASK, before
from synfin.wire.tcp import ACK, SYN, Segment
from synfin.wire.tcp_options import Options

FLOW = bytes(range(12))
COOKIES = SynCookies(b"0123456789abcdef")
numbers = st.integers(0, MASK)


def request(irs: int, mss: int, now: int = 0) -> Request:
    made = Request(FLOW, irs, 0, 1460, 0, now)
    made.peer_mss = mss
    return made


@given(numbers, st.integers(0, 65535), st.integers(0, 10**15), st.integers(0, TICK - 1))
def test_a_cookie_remembers_the_largest_size_not_above_the_peers(irs: int, mss: int, now: int, later: int) -> None:
    iss = COOKIES.make(request(irs, mss), now)
    expected = max([size for size in SIZES_IPV4 if size <= mss], default=SIZES_IPV4[0])
    assert COOKIES.check(FLOW, irs, iss, now + later) == expected


@given(numbers, numbers)
def test_other_numbers_are_no_cookies(irs: int, guess: int) -> None:
    # One guess in 2^24 / (4 sizes x 2 minutes) would do, which Hypothesis does not find.
    assert COOKIES.check(FLOW, irs, guess, 10 * TICK) == -1


@given(numbers, st.integers(LIFE, 1 << 20))
def test_a_cookie_dies(irs: int, ticks: int) -> None:
    iss = COOKIES.make(request(irs, 1460), 0)
    # The counter has eight bits in the cookie: beyond these the hash, which has all of it, tells.
    assert COOKIES.check(FLOW, irs, iss, ticks * TICK) == -1


@given(numbers)
def test_a_cookie_belongs_to_its_flow_and_secret(irs: int) -> None:
    iss = COOKIES.make(request(irs, 1460), 0)
    assert COOKIES.check(bytes(12), irs, iss, 0) == -1
    assert SynCookies(b"another secret..").check(FLOW, irs, iss, 0) == -1
    assert COOKIES.check(FLOW, (irs + 1) & MASK, iss, 0) == -1


@given(st.integers(-1, 14), st.booleans(), numbers, st.integers(0, 10**17))
def test_a_timestamp_brings_the_options_back_and_is_never_ahead(shift: int, sack: bool, offset: int, now: int) -> None:
    asked = Request(FLOW, 7, 9, 1460, offset, now)
    asked.peer_wscale = shift
    asked.sack_permitted = sack
    asked.ts_recent = 0
    value = timestamp_with_options(asked, now)
    clock = timestamp(now, offset)
    assert value == clock or before(value, clock)
    assert (clock - value) & MASK < 128
    back = restored(FLOW, 7, 9, 1300, Options(ts_val=1, ts_ecr=value), 1460, offset, now, TcpParameters(), Settings())
    assert (back.peer_wscale, back.sack_permitted, back.peer_mss) == (shift, sack, 1300)


class Flooded:
    """A server with a backlog of 2 whose queue of requests a flood of spoofed SYNs has filled."""

    def __init__(self, syncookies: int) -> None:
        parameters = Parameters()
        parameters.tcp.tcp_syncookies = syncookies
        self.network = Network(3)
        self.client = self.network.host("client")
        self.server = self.network.host("server", parameters)
        self.network.wire(self.client, "10.0.0.1/24", self.server, "10.0.0.2/24", delay=1_000_000)
        self.listener = self.server.listen("10.0.0.2", 80, backlog=2)
        for port in range(50):
            syn = Segment(1000 + port, 80, 5, 0, SYN, 1000)
            self.server_gets(Packet(b"\x0a\0\0\x63", b"\x0a\0\0\x02", PROTOCOL_TCP, syn))

    def server_gets(self, packet: Packet) -> None:
        host = self.server.host
        host.packet_arrives(packet, host.interfaces[1], self.network.now)
        self.server.run()


def test_a_client_gets_through_a_flood_with_all_its_options() -> None:
    world = Flooded(syncookies=1)
    assert len(world.listener.requests) == 3
    connection = world.client.connect("10.0.0.2", 80)
    world.network.run(100_000_000)
    assert connection.state == states.ESTABLISHED
    accepted = world.server.accept(world.listener)
    assert (accepted.timestamps, accepted.sack_permitted) == (True, True)
    assert (accepted.snd_wscale, accepted.rcv_wscale) == (connection.rcv_wscale, connection.snd_wscale)
    assert accepted.peer_mss == 1460
    world.client.send(connection, b"served through a flood")
    world.network.run(200_000_000)
    assert world.server.receive(accepted) == b"served through a flood"
    assert world.server.host.counters["TcpExtSyncookiesSent"] == 48
    assert len(world.listener.requests) == 3


def test_without_cookies_the_client_waits() -> None:
    world = Flooded(syncookies=0)
    connection = world.client.connect("10.0.0.2", 80)
    world.network.run(900_000_000)
    assert connection.state == states.SYN_SENT


def test_a_forged_ack_is_reset_and_makes_no_connection() -> None:
    world = Flooded(syncookies=1)
    ack = Segment(999, 80, 6, 12345, ACK, 1000)
    world.server_gets(Packet(b"\x0a\0\0\x01", b"\x0a\0\0\x02", PROTOCOL_TCP, ack))
    assert world.server.host.counters["TcpOutRsts"] == 1
    with pytest.raises(BlockingIOError):
        world.server.accept(world.listener)
