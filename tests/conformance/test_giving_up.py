"""R1 and R2 (RFC 9293 §3.8.3), soft errors (§3.9.1.8), PUSH (§3.9.1.2)."""

from __future__ import annotations

from errno import EHOSTUNREACH, ETIMEDOUT

import pytest

from synfin.host import profiles
from synfin.tcp.readiness import POLLERR
from synfin.wire import icmp
from synfin.wire.tcp import PSH
from tests.conformance.under import every_profile, world
from tests.host.test_paths import World as ReportingWorld
from tests.tcp.world import MS, SECOND, World, by_client, data, everything, without_probes


def silent(profile: str, delay: int = 10 * MS, probes: bool = True) -> World:
    """A connection whose peer answers no more, and an octet on its way."""
    w = world(profile, delay)
    if not probes:
        without_probes(w.client.parameters)
    w.connect()
    w.lose(everything, count=1 << 30)
    w.client.send(b"x")
    w.flush()
    return w


@pytest.mark.requirement("MUST-20", "SHLD-9", "SHLD-10")
@pytest.mark.parametrize("delay", [10 * MS, 3 * SECOND])
@every_profile
def test_at_r1_the_network_layer_and_the_application_hear_of_it_at_r2_it_ends(profile: str, delay: int) -> None:
    w = silent(profile, delay)
    tcb = w.client.tcb
    tcb.path_in_doubt = False  # What a SYN that went out twice left there.
    while not tcb.path_in_doubt:
        assert (tcb.soft_error, tcb.status().soft_error) == (0, 0)
        w.step()
        w.flush()
    # R1: three retransmissions at least.
    assert tcb.retransmissions >= 3
    assert tcb.status().soft_error == ETIMEDOUT
    assert tcb.wake & POLLERR
    assert w.client.state == "ESTABLISHED"
    w.run()
    assert w.client.state == "CLOSED"
    with pytest.raises(TimeoutError):
        w.client.receive()


@pytest.mark.requirement("MUST-21")
@pytest.mark.parametrize("seconds", [5, 60, 3000])
@every_profile
def test_r2_can_be_set_for_one_connection(profile: str, seconds: int) -> None:
    # It runs from the first time-out, which a tail-loss probe would put off by another RTO.
    w = silent(profile, probes=False)
    w.client.tcb.settings.user_timeout = seconds * 1000
    w.run_for(seconds * SECOND - SECOND)
    assert w.client.state == "ESTABLISHED"
    w.run_for(2 * SECOND)
    assert w.client.state == "CLOSED"
    with pytest.raises(TimeoutError):
        w.client.receive()


@pytest.mark.requirement("MUST-22")
@every_profile
def test_a_syn_is_treated_alike(profile: str) -> None:
    w = world(profile)
    w.lose(everything, count=1 << 30)
    w.client.open()
    w.client.tcb.settings.user_timeout = 20_000
    w.run_for(19 * SECOND)
    assert w.client.state == "SYN-SENT"
    assert w.client.tcb.path_in_doubt
    w.run_for(2 * SECOND)
    assert w.client.state == "CLOSED"
    with pytest.raises(TimeoutError):
        w.client.receive()


@pytest.mark.requirement("MUST-47", "SHLD-20", "SHLD-25")
@pytest.mark.parametrize("wanted", [False, True])
@every_profile
def test_soft_errors_are_told_to_those_who_want_them(profile: str, wanted: bool) -> None:
    world = ReportingWorld(True, profiles.parameters(profile))
    connection = world.data_in_flight()
    connection.settings.report_errors = wanted
    world.reports(icmp.DESTINATION_UNREACHABLE, icmp.HOST_UNREACHABLE, connection.snd_una)
    assert bool(connection.readiness() & POLLERR) == wanted
    assert connection.status().state == "ESTABLISHED"
    if not wanted:
        world.client.send(connection, b"x")
        return
    with pytest.raises(OSError, match="No route to host") as raised:
        world.client.send(connection, b"x")
    assert raised.value.errno == EHOSTUNREACH
    assert world.client.send(connection, b"x") == 1, "told once, and the connection goes on"


@pytest.mark.requirement("MAY-15", "MAY-16")
@every_profile
def test_data_that_are_not_pushed_wait_for_more(profile: str) -> None:
    w = world(profile)
    w.connect()
    w.client.tcb.send(b"not ", w.now, more=True)
    w.run_for(10 * MS)
    assert not any(map(by_client(data), w.messages))
    w.client.tcb.send(b"pushed", w.now)
    w.run_for(10 * MS)
    (sent,) = (m.segment for m in w.messages if by_client(data)(m))
    assert sent.payload_bytes() == b"not pushed"
    assert sent.flags & PSH
