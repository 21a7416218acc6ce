"""Congestion controls over a long fat path: 50 Mbit/s, 100 ms, a queue of one bandwidth-delay product (row B5)."""

from __future__ import annotations

import pytest

from synfin.events import CongestionChanged, PacketTransmitted
from tests.sim.worlds import MS, SECOND, SERVER, TwoHosts

RATE = 50_000_000
PATH = RATE // 8 // 10
OCTETS = 15_000_000


def transferred(name: str, *faults: str) -> tuple[float, list[CongestionChanged]]:
    """How much of the path a sender used from the end of slow start on, which it found at a full path; and what became
    of its window."""
    world = TwoHosts(rate=RATE, delay=50 * MS, queue=PATH // 1500)
    for node in (world.client, world.server):
        node.host.parameters.set("net.ipv4.tcp_congestion_control", name)
        # It is not to be the peer's window that limits.
        node.host.parameters.set("net.ipv4.tcp_rmem", "4096 6291456 6291456")
    for fault in faults:
        world.network.apply(fault)
    world.server.listen(SERVER, 80)
    connection = world.client.connect(SERVER, 80)
    connection.ssthresh = PATH
    world.at_client.send(connection, bytes(OCTETS))
    world.network.run()
    (accepted,) = world.at_server.accepted
    assert len(world.at_server.received[accepted]) == OCTETS
    changes = [e for e in world.events if isinstance(e, CongestionChanged) and e.host == "client"]
    began = next(e.time for e in changes if e.cwnd >= PATH)
    sent = [e for e in world.events if isinstance(e, PacketTransmitted) and e.host == "client" and e.time >= began]
    return len(sent) * 1500 * 8 * SECOND / RATE / (sent[-1].time - began), changes


@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_a_path_without_loss_is_filled(name: str) -> None:
    used, changes = transferred(name)
    assert used > 0.9
    assert not any(change.reason.name in ("fast-recovery", "retransmission-timeout") for change in changes)


def test_cubic_fills_it_again_soon_after_a_loss() -> None:
    """RFC 9438 §5.2. Of 430 segments Reno keeps half, and would need 215 round trips, 21 s, for the other half; CUBIC
    keeps seven tenths, and is back after K, 7 s, but nearly so long before."""
    cubic, changes = transferred("cubic", "lose 3000th data from client")
    reno, _ = transferred("reno", "lose 3000th data from client")
    assert cubic > 0.8
    assert reno < 0.75
    reasons = [change.reason.name for change in changes]
    assert "retransmission-timeout" not in reasons
    assert "cubic-concave" in reasons[reasons.index("full-acknowledgment") :]
