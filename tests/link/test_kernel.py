"""The kernel as the host under test: replies are there at once, what a timer sends comes later, and nothing stays."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from synfin.link.kernel import (
    LOCAL_IPV4,
    LOCAL_IPV6,
    REMOTE_IPV4,
    REMOTE_IPV6,
    KernelHost,
    packed,
    tcp_info,
)
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.tcp import ACK, FIN, PSH, RST, SYN, Segment

pytestmark = pytest.mark.tun

PORT, PEER = 80, 4000
ADDRESSES: dict[int, tuple[str, str]] = {
    socket.AF_INET: (LOCAL_IPV4, REMOTE_IPV4),
    socket.AF_INET6: (LOCAL_IPV6, REMOTE_IPV6),
}
families = pytest.mark.parametrize("family", list(ADDRESSES), ids=["IPv4", "IPv6"])


def descriptors_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def kernel() -> Iterator[KernelHost]:
    with KernelHost() as host:
        yield host


class Peer:
    """Raw segments to a listener of the kernel, and what it answers at once."""

    def __init__(self, kernel: KernelHost, family: int) -> None:
        self.kernel = kernel
        self.local, self.remote = ADDRESSES[family]
        self.listener = kernel.new_socket(family)
        self.listener.bind((self.local, PORT))
        self.listener.listen(1)

    def says(self, flags: int, seq: int, ack: int = 0, octets: bytes = b"") -> list[Segment]:
        segment = Segment(PEER, PORT, seq, ack, flags, 8192, payload=(octets,) if octets else ())
        self.kernel.send(Packet(packed(self.remote), packed(self.local), PROTOCOL_TCP, segment))
        return self.hears()

    def hears(self) -> list[Segment]:
        heard = [arrived.packet.payload for arrived in self.kernel.at_once()]
        return [segment for segment in heard if isinstance(segment, Segment)]

    def connects(self) -> tuple[socket.socket, int]:
        (syn_ack,) = self.says(SYN, 1000)
        assert (syn_ack.flags, syn_ack.ack) == (SYN | ACK, 1001)
        assert self.kernel.states()[PORT, PEER] == "SYN-RECEIVED"
        assert self.says(ACK, 1001, syn_ack.seq + 1) == []
        connection, _ = self.listener.accept()
        connection.setblocking(False)
        return connection, syn_ack.seq + 1


@families
def test_an_answer_is_there_when_the_segment_has_been_sent(kernel: KernelHost, family: int) -> None:
    peer = Peer(kernel, family)
    connection, snd_nxt = peer.connects()
    assert tcp_info(connection).state == kernel.states()[PORT, PEER] == "ESTABLISHED"
    (answer,) = peer.says(ACK | PSH, 1001, snd_nxt, b"hello")
    assert (answer.flags, answer.seq, answer.ack) == (ACK, snd_nxt, 1006)
    assert connection.recv(10) == b"hello"
    # The acknowledgment of a FIN is delayed, in case that the user closes too.
    assert peer.says(ACK | FIN, 1006, snd_nxt) == []
    (delayed,) = kernel.until_quiet(0.2, 5)
    assert isinstance(delayed.packet.payload, Segment)
    assert delayed.packet.payload.ack == 1007
    assert (connection.recv(10), tcp_info(connection).state) == (b"", "CLOSE-WAIT")
    assert peer.says(RST, 1007) == []
    with pytest.raises(BrokenPipeError):
        connection.send(b"x")
    connection.close()


def test_what_a_timer_sends_comes_later_and_is_told_from_an_answer(kernel: KernelHost) -> None:
    peer = Peer(kernel, socket.AF_INET)
    connection, snd_nxt = peer.connects()
    peer.says(ACK, 1001, snd_nxt, b"one")
    # From now on the kernel takes the conversation for a dialogue, and delays its acknowledgments.
    connection.send(b"x")
    (sent,) = peer.hears()
    assert sent.payload_bytes() == b"x"
    assert peer.says(ACK, 1004, snd_nxt + 1, b"two") == []
    (delayed,) = kernel.until_quiet(0.2, 5)
    assert isinstance(delayed.packet.payload, Segment)
    assert delayed.packet.payload.ack == 1007
    kernel.forget(connection)
    assert peer.hears()[0].flags & RST


def test_an_unanswered_octet_is_not_retransmitted_within_a_second(kernel: KernelHost) -> None:
    peer = Peer(kernel, socket.AF_INET)
    connection, _ = peer.connects()
    connection.send(b"x")
    assert len(peer.hears()) == 1
    assert tcp_info(connection).rto >= 30_000_000
    assert kernel.until_quiet(0.5, 0.5) == []
    kernel.forget(connection)


def test_a_new_namespace_is_silent(kernel: KernelHost) -> None:
    # The first router would be looked for within a second (RFC 4861 §6.3.7).
    assert kernel.until_quiet(1.5, 1.5) == []


def test_sysctls_are_those_of_the_namespace(kernel: KernelHost) -> None:
    assert kernel.sysctl("ipv4/tcp_invalid_ratelimit") == "0"
    assert kernel.sysctl("ipv4/tcp_sack", "0") == "0"
    with KernelHost({"ipv4/tcp_invalid_ratelimit": "400"}) as other:
        assert other.sysctl("ipv4/tcp_invalid_ratelimit") == "400"
        assert other.sysctl("ipv4/tcp_sack") == "1"


def test_the_namespace_goes_with_its_host() -> None:
    here = Path("/proc/self/ns/net").readlink()
    descriptors = descriptors_open()
    with KernelHost() as host:
        assert host.inside(Path("/proc/thread-self/ns/net").readlink) != here
        host.new_socket(socket.AF_INET)
    assert Path("/proc/self/ns/net").readlink() == here
    assert descriptors_open() == descriptors


def test_what_it_cannot_set_up_it_takes_down_again() -> None:
    descriptors = descriptors_open()
    with pytest.raises(OSError):
        KernelHost({"ipv4/tcp_sack": "nonsense"})
    assert descriptors_open() == descriptors
