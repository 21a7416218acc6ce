"""Congestion controls by name, and a user's own among them (row E1)."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from synfin.host.parameters import Parameters
from synfin.tcp import changing, snapshot
from synfin.tcp.congestion import Cubic, Reno, available, congestion_control, register, registry
from tests.tcp.world import World

ROOT = Path(__file__).parents[3]


class Own(Reno):
    """A congestion control of the user's, which remembers something."""

    __slots__ = ("taught",)

    name = "own"

    def __init__(self) -> None:
        super().__init__()
        self.taught = 7


@pytest.fixture
def registered() -> Iterator[None]:
    register(Own.name, Own)
    yield
    del registry._REGISTRY["own"]


def test_names() -> None:
    assert available() == ["cubic", "reno"]
    assert isinstance(congestion_control("cubic"), Cubic)
    assert isinstance(congestion_control("reno"), Reno)
    assert congestion_control("reno") is not congestion_control("reno")
    with pytest.raises(KeyError):
        congestion_control("none such")


@pytest.mark.usefixtures("registered")
def test_a_users_own_takes_part_by_name() -> None:
    assert available() == ["cubic", "own", "reno"]
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_congestion_control", "own")
    assert parameters.get("net.ipv4.tcp_congestion_control") == "own"
    w = World()
    w.connect()
    changing.set_congestion_control(w.client.tcb, "own", w.now)
    w.server.reading = True
    w.client.write(bytes(200_000), then_close=False)
    w.run_for(10**9)
    assert len(w.server.received) == 200_000
    # It goes with the connection, and so does what it knows.
    assert isinstance(w.client.tcb.congestion, Own)
    w.client.tcb.congestion.taught = 8
    restored = snapshot.restore(snapshot.dump(w.client.tcb, w.now), w.client.parameters, w.now)
    assert isinstance(restored.congestion, Own)
    assert restored.congestion.taught == 8


@pytest.mark.parametrize("name", ["reno", "", "a" * 16, "two words", "né", "tab\t"])
def test_names_that_cannot_be_given(name: str) -> None:
    with pytest.raises(ValueError, match="congestion control"):
        register(name, Reno)
    assert available() == ["cubic", "reno"]


def test_the_longest_name() -> None:
    register("a" * 15, Reno)
    del registry._REGISTRY["a" * 15]


def test_the_documentations_example_runs() -> None:
    text = (ROOT / "docs/congestion.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    program += """
from synfin.sim import Network
network = Network(0)
client, server = network.host("client", parameters), network.host("server")
network.wire(client, "10.0.0.1/24", server, "10.0.0.2/24", delay=10_000_000)
server.listen("10.0.0.2", 80)
connection = client.connect("10.0.0.2", 80)
network.run(1_000_000_000)
client.send(connection, bytes(1 << 20))
network.run(1_500_000_000)
print(connection.congestion.name, connection.cwnd // connection.mss, connection.sent.in_flight // connection.mss)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    name, window, _ = run.stdout.split()
    assert (name, window) == ("steady", "20")
