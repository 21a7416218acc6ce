"""What a trace says is in flight: what the sender believes to be in the network."""

from __future__ import annotations

import pytest

from synfin.events import CongestionChanged
from synfin.sim import Network, Program, Steps, World, start

SIZE = 1_000_000


def scenario(network: Network) -> None:
    def server(program: Program) -> Steps[None]:
        sock = yield from program.listening(7).accept()
        yield from sock.receive_all()

    def client(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", 7)
        yield from sock.sendall(bytes(SIZE))

    one, other = network.host("client"), network.host("server")
    network.wire(one, "10.0.0.1/24", other, "10.0.0.2/24", delay=20_000_000, rate=50_000_000)
    start(network, other, server)
    start(network, one, client)


@pytest.mark.parametrize("recovery", ["sack", "rack", "newreno"])
def test_what_was_sacked_or_lost_is_not_in_flight(recovery: str) -> None:
    """In recovery the window falls with the flight; all from SND.UNA to SND.NXT would stand far above both."""
    lost = [f"lose new data {first}-{first + 1459}" for first in range(200_001, 260_000, 2920)]
    world = World(scenario, 0, lost, settings={"synfin.tcp_loss_recovery": recovery})
    changes = [event for event in world.events if isinstance(event, CongestionChanged)]
    in_recovery = [event for event in changes if event.reason.name == "rate-reduction"]
    assert len(in_recovery) > 10
    for event in in_recovery:
        assert event.flight <= event.cwnd + 2 * 1460
    # Nor is it ever more than what the wire could hold and the queue with it.
    assert max(event.flight for event in changes) > 100_000
