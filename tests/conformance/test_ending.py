"""How connections end (RFC 9293 §3.5.3, §3.6.1)."""

from __future__ import annotations

import pytest

from synfin.wire.tcp import RST
from tests.conformance.under import every_profile, machine, opened, world
from tests.host.machine import OURS, STATES, peer_in
from tests.tcp.test_acceptance import segment
from tests.tcp.world import SECOND, by_server, fin, rst


@pytest.mark.requirement("SHLD-2")
@pytest.mark.parametrize("octets", [1, 100, 1460])
@every_profile
def test_a_reset_may_carry_data(profile: str, octets: int) -> None:
    c = opened(profile)
    assert c.segment_arrives(segment(c, 0, RST, payload=b"!" * octets), 0) is None
    assert c.status().state == "CLOSED"
    with pytest.raises(ConnectionResetError):
        c.receive(2000, 0)


@pytest.mark.requirement("SHLD-2")
@pytest.mark.parametrize("state", [state for state in STATES if state != "SYN-SENT"])
@every_profile
def test_a_reset_with_data_ends_every_state(profile: str, state: str) -> None:
    m = machine(profile)
    m.host.listen(OURS, 80, 5, m.now)
    peer = peer_in(m, state, 1000)
    assert peer.says(RST, b"because") == []
    survives = state == "TIME-WAIT" and m.host.parameters.tcp.tcp_rfc1337
    assert m.states() == (["LISTEN", "TIME-WAIT"] if survives else ["LISTEN"])


@pytest.mark.requirement("MUST-12")
@pytest.mark.parametrize("reset", [False, True])
@every_profile
def test_the_application_learns_whether_the_peer_closed_or_aborted(profile: str, reset: bool) -> None:
    w = world(profile)
    w.connect()
    w.server.send(b"last words")
    w.run_for(SECOND)
    if reset:
        w.server.abort()
    else:
        w.server.close()
    w.run_for(SECOND)
    assert any(map(by_server(rst if reset else fin), w.messages))
    assert w.client.receive() == b"last words"
    if reset:
        with pytest.raises(ConnectionResetError):
            w.client.receive()
    else:
        assert w.client.receive() == b""


@pytest.mark.requirement("MAY-1")
@every_profile
def test_a_half_duplex_close_reads_no_more(profile: str) -> None:
    """`release` is close(2): nobody can read afterwards, and data that come then are answered with a reset."""
    w = world(profile)
    w.connect()
    w.client.release()
    w.run_for(SECOND)
    assert w.states() == ("FIN-WAIT-2", "CLOSE-WAIT")
    w.server.send(b"too late")
    w.run_for(SECOND)
    assert w.client.state == w.server.state == "CLOSED"
    assert w.client.tcb.bytes_received == 0
    with pytest.raises(BrokenPipeError):
        w.server.send(b"more")
