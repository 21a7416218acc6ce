"""Who may be bound beside whom: every combination as the Linux kernel judges it, and the rules by themselves."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.host.binding import (
    ANY_IPV4,
    ANY_IPV6,
    BY_CONNECT,
    IPV6_ONLY,
    LISTENING,
    REUSE_ADDRESS,
    REUSE_PORT,
    Bindings,
    exclude,
    overlap,
    reserved_ports,
)
from synfin.host.sockets import AF_INET, AF_INET6
from tests.host.two_worlds import Kernel, Ours, World

SOL_SOCKET, SO_REUSEADDR, SO_REUSEPORT = 1, 2, 15
IPPROTO_IPV6, IPV6_V6ONLY = 41, 26
IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, IP_LOCAL_PORT_RANGE = 0, 24, 51

#: Family, IPV6_V6ONLY, address.
Kind = tuple[int, bool, str]
#: SO_REUSEADDR, SO_REUSEPORT.
Reuse = tuple[int, int]
FIRST: list[Kind] = [
    (AF_INET, False, "0.0.0.0"),
    (AF_INET, False, "127.0.0.1"),
    (AF_INET6, False, "::"),
    (AF_INET6, False, "::1"),
    (AF_INET6, False, "::ffff:127.0.0.1"),
    (AF_INET6, True, "::"),
    (AF_INET6, True, "::1"),
]
SECOND: list[Kind] = [*FIRST, (AF_INET, False, "127.0.0.2"), (AF_INET6, False, "::ffff:127.0.0.2")]
REUSES: list[Reuse] = list(itertools.product((0, 1), (0, 1)))
#: What has become of the first socket when the second one comes: `child` and `time-wait` are what a closed listener
#: left behind.
STATES = ("bound", "listening", "child", "connected", "time-wait")


def bound(world: World, name: str, kind: Kind, reuse: Reuse, port: int) -> Any:
    family, only, address = kind
    world.does(name, "socket", family)
    if only:
        world.does(name, "setsockopt", IPPROTO_IPV6, IPV6_V6ONLY, 1)
    world.does(name, "setsockopt", SOL_SOCKET, SO_REUSEADDR, reuse[0])
    world.does(name, "setsockopt", SOL_SOCKET, SO_REUSEPORT, reuse[1])
    return world.does(name, "bind", (address, port))


def first_socket(world: World, kind: Kind, reuse: Reuse, state: str, port: int) -> list[Any]:
    """Brings a socket bound as `kind` to `state`."""
    outcome = [bound(world, "first", kind, reuse, port)]
    over_ipv6 = kind[2] in ("::", "::1")
    family, address = (AF_INET6, "::1") if over_ipv6 else (AF_INET, "127.0.0.1")
    if state == "connected":
        world.does("listener", "socket", family)
        world.does("listener", "bind", (address, port - 1))
        world.does("listener", "listen")
        mapped = kind[0] == AF_INET6 and not over_ipv6
        outcome.append(world.does("first", "connect", (f"::ffff:{address}" if mapped else address, port - 1)))
    elif state != "bound":
        outcome.append(world.does("first", "listen"))
    if state in ("child", "time-wait"):
        world.does("client", "socket", family)
        world.does("client", "connect", (address, port))
        world.does("first", "accept", "child")
        if state == "time-wait":
            world.does("child", "close")
            world.does("client", "close")
        world.does("first", "close")
    return outcome


def second_socket(world: World, kind: Kind, reuse: Reuse, port: int) -> list[Any]:
    return [bound(world, "second", kind, reuse, port), world.does("second", "listen")]


@pytest.mark.requires("root", "netns", "ip")
@pytest.mark.parametrize("state", STATES)
def test_every_combination_is_judged_as_the_kernel_does(
    state: str, in_namespace: Callable[[Callable[[], None]], None]
) -> None:
    """1008 pairs of sockets in each state: family, address, V6ONLY, SO_REUSEADDR and SO_REUSEPORT of both."""
    differences = []
    judged = set()

    def compare() -> None:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        kernel = Kernel()
        # Each pair has ports of its own, for TIME-WAIT keeps them.
        ports = itertools.count(2000, 2)
        for first, first_reuse in itertools.product(FIRST, REUSES):
            ours = Ours()
            for second, second_reuse in itertools.product(SECOND, REUSES):
                port = next(ports)
                outcomes = []
                for world in (kernel, ours):
                    outcome = first_socket(world, first, first_reuse, state, port)
                    outcome += second_socket(world, second, second_reuse, port)
                    world.close_all()
                    outcomes.append(outcome)
                judged.add(tuple(outcomes[0][-2:]))
                if outcomes[0] != outcomes[1]:
                    differences.append((first, first_reuse, second, second_reuse, *outcomes))

    in_namespace(compare)
    assert differences == []
    assert {"EADDRINUSE", None} <= {outcome for pair in judged for outcome in pair}


def test_flags_changed_later_count() -> None:
    """SO_REUSEADDR set after bind, on either side."""
    for late, expected in ((False, "EADDRINUSE"), (True, None)):
        world = Ours()
        assert bound(world, "first", FIRST[0], (0, 0), 80) is None
        if late:
            world.does("first", "setsockopt", SOL_SOCKET, SO_REUSEADDR, 1)
        assert bound(world, "second", FIRST[0], (1, 0), 80) == expected


def test_closing_gives_the_port_back() -> None:
    for kind in FIRST:
        for state in STATES:
            world = Ours()
            first_socket(world, kind, (1, 1), state, 8080)
            world.close_all()
            world.now += 3600 * 1_000_000_000
            world.host.deadline_reached(world.now)
            world.settle()
            assert len(world.host.transport.bindings) == 0, (kind, state)
            assert not world.host.transport.sockets
            assert not world.host.transport.listeners
            assert not world.host.transport.reuse_port


# --- ports that are chosen


def port_of(world: Ours, name: str) -> int:
    address = world.sockets[name].local_port
    assert isinstance(address, int)
    return address


def small(first: int = 40000, last: int = 40003) -> Ours:
    world = Ours()
    world.host.parameters.set("net.ipv4.ip_local_port_range", f"{first} {last}")
    return world


def test_bind_chooses_each_port_once() -> None:
    world = small()
    for name in "abcd":
        assert bound(world, name, FIRST[0], (1, 1), 0) is None
    assert {port_of(world, name) for name in "abcd"} == {40000, 40001, 40002, 40003}
    # Though they all could be shared, a port that is chosen is a free one.
    assert bound(world, "e", FIRST[0], (1, 1), 0) == "EADDRINUSE"


def test_bind_may_choose_a_shared_port_if_told_to() -> None:
    world = small()
    world.host.parameters.set("net.ipv4.ip_autobind_reuse", "1")
    for name in "abcd":
        bound(world, name, FIRST[0], (1, 0), 0)
    assert bound(world, "plain", FIRST[0], (0, 0), 0) == "EADDRINUSE"
    assert bound(world, "e", FIRST[0], (1, 0), 0) is None


def test_reserved_ports_are_never_chosen() -> None:
    world = small()
    world.host.parameters.set("net.ipv4.ip_local_reserved_ports", "40000-40001,40003")
    assert bound(world, "a", FIRST[0], (0, 0), 0) is None
    assert port_of(world, "a") == 40002
    assert bound(world, "b", FIRST[0], (0, 0), 0) == "EADDRINUSE"
    world.does("a", "close")
    world.does("l", "socket", AF_INET)
    world.does("l", "bind", ("127.0.0.1", 80))
    world.does("l", "listen")
    world.does("c", "socket", AF_INET)
    world.does("c", "connect", ("127.0.0.1", 80))
    assert world.does("c", "getsockname")[1] == "ephemeral"
    assert port_of(world, "c") == 40002
    # One that is asked for is given.
    assert bound(world, "d", FIRST[0], (0, 0), 40003) is None


def test_a_socket_can_have_a_range_of_its_own() -> None:
    world = small(40000, 50000)
    for name in "ab":
        world.does(name, "socket", AF_INET)
        assert world.does(name, "setsockopt", IPPROTO_IP, IP_LOCAL_PORT_RANGE, 40011 << 16 | 40010) is None
        assert world.does(name, "bind", ("0.0.0.0", 0)) is None
        assert port_of(world, name) in (40010, 40011)
    world.does("c", "socket", AF_INET)
    world.does("c", "setsockopt", IPPROTO_IP, IP_LOCAL_PORT_RANGE, 40011 << 16 | 40010)
    assert world.does("c", "bind", ("0.0.0.0", 0)) == "EADDRINUSE"


def listening(world: Ours, *ports: int) -> None:
    for port in ports:
        world.does(f"l{port}", "socket", AF_INET)
        world.does(f"l{port}", "bind", ("0.0.0.0", port))
        world.does(f"l{port}", "listen")


def test_connects_share_ports_towards_different_ends() -> None:
    world = small(40000, 40000)
    listening(world, 80, 81)
    for name, port in (("a", 80), ("b", 81)):
        world.does(name, "socket", AF_INET)
        assert world.does(name, "connect", ("127.0.0.1", port)) == "EINPROGRESS"
        assert port_of(world, name) == 40000
    world.does("c", "socket", AF_INET)
    assert world.does("c", "connect", ("127.0.0.1", 81)) == "EADDRNOTAVAIL"


def test_connect_keeps_away_from_what_is_bound() -> None:
    world = small(40000, 40000)
    listening(world, 80)
    assert bound(world, "a", (AF_INET, False, "127.0.0.9"), (1, 1), 40000) is None
    world.does("c", "socket", AF_INET)
    assert world.does("c", "connect", ("127.0.0.1", 80)) == "EADDRNOTAVAIL"


def test_bind_without_a_port_leaves_it_to_connect() -> None:
    world = small(40000, 40000)
    listening(world, 80, 81)
    for name, port in (("a", 80), ("b", 81)):
        world.does(name, "socket", AF_INET)
        world.does(name, "setsockopt", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        assert world.does(name, "bind", ("127.0.0.1", 0)) is None
        assert world.does(name, "getsockname") == ("127.0.0.1", 0)
        assert world.does(name, "connect", ("127.0.0.1", port)) == "EINPROGRESS"


# --- listeners that share a port


def test_connections_spread_over_those_who_share_a_port() -> None:
    world = Ours()
    names = [f"l{number}" for number in range(4)]
    for name in names:
        assert bound(world, name, FIRST[0], (0, 1), 80) is None
        assert world.does(name, "listen", 100) is None
    for number in range(100):
        world.does(f"c{number}", "socket", AF_INET)
        world.does(f"c{number}", "connect", ("127.0.0.1", 80))
        assert world.does(f"c{number}", "connect", ("127.0.0.1", 80)) is None
    shares = []
    for name in names:
        listener = world.sockets[name].listener
        assert listener is not None
        shares.append(len(listener.accept_queue))
    assert sum(shares) == 100
    assert min(shares) > 10
    # Each leaves, also the first one; the rest go on.
    for name in names[:3]:
        world.does(name, "close")
        world.does("late", "socket", AF_INET)
        world.does("late", "connect", ("127.0.0.1", 80))
        assert world.does("late", "connect", ("127.0.0.1", 80)) is None
        world.does("late", "close")
    world.does(names[3], "close")
    assert not world.host.transport.listeners
    assert not world.host.transport.reuse_port


# --- the rules by themselves

addresses = st.sampled_from([ANY_IPV4, ANY_IPV6, bytes([127, 0, 0, 1]), bytes([127, 0, 0, 2]), bytes(15) + b"\1"])
flags = st.integers(0, 2 * BY_CONNECT - 1)


@given(addresses, flags, flags)
def test_the_same_address_always_overlaps(address: bytes, ours: int, theirs: int) -> None:
    assert overlap(address, ours, address, theirs)


@given(flags, flags)
def test_strict_judges_exclude_what_relaxed_ones_do(ours: int, theirs: int) -> None:
    if exclude(ours, theirs, relaxed=True, sharing=True):
        assert exclude(ours, theirs, relaxed=False, sharing=False)
    assert exclude(ours, theirs, relaxed=False, sharing=False)


@given(flags)
def test_a_listener_shares_with_nobody_by_reuseaddr(ours: int) -> None:
    assert exclude(ours & ~REUSE_PORT, REUSE_ADDRESS | LISTENING, relaxed=True, sharing=True)


@given(st.lists(st.tuples(st.integers(1, 3), addresses, flags), max_size=20), st.integers(1, 3), addresses, flags)
def test_what_is_taken_back_is_gone(claims: list[tuple[int, bytes, int]], port: int, address: bytes, ours: int) -> None:
    bindings = Bindings()
    for claim in claims:
        bindings.add(*claim)
    assert len(bindings) == len(claims)
    before = bindings.conflict(port, address, ours)
    bindings.add(port, address, IPV6_ONLY)
    bindings.remove(port, address, IPV6_ONLY)
    assert bindings.conflict(port, address, ours) == before
    for claim in claims:
        bindings.remove(*claim)
    assert len(bindings) == 0
    assert not bindings.conflict(port, address, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", []), ("80", [(80, 80)]), ("80,90-99", [(80, 80), (90, 99)]), (" 1 , 2-2 ", [(1, 1), (2, 2)])],
)
def test_lists_of_reserved_ports(text: str, expected: list[tuple[int, int]]) -> None:
    assert reserved_ports(text) == expected


@pytest.mark.parametrize("text", ["x", "9-1", "70000", "-3", "1-", "1--2"])
def test_lists_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        reserved_ports(text)
