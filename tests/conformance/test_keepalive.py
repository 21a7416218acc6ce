"""Keep-alive (RFC 9293 §3.8.4), beside tests/tcp/test_keepalive.py."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.events import SegmentSent
from synfin.host import profiles
from synfin.wire.tcp import Segment
from tests.conformance.under import every_profile, tcp_of
from tests.tcp.test_keepalive import HOUR, SECOND, World


@pytest.mark.requirement("MUST-24")
@every_profile
def test_it_is_switched_for_each_connection(profile: str) -> None:
    world = World(profiles.parameters(profile))
    other = world.client.connect("10.0.0.2", 80)
    world.network.run(2 * SECOND)
    world.switch(world.client, other)
    assert (other.keepalive is None, world.connection.keepalive is None) == (False, True)
    world.network.run(3 * HOUR)
    assert world.probes() == [7200 + 2]
    world.client.host.set_keepalive(other, False, world.network.now)
    world.network.run(20 * HOUR)
    assert world.probes() == [7200 + 2]


@pytest.mark.requirement("MUST-27")
@every_profile
def test_the_interval_is_a_parameter_and_a_setting_of_the_connection(profile: str) -> None:
    world = World(profiles.parameters(profile))
    world.client.host.parameters.tcp.tcp_keepalive_time = 100
    world.switch(world.client, world.connection)
    world.network.run(250 * SECOND)
    assert world.probes() == [101, 201]
    world.connection.settings.keepalive_time = 600
    world.network.run(1000 * SECOND)
    assert world.probes() == [101, 201, 801]


@pytest.mark.requirement("MUST-28")
@every_profile
def test_the_default_is_two_hours_at_least(profile: str) -> None:
    assert tcp_of(profile).tcp_keepalive_time >= 2 * 3600
    world = World(profiles.parameters(profile))
    world.switch(world.client, world.connection)
    world.network.run(2 * HOUR)
    assert world.probes() == []


@pytest.mark.requirement("SHLD-12", "MAY-5")
@every_profile
def test_a_probe_carries_no_data(profile: str) -> None:
    world = World(profiles.parameters(profile))
    world.switch(world.client, world.connection)
    world.network.run(3 * HOUR)
    probes = [
        e.packet.payload for e in world.events if isinstance(e, SegmentSent) and e.reason is reasons.KEEP_ALIVE_PROBE
    ]
    (probe,) = probes
    assert isinstance(probe, Segment)
    assert probe.payload_length == 0
    assert probe.seq == (world.connection.snd_nxt - 1) & 0xFFFFFFFF


@pytest.mark.requirement("MUST-26")
@every_profile
def test_no_probe_while_data_are_outstanding(profile: str) -> None:
    world = World(profiles.parameters(profile))
    world.client.host.parameters.tcp.tcp_keepalive_time = 10
    world.switch(world.client, world.connection)
    world.kill_server()
    world.client.send(world.connection, b"x")
    world.network.run(90 * SECOND)
    assert world.probes() == []
    assert world.connection.status().state == "ESTABLISHED"
