"""Buffers that tune themselves: default settings fill a long fat path, and a quiet connection stays small."""

from __future__ import annotations

import pytest

from synfin.host.parameters import Parameters
from synfin.sim import Network
from synfin.sim.node import Node
from synfin.tcp import changing
from synfin.tcp.connection import Connection
from synfin.tcp.info import tcp_info
from synfin.tcp.listener import Listener

MS = 1_000_000
SECOND = 1_000_000_000
GIGABIT = 10**9
CHUNK = bytes(1 << 18)


class Flow:
    """A sender that always has more, and a receiver that reads at once, over a rated wire."""

    def __init__(self, delay: int, rate: int, left: int = 1 << 60, parameters: Parameters | None = None) -> None:
        self.network = Network(3)
        self.sender: Node = self.network.host("sender", parameters)
        self.receiver: Node = self.network.host("receiver", parameters)
        ends = ("10.0.0.1/24", self.receiver, "10.0.0.2/24")
        self.network.wire(self.sender, *ends, delay=delay, rate=rate, queue=1 << 20)
        self.listener = self.receiver.listen("10.0.0.2", 5001)
        self.left = left
        self.received = 0
        self.accepted: Connection | None = None
        self.receiver.changed = self._arrived
        self.sender.changed = self._writable
        self.connection = self.sender.connect("10.0.0.2", 5001)

    def _arrived(self, entry: Connection | Listener) -> None:
        if entry is self.listener:
            self.accepted = self.receiver.accept(self.listener)
        elif isinstance(entry, Connection):
            while entry.receive_queue.octets:
                self.received += len(self.receiver.receive(entry))

    def _writable(self, entry: Connection | Listener) -> None:
        try:
            while self.left:
                self.left -= self.sender.send(self.connection, CHUNK[: self.left])
        except BlockingIOError:
            return

    def run_for(self, duration: int) -> int:
        """How many octets were received meanwhile."""
        before = self.received
        self.network.run(until=self.network.now + duration)
        return self.received - before


def test_default_settings_fill_a_gigabit_over_100_ms() -> None:
    flow = Flow(50 * MS, GIGABIT)
    # Slow start: ten windows double to 12.5 MB in as many round trips.
    flow.run_for(1300 * MS)
    octets = flow.run_for(300 * MS)
    assert octets * 8 >= 0.9 * GIGABIT * 3 // 10
    assert flow.connection.counts.total_retrans == 0


def test_what_bounds_the_receive_buffer_bounds_the_rate() -> None:
    """With the 6 MiB of older kernels, of which half is the window, the same path carries a quarter of a gigabit."""
    parameters = Parameters()
    parameters.tcp.tcp_rmem = (4096, 131_072, 6_291_456)
    flow = Flow(50 * MS, GIGABIT, parameters=parameters)
    flow.run_for(1100 * MS)
    assert flow.run_for(200 * MS) * 8 == pytest.approx(6_291_456 / 2 * 8 * 2, rel=0.03)
    assert flow.connection.snd_wnd <= 3_145_728 + 1024
    # It is the peer's window that holds data back, and TCP_INFO says so.
    info = tcp_info(flow.connection, flow.network.now)
    assert info["tcpi_rwnd_limited"] > 300_000
    assert info["tcpi_sndbuf_limited"] == 0


def test_what_bounds_the_send_buffer_bounds_the_rate() -> None:
    """As on Linux, whose default of 4 MiB is counted with what segments cost beside their data."""
    parameters = Parameters()
    parameters.tcp.tcp_wmem = (4096, 16_384, 1 << 20)
    flow = Flow(50 * MS, GIGABIT, parameters=parameters)
    flow.run_for(1000 * MS)
    octets = flow.run_for(200 * MS)
    assert 0.75 * (1 << 21) < octets <= 1 << 21
    assert flow.connection.send_limit() == 1 << 20
    info = tcp_info(flow.connection, flow.network.now)
    assert info["tcpi_sndbuf_limited"] > 200_000
    assert info["tcpi_rwnd_limited"] == 0
    assert info["tcpi_sndbuf_limited"] < info["tcpi_busy_time"]


def test_a_connection_that_needs_little_stays_small() -> None:
    """A request each 100 ms, of 2 kB, for a minute, over the same path."""
    flow = Flow(50 * MS, GIGABIT, left=0)
    flow.run_for(SECOND)
    for _ in range(600):
        flow.left = 2000
        flow._writable(flow.connection)
        flow.run_for(100 * MS)
    assert flow.accepted is not None
    assert flow.received == 600 * 2000
    assert flow.accepted.rcv_buf == 131_072
    assert flow.accepted.rcv_space_octets == 14_480
    assert flow.connection.send_limit() == 46_080


def test_a_reader_that_does_not_read_makes_no_buffer_grow() -> None:
    flow = Flow(50 * MS, GIGABIT)
    flow.receiver.changed = lambda entry: None
    flow.run_for(5 * SECOND)
    (connection,) = flow.receiver.host.transport.connections.values()
    assert connection.rcv_buf == 131_072
    assert connection.receive_queue.octets <= 65_536 + 1024
    assert flow.connection.snd_wnd == 0


@pytest.mark.parametrize("how", ["as it is", "tcp_moderate_rcvbuf", "SO_RCVBUF"])
def test_a_receive_buffer_may_be_told_not_to_grow(how: str) -> None:
    parameters = Parameters()
    parameters.tcp.tcp_moderate_rcvbuf = int(how != "tcp_moderate_rcvbuf")
    flow = Flow(5 * MS, GIGABIT // 10, parameters=parameters)
    flow.run_for(20 * MS)
    assert flow.accepted is not None
    flow.accepted.rcv_buf_locked = how == "SO_RCVBUF"
    flow.run_for(300 * MS)
    assert (flow.accepted.rcv_buf > 131_072) == (how == "as it is")


@pytest.mark.parametrize("how", ["as it is", "tcp_wmem", "SO_SNDBUF"])
def test_a_send_buffer_may_be_told_not_to_grow(how: str) -> None:
    parameters = Parameters()
    if how == "tcp_wmem":
        parameters.tcp.tcp_wmem = (4096, 16_384, 30_000)
    flow = Flow(5 * MS, GIGABIT // 10, parameters=parameters)
    flow.run_for(8 * MS)
    if how == "SO_SNDBUF":
        flow.connection.snd_buf = 30_000
    flow.run_for(300 * MS)
    assert (flow.connection.send_limit() > 100_000) == (how == "as it is")


@pytest.mark.parametrize("timestamps", [0, 1])
def test_a_receiver_learns_how_long_a_round_trip_takes(timestamps: int) -> None:
    """From the echo of its timestamps (RFC 7323 §4), or from how long a window of data takes."""
    parameters = Parameters()
    parameters.tcp.tcp_timestamps = timestamps
    # Less than the path holds, so that no queue makes round trips longer.
    parameters.tcp.tcp_wmem = (4096, 16_384, 200_000)
    flow = Flow(30 * MS, GIGABIT // 10, parameters=parameters)
    flow.run_for(2 * SECOND)
    assert flow.accepted is not None
    shown = tcp_info(flow.accepted, flow.network.now)["tcpi_rcv_rtt"]
    assert 55_000 <= shown <= (70_000 if timestamps else 130_000)


def test_the_delivery_rate_is_that_of_the_bottleneck() -> None:
    """draft-ietf-ccwg-bbr §4.1: what arrives, however fast it leaves."""
    flow = Flow(20 * MS, GIGABIT // 50)
    flow.run_for(3 * SECOND)
    info = tcp_info(flow.connection, flow.network.now)
    # 1448 of the 1500 octets of a packet are data.
    assert info["tcpi_delivery_rate"] * 8 == pytest.approx(GIGABIT / 50 * 1448 / 1500, rel=0.01)
    assert info["tcpi_delivery_rate_app_limited"] == 0


def test_who_writes_little_learns_little_of_the_path() -> None:
    flow = Flow(20 * MS, GIGABIT // 50, left=0)
    flow.run_for(SECOND)
    for _ in range(20):
        flow.left = 4000
        flow._writable(flow.connection)
        flow.run_for(50 * MS)
    info = tcp_info(flow.connection, flow.network.now)
    assert info["tcpi_delivery_rate_app_limited"] == 1
    # 4000 octets in each round trip of 40 ms, and a bit of those before: not a twentieth of what the path carries.
    assert 80_000 < info["tcpi_delivery_rate"] < 120_000
    # One who writes much again does.
    flow.left = 1 << 60
    flow._writable(flow.connection)
    flow.run_for(2 * SECOND)
    assert tcp_info(flow.connection, flow.network.now)["tcpi_delivery_rate_app_limited"] == 0


def test_a_writer_is_woken_when_little_is_left_to_send_not_only_by_acknowledgments() -> None:
    """TCP_NOTSENT_LOWAT with pacing: what waits for its moment leaves long before anything is acknowledged."""
    parameters = Parameters()
    parameters.tcp.tcp_notsent_lowat = 10_000
    flow = Flow(200 * MS, GIGABIT, left=0, parameters=parameters)
    flow.run_for(SECOND)
    changing.set_max_pacing_rate(flow.connection, 50_000, flow.network.now)
    flow.connection.counts.data_segs_out = 10
    taken: list[tuple[int, int]] = []
    began = flow.network.now

    def writable(entry: Connection | Listener) -> None:
        try:
            while True:
                octets = flow.sender.send(flow.connection, bytes(100_000))
                taken.append((flow.network.now - began, octets))
        except BlockingIOError:
            return

    flow.sender.changed = writable
    writable(flow.connection)
    flow.run_for(390 * MS)
    assert taken[0] == (0, 7 * 1448)
    # As soon as less than half the mark is unsent: four segments later, one each 29 ms.
    later = [time for time, _ in taken if time > 0]
    assert 70 * MS < later[0] < 150 * MS
    assert flow.connection.snd_una == flow.connection.iss + 1
