"""The table of connections, in the manner of ss(8)."""

from __future__ import annotations

import pytest

from synfin.wire.tcp import ACK, PSH, SYN
from tests.host.machine import OURS, OURS_6, STATES, THEIRS, THEIRS_6, Machine, Peer, peer_in


@pytest.mark.parametrize("state", STATES)
def test_a_row_for_every_state(state: str) -> None:
    m = Machine()
    listener = m.host.listen("0.0.0.0", 80, 7, m.now)
    peer = peer_in(m, state, 1000)
    listening, row = m.host.connections()
    assert (listening.state, listening.local, listening.remote) == ("LISTEN", "0.0.0.0:80", "*:*")
    assert (listening.receive_queue, listening.send_queue) == (len(listener.accept_queue), 7)
    assert row.state == state
    assert (row.local, row.remote) == (f"{OURS}:{peer.to_port}", f"{THEIRS}:1000")
    assert row.receive_queue == 0
    assert repr(row) == f"<{state} 0 {row.send_queue} {row.local} {row.remote}>"


def test_the_queues() -> None:
    m = Machine()
    m.host.listen(OURS, 80, 7, m.now)
    peer = Peer(m).opens()
    peer.says(PSH | ACK, b"unread")
    m.host.send(peer.connection, b"unacknowledged", m.now)
    m.poll()
    row = m.host.connections()[1]
    assert (row.receive_queue, row.send_queue) == (6, 14)
    assert m.host.connections()[0].receive_queue == 1


def test_the_order() -> None:
    """Listeners with their requests, then connections, then TIME-WAITs, each by age."""
    m = Machine()
    m.host.listen(OURS, 80, 20, m.now)
    for port, state in enumerate(("TIME-WAIT", "SYN-RECEIVED", "ESTABLISHED", "SYN-RECEIVED", "CLOSE-WAIT"), 1):
        peer_in(m, state, port)
    m.host.listen(OURS, 81, 1, m.now)
    rows = [(row.state, row.remote_port) for row in m.host.connections()]
    assert rows == [
        ("LISTEN", 0),
        ("SYN-RECEIVED", 2),
        ("SYN-RECEIVED", 4),
        ("LISTEN", 0),
        ("ESTABLISHED", 3),
        ("CLOSE-WAIT", 5),
        ("TIME-WAIT", 1),
    ]


def test_ipv6() -> None:
    m = Machine()
    m.host.listen("::", 80, 1, m.now)
    Peer(m, 1000, 80, THEIRS_6, OURS_6).says(SYN)
    listening, row = m.host.connections()
    assert listening.local == "[::]:80"
    assert (row.local, row.remote) == (f"[{OURS_6}]:80", f"[{THEIRS_6}]:1000")
