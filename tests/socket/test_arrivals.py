"""With and without merging: the same stream, and the same packets in answer at the same times."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synfin.host.host import Host
from synfin.host.interface import Interface
from synfin.link.link import Frame
from synfin.link.segmentation import cut
from synfin.socket.arrivals import frames_arrive
from synfin.tcp.connection import Connection
from synfin.tcp.states import SYN_SENT
from synfin.tcp.timers import NEVER
from synfin.wire.ip import Packet, octets, parse_packet
from synfin.wire.tcp import ACK, Segment

MS = 1_000_000
SECOND = 1_000_000_000
ADDRESSES = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}
SECRETS = bytes(range(16)), bytes(range(16, 32))


class End:
    """One host and its program, which writes all of `to_send`, reads all that comes, and closes."""

    def __init__(self, name: str, secret: bytes, address: str, to_send: bytes, merging: bool, reads: int) -> None:
        self.host = Host(name, secret)
        self.interface: Interface = self.host.add_interface(
            "eth0", [f"{address}/{64 if ':' in address else 24}"], 1500, 65535
        )
        self.merging = merging
        self.to_send = to_send
        self.reads = reads
        self.connection: Connection | None = None
        self.received = bytearray()
        self.ended = False
        self.trips = 0

    def arrive(self, frames: list[Frame], now: int) -> None:
        inner = self.host.packet_arrives

        def counting(packet: Packet, interface: Interface, now: int) -> None:
            self.trips += 1
            inner(packet, interface, now)

        frames_arrive(_Counting(self.host, counting), self.interface, frames, now, self.merging)

    def program(self, now: int) -> None:
        connection = self.connection
        if connection is None or connection.state == SYN_SENT:
            return
        try:
            while self.to_send:
                self.to_send = self.to_send[self.host.send(connection, self.to_send[:5000], now) :]
            self.host.close(connection, now)
        except OSError:
            pass
        for _ in range(self.reads):
            try:
                pieces = self.host.receive(connection, 1 << 20, now)
            except OSError:
                return
            if not pieces:
                self.ended = True
                return
            self.received += b"".join(pieces)


class _Counting(Host):
    """The same host; what it is handed is counted."""

    __slots__ = ("_counting",)

    def __init__(self, host: Host, counting: Callable[[Packet, Interface, int], None]) -> None:
        for name in Host.__slots__:
            setattr(self, name, getattr(host, name))
        self._counting = counting

    def packet_arrives(self, packet: Packet, interface: Interface, now: int) -> None:
        self._counting(packet, interface, now)


class Story:
    """What happened: every packet that left, with its time and sender, and what each end read."""

    def __init__(self) -> None:
        self.packets: list[tuple[int, str, bytes]] = []
        self.received: list[bytes] = []
        self.trips = 0


def run(
    merging: bool,
    there: int,
    back: int,
    seed: int,
    loss: float,
    reorder: float,
    duplicate: float,
    batch: int,
    version: int = 4,
    reads: int = 100,
) -> Story:
    """A client sends `there` octets, a server `back`, over a network that delivers up to `batch` packets at a time."""
    random = Random(seed)
    story = Story()
    data = bytes(index * 7 % 251 for index in range(max(there, back)))
    client = End("client", SECRETS[0], ADDRESSES[version][0], data[:there], merging, reads)
    server = End("server", SECRETS[1], ADDRESSES[version][1], data[:back], merging, reads)
    queue: list[tuple[int, int, bool, bytes]] = []
    count = now = 0
    listener = server.host.listen(ADDRESSES[version][1], 7, 5, now)
    client.connection = client.host.connect(ADDRESSES[version][1], 7, now)
    for _ in range(20_000):
        for end, other in ((client, server), (server, client)):
            end.host.take_changed()
            if end is server and listener.accept_queue:
                server.connection = server.host.accept(listener)
            end.program(now)
            while (packet := end.host.poll_transmit(end.interface, now)) is not None:
                for part in cut(packet):
                    count += 1
                    story.packets.append((now, end.host.name, octets(part)))
                    draws = [random.random() for _ in range(4)]
                    if draws[0] < loss:
                        continue
                    late = int(draws[3] * 4 * MS) if draws[1] < reorder else 0
                    for _ in range(2 if draws[2] < duplicate else 1):
                        heappush(queue, (now + 10 * MS + late, count, other is server, story.packets[-1][2]))
        if queue and queue[0][0] <= now:
            to_server = queue[0][2]
            frames: list[Frame] = []
            while queue and queue[0][0] <= now and queue[0][2] is to_server and len(frames) < batch:
                frames.append(Frame(heappop(queue)[3]))
            (server if to_server else client).arrive(frames, now)
            continue
        deadline = min(client.host.next_deadline(), server.host.next_deadline(), queue[0][0] if queue else NEVER)
        if deadline == NEVER:
            break
        now = max(now, deadline)
        client.host.deadline_reached(now)
        server.host.deadline_reached(now)
    story.received = [bytes(client.received), bytes(server.received)]
    story.trips = client.trips + server.trips
    assert story.received == [data[:back], data[:there]]
    assert client.ended
    assert server.ended
    return story


def same(*arguments: float, version: int = 4, reads: int = 100) -> tuple[Story, Story]:
    there, back, seed, loss, reorder, duplicate, batch = arguments
    stories = [
        run(merging, int(there), int(back), int(seed), loss, reorder, duplicate, int(batch), version, reads)
        for merging in (False, True)
    ]
    without, merged = stories
    assert [packet[:2] for packet in merged.packets] == [packet[:2] for packet in without.packets]
    assert merged.packets == without.packets
    assert merged.received == without.received
    return without, merged


@given(
    there=st.integers(0, 120_000),
    back=st.sampled_from([0, 1, 700, 40_000]),
    seed=st.integers(0, 1000),
    loss=st.sampled_from([0, 0, 0.02, 0.1]),
    reorder=st.sampled_from([0, 0, 0.05, 0.3]),
    duplicate=st.sampled_from([0, 0, 0.05, 0.3]),
    batch=st.sampled_from([1, 2, 3, 7, 64]),
    version=st.sampled_from([4, 6]),
    reads=st.sampled_from([1, 100]),
)
@example(100_000, 0, 1, 0.02, 0.0, 0.0, 64, 4, 100)
@example(41_407, 0, 0, 0, 0, 0, 64, 4, 1)
@example(100_000, 40_000, 2, 0.05, 0.05, 0.05, 64, 6, 100)
def test_merging_changes_nothing(
    there: int,
    back: int,
    seed: int,
    loss: float,
    reorder: float,
    duplicate: float,
    batch: int,
    version: int,
    reads: int,
) -> None:
    same(there, back, seed, loss, reorder, duplicate, batch, version=version, reads=reads)


@pytest.mark.parametrize("version", [4, 6])
def test_merging_saves_trips_through_the_core(version: int) -> None:
    without, merged = same(1_000_000, 0, 1, 0, 0, 0, 64, version=version)
    assert len(without.packets) > 700
    assert merged.trips < len(merged.packets) / 2


class Opened:
    """A connection that is open, and the segments of 100 octets that its client could send."""

    def __init__(self, merging: bool) -> None:
        self.client = End("client", SECRETS[0], "10.0.0.1", b"", merging, 0)
        self.server = End("server", SECRETS[1], "10.0.0.2", b"", merging, 0)
        listener = self.server.host.listen("10.0.0.2", 7, 5, 0)
        self.sending = self.client.host.connect("10.0.0.2", 7, 0)
        for _ in range(3):
            for end, other in ((self.client, self.server), (self.server, self.client)):
                while (packet := end.host.poll_transmit(end.interface, 0)) is not None:
                    other.arrive([Frame(octets(packet))], 0)
        self.receiving = self.server.host.accept(listener)
        self.client.host.send(self.sending, b"x", 0)
        first = self.client.host.poll_transmit(self.client.interface, 0)
        assert first is not None
        self.first = first

    def segment(self, index: int) -> Frame:
        first = self.first.payload
        assert isinstance(first, Segment)
        segment = Segment(
            first.source_port,
            first.destination_port,
            (first.seq + 100 * index) % 2**32,
            first.ack,
            ACK,
            first.wnd,
            first.options,
            (bytes([index % 251]) * 100,),
        )
        return Frame(octets(Packet(self.first.source, self.first.destination, 6, segment)))

    def arrive(self, *indices: int) -> list[bytes]:
        """These arrive in one go; returns what is sent in answer."""
        self.server.arrive([self.segment(index) for index in indices], 0)
        answers = []
        while (packet := self.server.host.poll_transmit(self.server.interface, 0)) is not None:
            answers.append(octets(packet))
        return answers


def test_what_is_not_next_goes_segment_by_segment() -> None:
    """A run behind a gap is answered with a duplicate ACK for each of its segments, as RFC 5681 §4.2 has it."""
    without, merged = (Opened(merging).arrive(*range(1, 10)) for merging in (False, True))
    assert merged == without
    assert len(without) == 9


def test_a_run_that_meets_what_was_received_before() -> None:
    answers = []
    for merging in (False, True):
        opened = Opened(merging)
        answers.append([opened.arrive(5), opened.arrive(*range(10))])
        assert opened.receiving.receive_queue.octets == 1000
    assert answers[0] == answers[1]
    # The duplicate is answered by itself.
    assert len(answers[0][1]) > 1


def test_a_run_that_goes_beyond_the_window() -> None:
    answers = []
    for merging in (False, True):
        opened = Opened(merging)
        window = opened.receiving.rcv_wnd
        full = window // 100
        for start in range(0, full - 3, 50):
            opened.arrive(*range(start, min(start + 50, full - 3)))
        answers.append(opened.arrive(*range(full - 3, full + 40)))
        assert window <= opened.receiving.receive_queue.octets < window + 128 + (1 << opened.receiving.rcv_wscale)
    assert answers[0] == answers[1]
    assert len(answers[0]) > 20


def test_a_run_for_a_connection_whose_user_has_gone() -> None:
    answers = []
    for merging in (False, True):
        opened = Opened(merging)
        opened.server.host.release(opened.receiving, 0)
        answers.append(opened.arrive(*range(5)))
    assert answers[0] == answers[1]


def test_frames_that_a_link_has_merged_are_handed_on() -> None:
    seen: list[tuple[int, int]] = []

    class Watching(_Counting):
        __slots__ = ()

        def octets_arrive(
            self,
            octets: bytes | bytearray | memoryview,
            interface: Interface,
            now: int,
            checksum_verified: bool = False,
            segment_size: int = 0,
        ) -> None:
            packet = parse_packet(octets, checksum_verified=checksum_verified, segment_size=segment_size)
            assert isinstance(packet.payload, Segment)
            seen.append((packet.payload.payload_length, packet.payload.segment_size))

    end = End("host", SECRETS[0], "10.0.0.1", b"", False, 0)
    host = Watching(end.host, lambda packet, interface, now: seen.append((0, 0)))
    segment = Segment(1, 2, 3, 4, ACK, 5, payload=(bytes(300),), segment_size=100)
    data = octets(Packet(bytes([10, 0, 0, 2]), bytes([10, 0, 0, 1]), 6, segment))
    for merging in (False, True):
        frames_arrive(host, end.interface, [Frame(data, 100, True), Frame(data, 100, True)], 0, merging)
    assert seen == [(300, 100)] * 4
