"""The users' calls that open: what they refuse, and that a new connection begins as it should."""

from __future__ import annotations

from errno import EADDRINUSE, EADDRNOTAVAIL, ENETUNREACH

import pytest

from synfin.host import addresses
from synfin.host.host import Host
from synfin.host.parameters import Parameters
from synfin.wire.tcp import ACK, RST, SYN
from tests.host.machine import OURS, OURS_6, SECOND, SECRET, THEIRS, THEIRS_6, Machine, Peer, segment_of


@pytest.mark.requirement("MUST-41")
@pytest.mark.parametrize(
    ("first", "second"),
    [(OURS, OURS), ("0.0.0.0", "0.0.0.0"), ("0.0.0.0", OURS), (OURS, "0.0.0.0"), ("::", OURS_6), (OURS_6, "::")],
)
def test_two_listeners_do_not_share_a_port(first: str, second: str) -> None:
    m = Machine()
    listener = m.host.listen(first, 80, 1, m.now)
    with pytest.raises(OSError, match="in use") as raised:
        m.host.listen(second, 80, 1, m.now)
    assert raised.value.errno == EADDRINUSE
    m.host.close_listener(listener, m.now)
    m.host.listen(second, 80, 1, m.now)


def test_listeners_at_different_addresses_or_ports_do() -> None:
    m = Machine()
    for place in ((OURS, 80), ("127.0.0.1", 80), (OURS, 81), ("::", 80)):
        m.host.listen(*place, 1, m.now)
    assert m.states() == ["LISTEN"] * 4


@pytest.mark.parametrize("address", [THEIRS, "192.0.2.255", "224.0.0.1", THEIRS_6, "255.255.255.255"])
def test_listening_at_a_foreign_address(address: str) -> None:
    m = Machine()
    with pytest.raises(OSError, match="Cannot assign") as raised:
        m.host.listen(address, 80, 1, m.now)
    assert raised.value.errno == EADDRNOTAVAIL
    assert m.host.connections() == []


@pytest.mark.parametrize("port", [65536, 70000, -1])
def test_a_port_has_16_bits(port: int) -> None:
    m = Machine()
    with pytest.raises((OverflowError, ValueError)):
        m.host.connect(THEIRS, port, m.now)
    with pytest.raises((OverflowError, ValueError)):
        m.host.listen(OURS, port, 1, m.now)
    assert m.host.connections() == []


def test_somaxconn_bounds_the_backlog() -> None:
    parameters = Parameters()
    parameters.set("net.core.somaxconn", "10")
    m = Machine(parameters)
    assert m.host.listen(OURS, 80, 1000, m.now).backlog == 10
    assert m.host.listen(OURS, 81, 3, m.now).backlog == 3
    assert m.host.listen(OURS, 82, -5, m.now).backlog == 0


# MUST-46 of RFC 9293 §3.9.1.1
@pytest.mark.requirement("MUST-46")
@pytest.mark.parametrize("address", ["224.0.0.1", "239.1.2.3", "255.255.255.255", "192.0.2.255", "ff02::1"])
def test_open_towards_what_is_no_host(address: str) -> None:
    m = Machine()
    m.host.add_route("0.0.0.0/0", m.eth)
    m.host.add_route("::/0", m.eth)
    with pytest.raises(OSError, match="unreachable") as raised:
        m.host.connect(address, 80, m.now)
    assert raised.value.errno == ENETUNREACH
    assert m.host.connections() == []
    assert m.poll() == []


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8:1::1"])
def test_open_without_a_route(address: str) -> None:
    m = Machine()
    with pytest.raises(OSError, match="unreachable") as raised:
        m.host.connect(address, 80, m.now)
    assert raised.value.errno == ENETUNREACH
    m.host.add_route("0.0.0.0/0", m.eth)
    m.host.add_route("::/0", m.eth)
    m.host.connect(address, 80, m.now)
    (syn,) = m.poll()
    assert addresses.text(syn.destination) == address


def test_open_without_an_address_of_that_version() -> None:
    host = Host("machine", SECRET)
    eth = host.add_interface("eth0", ["192.0.2.1/24"], 1500)
    host.add_route("::/0", eth)
    with pytest.raises(OSError, match="unreachable"):
        host.connect("2001:db8::2", 80, 0)


@pytest.mark.parametrize("local", [(THEIRS, 0), (OURS_6, 0), ("192.0.2.255", 1000)])
def test_open_from_a_foreign_address(local: tuple[str, int]) -> None:
    m = Machine()
    with pytest.raises(OSError, match="Cannot assign") as raised:
        m.host.connect(THEIRS, 80, m.now, local)
    assert raised.value.errno == EADDRNOTAVAIL


def test_open_from_a_given_end() -> None:
    m = Machine()
    connection = m.host.connect(THEIRS, 80, m.now, (OURS, 1234))
    assert (connection.identity.local_address, connection.identity.local_port) == (addresses.packed(OURS), 1234)
    with pytest.raises(OSError, match="Cannot assign") as raised:
        m.host.connect(THEIRS, 80, m.now, ("0.0.0.0", 1234))
    assert raised.value.errno == EADDRNOTAVAIL
    m.host.connect(THEIRS, 81, m.now, ("0.0.0.0", 1234))


@pytest.mark.parametrize("address", ["nonsense", "", "192.0.2.300"])
def test_what_is_no_address(address: str) -> None:
    m = Machine()
    with pytest.raises(ValueError):
        m.host.connect(address, 80, m.now)
    with pytest.raises(ValueError):
        m.host.listen(address, 80, 1, m.now)


@pytest.mark.row("A5")
@pytest.mark.requirement("MUST-9", "SHLD-1")
def test_initial_numbers_differ_between_connections_and_secrets() -> None:
    numbers = set()
    for secret in (bytes(16), b"x" * 16):
        host = Host("machine", secret)
        host.add_interface("eth0", ["192.0.2.1/24"], 1500)
        for port in range(50):
            numbers.add(host.connect(THEIRS, port + 1, 0, (OURS, 2000)).iss)
    assert len(numbers) == 100


@pytest.mark.row("A5")
@pytest.mark.requirement("MUST-8", "SHLD-1")
def test_the_number_of_one_four_tuple_grows_by_the_clock() -> None:
    """RFC 9293 §3.4.1 (MUST-8): about one in 4 microseconds, so that reincarnations do not overlap."""
    m = Machine()
    first = m.host.connect(THEIRS, 80, 0, (OURS, 2000))
    m.host.abort(first, 0)
    second = m.host.connect(THEIRS, 80, SECOND, (OURS, 2000))
    assert (second.iss - first.iss) % (1 << 32) == 250_000


@pytest.mark.requirement("MUST-67", "SHLD-6")
@pytest.mark.parametrize(("address", "mss"), [(THEIRS, 1460), (THEIRS_6, 1440)])
def test_the_mss_is_what_the_mtu_allows(address: str, mss: int) -> None:
    m = Machine()
    m.host.connect(address, 80, m.now)
    (syn,) = m.poll()
    assert segment_of(syn).options.mss == mss
    assert syn.ttl == 64


def test_counters_of_opening() -> None:
    m = Machine()
    m.host.listen(OURS, 80, 1, m.now)
    Peer(m).opens()
    m.host.connect(THEIRS, 80, m.now)
    (syn,) = m.poll()
    refusing = Peer(m, 80, segment_of(syn).source_port)
    refusing.ack = segment_of(syn).seq + 1
    assert refusing.says(RST | ACK) == []
    counters = m.host.counters
    assert counters["TcpPassiveOpens"] == 1
    assert counters["TcpActiveOpens"] == 1
    assert counters["TcpAttemptFails"] == 1
    assert counters["TcpEstabResets"] == 0


@pytest.mark.row("A10")
def test_the_backlog() -> None:
    """As Linux has it: one more than the backlog fits; then the last ACK, and SYNs, are ignored."""
    m = Machine()
    listener = m.host.listen(OURS, 80, 1, m.now)
    for port in (1, 2):
        Peer(m, port).opens()
    assert m.host.connections()[0].receive_queue == 2
    assert Peer(m, 3).says(SYN) == []
    assert m.host.counters["TcpExtListenOverflows"] == 1
    m.host.accept(listener)
    Peer(m, 3).opens()


@pytest.mark.row("A10")
def test_a_last_ack_that_finds_the_queue_full_completes_later() -> None:
    m = Machine()
    listener = m.host.listen(OURS, 80, 2, m.now)
    late = Peer(m, 9)
    late.says(SYN)
    for port in (1, 2, 3):
        Peer(m, port).opens()
    assert late.says(ACK) == []
    assert late.state == "CLOSED"
    m.host.accept(listener)
    # The server says SYN,ACK again, and the client its ACK.
    (again,) = m.goes_on(m.now + SECOND)
    assert segment_of(again).flags == SYN | ACK
    late.says(ACK)
    assert late.state == "ESTABLISHED"


def test_requests_are_bounded() -> None:
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_max_syn_backlog", "5")
    parameters.set("net.ipv4.tcp_syncookies", "0")
    m = Machine(parameters)
    m.host.listen(OURS, 80, 100, m.now)
    answered = [bool(Peer(m, port).says(SYN)) for port in range(1, 9)]
    assert answered == [True] * 5 + [False] * 3
    assert m.host.counters["TcpExtListenDrops"] == 3


def test_beyond_them_only_cookies_are_sent() -> None:
    """RFC 4987 §3.6: nothing is kept, and whoever acknowledges the cookie has a connection."""
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_max_syn_backlog", "5")
    m = Machine(parameters)
    m.host.listen(OURS, 80, 100, m.now)
    peers = [Peer(m, port) for port in range(1, 9)]
    for peer in peers:
        peer.says(SYN)
    assert m.states().count("SYN-RECEIVED") == 5
    assert m.host.counters["TcpExtSyncookiesSent"] == 3
    peers[-1].says(ACK)
    assert peers[-1].state == "ESTABLISHED"
    assert m.states().count("SYN-RECEIVED") == 5


def test_accept_raises_when_nobody_waits() -> None:
    m = Machine()
    listener = m.host.listen(OURS, 80, 1, m.now)
    with pytest.raises(BlockingIOError):
        m.host.accept(listener)


def test_closing_a_listener_resets_its_backlog() -> None:
    """From the list of what goes wrong in practice: closing a listener leaving its backlog behind."""
    m = Machine()
    listener = m.host.listen(OURS, 80, 10, m.now)
    accepted, waiting, half_open = Peer(m, 1).opens(), Peer(m, 2).opens(), Peer(m, 3)
    m.host.accept(listener)
    half_open.says(SYN)
    m.host.close_listener(listener, m.now)
    (reset,) = m.poll()
    assert segment_of(reset).flags & RST
    assert (segment_of(reset).destination_port, segment_of(reset).seq) == (2, waiting.ack)
    assert m.states() == ["ESTABLISHED"]
    assert accepted.state == "ESTABLISHED"
    # What was half open is nobody's now.
    (answer,) = half_open.says(ACK)
    assert answer.flags == RST
    (answer,) = Peer(m, 4).says(SYN)
    assert answer.flags == RST | ACK
    m.host.close_listener(listener, m.now)


def test_a_child_that_died_before_accept_says_so() -> None:
    """From the list of what goes wrong in practice: accept returning a dead child. Linux returns it too; its error
    must be seen."""
    m = Machine()
    listener = m.host.listen(OURS, 80, 10, m.now)
    Peer(m, 1).opens().says(RST)
    Peer(m, 2).opens()
    assert m.states() == ["LISTEN", "ESTABLISHED"]
    dead = m.host.accept(listener)
    with pytest.raises(ConnectionResetError):
        m.host.receive(dead, 1, m.now)
    assert m.host.accept(listener).identity.remote_port == 2
    assert m.host.counters["TcpEstabResets"] == 1
