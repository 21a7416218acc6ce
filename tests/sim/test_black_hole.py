"""A router that drops what is too big for the next hop, and tells nobody (RFC 4821, RFC 8899)."""

from __future__ import annotations

import errno

import pytest

from synfin.events import PacketLost, TimerExpired
from synfin.host.icmp_errors import RateLimit
from synfin.host.parameters import Parameters
from synfin.sim import Network, Node, Wire
from synfin.wire.ip import Packet
from tests.sim.watching import MILLISECOND, SECOND, Client, Server, Watch

#: What the hop in the middle takes.
NARROW = 1400
MINUTE = 60 * SECOND


class BlackHole:
    """client - r1 - r2 - server; between the routers packets of `NARROW` octets pass. Nobody says so, with `silent`."""

    def __init__(self, version: int, probing: int, silent: bool = True, **parameters: int) -> None:
        self.version = version
        self.watch = Watch()
        self.network = Network(1, self.watch)
        mine = Parameters()
        mine.tcp.tcp_mtu_probing = probing
        for name, value in parameters.items():
            setattr(mine.tcp, name, value)
        self.client = self.network.host("client", mine)
        self.routers = [self.network.router("r1"), self.network.router("r2")]
        self.server = self.network.host("server")
        if silent:
            for router in self.routers:
                router.rate_limit = RateLimit(rate=0, burst=0)
        self.network.wire(*self._ends(self.client, 0, self.routers[0]), delay=MILLISECOND, rate=50_000_000)
        self.middle = self.narrow()
        self.network.wire(*self._ends(self.routers[1], 2, self.server), delay=MILLISECOND)
        self.network.route_all()
        self.program = Server(self.server, address="0.0.0.0" if version == 4 else "::")
        address = "10.0.2.2" if version == 4 else "fd00:2::2"
        self.user = Client(self.network, self.client, address)
        self.network.run(SECOND)

    @staticmethod
    def _ends(left: Node, number: int, right: Node) -> tuple[Node, tuple[str, str], Node, tuple[str, str]]:
        return (
            left,
            (f"10.0.{number}.1/24", f"fd00:{number}::1/64"),
            right,
            (f"10.0.{number}.2/24", f"fd00:{number}::2/64"),
        )

    def narrow(self) -> Wire:
        return self.network.wire(*self._ends(self.routers[0], 1, self.routers[1]), delay=10 * MILLISECOND, mtu=NARROW)

    def transfer(self, octets: int, limit: int = 10 * MINUTE) -> float:
        """Sends so much; seconds until all of it has arrived, or `limit` is over."""
        began = self.network.now
        self.program.received = b""
        data = bytes(range(251)) * (octets // 251 + 1)
        self.user.write(data[:octets])
        self.network.run_while(
            lambda: len(self.program.received) < octets and self.network.now < began + limit and not self.user.errors
        )
        assert self.program.received == data[: len(self.program.received)]
        return (self.network.now - began) / SECOND

    @property
    def headers(self) -> int:
        return 40 if self.version == 4 else 60

    def swallowed(self) -> list[Packet]:
        return [event.packet for event in self.watch.events if isinstance(event, PacketLost) and event.host == "r1"]

    def time_outs(self) -> int:
        """How often the client's retransmission timer expired."""
        expired = [event for event in self.watch.events if isinstance(event, TimerExpired) and event.host == "client"]
        return len([event for event in expired if event.timer == "retransmission"])

    def counted(self, name: str) -> int:
        return self.client.host.counters[name]


@pytest.mark.parametrize("version", [4, 6])
def test_without_probing_nothing_large_ever_arrives(version: int) -> None:
    world = BlackHole(version, 0)
    world.transfer(100_000, 60 * MINUTE)
    assert world.program.received == b""
    # It hangs until R2 is over, which is 15 minutes and more.
    assert [error for _, error in world.user.errors] == [errno.ETIMEDOUT]
    assert world.user.errors[0][0] > 15 * MINUTE
    assert {packet.total_length for packet in world.swallowed()} == {1500}


@pytest.mark.parametrize("version", [4, 6])
def test_a_black_hole_is_found_after_r1(version: int) -> None:
    world = BlackHole(version, 1)
    seconds = world.transfer(2_000_000)
    assert len(world.program.received) == 2_000_000
    # R1 takes 3 s from the first retransmission on: that is the fourth time-out.
    assert 3 < seconds < 8
    assert world.time_outs() == 4
    search = world.user.connection.mtu_search
    assert search is not None
    # From tcp_base_mss on it searches upwards, and finds what passes.
    assert NARROW - 8 <= search.low + world.headers <= NARROW
    assert world.user.connection.mss == search.low - 12


@pytest.mark.parametrize("version", [4, 6])
def test_a_search_from_the_beginning_never_stalls(version: int) -> None:
    # What HyStart++ makes of round trips is another matter.
    world = BlackHole(version, 2, tcp_hystart=0)
    seconds = world.transfer(3_000_000)
    assert len(world.program.received) == 3_000_000
    assert seconds < 1.5
    connection = world.user.connection
    search = connection.mtu_search
    assert search is not None
    assert NARROW - 8 <= search.low + world.headers <= NARROW
    assert search.high - search.low < 8
    assert connection.mss == search.low - 12
    assert world.time_outs() == 0
    # The router swallowed the probes that were too big, and nothing else; each was a single segment.
    swallowed = world.swallowed()
    assert len(swallowed) == world.counted("TcpExtTCPMTUPFail") > 0
    assert world.counted("TcpExtTCPMTUPSuccess") > 0
    sizes = [packet.total_length for packet in swallowed]
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) > NARROW
    # It was no congestion, and ssthresh was never touched.
    assert connection.ssthresh == (1 << 31) - 1


@pytest.mark.parametrize("version", [4, 6])
def test_a_path_without_a_bottleneck_is_found_to_take_all(version: int) -> None:
    world = BlackHole(version, 2)
    world.routers[0].ports[1].mtu = 1500
    world.transfer(3_000_000)
    search = world.user.connection.mtu_search
    assert search is not None
    assert 1500 - 8 < search.low + world.headers <= 1500
    assert world.swallowed() == []
    assert world.counted("TcpExtTCPMTUPFail") == 0
    assert world.counted("TcpRetransSegs") == 0


@pytest.mark.parametrize("version", [4, 6])
def test_a_router_that_speaks_bounds_the_search(version: int) -> None:
    world = BlackHole(version, 2, silent=False)
    world.transfer(3_000_000)
    search = world.user.connection.mtu_search
    assert search is not None
    assert search.high + world.headers == NARROW
    assert NARROW - 8 <= search.low + world.headers <= NARROW
    # The report came before any duplicate acknowledgment, and the probe proved nothing.
    assert len(world.swallowed()) == 1
    assert world.counted("TcpExtTCPMTUPFail") == 0
    assert world.time_outs() == 0


def test_a_smaller_hole_needs_smaller_segments() -> None:
    """MSS 1024 does not pass either: with each time-out it is halved, but never below the floor."""
    world = BlackHole(4, 1, tcp_mtu_probe_floor=200)
    world.routers[0].ports[1].mtu = 300
    world.transfer(50_000)
    assert len(world.program.received) == 50_000
    sizes = [packet.total_length for packet in world.swallowed()]
    # At 200 octets they pass; then probes are swallowed.
    assert list(dict.fromkeys(sizes))[:4] == [1500, 1024 + 52, 512 + 52, 256 + 52]
    assert world.time_outs() == 7
    search = world.user.connection.mtu_search
    assert search is not None
    assert 200 + 12 <= search.low <= 300 - 40


def test_a_search_begins_anew_when_its_time_has_come() -> None:
    world = BlackHole(4, 2, tcp_probe_interval=600)
    world.transfer(3_000_000)
    found = world.user.connection.mss
    world.routers[0].ports[1].mtu = 1500
    world.transfer(1_000_000)
    assert world.user.connection.mss == found
    world.network.run(world.network.now + 600 * SECOND)
    world.transfer(5_000_000)
    assert 1500 - 8 < world.user.connection.mss + 52 <= 1500


def test_every_octet_of_a_probe_is_sent_once_if_it_arrives() -> None:
    world = BlackHole(4, 2)
    world.routers[0].ports[1].mtu = 1500
    world.transfer(1_000_000)
    assert sum(segment.payload_length for segment in world.watch.segments("client")) == 1_000_000
