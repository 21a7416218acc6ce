"""Urgent data (RFC 9293 §3.8.5)."""

from __future__ import annotations

import pytest

from synfin.tcp.readiness import POLLPRI
from synfin.wire.tcp import ACK, URG
from tests.conformance.under import every_profile, opened, world
from tests.tcp.test_acceptance import segment
from tests.tcp.world import SECOND, by_client, data


@pytest.mark.requirement("MUST-30")
@every_profile
def test_urgent_data_from_end_to_end(profile: str) -> None:
    """One end says that it is urgent, the other hears of it before it has read what comes first."""
    w = world(profile)
    w.connect()
    w.client.send(b"slowly ")
    w.client.tcb.send_urgent(b"now!", w.now)
    w.run_for(SECOND)
    w.server.tcb.settings.oob_inline = True
    assert w.server.tcb.readiness() & POLLPRI
    assert w.server.tcb.urgent_remaining() == 11
    # A read stops in front of the mark, the last urgent octet.
    assert w.server.receive() == b"slowly now"
    assert w.server.tcb.at_mark()
    assert w.server.receive() == b"!"
    assert not w.server.tcb.at_mark()


@pytest.mark.requirement("MUST-31")
@pytest.mark.parametrize("octets", [1, 2, 65_535, 65_536, 300_000])
@every_profile
def test_urgent_data_of_any_length(profile: str, octets: int) -> None:
    """Also where the 16 bits of the pointer do not reach its end: they point as far as they can, and each segment
    up to the end is urgent."""
    w = world(profile)
    w.connect()
    w.client.tcb.snd_buf = 1 << 20
    w.server.reading = True
    w.server.tcb.settings.oob_inline = True
    assert w.client.tcb.send_urgent(bytes(octets), w.now) == octets
    w.client.send(bytes(5000))
    end = w.client.tcb.snd_una + octets
    w.run_for(20 * SECOND)
    assert len(w.server.received) == octets + 5000
    for message in filter(by_client(data), w.messages):
        sent = message.segment
        if sent.seq < end & 0xFFFFFFFF:
            assert sent.flags & URG
            assert sent.up == min(end - sent.seq, 0xFFFF)
        else:
            assert not sent.flags & URG


@pytest.mark.requirement("MUST-62")
@pytest.mark.parametrize("octets", [1, 2, 100])
@every_profile
def test_the_pointer_is_that_of_the_octet_after_the_urgent_data(profile: str, octets: int) -> None:
    w = world(profile)
    w.connect()
    w.client.tcb.send_urgent(bytes(octets), w.now)
    w.run_for(SECOND)
    (sent,) = (m.segment for m in w.messages if by_client(data)(m))
    assert sent.flags & URG
    assert sent.up == sent.payload_length == octets


@pytest.mark.requirement("MUST-32")
@every_profile
def test_the_application_is_told_when_urgent_data_begin_and_advance(profile: str) -> None:
    c = opened(profile)

    def told(**what: int) -> bool:
        c.wake = 0
        c.segment_arrives(segment(c, 0, ACK | URG, up=what["up"]), 0)
        return bool(c.wake & POLLPRI)

    assert told(up=10)
    assert not told(up=10), "nothing new"
    assert not told(up=5), "it does not go back"
    assert told(up=11)
    c.segment_arrives(segment(c, 0, payload=bytes(20)), 0)
    c.receive(100, 0)
    c.receive(100, 0)
    assert told(up=3), "it was all read; now there is more"


@pytest.mark.requirement("MUST-33")
@every_profile
def test_the_application_learns_how_much_is_left(profile: str) -> None:
    c = opened(profile)
    c.settings.oob_inline = True
    assert c.urgent_remaining() == 0
    c.segment_arrives(segment(c, 0, ACK | URG, up=100), 0)
    assert c.urgent_remaining() == 100, "all of it, though nothing has arrived"
    c.segment_arrives(segment(c, 0, payload=bytes(60)), 0)
    c.receive(50, 0)
    assert c.urgent_remaining() == 50
    c.segment_arrives(segment(c, 0, payload=bytes(60)), 0)
    c.receive(49, 0)
    assert (c.urgent_remaining(), c.at_mark()) == (1, True)
    c.receive(100, 0)
    assert (c.urgent_remaining(), c.at_mark()) == (0, False)
