"""The socket calls: the same scripts on the Linux kernel and on a host of ours, and what a layer above relies on."""

from __future__ import annotations

import errno
import gc
import struct
import subprocess
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from synfin.host import calls, socket_options, sockets, transfer
from synfin.host.host import Host
from synfin.host.socket_option_numbers import (
    MSG_DONTWAIT,
    MSG_FASTOPEN,
    MSG_MORE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    SIOCINQ,
    SIOCOUTQ,
    SIOCOUTQNSD,
    SO_LINGER,
    SO_REUSEPORT,
    SOL_SOCKET,
)
from synfin.host.sockets import AF_INET, AF_INET6, Socket
from synfin.tcp import states
from synfin.wire.tcp import ACK, FIN, PSH, RST, SYN
from tests.host.call_scripts import LISTENER, PAIR, SCRIPTS, SERVER, Script
from tests.host.machine import SECOND, Machine, Peer, segment_of
from tests.host.two_worlds import Kernel, Ours, World


def played(world: World, script: Script) -> list[Any]:
    """The outcome of each step, until one needs a socket that did not come about."""
    outcomes = []
    for step in script:
        try:
            outcomes.append((step, world.does(*step)))
        except KeyError:
            outcomes.append((step, "no such socket"))
    world.close_all()
    return outcomes


def with_ports_of_its_own(script: Script, distance: int) -> Script:
    """The script with its ports, 5000 to 5099, so much higher: TIME-WAIT keeps those of the scripts before."""
    return [
        tuple(
            (part[0], part[1] + distance) if isinstance(part, tuple) and 5000 <= part[1] < 5100 else part
            for part in step
        )
        for step in script
    ]


@pytest.mark.requires("root", "netns", "ip")
@pytest.mark.row("E2")
def test_scripts_end_as_on_the_kernel(in_namespace: Callable[[Callable[[], None]], None]) -> None:
    """Every result and errno, and what poll and the names say, in each of the scripts."""
    differences = {}

    def compare() -> None:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for number, (name, script) in enumerate(SCRIPTS.items()):
            script = with_ports_of_its_own(script, 100 * number)
            kernel, ours = played(Kernel(), script), played(Ours(), script)
            wrong = [(k, o) for k, o in zip(kernel, ours, strict=True) if k != o]
            if wrong:
                differences[name] = wrong

    in_namespace(compare)
    assert differences == {}


# --- what a layer above relies on


class Served:
    """A socket on a host with one interface, connected to a peer that says what it is told to."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.host = self.machine.host
        self.listener = calls.socket(self.host)
        calls.bind(self.host, self.listener, ("", 80))
        calls.listen(self.host, self.listener, 5, self.machine.now)
        self.peer = Peer(self.machine).opens()
        self.socket, self.address = calls.accept(self.host, self.listener)

    def polled(self) -> list[Any]:
        return [segment_of(packet) for packet in self.machine.poll()]

    def send(self, data: bytes, flags: int = 0) -> int:
        return transfer.send(self.host, self.socket, data, flags, self.machine.now)

    def receive(self, size: int, flags: int = 0) -> bytes:
        return transfer.recv(self.host, self.socket, size, flags, self.machine.now)

    def close(self) -> None:
        calls.close(self.host, self.socket, self.machine.now)

    def set(self, level: int, option: int, value: int | bytes) -> None:
        socket_options.setsockopt(self.host, self.socket, level, option, value, self.machine.now)


def test_what_changed_leads_to_its_socket() -> None:
    machine = Machine()
    host = machine.host
    listener = calls.socket(host)
    calls.bind(host, listener, ("0.0.0.0", 80))
    calls.listen(host, listener, 5, machine.now)
    peer = Peer(machine).opens()
    changed = host.take_changed()
    # The connection has no socket before somebody accepts it.
    assert {calls.socket_of(host, entry) for entry in changed} == {None, listener}
    made, address = calls.accept(host, listener)
    assert address == (peer.address, peer.port)
    peer.says(ACK, b"data")
    assert [calls.socket_of(host, entry) for entry in host.take_changed()] == [made]
    peer.says(FIN | ACK)
    calls.close(host, made, machine.now)
    peer.saw([segment_of(packet) for packet in machine.poll()])
    peer.says(ACK)
    # Nobody's any more.
    assert {calls.socket_of(host, entry) for entry in host.take_changed()} <= {None}
    assert list(host.transport.sockets.values()) == [listener]


def test_closing_frees_the_connection_at_once() -> None:
    """No cycle keeps a socket or its connection: both go when they are let go, without the collector."""
    gc.collect()
    gc.disable()
    try:
        served = Served()
        connection = served.socket.connection
        assert connection is not None
        mark = _Mark()
        gone = weakref.ref(mark)
        connection.inherited = mark
        served.set(SOL_SOCKET, SO_LINGER, struct.pack("=ii", 1, 0))
        del connection, mark
        served.close()
        served.polled()
        served.host.take_changed()
        # Though the user keeps the socket.
        assert served.socket.closed
        assert gone() is None
    finally:
        gc.enable()


class _Mark:
    """Goes with the connection that holds it."""


@pytest.mark.parametrize("patient", [True, False])
def test_close_lingers_until_all_is_delivered(patient: bool) -> None:
    served = Served()
    served.set(SOL_SOCKET, SO_LINGER, struct.pack("=ii", 1, 7))
    served.send(b"last words")
    with pytest.raises(BlockingIOError) as raised:
        served.close()
    assert raised.value.errno == errno.EAGAIN
    assert served.socket.linger_until == served.machine.now + 7 * SECOND
    answers = served.polled()
    assert [bool(answer.flags & FIN) for answer in answers] == [True]
    with pytest.raises(BlockingIOError):
        served.close()
    # It is no socket to use any more.
    with pytest.raises(OSError, match="Bad file descriptor"):
        served.send(b"more")
    if patient:
        served.peer.saw(answers)
        served.peer.says(ACK)
    else:
        served.machine.now += 7 * SECOND
    served.close()
    assert served.socket.closed
    assert served.socket.number not in served.host.transport.sockets
    # The connection goes on to deliver.
    assert served.peer.state == ("FIN-WAIT-2" if patient else "FIN-WAIT-1")


def test_to_linger_for_no_time_is_to_reset() -> None:
    served = Served()
    served.set(SOL_SOCKET, SO_LINGER, struct.pack("=ii", 1, 0))
    served.send(b"never seen")
    served.close()
    assert [bool(segment.flags & RST) for segment in served.polled()] == [True]
    assert served.peer.state == "CLOSED"


def test_a_closed_socket_is_no_descriptor() -> None:
    served = Served()
    host, sock, now = served.host, served.socket, served.machine.now
    served.close()
    refusing: list[Callable[[], object]] = [
        lambda: calls.bind(host, sock, ("", 0)),
        lambda: calls.listen(host, sock, 1, now),
        lambda: calls.accept(host, sock),
        lambda: calls.connect(host, sock, SERVER, now),
        lambda: calls.shutdown(host, sock, 0, now),
        lambda: calls.close(host, sock, now),
        lambda: calls.poll(host, sock),
        lambda: calls.ioctl(host, sock, SIOCINQ),
        lambda: calls.getsockname(host, sock),
        lambda: calls.getpeername(host, sock),
        lambda: transfer.send(host, sock, b"", 0, now),
        lambda: transfer.recv(host, sock, 1, 0, now),
        lambda: socket_options.getsockopt(host, sock, 1, 2, now),
        lambda: socket_options.setsockopt(host, sock, 1, 2, 1, now),
    ]
    for refused in refusing:
        with pytest.raises(OSError) as raised:
            refused()
        assert raised.value.errno == errno.EBADF


def test_how_much_a_patient_receiver_wants() -> None:
    served = Served()
    assert transfer.target(served.socket, 1000, 0) == 1
    assert transfer.target(served.socket, 1000, MSG_WAITALL) == 1000
    assert transfer.target(served.socket, 0, MSG_WAITALL) == 1
    served.set(SOL_SOCKET, 18, 50)
    assert transfer.target(served.socket, 1000, 0) == 50
    assert transfer.target(served.socket, 20, 0) == 20
    served.peer.says(ACK, b"abc")
    # The call itself gives what is there.
    assert served.receive(1000, MSG_WAITALL | MSG_DONTWAIT) == b"abc"


def test_more_waits_for_more() -> None:
    served = Served()
    assert served.send(b"head", MSG_MORE) == 4
    assert served.polled() == []
    assert served.send(b"body") == 4
    assert [b"".join(segment.payload) for segment in served.polled()] == [b"headbody"]


def test_several_buffers_are_one_write() -> None:
    served = Served()
    buffers: list[transfer.Data] = [b"a", b"", bytearray(b"bc"), memoryview(b"d")]
    assert transfer.sendmsg(served.host, served.socket, buffers, MSG_OOB, served.machine.now) == 4
    (segment,) = served.polled()
    assert b"".join(segment.payload) == b"abcd"
    assert segment.up == 4
    assert transfer.sendmsg(served.host, served.socket, [], 0, served.machine.now) == 0


def test_only_the_end_of_several_buffers_is_pushed() -> None:
    served = Served()
    served.host.parameters.tcp.tcp_push_bursts = 0
    # The peer told no MSS (RFC 9293 §3.7.1).
    buffers = [bytes(536)] * 3
    assert transfer.sendmsg(served.host, served.socket, buffers, 0, served.machine.now) == 3 * 536
    sent = served.polled()
    assert [bool(segment.flags & PSH) for segment in sent] == [False, True]


def test_what_was_taken_of_several_buffers_waits_for_nothing() -> None:
    served = Served()
    served.set(SOL_SOCKET, 7, 0)
    taken = transfer.sendmsg(served.host, served.socket, [bytes(3)] * 10_000, 0, served.machine.now)
    assert 0 < taken < 30_000
    assert sum(segment.payload_length for segment in served.polled()) == taken


def test_what_fits_is_taken() -> None:
    served = Served()
    served.set(SOL_SOCKET, 7, 5000)
    taken = served.send(bytes(100_000))
    assert 0 < taken < 100_000
    with pytest.raises(BlockingIOError) as raised:
        served.send(b"x")
    assert raised.value.errno == errno.EAGAIN
    whole = [bytes(50_000)] * 3
    other = Served()
    part = transfer.sendmsg(other.host, other.socket, whole, 0, other.machine.now)
    assert 0 < part < 150_000


def test_discarding_counts() -> None:
    served = Served()
    served.peer.says(ACK, b"abcdef")
    received = transfer.recvmsg(served.host, served.socket, 4, MSG_TRUNC | MSG_PEEK, served.machine.now)
    assert (received.octets, received.pieces) == (4, [])
    received = transfer.recvmsg(served.host, served.socket, 4, MSG_TRUNC, served.machine.now)
    assert (received.octets, received.pieces) == (4, [])
    assert served.receive(9) == b"ef"


def test_queues_count_octets_and_the_fin() -> None:
    served = Served()
    host, sock = served.host, served.socket
    served.send(b"x" * 100)
    assert [calls.ioctl(host, sock, request) for request in (SIOCOUTQ, SIOCOUTQNSD)] == [100, 100]
    answers = served.polled()
    assert [calls.ioctl(host, sock, request) for request in (SIOCOUTQ, SIOCOUTQNSD)] == [100, 0]
    calls.shutdown(host, sock, 1, served.machine.now)
    assert [calls.ioctl(host, sock, request) for request in (SIOCOUTQ, SIOCOUTQNSD)] == [101, 1]
    served.peer.saw(answers + served.polled())
    served.peer.says(ACK)
    assert [calls.ioctl(host, sock, request) for request in (SIOCOUTQ, SIOCOUTQNSD)] == [0, 0]


def test_fast_open_is_not_offered() -> None:
    served = Served()
    with pytest.raises(OSError) as raised:
        served.send(b"x", MSG_FASTOPEN)
    assert raised.value.errno == errno.EOPNOTSUPP


def test_data_for_a_socket_shut_both_ways_is_answered_with_a_reset() -> None:
    served = Served()
    calls.shutdown(served.host, served.socket, 2, served.machine.now)
    served.polled()
    assert [bool(answer.flags & RST) for answer in served.peer.says(ACK, b"too late")] == [True]
    with pytest.raises(ConnectionResetError):
        served.receive(1)


# --- connecting, seen from the wire


def connecting(machine: Machine, address: sockets.Address) -> Socket:
    sock = calls.socket(machine.host, AF_INET6 if ":" in address[0] else AF_INET)
    with pytest.raises(BlockingIOError) as raised:
        calls.connect(machine.host, sock, address, machine.now)
    assert raised.value.errno == errno.EINPROGRESS
    with pytest.raises(BlockingIOError) as raised:
        calls.connect(machine.host, sock, address, machine.now)
    assert raised.value.errno == errno.EALREADY
    return sock


def test_connect_ends_when_tcp_syn_retries_says() -> None:
    machine = Machine()
    sock = connecting(machine, ("192.0.2.9", 80))
    assert calls.poll(machine.host, sock) == 0
    machine.poll()
    machine.goes_on(machine.now + 1000 * SECOND)
    with pytest.raises(TimeoutError):
        calls.connect(machine.host, sock, ("192.0.2.9", 80), machine.now)
    # And begins anew.
    with pytest.raises(BlockingIOError):
        calls.connect(machine.host, sock, ("192.0.2.9", 80), machine.now)
    assert any(segment_of(packet).flags == SYN for packet in machine.poll())


def test_no_route_is_told_at_once() -> None:
    machine = Machine()
    sock = calls.socket(machine.host)
    for address in ("8.8.8.8", "255.255.255.255", "224.0.0.1", "192.0.2.255"):
        with pytest.raises(OSError) as raised:
            calls.connect(machine.host, sock, (address, 80), machine.now)
        assert raised.value.errno == errno.ENETUNREACH
        assert sock.phase == sockets.UNCONNECTED
    assert not machine.host.transport.connections


def test_a_mapped_address_is_spoken_to_in_ipv4() -> None:
    machine = Machine()
    sock = connecting(machine, ("::ffff:192.0.2.9", 80))
    (packet,) = machine.poll()
    assert packet.version == 4
    assert calls.getsockname(machine.host, sock)[0] == "::ffff:192.0.2.1"


def test_what_is_no_address_or_port() -> None:
    machine = Machine()
    host = machine.host
    sock, sock_6 = calls.socket(host), calls.socket(host, AF_INET6)
    for refused in (("nonsense", 1), ("1.2.3", 1), ("fe80::1%eth0", 1)):
        with pytest.raises(ValueError):
            calls.connect(host, sock, refused, machine.now)
    for port in (-1, 65536):
        with pytest.raises(OverflowError):
            calls.bind(host, sock, ("", port))
        with pytest.raises(OverflowError):
            calls.connect(host, sock, ("192.0.2.9", port), machine.now)
    for wrong, address in ((sock, "::1"), (sock_6, "192.0.2.1")):
        with pytest.raises(OSError) as raised:
            calls.connect(host, wrong, (address, 1), machine.now)
        assert raised.value.errno == errno.EAFNOSUPPORT


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        ((1, 1, 0), errno.EAFNOSUPPORT),
        ((2, 2, 0), errno.ESOCKTNOSUPPORT),
        ((2, 1, 17), errno.EPROTONOSUPPORT),
        ((2, 1, 263), errno.EINVAL),
        ((2, 11, 0), errno.EINVAL),
        ((2, 1, -1), errno.EINVAL),
    ],
)
def test_sockets_that_there_are_not(arguments: tuple[int, int, int], number: int) -> None:
    with pytest.raises(OSError) as raised:
        calls.socket(Host("host", bytes(16)), *arguments)
    assert raised.value.errno == number


def test_bindv6only_is_the_default_of_new_sockets() -> None:
    host = Host("host", bytes(16))
    host.parameters.set("net.ipv6.bindv6only", "1")
    sock = calls.socket(host, AF_INET6)
    assert socket_options.getsockopt(host, sock, 41, 26, 0) == struct.pack("=i", 1)


def test_any_address_can_be_bound_if_a_parameter_says_so() -> None:
    host = Host("host", bytes(16))
    for name, family, address in (("ipv4", AF_INET, "8.8.8.8"), ("ipv6", AF_INET6, "2001:db8::9")):
        with pytest.raises(OSError, match="Cannot assign"):
            calls.bind(host, calls.socket(host, family), (address, 80))
        host.parameters.set(f"net.{name}.ip_nonlocal_bind", "1")
        calls.bind(host, calls.socket(host, family), (address, 80))


def test_a_mapped_listener_with_others_of_its_port() -> None:
    """Two that share `::`, one of them for IPv6 alone: IPv4 goes to the other."""
    world = Ours()
    for name, only in (("six", 1), ("both", 0)):
        world.does(name, "socket", AF_INET6)
        world.does(name, "setsockopt", SOL_SOCKET, SO_REUSEPORT, 1)
        world.does(name, "setsockopt", 41, 26, only)
        assert world.does(name, "bind", ("::", 80)) is None
        assert world.does(name, "listen", 50) is None
    for number in range(20):
        world.does(f"c{number}", "socket", AF_INET)
        world.does(f"c{number}", "connect", ("127.0.0.1", 80))
        assert world.does(f"c{number}", "connect", ("127.0.0.1", 80)) is None
    assert world.does("six", "accept", "s") == "EAGAIN"


def test_the_scripts_reach_every_state() -> None:
    """The comparison with the kernel is only worth what its scripts pass through."""
    seen = set()
    for script in SCRIPTS.values():
        world = Ours()
        for step in script:
            if step[0] in world.sockets or step[1] == "socket":
                world.does(*step)
            seen |= {sock.state for sock in world.sockets.values()}
    wanted = {"CLOSED", "LISTEN", "SYN-SENT", "ESTABLISHED", "FIN-WAIT-2", "CLOSE-WAIT"}
    assert wanted - {"SYN-SENT"} <= {states.NAMES[state] for state in seen}
    assert len(LISTENER) < len(PAIR)
