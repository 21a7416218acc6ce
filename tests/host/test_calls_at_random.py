"""Socket calls in any order, on five sockets at a time: the kernel and we must agree on each result."""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from synfin.host.socket_option_numbers import (
    IP_BIND_ADDRESS_NO_PORT,
    IP_FREEBIND,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    MSG_OOB,
    MSG_PEEK,
    SIOCATMARK,
    SIOCINQ,
    SO_ERROR,
    SO_LINGER,
    SO_OOBINLINE,
    SO_RCVLOWAT,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SOL_SOCKET,
)
from synfin.host.sockets import AF_INET, AF_INET6
from synfin.tcp import states
from tests.host.two_worlds import Kernel, Ours

NAMES = "abcde"
SEQUENCES = 400
LENGTH = 80
OPTIONS = [
    (SOL_SOCKET, SO_REUSEADDR, 1),
    (SOL_SOCKET, SO_REUSEADDR, 0),
    (SOL_SOCKET, SO_REUSEPORT, 1),
    (SOL_SOCKET, SO_OOBINLINE, 1),
    (SOL_SOCKET, SO_RCVLOWAT, 20),
    (SOL_SOCKET, SO_LINGER, struct.pack("=ii", 1, 0)),
    (IPPROTO_IPV6, IPV6_V6ONLY, 1),
    (IPPROTO_IP, IP_FREEBIND, 1),
    (IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1),
]
#: Calls, those twice of which more happens.
WORDS = """socket socket bind bind listen listen connect connect connect connect dissolve accept accept accept send send
receive receive shutdown close look look option option urgent peek"""
CALLS = WORDS.split()


def steps(chance: random.Random, port: int) -> Iterator[tuple[Any, ...]]:
    """Calls without end, around three ports, most of which make sense. Often a connection comes first."""
    if chance.random() < 0.8:
        family, at, to = chance.choice(
            [
                (AF_INET, "0.0.0.0", "127.0.0.1"),
                (AF_INET, "127.0.0.1", "127.0.0.1"),
                (AF_INET6, "::", "::1"),
                (AF_INET6, "::", "::ffff:127.0.0.1"),
            ]
        )
        yield "a", "socket", family
        yield "a", "setsockopt", *chance.choice(OPTIONS)
        yield "a", "bind", (at, port)
        yield "a", "listen", 5
        for name in "bc":
            yield name, "socket", family
            yield name, "setsockopt", *chance.choice(OPTIONS)
            yield name, "connect", (to, port)
        yield "a", "accept", "d"
    while True:
        name = chance.choice(NAMES)
        address = (
            chance.choice(["127.0.0.1", "0.0.0.0", "127.0.0.2", "::1", "::", "::ffff:127.0.0.1"]),
            chance.choice([port, port + 1, port + 1, port + 2]),
        )
        match chance.choice(CALLS):
            case "socket":
                yield name, "socket", chance.choice([AF_INET, AF_INET, AF_INET6])
            case "bind":
                yield name, "bind", address
            case "listen":
                yield name, "listen", chance.choice([0, 1, 5])
            case "connect":
                yield name, "connect", address
            case "dissolve":
                yield name, "connect", None
            case "accept":
                yield name, "accept", chance.choice(NAMES)
            case "send":
                yield name, "send", bytes(chance.choice([0, 1, 10, 3000]))
            case "receive":
                yield name, "recv", chance.choice([1, 10, 5000])
            case "shutdown":
                yield name, "shutdown", chance.choice([0, 1, 2])
            case "close":
                yield name, "close"
            case "look":
                yield name, "poll"
                yield name, "getsockname"
                yield name, "getpeername"
                yield name, "ioctl", SIOCINQ
                yield name, "ioctl", SIOCATMARK
                yield name, "getsockopt", SOL_SOCKET, SO_ERROR
            case "option":
                yield name, "setsockopt", *chance.choice(OPTIONS)
            case "urgent":
                yield name, "send", b"u", MSG_OOB
                yield name, "recvmsg", 1, MSG_OOB
            case "peek":
                yield name, "recv", 7, MSG_PEEK


def makes_sense(ours: Ours, step: tuple[Any, ...], mapped: set[int]) -> bool:
    """Whether the step can be tried in both worlds, and is none of the two in which Linux surprises."""
    mapped |= {
        sock.number for sock in ours.sockets.values() if sock.family == AF_INET6 and len(sock.local_address) == 4
    }
    name, call, *arguments = step
    if call == "socket":
        return name not in ours.sockets
    sock = ours.sockets.get(name)
    if sock is None:
        return False
    if call == "accept":
        return arguments[0] not in ours.sockets
    if call in ("bind", "connect") and arguments[0] is not None:
        host = arguments[0][0]
        if (":" in host) != (sock.family == AF_INET6):
            return False
        if call == "connect" and sock.family == AF_INET6:
            # After it spoke IPv4, an IPv6 socket of Linux sends its next SYN over IPv6 into the void.
            return host.startswith("::ffff") or sock.number not in mapped
    # A socket of Linux that was shut down and then connects to itself sends a FIN by itself.
    return call != "shutdown" or sock.state != states.CLOSED or sock.connection is not None


@pytest.mark.requires("root", "netns", "ip")
def test_any_order_of_calls_gives_what_the_kernel_gives(
    in_namespace: Callable[[Callable[[], None]], None],
) -> None:
    wrong = []
    connected = 0

    def compare() -> None:
        nonlocal connected
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        # Each has ports of its own, for TIME-WAIT keeps them.
        for seed in range(SEQUENCES):
            kernel, ours = Kernel(), Ours()
            chance = random.Random(seed)
            mapped: set[int] = set()
            history: list[Any] = []
            for step in steps(chance, 2000 + 3 * seed):
                if len(history) == LENGTH:
                    break
                if not makes_sense(ours, step, mapped):
                    continue
                outcomes = kernel.does(*step), ours.does(*step)
                history.append((step, outcomes))
                if outcomes[0] != outcomes[1]:
                    wrong.append((seed, history[-12:]))
                    break
                connected += step[1] == "accept" and not isinstance(outcomes[0], str)
            kernel.close_all()
            ours.close_all()

    in_namespace(compare)
    assert wrong == []
    assert connected > SEQUENCES // 2


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_left_behind(seed: int) -> None:
    """Whatever was called: when all is closed and every timer has run out, the host is as new."""
    ours = Ours()
    mapped: set[int] = set()
    for count, step in enumerate(steps(random.Random(seed), 2000)):
        if count == 300:
            break
        if makes_sense(ours, step, mapped):
            ours.does(*step)
    ours.close_all()
    host = ours.host
    ours.now += 10_000 * 1_000_000_000
    for _ in range(100):
        host.deadline_reached(ours.now)
        ours.settle()
        ours.now += 100 * 1_000_000_000
    assert host.connections() == []
    transport = host.transport
    assert len(transport.bindings) == 0
    assert not transport.sockets
    assert not transport.listeners
    assert not transport.reuse_port
