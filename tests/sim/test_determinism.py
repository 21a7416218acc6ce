"""A world is a function of scenario, seed and faults."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from synfin.events import Event, PacketDelivered, PacketLost, PacketTransmitted
from synfin.sim import Network
from synfin.wire.tcp import Segment
from tests.sim.worlds import TwoHosts, busy_world, story

ROOT = Path(__file__).parents[2]


def in_a_process(seed: int, hash_seed: str) -> str:
    environ = dict(os.environ, PYTHONHASHSEED=hash_seed, PYTHONPATH=os.pathsep.join((str(ROOT / "src"), str(ROOT))))
    argv = [sys.executable, "-m", "tests.sim.worlds", str(seed)]
    return subprocess.run(argv, check=True, capture_output=True, text=True, env=environ, cwd=ROOT).stdout


def test_the_same_in_every_process() -> None:
    """Octet for octet, and event for event, whatever hash Python gives to octets."""
    first, second = in_a_process(7, "1"), in_a_process(7, "2")
    assert first == second
    assert len(first) > 100_000
    # The world was worth running: something was lost, and made good.
    assert "lost-by-chance" in first
    assert "rack-shows-loss" in first or "retransmission-timeout" in first


def test_the_same_twice_in_one_process() -> None:
    assert story(busy_world(3)) == story(busy_world(3))


@pytest.mark.row("A5")
def test_another_seed_gives_other_numbers() -> None:
    numbers, ports = set(), set()
    for seed in range(20):
        world = TwoHosts(seed)
        connection = world.transfer(b"x")
        numbers.add(connection.iss)
        ports.add(connection.identity.local_port)
        for event in world.events:
            if isinstance(event, PacketTransmitted) and event.host == "server":
                assert isinstance(event.packet.payload, Segment)
                numbers.add(event.packet.payload.seq)
                break
    assert len(numbers) == 40
    assert len(ports) > 15


def test_generators_are_apart_by_purpose() -> None:
    network = Network(1)
    assert network.random("a").random() == network.random("a").random()
    assert network.random("a").random() != network.random("b").random()
    assert network.random("a").random() != Network(2).random("a").random()


def test_hosts_of_one_network_have_secrets_of_their_own() -> None:
    network = Network(1)
    hosts = [network.host(name) for name in ("a", "b")]
    for node in hosts:
        network.wire(node, "10.0.0.1/24", network.host(f"peer of {node.name}"), "10.0.0.2/24")
    first, second = (node.connect("10.0.0.2", 80, ("10.0.0.1", 1000)) for node in hosts)
    assert first.iss != second.iss


@pytest.mark.parametrize("lost", [1, 2, 7, 20, 45, 60])
def test_one_fault_more_changes_nothing_before_it(lost: int) -> None:
    """Octet for octet up to the fault, though chance has its part in both."""
    plain = busy_world(5)
    # The next one that the plain world did not lose by itself.
    lost = min(e.number for e in plain.events if isinstance(e, PacketDelivered) and e.number >= lost)
    forked = busy_world(5, f"lose packet {lost}")
    before, after = plain.packets(), forked.packets()
    assert before[:lost] == after[:lost]
    cut = next(n for n, e in enumerate(forked.events) if isinstance(e, PacketLost) and e.number == lost)
    assert list(map(repr, plain.events[:cut])) == list(map(repr, forked.events[:cut]))
    assert repr(plain.events[cut]) != repr(forked.events[cut])


@pytest.mark.parametrize("fault", ["lose 1st RST", "lose 0%", "corrupt packet 100000", "duplicate 9th SYN"])
def test_a_fault_that_never_acts_changes_nothing(fault: str) -> None:
    assert story(busy_world(5, fault)) == story(busy_world(5))


def test_a_tracer_changes_nothing() -> None:
    """Looking is free: the packets are the same when nobody listens."""

    def numbers(sink: bool) -> tuple[int, int, int]:
        events: list[Event] = []
        network = Network(9, events.append if sink else None)
        client, server = network.host("client"), network.host("server")
        wire = network.wire(client, "10.0.0.1/24", server, "10.0.0.2/24", delay=1000)
        network.apply("lose 40%")
        server.listen("10.0.0.2", 80)
        connection = client.connect("10.0.0.2", 80)
        network.run(until=10**10)
        assert bool(events) == sink
        return connection.iss, wire.transmitted, wire.lost

    assert numbers(True) == numbers(False)
    assert numbers(True)[2] > 0
