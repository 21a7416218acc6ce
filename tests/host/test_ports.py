"""Ephemeral ports (RFC 6056)."""

from __future__ import annotations

from errno import EADDRNOTAVAIL

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.host.parameters import Parameters
from synfin.host.ports import EphemeralPorts
from synfin.tcp import time_wait
from tests.host.machine import OURS, THEIRS, Machine

FIRST, LAST = 40000, 40099


@given(st.binary(min_size=16, max_size=32), st.binary(max_size=40), st.integers(0, 300))
def test_a_cycle_offers_every_port_once(secret: bytes, destination: bytes, used: int) -> None:
    ports = EphemeralPorts(secret)
    for _ in range(used):
        ports.choose(destination, FIRST, LAST, lambda port: True)
    assert sorted(ports.candidates(destination, FIRST, LAST)) == list(range(FIRST, LAST + 1))


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=40))
def test_choices_in_a_row_do_not_repeat_within_a_cycle(secret: bytes, destination: bytes) -> None:
    ports = EphemeralPorts(secret)
    chosen = [ports.choose(destination, FIRST, LAST, lambda port: True) for _ in range(100)]
    assert sorted(chosen) == list(range(FIRST, LAST + 1))


def order(secret: bytes, destination: bytes) -> list[int]:
    return list(EphemeralPorts(secret).candidates(destination, FIRST, LAST))


def test_the_order_depends_on_the_secret_and_the_destination() -> None:
    secrets = [bytes([n]) * 16 for n in range(20)]
    assert order(secrets[0], b"a") == order(secrets[0], b"a")
    assert len({tuple(order(secret, b"a")) for secret in secrets}) > 15
    assert len({tuple(order(secrets[0], bytes([n]))) for n in range(20)}) > 15


def test_one_destination_does_not_tell_of_another() -> None:
    """RFC 6056 §3.3.4: two destinations rarely share a counter, so that their ports do not follow one another."""
    ports = EphemeralPorts(b"s" * 16)
    before = [ports.choose(bytes([n]), 1, 60000, lambda port: True) for n in range(8)]
    for _ in range(1000):
        ports.choose(b"busy", 1, 60000, lambda port: True)
    after = [ports.choose(bytes([n]), 1, 60000, lambda port: True) for n in range(8)]
    assert sum(b == a + 1 for a, b in zip(before, after, strict=True)) >= 7


def test_what_is_taken_is_passed_over() -> None:
    ports = EphemeralPorts(b"s" * 16)
    assert ports.choose(b"", FIRST, LAST, lambda port: port == 40050) == 40050
    assert ports.choose(b"", FIRST, LAST, lambda port: False) == -1


def machine_with(first: int, last: int) -> Machine:
    parameters = Parameters()
    parameters.set("net.ipv4.ip_local_port_range", f"{first} {last}")
    return Machine(parameters)


def test_no_port_left_towards_one_destination() -> None:
    m = machine_with(40000, 40004)
    used = {m.host.connect(THEIRS, 80, m.now).identity.local_port for _ in range(5)}
    assert used == set(range(40000, 40005))
    with pytest.raises(OSError, match="Cannot assign") as raised:
        m.host.connect(THEIRS, 80, m.now)
    assert raised.value.errno == EADDRNOTAVAIL
    # The four-tuple is what is taken, not the port.
    assert m.host.connect(THEIRS, 81, m.now).identity.local_port in used


def test_a_listening_port_is_not_taken_for_a_connection() -> None:
    m = machine_with(40000, 40001)
    m.host.listen("0.0.0.0", 40000, 1, m.now)
    assert m.host.connect(THEIRS, 80, m.now).identity.local_port == 40001
    with pytest.raises(OSError, match="Cannot assign"):
        m.host.connect(THEIRS, 80, m.now)


def test_a_port_in_time_wait_is_not_taken() -> None:
    m = machine_with(40000, 40000)
    old = m.host.connect(THEIRS, 80, m.now)
    m.host.transport.time_waits.put(old.identity.flow, time_wait.from_connection(old, m.now), True)
    m.host.transport.connections.clear()
    with pytest.raises(OSError, match="Cannot assign"):
        m.host.connect(THEIRS, 80, m.now)


def test_closing_an_unconnected_connection_gives_the_port_back() -> None:
    """From the list of what goes wrong in practice: a port leaked by closing an unconnected socket."""
    m = machine_with(40000, 40000)
    for close in (m.host.release, m.host.close, m.host.abort):
        connection = m.host.connect(THEIRS, 80, m.now)
        m.poll()
        close(connection, m.now)
        assert m.poll() == []
        assert m.host.connections() == []
    m.host.connect(THEIRS, 80, m.now)


def test_listening_at_any_port() -> None:
    m = machine_with(40000, 40002)
    listeners = [m.host.listen(OURS, 0, 1, m.now) for _ in range(3)]
    assert {listener.local_port for listener in listeners} == {40000, 40001, 40002}
    with pytest.raises(OSError, match="in use"):
        m.host.listen(OURS, 0, 1, m.now)
    # Of another version.
    assert m.host.listen("::", 0, 1, m.now).local_port in (40000, 40001, 40002)
