"""Wires: delay, rate and queue, to the nanosecond; loss and damage; the clock."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.events import Event, PacketDelivered, PacketLost, PacketTransmitted
from synfin.host import addresses
from synfin.sim import Network, Node, Wire
from synfin.sim.schedule import Schedule
from synfin.wire.icmp import ECHO_REPLY
from synfin.wire.ip import PROTOCOL_ICMP, IcmpMessage, Packet
from synfin.wire.tcp import ACK, SYN, Segment
from tests.sim.worlds import MS, SECOND, TwoHosts, found_damaged


class Wired:
    """A wire on which the test itself puts packets."""

    def __init__(self, *, delay: int = 0, rate: int = 0, queue: int = 1000, mtu: int = 1500) -> None:
        self.events: list[Event] = []
        self.network = Network(0, self.events.append)
        self.nodes: list[Node] = [self.network.host(name) for name in ("a", "b")]
        self.wire: Wire = self.network.wire(
            self.nodes[0], "10.0.0.1/24", self.nodes[1], "10.0.0.2/24", delay=delay, rate=rate, queue=queue, mtu=mtu
        )

    def put(self, length: int = 1000, back: bool = False) -> None:
        """A packet of `length` octets, of a kind that nobody answers."""
        source, destination = (addresses.packed(f"10.0.0.{n}") for n in ((2, 1) if back else (1, 2)))
        packet = Packet(source, destination, PROTOCOL_ICMP, IcmpMessage(ECHO_REPLY, 0, 0, bytes(length - 28)))
        (self.wire.backward if back else self.wire.forward).transmit(packet)

    def deliveries(self) -> list[tuple[int, int]]:
        """(time, number) of all that arrived."""
        return [(e.time, e.number) for e in self.events if isinstance(e, PacketDelivered)]

    def losses(self) -> list[tuple[int, int, reasons.Reason]]:
        return [(e.time, e.number, e.reason) for e in self.events if isinstance(e, PacketLost)]


def test_delay() -> None:
    w = Wired(delay=12_345)
    w.put()
    w.network.run(until=1000)
    w.put(back=True)
    w.network.run()
    assert w.deliveries() == [(12_345, 1), (13_345, 2)]
    assert w.network.now == 13_345


def test_rate() -> None:
    """1000 octets at 8 Mbit/s take a millisecond; each waits for the one before it."""
    w = Wired(delay=5 * MS, rate=8_000_000)
    for length in (1000, 1000, 500):
        w.put(length)
    w.network.run()
    assert w.deliveries() == [(6 * MS, 1), (7 * MS, 2), (7_500_000, 3)]
    # The wire was idle in between: the next one starts at once.
    w.network.run(until=20 * MS)
    w.put(100)
    w.network.run()
    assert w.deliveries()[3] == (25 * MS + 100_000, 4)


def test_each_direction_has_its_own_turn() -> None:
    w = Wired(rate=8_000_000)
    w.put(1000)
    w.put(1000, back=True)
    w.network.run()
    assert w.deliveries() == [(MS, 1), (MS, 2)]


@pytest.mark.parametrize("queue", [1, 2, 5])
def test_the_queue_is_bounded(queue: int) -> None:
    """One packet on its way onto the wire, and `queue` that wait."""
    w = Wired(rate=8_000_000, queue=queue)
    for _ in range(10):
        w.put(1000)
    fits = queue + 1
    assert w.losses() == [(0, number, reasons.QUEUE_FULL) for number in range(fits + 1, 11)]
    w.network.run(until=MS)
    # One has left, one more fits.
    w.put(1000)
    w.put(1000)
    w.network.run()
    assert [number for _, number in w.deliveries()] == [*range(1, fits + 1), 11]
    assert w.deliveries()[-1][0] == (fits + 1) * MS
    assert (w.wire.transmitted, w.wire.lost) == (12, 12 - fits - 1)


def test_without_a_rate_nothing_waits() -> None:
    w = Wired(queue=1)
    for _ in range(100):
        w.put()
    w.network.run()
    assert len(w.deliveries()) == 100


def test_one_packet_is_lost() -> None:
    w = Wired()
    w.network.apply("lose packet 3")
    for _ in range(4):
        w.put()
    w.network.run()
    assert [number for _, number in w.deliveries()] == [1, 2, 4]
    assert w.losses() == [(0, 3, reasons.LOST_BY_REQUEST)]
    assert w.wire.lost == 1


def test_a_fault_may_hold_for_one_direction() -> None:
    w = Wired()
    w.network.apply("lose every packet from b")
    w.put()
    w.put(back=True)
    w.network.run()
    assert [number for _, number in w.deliveries()] == [1]


def test_random_loss() -> None:
    w = Wired()
    w.network.apply("lose 25%")
    for _ in range(2000):
        w.put()
    w.network.run()
    assert 400 < len(w.losses()) < 600
    assert {reason for _, _, reason in w.losses()} == {reasons.LOST_BY_CHANCE}
    assert len(w.deliveries()) + len(w.losses()) == 2000


def test_lost_packets_take_no_time_of_the_wire() -> None:
    w = Wired(rate=8_000_000)
    w.network.apply("lose packet 1")
    w.put()
    w.put()
    w.network.run()
    assert w.deliveries() == [(MS, 2)]


def test_packets_are_of_mss_size_and_no_larger_than_the_mtu() -> None:
    """Superpackets are cut before they meet the wire, and the rules."""
    for mtu in (1500, 9000):
        world = TwoHosts(mtu=mtu, rate=10**9)
        world.transfer(b"x" * 200_000)
        lengths = [len(data) for _, _, data in world.packets()]
        assert max(lengths) == mtu
        assert lengths.count(mtu) >= 200_000 // mtu - 1


def test_a_superpacket_is_cut() -> None:
    w = Wired(rate=8_000_000)
    source, destination = (addresses.packed(f"10.0.0.{n}") for n in (1, 2))
    segment = Segment(1, 2, 100, 0, ACK, 0, payload=(bytes(2500),), segment_size=1000)
    w.wire.forward.transmit(Packet(source, destination, 6, segment))
    assert w.wire.transmitted == 3
    lengths = [e.packet.total_length for e in w.events if isinstance(e, PacketTransmitted)]
    assert lengths == [1040, 1040, 540]


@pytest.mark.row("B8")
def test_damage_is_found_by_the_checksum_and_counted() -> None:
    world = TwoHosts()
    world.network.apply("corrupt packet 1")
    listener = world.server.listen("10.0.0.2", 80)
    world.client.connect("10.0.0.2", 80)
    world.network.run(until=500 * MS)
    assert found_damaged(world) == 1
    assert listener.requests == {}
    # In silence: the SYN alone was sent.
    assert world.wire.transmitted == 1
    (lost,) = [e for e in world.events if isinstance(e, PacketLost)]
    # It is lost when it arrives, not when it leaves.
    assert (lost.time, lost.reason) == (10 * MS, reasons.DAMAGED)
    world.network.run(until=3 * SECOND)
    assert world.wire.transmitted == 4


def test_time() -> None:
    network = Network()
    done: list[tuple[str, int]] = []
    network.after(20, lambda: done.append(("b", network.now)))
    network.at(10, lambda: done.append(("a", network.now)))
    network.at(20, lambda: done.append(("c", network.now)))
    network.at(20, lambda: network.after(0, lambda: done.append(("d", network.now))))
    network.run(until=15)
    assert (done, network.now) == ([("a", 10)], 15)
    network.at(3, lambda: done.append(("late", network.now)))
    network.run(until=20)
    assert done[1:] == [("late", 15), ("b", 20), ("c", 20), ("d", 20)]
    network.run()
    assert network.now == 20
    network.run(until=1000)
    assert network.now == 1000
    network.run(until=5)
    assert network.now == 1000
    network.after(5, lambda: done.append(("e", network.now)))
    network.run()
    assert done[-1] == ("e", 1005)


def test_run_while() -> None:
    network = Network()
    done: list[int] = []
    for time in range(1, 10):
        network.at(time, lambda: done.append(network.now))
    network.run_while(lambda: len(done) < 4)
    assert (done, network.now) == ([1, 2, 3, 4], 4)
    network.run_while(lambda: True)
    assert network.now == 9


def test_the_schedule() -> None:
    schedule = Schedule()
    assert schedule.next_time() is None
    with pytest.raises(IndexError):
        schedule.step()
    order: list[int] = []
    for number in range(5):
        schedule.at(7, lambda number=number: order.append(number))  # type: ignore[misc]
    schedule.at(6, lambda: order.append(-1))
    while schedule.next_time() is not None:
        schedule.step()
    assert order == [-1, 0, 1, 2, 3, 4]
    assert schedule.now == 7


def test_a_name_is_taken_once() -> None:
    network = Network()
    network.host("a")
    with pytest.raises(ValueError, match="'a'"):
        network.host("a")


def test_what_is_put_on_a_wire_is_told() -> None:
    w = Wired(delay=5)
    w.put()
    w.network.run()
    told = [(type(e), e.host, e.time) for e in w.events]
    assert told == [(PacketTransmitted, "a", 0), (PacketDelivered, "b", 5)]


def test_a_host_delivers_what_a_wire_brings() -> None:
    w = Wired(delay=5)
    source, destination = (addresses.packed(f"10.0.0.{n}") for n in (1, 2))
    w.wire.forward.transmit(Packet(source, destination, 6, Segment(1, 2, 0, 0, SYN, 0)))
    w.network.run()
    answers = [e.packet.payload for e in w.events if isinstance(e, PacketDelivered) and e.host == "a"]
    assert len(answers) == 1
    assert isinstance(answers[0], Segment)
    assert answers[0].flags & ACK
