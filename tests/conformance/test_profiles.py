"""What the table says of profiles: the deviations are what can be seen, and the rest holds under each of them."""

from __future__ import annotations

import pytest

from synfin.host import profiles
from synfin.host.profiles import PROFILES
from synfin.tcp.parameters import SECOND
from synfin.tcp.round_trip import time_for_retransmissions
from synfin.wire import icmp
from synfin.wire.sequence import MASK, before
from synfin.wire.tcp import ACK, SYN, Options, Segment
from tests.conformance.under import deviates, every_profile, tcp_of
from tests.host.machine import THEIRS, Machine
from tests.host.test_paths import World as ReportingWorld
from tests.tcp.world import CLIENT, MS, World, bare_ack, by_client, data, make_connection


@pytest.mark.requirement("MUST-23")
@every_profile
def test_how_long_a_syn_is_sent_again(profile: str) -> None:
    """R2 of a SYN: three minutes at least, or the profile says that it is less."""
    m = Machine(profiles.parameters(profile))
    start = m.now
    connection = m.host.connect(THEIRS, 80, m.now)
    m.poll()
    m.goes_on(3 * 60 * SECOND + start - 1)
    assert (connection.status().state == "SYN-SENT") == (not deviates(profile, "MUST-23"))
    m.goes_on(1000 * SECOND)
    assert connection.status().state == "CLOSED"


@pytest.mark.requirement("SHLD-11")
@every_profile
def test_r2_is_100_seconds_at_least(profile: str) -> None:
    parameters = tcp_of(profile)
    w = World(client=parameters, server=tcp_of(profile))
    w.connect()
    w.lose(lambda message: True, count=1 << 30)
    w.client.send(b"x")
    w.run_for(100 * SECOND)
    assert w.client.state == "ESTABLISHED"
    w.run_for(3000 * SECOND)
    assert w.client.state == "CLOSED"
    least = parameters.tcp_rto_min_us * 1000
    assert time_for_retransmissions(parameters.tcp_retries2, least, parameters) >= 100 * SECOND


@pytest.mark.requirement("MUST-36", "MUST-37")
@every_profile
def test_a_closed_window_is_probed_for_as_long_as_the_peer_answers(profile: str) -> None:
    server = tcp_of(profile)
    server.tcp_rmem = (20_000, 20_000, 20_000)
    w = World(client=tcp_of(profile), server=server)
    w.connect()
    w.client.write(bytes(100_000))
    w.run_for(20_000 * SECOND)
    assert w.states() == ("ESTABLISHED", "ESTABLISHED")
    assert w.client.tcb.snd_wnd == 0
    probes = [message for message in w.messages if message.sender == "client" and message.time > 100 * SECOND]
    assert len(probes) > 100
    w.server.reading = True
    w.run_for(400 * SECOND)
    assert len(w.server.received) == 100_000


@pytest.mark.requirement("SHLD-29", "SHLD-30")
@every_profile
def test_the_first_probe_after_the_rto_then_each_twice_as_late(profile: str) -> None:
    c = make_connection(CLIENT, tcp_of(profile))
    c.open(0)
    c.poll_transmit(0, 1500)
    c.segment_arrives(Segment(80, 49152, 7, c.iss + 1, SYN | ACK, 0, Options(mss=1460)), 100 * MS)
    assert c.poll_transmit(100 * MS, 1500) is not None
    c.send(bytes(5000), 100 * MS)
    assert c.poll_transmit(100 * MS, 1500) is None
    rto = c.round_trip.rto
    last = 100 * MS
    gaps: list[int] = []
    while len(gaps) < 6:
        now = c.next_deadline()
        c.deadline_reached(now)
        if c.poll_transmit(now, 1500) is not None:
            gaps.append(now - last)
            last = now
            c.segment_arrives(Segment(80, 49152, 8, c.snd_una, ACK, 0), now + MS)
    assert gaps[0] == rto
    # BSD adds the same slop to each.
    slop = c.parameters.tcp_rto_slop * MS
    assert [gap - slop for gap in gaps[1:]] == pytest.approx([(gap - slop) * 2 for gap in gaps[:-1]], rel=0.05)


@pytest.mark.requirement("SHLD-7")
@every_profile
def test_a_small_segment_waits(profile: str) -> None:
    w = World(client=tcp_of(profile), server=tcp_of(profile))
    w.connect()
    for _ in range(5):
        w.client.send(b"x")
        w.flush()
    w.run_for(SECOND)
    assert [m.segment.payload_length for m in w.messages if by_client(data)(m)] == [1, 4]


@pytest.mark.requirement("MUST-40", "SHLD-18")
@every_profile
def test_an_acknowledgment_is_delayed_but_not_by_half_a_second(profile: str) -> None:
    w = World(client=tcp_of(profile), server=tcp_of(profile))
    w.connect()
    w.server.reading = True
    for _ in range(60):
        w.client.send(bytes(100))
        w.run_for(150 * MS)
    w.run_for(SECOND)
    acks = [m for m in w.messages if m.sender == "server" and bare_ack(m)]
    delays = []
    for sent in filter(by_client(data), w.messages):
        end = sent.segment.seq + sent.segment.length & MASK
        first = next(ack for ack in acks if not before(ack.segment.ack, end))
        delays.append(first.time - sent.arrived_at)
    assert max(delays) < 500 * MS
    assert delays[-1] >= 40 * MS


@pytest.mark.requirement("MUST-13")
@every_profile
def test_time_wait_lasts_two_msl(profile: str) -> None:
    """RFC 9293 §3.4.2 calls two minutes of MSL an engineering choice; hosts take 30 s."""
    parameters = tcp_of(profile)
    assert parameters.tcp_timewait_len >= 2 * (120 if profile == "rfc" else 30)
    w = World(client=parameters, server=tcp_of(profile))
    w.connect()
    w.client.close()
    w.server.closes_at_end = w.server.reading = True
    w.client.reading = True
    while w.client.state != "TIME-WAIT":
        w.message()
    entered = w.now
    w.run()
    assert w.client.state == "CLOSED"
    assert w.now - entered == parameters.tcp_timewait_len * SECOND


@pytest.mark.requirement("MUST-56", "SHLD-26")
@every_profile
@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("code", range(6))
def test_what_icmp_errors_do(profile: str, connected: bool, code: int) -> None:
    """Unreachable codes 0, 1 and 5 abort nothing; 2 to 4 abort, but for 4 where the path's MTU is searched for
    (RFC 1191). Both hold also while connecting, or the profile says that they do not."""
    world = ReportingWorld(connected)
    parameters = world.client.host.parameters
    chosen = profiles.parameters(profile)
    for name in ("synfin.tcp_icmp_ends_connecting", "synfin.tcp_icmp_hard_aborts"):
        parameters.set(name, str(chosen.get(name)))
    if connected:
        world.data_in_flight()
    world.reports(icmp.DESTINATION_UNREACHABLE, code, world.connection.snd_una, 1400 if code == 4 else 0)
    aborted = world.connection.status().state == "CLOSED"
    if code == 4:
        assert not aborted
    elif code in (2, 3) and not deviates(profile, "SHLD-26"):
        assert aborted
    else:
        assert aborted == (not connected and deviates(profile, "MUST-56"))


def test_nothing_is_a_deviation_twice() -> None:
    for profile in PROFILES.values():
        names = [deviation.requirement for deviation in profile.deviations]
        assert len(set(names)) == len(names)
        assert all(deviation.reason for deviation in profile.deviations)
